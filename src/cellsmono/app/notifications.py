"""Notifications of changes in buckets of other servers, on their way to the synchronizers."""

import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

from cellsmono.datasource.build import Datasources
from cellsmono.datasource.objects.s3.facts import make_facts
from cellsmono.datasource.placing import bare_prefix
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.notifications import ObjectChange
from cellsmono.kernel.errors import Forbidden, NotFound, Unavailable
from cellsmono.kernel.log import get_logger

log = get_logger("notifications")


class Notifications:
    """The ``ChangeFeed`` of all datasources."""

    def __init__(self, datasources: Datasources) -> None:
        self._datasources = datasources

    def admit(self, name: str, token: str) -> None:
        """See ``ChangeFeed``."""
        config = next((each for each in self._datasources.configs() if each.name == name), None)
        expected = _read_token(config) if config is not None else ""
        # A random one takes the place of none: then to refuse takes as long for every name.
        wanted = (expected or secrets.token_hex()).encode()
        if not hmac.compare_digest(wanted, token.encode("utf-8", "surrogateescape")):
            raise Forbidden(
                f"The token is not that of a datasource {name!r} which takes notifications: send its notify_token.",
                reason="token",
            )

    def take(self, name: str, changes: Sequence[ObjectChange]) -> int:
        """See ``ChangeFeed``."""
        config = self._find(name)
        store = self._datasources.find(name)
        if store is None or store.sync is None:
            raise Unavailable(f"The datasource {name!r} follows no storage now.", path=name)
        prefix = bare_prefix(config.prefix)
        inside = [each for each in changes if each.bucket == config.bucket and each.key.startswith(prefix)]
        told = [
            (each.key[len(prefix) :], make_facts(each.size, each.etag, 0) if each.etag else None) for each in inside
        ]
        store.sync.look_soon(told)
        return len(inside)

    def _find(self, name: str) -> DatasourceConfig:
        for config in self._datasources.configs():
            if config.name == name:
                return config
        raise NotFound(f"There is no datasource {name!r}.", reason="root", path=name)


def _read_token(config: DatasourceConfig) -> str:
    """The token, read anew each time, so that a new one counts at once; empty when there is none to be had."""
    if not config.notify_token_file:
        return config.notify_token
    try:
        return Path(config.notify_token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        log.error(
            "notifications are refused, for the notify_token_file can not be read",
            datasource=config.name,
            file=config.notify_token_file,
            error=type(error).__name__,
        )
        return ""
