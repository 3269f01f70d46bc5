"""Where configuration comes from: flag before environment before file before default.

Every value is checked by itself, at the place it comes from, so that an error can name the key, the value, where it
stands and what was expected; a key that nobody knows is an error that names the nearest one that exists.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from cellsmono.app.config import SECRET_KEYS, SECTIONS, Config, parse_address
from cellsmono.app.datasource_checks import check_datasource
from cellsmono.app.oidc_clients import check_external_url, read_client
from cellsmono.interfaces.datasource import SECRET_NAMES, DatasourceConfig, Encryption, Format, Storage
from cellsmono.interfaces.oidc import OidcClient
from cellsmono.interfaces.operations import OriginValue
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.text import HIDDEN

PREFIX = "CELLSMONO_"
SHORT_NAMES = {
    "CELLSMONO_DATA_DIR": "server.data_dir",
    "CELLSMONO_OWNER_ACCESS_KEY": "owner.access_key",
    "CELLSMONO_OWNER_SECRET_KEY": "owner.secret_key",
}
CONFIG_VARIABLE = "CELLSMONO_CONFIG"
FOLDER_KEYS = ("server.data_dir", "s3.bucket_root")
S3_FILES = ("secret_key_file", "ca_file", "notify_token_file")
LEAST_ACCESS_KEY = 3
LEAST_SECRET = 8


class LoadedConfig(msgspec.Struct, frozen=True):
    """The configuration with the origin of every value (``default``, ``file PATH``, ``environment NAME``, ``flag X``).

    All folders in it are absolute. ``file`` is the configuration file that was read, None when there is none.
    """

    config: Config
    origins: dict[str, str]
    file: Path | None = None

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return Path(self.config.server.data_dir)

    def list_values(self) -> list[OriginValue]:
        """Every value with its key and origin, secrets hidden, in the order of the sections."""
        rows = []
        for section in SECTIONS:
            table = getattr(self.config, section)
            for field in msgspec.structs.fields(table):
                key = f"{section}.{field.name}"
                value = msgspec.to_builtins(getattr(table, field.name))
                shown = HIDDEN if key in SECRET_KEYS and value else value
                rows.append(OriginValue(key, shown, self.origins.get(key, "default")))
        for source in self.config.datasource:
            for name, value in msgspec.to_builtins(source.without_secrets()).items():
                key = f"datasource.{source.name}.{name}"
                rows.append(OriginValue(key, value, self.origins.get(f"datasource.{source.name}", "default")))
        for client in self.config.oidc_client:
            shown = msgspec.structs.replace(client, secret=HIDDEN if client.secret else "")
            for name, value in msgspec.to_builtins(shown).items():
                origin = self.origins.get(f"oidc_client.{client.id}", "default")
                rows.append(OriginValue(f"oidc_client.{client.id}.{name}", value, origin))
        return rows


def add_datasources(loaded: LoadedConfig, sources: Sequence[DatasourceConfig], origin: str) -> LoadedConfig:
    """The configuration with more datasources in it; those whose name is taken are left out."""
    known = {source.name for source in loaded.config.datasource}
    added = tuple(source for source in sources if source.name not in known)
    origins = {**loaded.origins, **{f"datasource.{source.name}": origin for source in added}}
    merged = msgspec.structs.replace(loaded.config, datasource=(*loaded.config.datasource, *added))
    return msgspec.structs.replace(loaded, config=merged, origins=origins)


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """``$XDG_DATA_HOME/cellsmono``, or ``~/.local/share/cellsmono``."""
    return _xdg_folder(environ, "XDG_DATA_HOME", ".local/share") / "cellsmono"


def default_config_file(environ: Mapping[str, str]) -> Path:
    """``$XDG_CONFIG_HOME/cellsmono/config.toml``, or ``~/.config/cellsmono/config.toml``."""
    return _xdg_folder(environ, "XDG_CONFIG_HOME", ".config") / "cellsmono" / "config.toml"


def load_config(
    flags: Mapping[str, tuple[str, str]] | None = None,
    *,
    config_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> LoadedConfig:
    """Gather the configuration.

    ``flags`` maps a key such as ``s3.listen`` to its text and the flag it was given by. ``config_file`` is the file
    asked for by a flag. Raises Invalid with everything the user needs to mend it.
    """
    environ = os.environ if environ is None else environ
    file = find_config_file(config_file, environ)
    gathered = _Gathered()
    if file is not None:
        gathered.read_file(file)
    gathered.read_environment(environ)
    for key, (text, flag) in (flags or {}).items():
        gathered.put_text(key, text, f"flag {flag}", Path.cwd())
    return gathered.finish(environ, file)


def find_config_file(asked: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to read. Raises Invalid when one that was asked for does not exist."""
    for text, origin in ((asked, "--config"), (environ.get(CONFIG_VARIABLE), CONFIG_VARIABLE)):
        if text:
            path = Path(text).expanduser().absolute()
            if not path.is_file():
                raise Invalid(f"the configuration file {path}, asked for by {origin}, does not exist")
            return path
    usual = default_config_file(environ)
    return usual if usual.is_file() else None


