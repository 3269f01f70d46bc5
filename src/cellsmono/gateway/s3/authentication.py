"""Who sent a request: SigV4 and SigV2, by header and by query, or nobody. Pure: no HTTP library, no I/O.

The order of checks is chosen so that nothing costly is done for a stranger. A refusal is an ``S3Error`` with AWS's
code; its text and log form never hold a signature or secret (the client's own answer repeats what AWS repeats).
"""

import hmac
from typing import Literal

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3 import dates, signature_v2, signature_v4
from cellsmono.gateway.s3.addressing import EMPTY_QUERY, Query, parse_query
from cellsmono.gateway.s3.claims import (
    BAD_CREDENTIAL,
    QUERY_V4,
    Claimed,
    bad_query,
    check_signed_headers,
    is_count,
    parse_authorization,
    parse_credential,
    parse_query_claims,
    read_expires,
    read_timestamp,
    unsupported_type,
)
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.payload import PayloadMode, read_payload_mode
from cellsmono.gateway.s3.signature_v4 import ALGORITHM, SERVICE, ChunkSigning, Scope
from cellsmono.interfaces.credentials import GATEWAY_KEY, Signers
from cellsmono.kernel.clock import Clock

BEARER_PARAMETER = "pydio_jwt"
"""The query parameter that a token stands in (see ``bearers``)."""

__all__ = ["Authenticator", "Identity", "PayloadMode", "SignedRequest", "read_payload_mode"]


class Identity(msgspec.Struct, frozen=True):
    """The outcome: who signed (``access_key`` empty: nobody), how, and what is known about the body.

    ``kind`` is ``header`` or ``query`` (presigned), ``post`` (a form with a policy), or ``anonymous``.
    ``payload_sha256`` is the announced hash in hex, empty when none was. ``signing`` is there for signed chunks.
    """

    access_key: str = ""
    kind: Literal["header", "query", "post", "anonymous"] = "anonymous"
    version: int = 0
    payload: PayloadMode = PayloadMode.UNSIGNED
    payload_sha256: str = ""
    signing: ChunkSigning | None = None


class SignedRequest:
    """What authentication looks at.

    ``raw_path`` and ``raw_query`` are as sent (``addressing.split_target``), ``host`` is the Host header, and
    ``virtual_bucket`` the bucket when the host named it (``Target.bucket_in_host``), which SigV2 needs.
    """

    __slots__ = ("_query", "headers", "host", "method", "raw_path", "raw_query", "virtual_bucket")

    def __init__(
        self,
        method: str,
        raw_path: str,
        raw_query: str,
        headers: MultiMapping[str],
        host: str,
        virtual_bucket: str = "",
    ) -> None:
        self.method = method
        self.raw_path = raw_path
        self.raw_query = raw_query
        self.headers = headers
        self.host = host
        self.virtual_bucket = virtual_bucket
        self._query: Query | None = None

    @property
    def query(self) -> Query:
        """The parsed query. Raises S3Error InvalidURI."""
        if self._query is None:
            self._query = parse_query(self.raw_query) if self.raw_query else EMPTY_QUERY
        return self._query


