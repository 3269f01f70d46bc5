"""What a datasource's configuration may say."""

from urllib.parse import parse_qsl

from cellsmono.interfaces.datasource import SECRET_NAMES, DatasourceConfig, Encryption, Format, Storage
from cellsmono.interfaces.version_policy import parse_periods
from cellsmono.kernel.errors import Invalid
from cellsmono.kernel.text import HIDDEN

S3_KEYS = (
    *("endpoint", "region", "bucket", "prefix", "path_style", "access_key", "secret_key", "secret_key_file"),
    *("storage_class", "object_tags", "read_only", "signature", "sign_payload", "checksums", "verify_tls", "ca_file"),
    *("request_seconds", "notify_token", "notify_token_file"),
)
LEAST_REQUEST_SECONDS = 1.0
LEAST_TOKEN = 16


def _check_storage(source: DatasourceConfig, origin: str) -> None:
    """Raise Invalid for keys of another storage, or that contradict each other."""
    if source.storage is Storage.LOCAL:
        plain = DatasourceConfig(name=source.name, folder=source.folder)
        given = [name for name in S3_KEYS if getattr(source, name) != getattr(plain, name)]
        if given:
            raise Invalid(f"{origin}: the key {given[0]!r} is for storage = 's3' only; add that, or remove the key")
        return
    is_followed = source.format is Format.STRUCTURED
    rules: list[tuple[str, bool, str]] = [
        ("folder", not source.folder, "nothing: with storage = 's3' there is a 'bucket' and a 'prefix'"),
        (
            "endpoint",
            not source.endpoint or source.endpoint.startswith(("http://", "https://")),
            "a URL with http:// or https://, or '' for AWS",
        ),
        ("request_seconds", source.request_seconds >= LEAST_REQUEST_SECONDS, "at least 1 second"),
        ("object_tags", _is_query(source.object_tags), "key=value&key=value"),
        ("secret_key_file", not (source.secret_key and source.secret_key_file), "'' beside a secret_key"),
        ("notify_token_file", not (source.notify_token and source.notify_token_file), "'' beside a notify_token"),
        (
            "notify_token",
            not source.notify_token or len(source.notify_token) >= LEAST_TOKEN,
            f"at least {LEAST_TOKEN} characters",
        ),
        ("notify_token", not source.notify_token or is_followed, "'': only structured datasources follow a bucket"),
        ("notify_token_file", not source.notify_token_file or is_followed, "'': only structured ones follow a bucket"),
    ]
    _refuse_first(source, origin, rules)


def _is_query(text: str) -> bool:
    try:
        return not text or bool(parse_qsl(text, strict_parsing=True))
    except ValueError:
        return False


def _is_periods(text: str) -> bool:
    try:
        parse_periods(text)
    except Invalid:
        return False
    return True


def check_datasource(source: DatasourceConfig, origin: str) -> None:
    """Raise Invalid for values that mean nothing, or that contradict each other."""
    rules: list[tuple[str, bool, str]] = [
        ("max_delete_share", 0 <= source.max_delete_share <= 1, "a share from 0 to 1"),
        ("max_delete_nodes", source.max_delete_nodes >= 0, "a number that is not negative"),
        ("reconcile_seconds", source.reconcile_seconds >= 0, "seconds, not negative (0: never)"),
        ("full_reconcile_hours", source.full_reconcile_hours >= 0, "hours, not negative (0: never)"),
        ("snapshot_hours", source.snapshot_hours >= 0 or source.snapshot_hours == -1, "hours, 0 (never) or -1"),
        ("snapshot_keep_days", source.snapshot_keep_days >= 0, "days, not negative"),
        ("anonymous", source.anonymous in ("", "read", "write"), "'', 'read' or 'write'"),
        ("version_periods", _is_periods(source.version_periods), "for example '1h=10, 1d=5, 30d=0', ages ascending"),
        *(
            (key, getattr(source, key) >= 0, "bytes, not negative (0: no limit)")
            for key in ("version_max_size", "version_max_total", "version_ignore_larger")
        ),
        (
            "encryption",
            source.encryption is Encryption.NONE or source.format is not Format.STRUCTURED,
            "'none', or format = 'flat': the files of a structured datasource are plain files",
        ),
    ]
    _refuse_first(source, origin, rules)
    _check_storage(source, origin)


def _refuse_first(source: DatasourceConfig, origin: str, rules: list[tuple[str, bool, str]]) -> None:
    for key, is_right, expected in rules:
        if not is_right:
            shown = HIDDEN if key in SECRET_NAMES else repr(getattr(source, key))
            raise Invalid(f"{origin}: {key} = {shown} is wrong; expected {expected}")