class _Gathered:
    """Values by key, the later source replacing the earlier one."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.sources: list[DatasourceConfig] = []
        self.clients: list[OidcClient] = []

    def put(self, key: str, value: Any, origin: str, base: Path, *, strict: bool = True) -> None:
        section, _, name = key.partition(".")
        field = _find_field(section, name, origin)
        converted = _convert(key, value, field.type, origin, strict=strict)
        if key in FOLDER_KEYS and converted:
            converted = str(_absolute(converted, base))
        self.values[key] = converted
        self.origins[key] = origin

    def put_text(self, key: str, text: str, origin: str, base: Path) -> None:
        section, _, name = key.partition(".")
        field = _find_field(section, name, origin)
        value: Any = text
        if field.type == tuple[str, ...]:
            value = [part.strip() for part in text.split(",") if part.strip()]
        elif field.type is bool:
            value = _BOOLEANS.get(text.strip().lower(), text)
        self.put(key, value, origin, base, strict=False)

    def read_file(self, file: Path) -> None:
        for section, table in _parse_file(file).items():
            origin = f"file {file}"
            if section == "datasource":
                self._read_datasources(table, file)
            elif section == "oidc_client":
                self._read_clients(table, file)
            elif section not in SECTIONS:
                _refuse_unknown("section", f"[{section}]", [*SECTIONS, "datasource", "oidc_client"], section, origin)
            elif not isinstance(table, dict):
                raise Invalid(f"{section} in {origin} must be a table, written [{section}]")
            else:
                for name, value in table.items():
                    self.put(f"{section}.{name}", value, origin, file.parent)

    def read_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in sorted(environ.items()):
            if not name.startswith(PREFIX) or name == CONFIG_VARIABLE:
                continue
            key, is_file = _key_of_variable(name)
            if is_file and (plain := name.removesuffix("_FILE")) in environ:
                raise Invalid(f"both {plain} and {name} are set; keep one of them")
            value = _read_secret(text, name) if is_file else text
            self.put_text(key, value, f"environment {name}", Path.cwd())

    def finish(self, environ: Mapping[str, str], file: Path | None) -> LoadedConfig:
        tables: dict[str, Any] = {}
        for section, kind in SECTIONS.items():
            fields = {field.name for field in msgspec.structs.fields(kind)}
            given = {name: self.values[f"{section}.{name}"] for name in fields if f"{section}.{name}" in self.values}
            tables[section] = kind(**given)
        config = Config(**tables, datasource=tuple(self.sources), oidc_client=tuple(self.clients))
        check_external_url(config.server.external_url, self.origins.get("server.external_url", "default"))
        self._check_listeners(config)
        self._check_owner(config)
        self._check_buckets(config)
        data_dir = config.server.data_dir or str(default_data_dir(environ))
        bucket_root = config.s3.bucket_root or str(Path(data_dir) / "buckets")
        config = msgspec.structs.replace(
            config,
            server=msgspec.structs.replace(config.server, data_dir=data_dir),
            s3=msgspec.structs.replace(config.s3, bucket_root=bucket_root),
        )
        return LoadedConfig(config, dict(self.origins), file)

    def _read_datasources(self, tables: Any, file: Path) -> None:
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            raise Invalid(f"datasources in file {file} are written as tables in double brackets: [[datasource]]")
        for number, table in enumerate(tables, start=1):
            label = f"datasource {table.get('name', number)!r}" if "name" in table else f"datasource number {number}"
            source = read_datasource(table, f"file {file}, {label}", file.parent)
            if any(known.name == source.name for known in self.sources):
                raise Invalid(f"two datasources in file {file} are named {source.name!r}; rename one of them")
            self.sources.append(source)
            self.origins[f"datasource.{source.name}"] = f"file {file}"

    def _read_clients(self, tables: Any, file: Path) -> None:
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            raise Invalid(f"clients in file {file} are written as tables in double brackets: [[oidc_client]]")
        for number, table in enumerate(tables, start=1):
            client = read_client(table, f"file {file}, oidc_client {table.get('id', number)!r}")
            if any(known.id == client.id for known in self.clients):
                raise Invalid(f"two clients in file {file} have the id {client.id!r}; change one of them")
            self.clients.append(client)
            self.origins[f"oidc_client.{client.id}"] = f"file {file}"

    def _check_listeners(self, config: Config) -> None:
        for key, text in (("server.listen", config.server.listen), ("s3.listen", config.s3.listen)):
            try:
                parse_address(text)
            except ValueError as error:
                raise Invalid(f"{key} = {text!r} ({self.origins.get(key, 'default')}) is no address: {error}") from None

    def _check_buckets(self, config: Config) -> None:
        s3 = config.s3
        if s3.bucket_format is Format.STRUCTURED and s3.bucket_encryption is not Encryption.NONE:
            raise Invalid(
                f"s3.bucket_encryption = {s3.bucket_encryption.value!r} "
                f"({self.origins.get('s3.bucket_encryption', 'default')}) needs s3.bucket_format = 'flat': the "
                "files of structured buckets are plain files"
            )

    def _check_owner(self, config: Config) -> None:
        owner = config.owner
        if not owner.access_key and not owner.secret_key:
            return
        if not owner.access_key or not owner.secret_key:
            missing = "secret_key" if owner.access_key else "access_key"
            raise Invalid(
                f"owner.{missing} is missing: a preset key pair needs both "
                "(CELLSMONO_OWNER_ACCESS_KEY and CELLSMONO_OWNER_SECRET_KEY, or [owner] in the configuration file)"
            )
        is_plain = owner.access_key.isascii() and all(sign.isalnum() or sign in "-_." for sign in owner.access_key)
        if len(owner.access_key) < LEAST_ACCESS_KEY or not is_plain:
            raise Invalid(
                f"owner.access_key ({self.origins['owner.access_key']}) must have at least {LEAST_ACCESS_KEY} "
                "characters, only letters, digits, '-', '_' and '.'"
            )
        if len(owner.secret_key) < LEAST_SECRET:
            raise Invalid(
                f"owner.secret_key ({self.origins['owner.secret_key']}) must have at least {LEAST_SECRET} characters"
            )


def read_datasource(table: Mapping[str, Any], origin: str, base: Path) -> DatasourceConfig:
    """Make a datasource's configuration from a table; a relative folder is relative to ``base``. Raises Invalid."""
    fields = {field.name: field for field in msgspec.structs.fields(DatasourceConfig)}
    values = {}
    for name, value in table.items():
        if name not in fields:
            _refuse_unknown("key", name, list(fields), name, origin)
        values[name] = _convert(name, value, fields[name].type, origin, strict=True)
    is_local = values.get("storage", Storage.LOCAL) is Storage.LOCAL
    for name in ("name", "folder" if is_local else "bucket"):
        if not values.get(name):
            raise Invalid(f"{origin}: the key {name!r} is missing")
    for name in ("folder", *S3_FILES):
        if values.get(name):
            values[name] = str(_absolute(values[name], base))
    source = DatasourceConfig(**values)
    check_datasource(source, origin)
    return source


