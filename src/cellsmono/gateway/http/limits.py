"""What a listener puts up with."""

import msgspec


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of one listener, each against a way to exhaust it.

    ``request_line`` and ``header_line`` are bytes of one line, ``headers`` their number. ``header_seconds`` is how long
    a connection may take for complete headers, counted from the connection (the first request) or from the first byte
    (later ones). ``idle_seconds`` is how long a kept-alive connection may rest. ``body_rate`` is the least rate of a
    request body in bytes a second, looked at every ``rate_seconds`` while the server waits for it (0: any rate).
    ``stalled_seconds`` is how long a client may take nothing of what is sent to it. ``linger_seconds`` is how long an
    unread body is read on and thrown away after an early answer, so that the client sees the answer.
    ``connections`` is their number; one too many gets a polite 503.
    """

    request_line: int = 16_384
    header_line: int = 8_190
    headers: int = 128
    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    body_rate: int = 1_024
    rate_seconds: float = 10.0
    stalled_seconds: float = 120.0
    linger_seconds: float = 5.0
    connections: int = 1_000
