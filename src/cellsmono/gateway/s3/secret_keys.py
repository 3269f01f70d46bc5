"""What every way of signing needs: the secret that belongs to an access key, the time, and how a refusal looks."""

from cellsmono.gateway.s3 import dates
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.interfaces.credentials import Signers
from cellsmono.kernel.clock import Clock


class SecretKeys:
    """The secrets of those who may sign, and the time by which signatures are good.

    ``clock_skew`` is how far, in seconds, a request's time may be from the clock's.
    """

    def __init__(self, signers: Signers, clock: Clock, clock_skew: int) -> None:
        self._signers = signers
        self._clock = clock
        self.clock_skew = clock_skew

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.time()

    def find(self, access_key: str, token: str) -> str:
        """The secret of an access key. Raises S3Error for an unknown key, and for any session token."""
        if token:
            raise S3Error("InvalidToken", "This server knows no temporary credentials: sign without a session token.")
        secret = self._signers.find_secret(access_key)
        if not secret:
            raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
        return secret

    def check_skew(self, timestamp: str) -> None:
        """Raise S3Error for a request (its time as in ``X-Amz-Date``) that is too old, or from the future."""
        signed_at = dates.parse_compact(timestamp)
        now = self._clock.time()
        if signed_at is None or abs(now - signed_at) > self.clock_skew:
            raise S3Error(
                "RequestTimeTooSkewed",
                fields={
                    "RequestTime": timestamp,
                    "ServerTime": show_time(now),
                    "MaxAllowedSkewMilliseconds": str(self.clock_skew * 1000),
                },
            )


def mismatch(access_key: str, string_to_sign: str, signature: str, canonical_request: str) -> S3Error:
    """The refusal of a signature, with what should have been signed."""
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


def encode(text: str) -> bytes:
    """A signature as a client sent it, to be compared."""
    return text.encode("utf-8", "surrogateescape")


def show_time(seconds: float) -> str:
    """A time as refusals name it."""
    return dates.format_iso(int(seconds) * dates.NS_PER_SECOND).replace(".000Z", "Z")