_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _convert(key: str, value: Any, kind: Any, origin: str, *, strict: bool) -> Any:
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        shown = HIDDEN if key in SECRET_KEYS or key in SECRET_NAMES else repr(value)
        raise Invalid(f"{key} = {shown} ({origin}) is wrong: {_describe(kind, error, value)}") from None


def _describe(kind: Any, error: msgspec.ValidationError, value: Any) -> str:
    """What was expected, in words of the configuration instead of the library's where they are clearer."""
    if isinstance(kind, type) and issubclass(kind, str) and kind is not str:
        choices = [str(each.value) for each in kind]  # type: ignore[attr-defined]
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return "expected one of " + ", ".join(repr(each) for each in choices) + hint
    if kind is bool:
        return "expected true or false"
    text = str(error)
    if "matching regex" in text:
        return "expected 3 to 63 lower-case letters, digits, '-' and '.', a letter or digit at both ends"
    return text[:1].lower() + text[1:]


def _find_field(section: str, name: str, origin: str) -> msgspec.structs.FieldInfo:
    if section not in SECTIONS:
        _refuse_unknown("section", section, list(SECTIONS), section, origin)
    fields = {field.name: field for field in msgspec.structs.fields(SECTIONS[section])}
    if name not in fields:
        known = [f"{each}.{field.name}" for each, kind in SECTIONS.items() for field in msgspec.structs.fields(kind)]
        inside = difflib.get_close_matches(name, list(fields), n=1)
        near = f"{section}.{inside[0]}" if inside else name
        _refuse_unknown("key", f"{section}.{name}", known, near, origin)
    return fields[name]


