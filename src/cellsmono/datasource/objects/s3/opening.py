"""From a datasource's configuration to the endpoint and the place that it asks for."""

from collections.abc import Mapping
from pathlib import Path

from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers
from cellsmono.kernel.errors import Invalid


def make_endpoint(config: DatasourceConfig, environ: Mapping[str, str]) -> Endpoint:
    """The endpoint, with the secret read from where the configuration says. Raises Invalid."""
    access_key, secret_key = config.access_key, config.secret_key
    if config.secret_key_file:
        secret_key = _read_secret(config)
    if not access_key and not secret_key:
        access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not access_key or not secret_key:
        missing = "secret_key (or secret_key_file)" if access_key else "access_key"
        raise Invalid(
            f"The datasource {config.name!r} has no {missing}: set both in its configuration, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY in the environment of the server."
        )
    if config.ca_file and not Path(config.ca_file).is_file():
        raise Invalid(f"The ca_file of datasource {config.name!r} is not there: {config.ca_file}")
    return Endpoint(
        url=config.endpoint.rstrip("/"),
        region=config.region,
        access_key=access_key,
        secret_key=secret_key,
        path_style=config.path_style,
        signature=config.signature.value,
        sign_payload=config.sign_payload,
        checksums=config.checksums,
        verify_tls=config.verify_tls,
        ca_file=config.ca_file,
        seconds=config.request_seconds,
    )


def _read_secret(config: DatasourceConfig) -> str:
    try:
        return Path(config.secret_key_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(
            f"The secret_key_file of datasource {config.name!r} can not be read: {config.secret_key_file} ({error})"
        ) from None


def make_place(config: DatasourceConfig, prefix: str) -> Place:
    """The place; ``prefix`` is the configured one, with a ``/`` at its end unless it is empty."""
    is_structured = config.format is Format.STRUCTURED
    return Place(
        config.name,
        config.bucket,
        prefix,
        storage_class=config.storage_class,
        tags=config.object_tags,
        read_only=config.read_only,
        marked=is_structured and config.markers is Markers.FILE,
        has_folders=is_structured,
    )
