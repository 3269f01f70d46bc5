"""Where a datasource is to go, worked out from where it is and what was asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cellsmono.app.remote import SCHEME
from cellsmono.datasource.migration.state import is_same_place
from cellsmono.interfaces.datasource import DatasourceConfig, Encryption, Format, Storage
from cellsmono.interfaces.migration import MigrationOptions
from cellsmono.kernel.errors import Conflict, Invalid

_OF_A_BUCKET = (
    "endpoint",
    "region",
    "path_style",
    "access_key",
    "secret_key",
    "secret_key_file",
    "storage_class",
    "object_tags",
    "read_only",
    "signature",
    "sign_payload",
    "checksums",
    "verify_tls",
    "ca_file",
    "request_seconds",
    "notify_token",
    "notify_token_file",
)


def make_target(source: DatasourceConfig, options: MigrationOptions) -> DatasourceConfig:
    """The configuration that a datasource is to have. Raises Invalid, and Conflict (reason ``in_place``)."""
    if options.format is None or not options.target:
        raise Invalid("Say where to migrate to: --to flat|structured and --target-bucket PLACE")
    if Format.INTERNAL in (options.format, source.format) and options.format is not source.format:
        raise Invalid("Internal datasources are for the program itself: they keep their format.", reason="format")
    values = dict(options.values)
    encryption = values.pop("encryption", None)
    if options.format is Format.STRUCTURED:
        if source.encryption is not Encryption.NONE and encryption != Encryption.NONE:
            raise Invalid(
                f"{source.name!r} is encrypted, and structured datasources are plain files, which anybody who has the "
                "disk can read. If that is meant, say so: --encryption none",
                reason="encryption",
            )
        encryption = Encryption.NONE if encryption is None else encryption
    place = _read_place(source, options.target, values)
    known = {field.name for field in msgspec.structs.fields(DatasourceConfig)}
    if strange := set(options.values) - known:
        raise Invalid(f"A datasource has no {', '.join(sorted(strange))}")
    target = msgspec.structs.replace(
        source, format=options.format, **(_forget_place() | place | {"migrated_from": describe_place(source)})
    )
    if encryption is not None:
        target = msgspec.structs.replace(target, encryption=encryption)
    try:
        target = msgspec.convert(msgspec.to_builtins(target), DatasourceConfig)
    except msgspec.ValidationError as error:
        raise Invalid(f"The target is wrong: {error}") from None
    if target.storage is source.storage and target.place == source.place:
        what = "is there already" if is_same_place(source, target) else "can not change its format in place"
        raise Conflict(f"The datasource {source.name!r} {what}: choose another --target-bucket", reason="in_place")
    if target.format is Format.STRUCTURED and target.encryption is not Encryption.NONE:
        raise Invalid("A structured datasource can not be encrypted: its files are plain files.", reason="encryption")
    if target.read_only:
        raise Invalid("The target can not be read-only while everything is copied to it.")
    return target


def describe_place(config: DatasourceConfig) -> str:
    """A place and what is there, as a migrated datasource remembers where it came from."""
    return f"{config.format} {config.place}"


def _forget_place() -> dict[str, Any]:
    usual = {field.name: field.default for field in msgspec.structs.fields(DatasourceConfig)}
    return {name: usual[name] for name in ("folder", "storage", "bucket", "prefix", *_OF_A_BUCKET)}


def _read_place(source: DatasourceConfig, target: str, values: dict[str, Any]) -> dict[str, Any]:
    """Fields of the configuration. What is not said about a server is as it is at the source, if that lies on one."""
    is_remote = target.startswith(SCHEME) or ("/" not in target and source.storage is Storage.S3)
    if is_remote:
        bucket, _, prefix = target.removeprefix(SCHEME).partition("/")
        found = {"storage": Storage.S3, "bucket": bucket, "prefix": prefix}
        if source.storage is Storage.S3 and values.get("endpoint", source.endpoint) == source.endpoint:
            found |= {name: getattr(source, name) for name in _OF_A_BUCKET if name != "read_only"}
        return found | values
    if values:
        raise Invalid(f"{', '.join(sorted(values))}: only a bucket has that, written s3://BUCKET/PREFIX, not a folder")
    if "/" in target:
        if not Path(target).is_absolute():
            raise Invalid(f"The folder {target!r} must be an absolute path")
        return {"folder": str(Path(target).resolve())}
    return {"folder": str(Path(source.folder).resolve().parent / target)}


def choose_datasources(
    configured: Sequence[DatasourceConfig], stored: Sequence[DatasourceConfig]
) -> list[DatasourceConfig]:
    """All datasources to be opened: one that was migrated is where it is now, also while it is configured as it was."""
    moved = {each.name: each for each in stored if each.migrated_from}
    chosen = []
    for each in configured:
        now = moved.get(each.name)
        is_old = now is not None and describe_place(each) == now.migrated_from
        chosen.append(now if now is not None and is_old else each)
    taken = {each.name for each in chosen if each in stored}
    return [*chosen, *(each for each in stored if each.name not in taken and not _is_current(each, configured))]


def _is_current(stored: DatasourceConfig, configured: Sequence[DatasourceConfig]) -> bool:
    """Whether a migrated datasource is configured as it is now."""
    return bool(stored.migrated_from) and any(
        each.name == stored.name and is_same_place(each, stored) for each in configured
    )