def _refuse_unknown(what: str, shown: str, known: list[str], wanted: str, origin: str) -> NoReturn:
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else "known: " + ", ".join(known)
    raise Invalid(f"unknown {what} {shown!r} in {origin}; {hint}")


def _key_of_variable(name: str) -> tuple[str, bool]:
    """The key that an environment variable sets, and whether it names a file that holds the value."""
    known = _list_variables()
    if name in known:
        return known[name], False
    if name.endswith("_FILE") and name.removesuffix("_FILE") in known:
        return known[name.removesuffix("_FILE")], True
    if name.startswith(PREFIX + "DATASOURCE"):
        raise Invalid(f"environment {name}: datasources can not be set by the environment; use the configuration file")
    _refuse_unknown("variable", name, [*known, CONFIG_VARIABLE], name, "the environment")


def _list_variables() -> dict[str, str]:
    """Every variable with the key that it sets."""
    names = dict(SHORT_NAMES)
    for section, kind in SECTIONS.items():
        for field in msgspec.structs.fields(kind):
            names[f"{PREFIX}{section}__{field.name}".upper()] = f"{section}.{field.name}"
    return names


def _read_secret(path: str, variable: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"environment {variable}: the file {path!r} can not be read: {error}") from None


def _parse_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"the configuration file {file} is not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"the configuration file {file} can not be read: {error}") from None


def _absolute(text: str, base: Path) -> Path:
    """An absolute path without ``..`` and ``.``, symlinks left as they are."""
    return Path(os.path.abspath(base / Path(text).expanduser()))


def _xdg_folder(environ: Mapping[str, str], variable: str, usual: str) -> Path:
    given = environ.get(variable, "")
    # The XDG specification: relative values are to be ignored.
    return Path(given) if given.startswith("/") else Path(environ.get("HOME") or Path.home()) / usual
