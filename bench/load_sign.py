"""S3 requests as bytes, signed with AWS Signature Version 4 before the clock runs.

Signing is the client's cost, not the server's, so the load generator does it ahead. Every request gets a signature of
its own, by a time a second apart from the last one for the same key: a server that remembers signatures gains nothing.
Reference: AWS, "Signature Version 4 for API requests" (canonical request, string to sign, derived key).
"""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
CLOCK_SPREAD = 240
"""Seconds into the past over which signing times are spread; servers accept 900."""


def _escape(text: str) -> str:
    return quote(text, safe="-_.~")


@dataclass(slots=True)
class Exchange:
    """One request ready to be sent. ``body`` follows ``head`` on the wire; ``label`` is the caller's own."""

    head: bytes
    body: memoryview | None = None
    has_response_body: bool = True
    label: object = None


@dataclass
class Signer:
    """Makes signed requests for one endpoint and one key pair."""

    host: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"
    _keys: dict[str, bytes] = field(default_factory=dict)

    def build(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        body: memoryview | bytes | None = None,
        sha256: str | None = None,
        headers: Mapping[str, str] | None = None,
        age: int = 0,
    ) -> Exchange:
        """A signed request. ``path`` is not yet percent-encoded; ``age`` puts the signing time into the past.

        ``sha256`` spares the hashing of a body that is sent many times, or is ``UNSIGNED-PAYLOAD``.
        """
        view = memoryview(body) if body is not None else None
        if sha256 is None:
            sha256 = hashlib.sha256(view).hexdigest() if view is not None else EMPTY_SHA256
        target = quote(path, safe="/-_.~")
        parameters = "&".join(
            f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted((query or {}).items())
        )
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() - age))
        signed = {"host": self.host, "x-amz-content-sha256": sha256, "x-amz-date": moment}
        signed.update({name.lower(): value for name, value in (headers or {}).items()})
        authorization = self._authorize(method, target, parameters, signed, sha256, moment)
        lines = [f"{method} {target}{'?' + parameters if parameters else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in signed.items()]
        lines.append(f"authorization: {authorization}")
        if view is not None or method in {"PUT", "POST"}:
            lines.append(f"content-length: {len(view) if view is not None else 0}")
        return Exchange("\r\n".join([*lines, "", ""]).encode(), view, method != "HEAD")

    def _authorize(
        self, method: str, target: str, parameters: str, signed: Mapping[str, str], sha256: str, moment: str
    ) -> str:
        names = sorted(signed)
        listed = ";".join(names)
        canonical = "\n".join(
            [method, target, parameters, *[f"{name}:{signed[name]}" for name in names], "", listed, sha256]
        )
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self._key(moment[:8]), to_sign.encode(), "sha256").hexdigest()
        return f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"

    def _key(self, day: str) -> bytes:
        key = self._keys.get(day)
        if key is None:
            key = f"AWS4{self.secret_key}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._keys[day] = key
        return key