class Authenticator:
    """Checks requests against the key pairs.

    ``region`` is the only one that signatures may name. ``clock_skew`` is how far, in seconds, a request's time may be
    from the clock's. ``allow_v2`` switches SigV2 off and on.
    """

    def __init__(
        self,
        signers: Signers,
        *,
        region: str,
        clock: Clock,
        allow_v2: bool = True,
        clock_skew: int = 900,
    ) -> None:
        self._signers = signers
        self._region = region
        self._clock = clock
        self._allow_v2 = allow_v2
        self._clock_skew = clock_skew

    def authenticate(self, request: SignedRequest) -> Identity:
        """Who sent this. Raises S3Error for everything but a good signature or none at all."""
        authorization = request.headers.get("authorization")
        query = request.query
        in_query_v4 = bool(query) and any(name in query for name in QUERY_V4)
        in_query_v2 = bool(query) and ("AWSAccessKeyId" in query or "Signature" in query)
        if (authorization is not None) + in_query_v4 + in_query_v2 > 1 or (
            authorization is not None and len(request.headers.getall("authorization")) > 1
        ):
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string"
                " parameter or the Authorization header should be specified",
                fields={"ArgumentName": "Authorization"},
            )
        if authorization is not None:
            if authorization.startswith(ALGORITHM):
                return self._authenticate_header_v4(request, authorization)
            return self._authenticate_header_v2(request, authorization)
        if in_query_v4:
            return self._authenticate_query_v4(request)
        if in_query_v2:
            return self._authenticate_query_v2(request)
        mode, sha256 = read_payload_mode(request.headers, "")
        return Identity(payload=mode, payload_sha256=sha256)

    # Signature Version 4

    def _authenticate_header_v4(self, request: SignedRequest, authorization: str) -> Identity:
        claimed = parse_authorization(authorization)
        headers = request.headers
        timestamp = read_timestamp(headers)
        self._check_scope(claimed.scope, timestamp, "AuthorizationHeaderMalformed", "The authorization header")
        payload = headers.get("x-amz-content-sha256")
        if payload is None:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        mode, sha256 = read_payload_mode(headers, payload)
        check_signed_headers(headers, claimed.names)
        secret = self._find_secret(claimed.scope.access_key, headers.get("x-amz-security-token", ""))
        self._check_skew(timestamp)
        query = signature_v4.canonical_query(request.query.pairs) if request.raw_query else ""
        return self._verify_v4(request, claimed, timestamp, query, payload, secret, Identity(
            claimed.scope.access_key, "header", 4, mode, sha256
        ))  # fmt: skip

    def _authenticate_query_v4(self, request: SignedRequest) -> Identity:
        query, headers = request.query, request.headers
        claimed = parse_query_claims(query)
        timestamp = query.get("X-Amz-Date")
        signed_at = dates.parse_compact(timestamp)
        if signed_at is None:
            raise bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        self._check_scope(claimed.scope, timestamp, "AuthorizationQueryParametersError", "Error parsing the query;")
        expires = read_expires(query)
        payload = query.get("X-Amz-Content-Sha256") or headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        mode, sha256 = read_payload_mode(headers, payload)
        check_signed_headers(headers, claimed.names)
        token = query.get("X-Amz-Security-Token") or headers.get("x-amz-security-token", "")
        secret = self._find_secret(claimed.scope.access_key, token)
        self._check_presigned(signed_at, expires)
        identity = Identity(claimed.scope.access_key, "query", 4, mode, sha256)
        pairs = [pair for pair in query.pairs if pair[0] != "X-Amz-Signature"]

        def verify(pairs: list[tuple[str, str]]) -> Identity:
            signed_query = signature_v4.canonical_query(pairs)
            return self._verify_v4(request, claimed, timestamp, signed_query, payload, secret, identity)

        try:
            return verify(pairs)
        except S3Error:
            # Clients of Cells add their token before or after they sign.
            bare = [pair for pair in pairs if pair[0] != BEARER_PARAMETER]
            if claimed.scope.access_key != GATEWAY_KEY or len(bare) == len(pairs):
                raise
            return verify(bare)

    def _verify_v4(
        self,
        request: SignedRequest,
        claimed: Claimed,
        timestamp: str,
        canonical_query: str,
        payload: str,
        secret: str,
        identity: Identity,
    ) -> Identity:
        scope = str(claimed.scope)
        key = signature_v4.derive_key(secret, claimed.scope.date, claimed.scope.region)
        canonical = signature_v4.build_canonical_request(
            request.method,
            signature_v4.canonical_path(request.raw_path),
            canonical_query,
            signature_v4.canonical_headers(request.headers, claimed.names, request.host),
            claimed.signed_headers,
            payload,
        )
        string_to_sign = signature_v4.build_string_to_sign(timestamp, scope, canonical)
        if not hmac.compare_digest(signature_v4.sign(key, string_to_sign), claimed.signature):
            raise _mismatch(claimed.scope.access_key, string_to_sign, claimed.signature, canonical)
        if identity.payload in {PayloadMode.CHUNKS_SIGNED, PayloadMode.CHUNKS_SIGNED_TRAILER}:
            signing = ChunkSigning(key, timestamp, scope, claimed.signature)
            return msgspec.structs.replace(identity, signing=signing)
        return identity

    def _check_scope(self, scope: Scope, timestamp: str, code: str, subject: str) -> None:
        if scope.region != self._region:
            raise S3Error(
                code,
                f"{subject} is malformed; the region '{scope.region}' is wrong; expecting '{self._region}'",
                fields={"Region": self._region},
            )
        if scope.service != SERVICE:
            raise S3Error(code, f'{subject} is malformed; incorrect service "{scope.service}"; it must be "s3".')
        if not timestamp.startswith(scope.date):
            raise S3Error(
                code,
                f'{subject} is malformed; Invalid credential date "{scope.date}". This date is not the same as'
                f' X-Amz-Date: "{timestamp[:8]}".',
            )

    def _check_presigned(self, signed_at: int, expires: int) -> None:
        now = self._clock.time()
        if signed_at > now + self._clock_skew:
            raise S3Error("AccessDenied", "Request is not valid yet")
        if now > signed_at + expires:
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                fields={
                    "X-Amz-Expires": str(expires),
                    "Expires": _iso(signed_at + expires),
                    "ServerTime": _iso(now),
                },
            )

    # Signature Version 2

    def _authenticate_header_v2(self, request: SignedRequest, authorization: str) -> Identity:
        scheme, _, rest = authorization.partition(" ")
        if scheme.startswith("AWS4-ECDSA-"):
            raise S3Error("NotImplemented", f"Signatures with ECDSA are not supported; use {ALGORITHM}.")
        if scheme != "AWS":
            raise unsupported_type()
        self._require_v2()
        access_key, colon, signature = rest.strip().partition(":")
        if not colon or not access_key or not signature:
            raise S3Error(
                "InvalidArgument",
                "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
                fields={"ArgumentName": "Authorization"},
            )
        headers = request.headers
        secret = self._find_secret(access_key, headers.get("x-amz-security-token", ""))
        self._check_skew(read_timestamp(headers))
        return self._verify_v2(request, access_key, secret, signature, None, "header")

    def _authenticate_query_v2(self, request: SignedRequest) -> Identity:
        self._require_v2()
        query = request.query
        access_key, signature, expires = query.get("AWSAccessKeyId"), query.get("Signature"), query.get("Expires")
        if not access_key or not signature or not expires:
            raise S3Error(
                "AccessDenied",
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            )
        for name in ("AWSAccessKeyId", "Signature", "Expires"):
            if query.count(name) > 1:
                raise S3Error("AccessDenied", f"Query-string authentication takes {name} only once")
        if not is_count(expires):
            raise S3Error("AccessDenied", f"Invalid date (should be seconds since epoch): {expires}")
        token = query.get("x-amz-security-token") or request.headers.get("x-amz-security-token", "")
        secret = self._find_secret(access_key, token)
        now = self._clock.time()
        if now > int(expires):
            fields = {"Expires": _iso(int(expires)), "ServerTime": _iso(now)}
            raise S3Error("AccessDenied", "Request has expired", fields=fields)
        return self._verify_v2(request, access_key, secret, signature, expires, "query")

    def _verify_v2(
        self,
        request: SignedRequest,
        access_key: str,
        secret: str,
        signature: str,
        expires: str | None,
        kind: Literal["header", "query"],
    ) -> Identity:
        string_to_sign = self._match_v2(request, request.raw_path, secret, signature, expires)
        is_bare_bucket = not request.virtual_bucket and request.raw_path.count("/") == 1
        # Some clients sign a bucket as ``/bucket/`` and send ``/bucket``: the same resource.
        if (
            string_to_sign
            and is_bare_bucket
            and not self._match_v2(request, request.raw_path + "/", secret, signature, expires)
        ):
            string_to_sign = ""
        if string_to_sign:
            raise _mismatch(access_key, string_to_sign, signature, "")
        mode, sha256 = read_payload_mode(request.headers, "")
        return Identity(access_key, kind, 2, mode, sha256)

    @staticmethod
    def _match_v2(request: SignedRequest, raw_path: str, secret: str, signature: str, expires: str | None) -> str:
        """Empty when the signature is the one of this path; else the string that should have been signed."""
        string_to_sign = signature_v2.build_string_to_sign(
            request.method, request.headers, raw_path, request.raw_query, request.virtual_bucket, expires
        )
        expected = signature_v2.sign(secret, string_to_sign)
        is_same = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape"))
        return "" if is_same else string_to_sign

    def _require_v2(self) -> None:
        if not self._allow_v2:
            raise S3Error(
                "InvalidRequest",
                f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.",
            )

    # Both, and POST forms

    def check_post(self, fields: dict[str, str]) -> Identity:
        """Who signed the policy of a POST form. ``fields`` has lower-case names. Raises S3Error.

        A form without any sign of a signature is anonymous.
        """
        is_v4 = "x-amz-algorithm" in fields or "x-amz-signature" in fields or "x-amz-credential" in fields
        is_v2 = "signature" in fields or "awsaccesskeyid" in fields
        if is_v4 and is_v2:
            raise S3Error("InvalidArgument", "Only one auth mechanism allowed", fields={"ArgumentName": "policy"})
        if is_v4:
            return self._check_post_v4(fields)
        if is_v2:
            return self._check_post_v2(fields)
        return Identity()

    def _check_post_v4(self, fields: dict[str, str]) -> Identity:
        for name in ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"):
            if not fields.get(name):
                raise invalid_argument(f"Bucket POST must contain a field named '{name}'.", name, "")
        if fields["x-amz-algorithm"] != ALGORITHM:
            raise invalid_argument(f"Bucket POST must use {ALGORITHM}.", "x-amz-algorithm", fields["x-amz-algorithm"])
        scope = parse_credential(fields["x-amz-credential"])
        if scope is None:
            raise S3Error("AuthorizationQueryParametersError", BAD_CREDENTIAL)
        timestamp = fields["x-amz-date"]
        if dates.parse_compact(timestamp) is None:
            raise invalid_argument("X-Amz-Date must be in the ISO8601 Long Format", "x-amz-date", timestamp)
        self._check_scope(scope, timestamp, "AuthorizationQueryParametersError", "The credential of the form")
        secret = self._find_secret(scope.access_key, fields.get("x-amz-security-token", ""))
        key = signature_v4.derive_key(secret, scope.date, scope.region)
        given = fields["x-amz-signature"]
        if not hmac.compare_digest(signature_v4.sign(key, fields["policy"]).encode(), _encode(given)):
            raise _mismatch(scope.access_key, fields["policy"], given, "")
        return Identity(scope.access_key, "post", 4)

    def _check_post_v2(self, fields: dict[str, str]) -> Identity:
        self._require_v2()
        for name in ("policy", "awsaccesskeyid", "signature"):
            if not fields.get(name):
                raise invalid_argument(f"Bucket POST must contain a field named '{name}'.", name, "")
        access_key = fields["awsaccesskeyid"]
        secret = self._find_secret(access_key, fields.get("x-amz-security-token", ""))
        given = fields["signature"]
        if not hmac.compare_digest(signature_v2.sign(secret, fields["policy"]).encode(), _encode(given)):
            raise _mismatch(access_key, fields["policy"], given, "")
        return Identity(access_key, "post", 2)

    def _find_secret(self, access_key: str, token: str) -> str:
        if token:
            raise S3Error("InvalidToken", "This server knows no temporary credentials: sign without a session token.")
        secret = self._signers.find_secret(access_key)
        if not secret:
            raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
        return secret

    def _check_skew(self, timestamp: str) -> None:
        signed_at = dates.parse_compact(timestamp)
        now = self._clock.time()
        if signed_at is None or abs(now - signed_at) > self._clock_skew:
            raise S3Error(
                "RequestTimeTooSkewed",
                fields={
                    "RequestTime": timestamp,
                    "ServerTime": _iso(now),
                    "MaxAllowedSkewMilliseconds": str(self._clock_skew * 1000),
                },
            )


def _mismatch(access_key: str, string_to_sign: str, signature: str, canonical_request: str) -> S3Error:
    fields = {
        "AWSAccessKeyId": access_key,
        "StringToSign": string_to_sign,
        "SignatureProvided": signature,
        "StringToSignBytes": _spell_bytes(string_to_sign),
    }
    if canonical_request:
        fields["CanonicalRequest"] = canonical_request
        fields["CanonicalRequestBytes"] = _spell_bytes(canonical_request)
    return S3Error("SignatureDoesNotMatch", fields=fields)


def _spell_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex(" ")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _iso(seconds: float) -> str:
    return dates.format_iso(int(seconds) * dates.NS_PER_SECOND).replace(".000Z", "Z")
