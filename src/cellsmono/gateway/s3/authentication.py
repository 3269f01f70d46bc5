"""Who sent a request: SigV4 and SigV2, by header and by query, or nobody. Pure: no HTTP library, no I/O.

The order of checks is chosen so that nothing costly is done for a stranger. A refusal is an ``S3Error`` with AWS's
code; its text and log form never hold a signature or secret (the client's own answer repeats what AWS repeats).
"""

from cellsmono.gateway.s3.claims import QUERY_V4
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.identity import Identity, SignedRequest
from cellsmono.gateway.s3.payload import read_payload_mode
from cellsmono.gateway.s3.secret_keys import SecretKeys
from cellsmono.gateway.s3.signature_v4 import ALGORITHM
from cellsmono.gateway.s3.signed_v2 import SignedV2
from cellsmono.gateway.s3.signed_v4 import SignedV4
from cellsmono.interfaces.credentials import Signers
from cellsmono.kernel.clock import Clock


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
        secrets = SecretKeys(signers, clock, clock_skew)
        self._v4 = SignedV4(secrets, region)
        self._v2 = SignedV2(secrets, is_allowed=allow_v2)

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
                return self._v4.check_header(request, authorization)
            return self._v2.check_header(request, authorization)
        if in_query_v4:
            return self._v4.check_query(request)
        if in_query_v2:
            return self._v2.check_query(request)
        mode, sha256 = read_payload_mode(request.headers, "")
        return Identity(payload=mode, payload_sha256=sha256)

    def check_post(self, fields: dict[str, str]) -> Identity:
        """Who signed the policy of a POST form. ``fields`` has lower-case names. Raises S3Error.

        A form without any sign of a signature is anonymous.
        """
        is_v4 = "x-amz-algorithm" in fields or "x-amz-signature" in fields or "x-amz-credential" in fields
        is_v2 = "signature" in fields or "awsaccesskeyid" in fields
        if is_v4 and is_v2:
            raise S3Error("InvalidArgument", "Only one auth mechanism allowed", fields={"ArgumentName": "policy"})
        if is_v4:
            return self._v4.check_post(fields)
        if is_v2:
            return self._v2.check_post(fields)
        return Identity()
