"""How a command asks about people: load the configuration, find the server, hand over one request."""

import sys

import typer

from cellsmono.interfaces.people import R, Request


def ask(data_dir: str | None, config: str | None, request: Request[R]) -> R:
    """What comes back for one request. Raises the errors of ``kernel.errors``."""
    from cellsmono.cli.session import load_for, perform

    return perform(load_for(data_dir, config), lambda operations: operations.people.perform(request))


def ask_password(*, is_new: bool) -> str:
    """A password: asked for at a terminal, a new one twice; else the first line of the standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=is_new, err=True))
    return sys.stdin.readline().rstrip("\r\n")


def read_duration(text: str) -> float:
    """Seconds of ``90s``, ``15m``, ``24h``, ``30d``; 0 for ``never``. Exits with 2 for anything else."""
    if text == "never":
        return 0.0
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:], 0)
    if not seconds or not (text[:-1].isascii() and text[:-1].isdigit()) or not int(text[:-1]):
        raise typer.BadParameter(f"{text!r} is no duration: it is written 90s, 15m, 24h, 30d or never")
    return float(int(text[:-1]) * seconds)


def read_subject(user: str, group: str, role: str) -> str:
    """Whom a command is about, of three options of which one is given. Exits with 2 otherwise."""
    given = [f"{kind}:{name}" for kind, name in (("user", user), ("group", group), ("role", role)) if name]
    if len(given) != 1:
        raise typer.BadParameter("say whom it is about: one of --user, --group and --role")
    return given[0]


def read_pairs(given: list[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` arguments. Exits with 2 for one that is none."""
    pairs = {}
    for each in given or ():
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is not NAME=VALUE")
        pairs[name] = value
    return pairs
