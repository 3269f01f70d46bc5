"""Datasources and services. For administrators."""

import msgspec

from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.proto_json import ProtoEnum
from cellsmono.interfaces.datasource import Encryption, Format, Storage
from cellsmono.interfaces.operations import DatasourceInfo
from cellsmono.kernel.registry import ServiceRow
from cellsmono.kernel.service import ServiceState


class StorageType(ProtoEnum):
    """Where the bytes lie."""

    LOCAL = "LOCAL"
    S3 = "S3"


class EncryptionMode(ProtoEnum):
    """Whether new content is encrypted at rest."""

    CLEAR = "CLEAR"
    MASTER = "MASTER"


class ObjectDataSource(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A datasource, without its secrets. ``skip_sync_on_restart`` is there for those that nobody else may change."""

    name: str = ""
    disabled: bool = False
    storage_type: StorageType = StorageType.LOCAL
    storage_configuration: dict[str, str] = {}
    objects_service_name: str = ""
    objects_bucket: str = ""
    objects_base_folder: str = ""
    api_key: str = ""
    flat_storage: bool = False
    skip_sync_on_restart: bool = False
    encryption_mode: EncryptionMode = EncryptionMode.CLEAR
    creation_date: int = 0
    last_error: str = ""


class DataSourceCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """All datasources, by name."""

    data_sources: list[ObjectDataSource] = []
    total: int = 0


class ServiceStatus(ProtoEnum):
    """What a service does."""

    ANY = "ANY"
    STOPPED = "STOPPED"
    STARTING = "STARTING"
    STARTED = "STARTED"
    STOPPING = "STOPPING"


class CtlService(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A service of this process."""

    name: str = ""
    status: ServiceStatus = ServiceStatus.ANY
    tag: str = ""
    description: str = ""


class ServiceCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """All services, as ``cellsmono ps`` lists them."""

    services: list[CtlService] = []
    total: int = 0


_STATUSES = {
    ServiceState.STARTING: ServiceStatus.STARTING,
    ServiceState.READY: ServiceStatus.STARTED,
    ServiceState.DEGRADED: ServiceStatus.STARTED,
    ServiceState.STOPPING: ServiceStatus.STOPPING,
    ServiceState.FAILED: ServiceStatus.STOPPED,
    ServiceState.STOPPED: ServiceStatus.STOPPED,
}


async def list_datasources(rest: RestContext, call: Call, body: None) -> DataSourceCollection:
    """GET /config/datasource."""
    found = [_show(info) for info in await rest.operations.list_datasources()]
    return DataSourceCollection(found, len(found))


async def read_datasource(rest: RestContext, call: Call, body: None) -> ObjectDataSource:
    """GET /config/datasource/{Name}."""
    return _show(await rest.operations.read_datasource(call.parameters["Name"]))


def _show(info: DatasourceInfo) -> ObjectDataSource:
    config = info.config.without_secrets()
    is_s3 = config.storage is Storage.S3
    return ObjectDataSource(
        name=config.name,
        disabled=info.state is ServiceState.FAILED,
        storage_type=StorageType.S3 if is_s3 else StorageType.LOCAL,
        storage_configuration={"customEndpoint": config.endpoint} if is_s3 else {"folder": config.folder},
        objects_service_name=info.objects,
        objects_bucket=config.bucket if is_s3 else config.name,
        objects_base_folder=config.prefix,
        api_key=config.access_key,
        flat_storage=config.format is not Format.STRUCTURED,
        skip_sync_on_restart=config.format is not Format.STRUCTURED,
        encryption_mode=EncryptionMode.MASTER if config.encryption is Encryption.AES256 else EncryptionMode.CLEAR,
        creation_date=int(config.created),
        last_error=info.error,
    )


async def list_services(rest: RestContext, call: Call, body: None) -> ServiceCollection:
    """GET /config/ctl."""
    found = [_show_service(row) for row in await rest.operations.list_services()]
    return ServiceCollection(found, len(found))


def _show_service(row: ServiceRow) -> CtlService:
    return CtlService(row.name, _STATUSES[row.state], row.tag, row.detail)
