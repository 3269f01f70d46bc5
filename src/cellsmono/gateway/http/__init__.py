"""Listeners: connections, limits, request ids, the access log. Knows HTTP and nothing of any protocol above it."""

from cellsmono.gateway.http.exchange import Exchange, Handler, RequestMetrics
from cellsmono.gateway.http.incoming import stream_body
from cellsmono.gateway.http.limits import Limits
from cellsmono.gateway.http.listener import Listener
from cellsmono.gateway.http.main import MainHandler, build_app_handler, build_main_handler
from cellsmono.gateway.http.reply import Reply, SentResponse, send_reply

__all__ = [
    "Exchange",
    "Handler",
    "Limits",
    "Listener",
    "MainHandler",
    "Reply",
    "RequestMetrics",
    "SentResponse",
    "build_app_handler",
    "build_main_handler",
    "send_reply",
    "stream_body",
]
