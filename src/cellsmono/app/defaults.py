"""The default datasources: made once, at the first start of a server, in the folder of the buckets.

They are those of Cells: ``pydiods1`` for common files, ``personal`` for what belongs to each user, ``cellsdata`` for
what is shared, flat as there since version 3, and the internal ``thumbnails`` and ``versions``, which belong to the
server itself. What became of each is noted in the configuration store, so that none is made a second time.
"""

from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from cellsmono.app.config_sources import LoadedConfig
from cellsmono.app.settings import Settings
from cellsmono.interfaces.datasource import DatasourceConfig, Format
from cellsmono.kernel.errors import CellsError, Invalid
from cellsmono.kernel.log import get_logger

log = get_logger("defaults")

DEFAULTS = {
    "pydiods1": Format.FLAT,
    "personal": Format.FLAT,
    "cellsdata": Format.FLAT,
    "thumbnails": Format.INTERNAL,
    "versions": Format.INTERNAL,
}
_SWITCH = "server.default_datasources"


def refuse_taken_names(loaded: LoadedConfig, settings: Settings) -> None:
    """Raise Invalid when the configuration or the command line gives the name of a default datasource to another one.

    Those that S3 clients see give way as long as they are not made; the internal ones do not, the server needs them.
    """
    made = {each.name: each for each in settings.list_datasources()}
    for source in loaded.config.datasource:
        if source.name not in DEFAULTS:
            continue
        default = made.get(source.name)
        is_made = default is not None and Path(default.folder) == Path(loaded.config.s3.bucket_root, default.name)
        if default is not None and is_made and _is_other(source, default):
            raise Invalid(
                f"The name {source.name!r} of the datasource in {source.place} ({_origin(loaded, source)}) is that of "
                f"a default datasource, which lies in {default.place}. Give yours another name ({_rename(source)}), or "
                f"remove the default one for good: cellsmono ds remove {source.name}",
                reason="name",
                path=source.name,
            )
        if default is None:
            refuse_reserved(loaded, settings, source)


def refuse_reserved(loaded: LoadedConfig, settings: Settings, source: DatasourceConfig) -> None:
    """Raise Invalid for a datasource with the name of an internal default one that the next start is to make."""
    is_kept = DEFAULTS.get(source.name) is Format.INTERNAL and source.name not in settings.list_settled()
    if is_kept and source.format != Format.INTERNAL and loaded.config.server.default_datasources:
        raise Invalid(
            f"The name {source.name!r} is kept for an internal datasource of the server. Give the datasource in "
            f"{source.place} ({_origin(loaded, source)}) another name ({_rename(source)}), or do without default "
            f"datasources: {_SWITCH} = false",
            reason="name",
            path=source.name,
        )


async def make_defaults(
    loaded: LoadedConfig, settings: Settings, known: Collection[str], make: Callable[[str, Format], Awaitable[None]]
) -> None:
    """Make the default datasources that are not settled yet. What can not be made is logged, and tried again next time.

    A name that is ``known`` is settled: whoever has it keeps it.
    """
    if not loaded.config.server.default_datasources:
        return
    settled = []
    for name in [name for name in DEFAULTS if name not in settings.list_settled()]:
        try:
            if name not in known:
                await make(name, DEFAULTS[name])
            settled.append(name)
        except (CellsError, OSError) as error:
            why = error.message if isinstance(error, CellsError) else str(error)
            log.warning("a default datasource is not made", datasource=name, error=why, remedy=f"{_SWITCH} = false")
    await settings.settle(settled)


def _is_other(source: DatasourceConfig, default: DatasourceConfig) -> bool:
    """Whether a configured datasource is another one than the stored one of its name, wherever that was moved to."""
    return not default.migrated_from and (source.place, source.format) != (default.place, default.format)


def _origin(loaded: LoadedConfig, source: DatasourceConfig) -> str:
    return loaded.origins.get(f"datasource.{source.name}", "just added")


def _rename(source: DatasourceConfig) -> str:
    return f"my-{source.name}={Path(source.folder)}" if source.folder else f'name = "my-{source.name}"'
