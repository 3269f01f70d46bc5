"""The address of this server, as whoever asks knows it."""

import re
from urllib.parse import urlsplit

from aiohttp import web

from cellsmono.gateway.oidc.errors import PageError

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")


class Site:
    """``external_url`` is the configured one, or empty: then it is the one that the request was sent to."""

    def __init__(self, external_url: str = "") -> None:
        self._url = external_url

    def find(self, request: web.Request) -> str:
        """Scheme and host, without a slash at the end. Raises PageError for a Host header that is no host."""
        if self._url:
            return self._url
        host = request.headers.get("Host", "")
        if _HOST.fullmatch(host) is None:
            raise PageError("The request does not say which host it is for.")
        return f"{request.scheme}://{host}"

    def is_own_origin(self, request: web.Request) -> bool:
        """Whether a form was sent by a page of this server, as far as the browser tells.

        A proxy with TLS may be between, which nobody told this server of; so only hosts are compared.
        """
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        return urlsplit(origin).netloc.lower() == urlsplit(self.find(request)).netloc.lower() != ""
