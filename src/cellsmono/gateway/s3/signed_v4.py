"""Requests that are signed with Signature Version 4: by header, by query, and the policy of a form."""

import hmac

import msgspec

from cellsmono.gateway.s3 import dates, signature_v4
from cellsmono.gateway.s3.claims import (
    BAD_CREDENTIAL,
    Claimed,
    bad_query,
    check_signed_headers,
    parse_authorization,
    parse_credential,
    parse_query_claims,
    read_expires,
    read_timestamp,
)
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.identity import Identity, SignedRequest
from cellsmono.gateway.s3.payload import PayloadMode, read_payload_mode
from cellsmono.gateway.s3.secret_keys import SecretKeys, encode, mismatch, show_time
from cellsmono.gateway.s3.signature_v4 import ALGORITHM, SERVICE, ChunkSigning, Scope


class SignedV4:
    """Checks signatures of version 4. ``region`` is the only one that they may name."""

    def __init__(self, secrets: SecretKeys, region: str) -> None:
        self._secrets = secrets
        self._region = region

    def check_header(self, request: SignedRequest, authorization: str) -> Identity:
        """Who signed a request by its Authorization header. Raises S3Error."""
        claimed = parse_authorization(authorization)
        headers = request.headers
        timestamp = read_timestamp(headers)
        self._check_scope(claimed.scope, timestamp, "AuthorizationHeaderMalformed", "The authorization header")
        payload = headers.get("x-amz-content-sha256")
        if payload is None:
            raise S3Error("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
        mode, sha256 = read_payload_mode(headers, payload)
        check_signed_headers(headers, claimed.names)
        secret = self._secrets.find(claimed.scope.access_key, headers.get("x-amz-security-token", ""))
        self._secrets.check_skew(timestamp)
        query = signature_v4.canonical_query(request.query.pairs) if request.raw_query else ""
        return self._verify(request, claimed, timestamp, query, payload, secret, Identity(
            claimed.scope.access_key, "header", 4, mode, sha256
        ))  # fmt: skip

    def check_query(self, request: SignedRequest) -> Identity:
        """Who signed the URL. Raises S3Error."""
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
        secret = self._secrets.find(claimed.scope.access_key, token)
        self._check_presigned(signed_at, expires)
        pairs = [pair for pair in query.pairs if pair[0] != "X-Amz-Signature"]
        return self._verify(
            request,
            claimed,
            timestamp,
            signature_v4.canonical_query(pairs),
            payload,
            secret,
            Identity(claimed.scope.access_key, "query", 4, mode, sha256),
        )

    def _verify(
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
            raise mismatch(claimed.scope.access_key, string_to_sign, claimed.signature, canonical)
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
        now = self._secrets.now()
        if signed_at > now + self._secrets.clock_skew:
            raise S3Error("AccessDenied", "Request is not valid yet")
        if now > signed_at + expires:
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                fields={
                    "X-Amz-Expires": str(expires),
                    "Expires": show_time(signed_at + expires),
                    "ServerTime": show_time(now),
                },
            )

    def check_post(self, fields: dict[str, str]) -> Identity:
        """Who signed the policy of a form; ``fields`` has lower-case names. Raises S3Error."""
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
        secret = self._secrets.find(scope.access_key, fields.get("x-amz-security-token", ""))
        key = signature_v4.derive_key(secret, scope.date, scope.region)
        given = fields["x-amz-signature"]
        if not hmac.compare_digest(signature_v4.sign(key, fields["policy"]).encode(), encode(given)):
            raise mismatch(scope.access_key, fields["policy"], given, "")
        return Identity(scope.access_key, "post", 4)
