"""The entry point of the ``cellsmono`` command.

``--help`` and ``--version`` are answered here, from static text, without importing anything that takes time.
"""

import sys


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments in (["--help"], ["-h"], ["help"], []):
        from cellsmono.cli.help import HELP

        sys.stdout.write(HELP)
    elif arguments == ["--version"]:
        from cellsmono import __version__

        sys.stdout.write(f"cellsmono {__version__}\n")
    else:
        from cellsmono.cli.main import run_command_line

        sys.exit(run_command_line(arguments))


if __name__ == "__main__":
    main()
