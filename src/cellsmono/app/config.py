"""The whole configuration, as frozen structs that know no other keys.

Each section is a table of the TOML file; ``config.example.toml`` shows all of it with comments. How the values are
gathered (flag, environment, file, default) is the matter of ``app.config_sources``.
"""

import enum
import ipaddress
from typing import Annotated

import msgspec

from cellsmono.interfaces.datasource import DatasourceConfig, Encryption, Format
from cellsmono.interfaces.oidc import OidcClient

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400 * 366)]
Hours = Annotated[float, msgspec.Meta(ge=0, le=24 * 366 * 10)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class EventLoop(enum.StrEnum):
    """Which event loop runs the server: uvloop where it is installed, only uvloop, or Python's own."""

    AUTO = "auto"
    UVLOOP = "uvloop"
    ASYNCIO = "asyncio"


class LogLevel(enum.StrEnum):
    """From how grave on events are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    """How log lines look: ``auto`` is console on a terminal and JSON elsewhere."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The process. ``data_dir`` empty means ``$XDG_DATA_HOME/cellsmono``; ``stop_timeout`` is in seconds.

    ``default_datasources``: whether the first start makes those of ``app.defaults``. ``external_url`` is the address
    that browsers reach the main listener by; empty: the one that they say they asked for.
    """

    data_dir: str = ""
    listen: str = "127.0.0.1:8080"
    external_url: str = ""
    stop_timeout: Seconds = 30.0
    event_loop: EventLoop = EventLoop.AUTO
    default_datasources: bool = True


class S3Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The S3 endpoint.

    ``domains`` are host names whose sub-domains are buckets (virtual-host style). ``sigv2`` accepts the older
    signatures too. ``bucket_root`` is the folder in which CreateBucket makes new ones (empty: ``buckets`` in the
    data folder), ``bucket_format`` and ``bucket_encryption`` are what they get. ``max_object_size`` is in bytes.
    ``lifecycle_day_seconds`` is how long a day of lifecycle rules lasts. ``client_keys_over_http`` takes the keys
    of SSE-C over connections without TLS from other machines, too.
    """

    listen: str = "127.0.0.1:9000"
    region: str = "us-east-1"
    domains: tuple[str, ...] = ()
    sigv2: bool = True
    bucket_root: str = ""
    bucket_format: Format = Format.FLAT
    bucket_encryption: Encryption = Encryption.NONE
    client_keys_over_http: bool = False
    clock_skew_seconds: Seconds = 900.0
    stale_upload_hours: Hours = 168.0
    max_object_size: Bytes = 5 * 1024**4
    lifecycle_day_seconds: Annotated[float, msgspec.Meta(ge=1, le=86_400)] = 86_400.0


class RecycleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Recycle bins: after how many days what was deleted goes for good (0: never), and how many bytes may lie in one
    bin before the oldest does (0: any).
    """

    keep_days: Annotated[float, msgspec.Meta(ge=0)] = 30.0
    max_bytes: Bytes = 0


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one client may ask of the server, on each listener.

    ``request_line`` and ``header_line`` are bytes of one line, ``headers`` their number. ``header_seconds``: time for
    complete headers. ``idle_seconds``: how long a connection may rest between requests. ``body_rate``: least rate of a
    request body in bytes a second, looked at every ``rate_seconds`` (0: any rate). ``stalled_seconds``: how long a
    client may take nothing of what is sent to it. ``linger_seconds``: how long an unread body is read on after an early
    answer. ``connections``: open at once. ``xml_bytes``: the largest XML body.
    """

    request_line: Bytes = 16_384
    header_line: Bytes = 8_190
    headers: Count = 128
    header_seconds: Seconds = 10.0
    idle_seconds: Seconds = 75.0
    body_rate: Bytes = 1_024
    rate_seconds: Seconds = 10.0
    stalled_seconds: Seconds = 120.0
    linger_seconds: Seconds = 5.0
    connections: Count = 1_000
    xml_bytes: Bytes = 2 * 1024**2


class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log, on stderr. ``requests`` asks for a line about each request; those that failed here always have one."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO
    requests: bool = False


class OwnerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The owner's key pair, when it is preset; both empty: a pair is made at the first start and shown once."""

    access_key: str = ""
    secret_key: str = ""

    def __repr__(self) -> str:
        return f"OwnerConfig({self.access_key})"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured. The last two are tables ``[[datasource]]`` and ``[[oidc_client]]``."""

    server: ServerConfig = ServerConfig()
    s3: S3Config = S3Config()
    recycle: RecycleConfig = RecycleConfig()
    limits: LimitsConfig = LimitsConfig()
    log: LogConfig = LogConfig()
    owner: OwnerConfig = OwnerConfig()
    datasource: tuple[DatasourceConfig, ...] = ()
    oidc_client: tuple[OidcClient, ...] = ()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerConfig,
    "s3": S3Config,
    "recycle": RecycleConfig,
    "limits": LimitsConfig,
    "log": LogConfig,
    "owner": OwnerConfig,
}

SECRET_KEYS = frozenset({"owner.secret_key"})

OFF = "off"


class Address(msgspec.Struct, frozen=True):
    """Where to listen. Port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address | None:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (every interface); ``off`` is None. Raises ValueError."""
    if text.strip().lower() == OFF:
        return None
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address stands in brackets, as in [::1]:9000")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:  # noqa: PLR2004 - the last port
        raise ValueError("it is written HOST:PORT, as in 127.0.0.1:9000")
    return Address(host or "0.0.0.0", int(port))  # noqa: S104 - ":9000" asks for every interface
