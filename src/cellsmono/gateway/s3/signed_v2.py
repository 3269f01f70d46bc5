"""Requests that are signed with the old Signature Version 2: by header, by query, and the policy of a form."""

import hmac
from typing import Literal

from cellsmono.gateway.s3 import signature_v2
from cellsmono.gateway.s3.claims import is_count, read_timestamp, unsupported_type
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.identity import Identity, SignedRequest
from cellsmono.gateway.s3.payload import read_payload_mode
from cellsmono.gateway.s3.secret_keys import SecretKeys, encode, mismatch, show_time
from cellsmono.gateway.s3.signature_v4 import ALGORITHM


class SignedV2:
    """Checks signatures of version 2, unless it is switched off."""

    def __init__(self, secrets: SecretKeys, *, is_allowed: bool) -> None:
        self._secrets = secrets
        self._is_allowed = is_allowed

    def check_header(self, request: SignedRequest, authorization: str) -> Identity:
        """Who signed a request by its Authorization header, of whatever scheme that may be. Raises S3Error."""
        scheme, _, rest = authorization.partition(" ")
        if scheme.startswith("AWS4-ECDSA-"):
            raise S3Error("NotImplemented", f"Signatures with ECDSA are not supported; use {ALGORITHM}.")
        if scheme != "AWS":
            raise unsupported_type()
        self._require_allowed()
        access_key, colon, signature = rest.strip().partition(":")
        if not colon or not access_key or not signature:
            raise S3Error(
                "InvalidArgument",
                "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature",
                fields={"ArgumentName": "Authorization"},
            )
        headers = request.headers
        secret = self._secrets.find(access_key, headers.get("x-amz-security-token", ""))
        self._secrets.check_skew(read_timestamp(headers))
        return self._verify(request, access_key, secret, signature, None, "header")

    def check_query(self, request: SignedRequest) -> Identity:
        """Who signed the URL. Raises S3Error."""
        self._require_allowed()
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
        secret = self._secrets.find(access_key, token)
        now = self._secrets.now()
        if now > int(expires):
            fields = {"Expires": show_time(int(expires)), "ServerTime": show_time(now)}
            raise S3Error("AccessDenied", "Request has expired", fields=fields)
        return self._verify(request, access_key, secret, signature, expires, "query")

    def _verify(
        self,
        request: SignedRequest,
        access_key: str,
        secret: str,
        signature: str,
        expires: str | None,
        kind: Literal["header", "query"],
    ) -> Identity:
        string_to_sign = self._match(request, request.raw_path, secret, signature, expires)
        is_bare_bucket = not request.virtual_bucket and request.raw_path.count("/") == 1
        # Some clients sign a bucket as ``/bucket/`` and send ``/bucket``: the same resource.
        if (
            string_to_sign
            and is_bare_bucket
            and not self._match(request, request.raw_path + "/", secret, signature, expires)
        ):
            string_to_sign = ""
        if string_to_sign:
            raise mismatch(access_key, string_to_sign, signature, "")
        mode, sha256 = read_payload_mode(request.headers, "")
        return Identity(access_key, kind, 2, mode, sha256)

    @staticmethod
    def _match(request: SignedRequest, raw_path: str, secret: str, signature: str, expires: str | None) -> str:
        """Empty when the signature is the one of this path; else the string that should have been signed."""
        string_to_sign = signature_v2.build_string_to_sign(
            request.method, request.headers, raw_path, request.raw_query, request.virtual_bucket, expires
        )
        expected = signature_v2.sign(secret, string_to_sign)
        is_same = hmac.compare_digest(expected.encode(), encode(signature))
        return "" if is_same else string_to_sign

    def _require_allowed(self) -> None:
        if not self._is_allowed:
            raise S3Error(
                "InvalidRequest",
                f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}.",
            )

    def check_post(self, fields: dict[str, str]) -> Identity:
        """Who signed the policy of a form; ``fields`` has lower-case names. Raises S3Error."""
        self._require_allowed()
        for name in ("policy", "awsaccesskeyid", "signature"):
            if not fields.get(name):
                raise invalid_argument(f"Bucket POST must contain a field named '{name}'.", name, "")
        access_key = fields["awsaccesskeyid"]
        secret = self._secrets.find(access_key, fields.get("x-amz-security-token", ""))
        given = fields["signature"]
        if not hmac.compare_digest(signature_v2.sign(secret, fields["policy"]).encode(), encode(given)):
            raise mismatch(access_key, fields["policy"], given, "")
        return Identity(access_key, "post", 2)
