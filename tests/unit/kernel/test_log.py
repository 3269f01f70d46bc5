import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from cellsmono.kernel.log import REQUEST_ID, configure_log, get_logger
from cellsmono.kernel.text import HIDDEN, escape_text, hide_secrets


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A log stream; the configuration from before comes back afterwards."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    structlog.configure(**before)
    root.handlers, root.level = handlers, level


def test_json_lines_carry_level_time_and_request_id(stream: io.StringIO) -> None:
    configure_log("info", "auto", stream)
    token = REQUEST_ID.set("R1")
    try:
        get_logger("s3").info("put", bucket="b", size=3, parts=[1, 2], nested={"secret": "x", "plain": "y"})
    finally:
        REQUEST_ID.reset(token)
    line = json.loads(stream.getvalue())
    assert line["event"] == "put"
    assert line["level"] == "info"
    assert line["logger"] == "s3"
    assert line["request_id"] == "R1"
    assert line["time"].endswith("Z")
    assert line["parts"] == [1, 2]
    assert line["nested"] == {"secret": HIDDEN, "plain": "y"}


def test_levels_below_the_configured_one_are_silent(stream: io.StringIO) -> None:
    configure_log("warning", "json", stream)
    get_logger("x").info("quiet")
    logging.getLogger("y").info("quiet too")
    get_logger("x").warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_the_standard_library_goes_the_same_way(stream: io.StringIO) -> None:
    configure_log("info", "json", stream)
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        logging.getLogger("lib").exception("failed %s", "Signature=abcdef")
    line = json.loads(stream.getvalue())
    assert line["logger"] == "lib"
    assert line["event"] == f"failed Signature={HIDDEN}"
    assert "ValueError: bad" in line["exception"]


@pytest.mark.parametrize(
    "key", ["secret", "secret_key", "Authorization", "password", "x_amz_signature", "session_token", "Cookie"]
)
def test_telling_keys_hide_their_value(stream: io.StringIO, key: str) -> None:
    configure_log("info", "json", stream)
    get_logger("x").info("event", **{key: "TOPSECRETVALUE"})
    assert "TOPSECRET" not in stream.getvalue()


SECRET = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024"


@pytest.mark.parametrize(
    "text",
    [
        f"AWS4-HMAC-SHA256 Credential={SECRET}/20130524/us-east-1/s3, SignedHeaders=host, Signature={SECRET}",
        f"/b/k?X-Amz-Algorithm=A&X-Amz-Credential={SECRET}%2F2013&X-Amz-Signature={SECRET}&x=1",
        f"/b/k?AWSAccessKeyId={SECRET}&Signature={SECRET}&Expires=1",
        f"AWS AKIAIOSFODNN7EXAMPLE:{SECRET}",
        f"1000;chunk-signature={SECRET}",
        f"x-amz-security-token: {SECRET}",
        f"secret_key={SECRET}",
        f"Bearer {SECRET}",
        f"Basic {SECRET}",
    ],
)
def test_signatures_inside_texts_are_cut_out(text: str) -> None:
    assert SECRET not in hide_secrets(text)
    assert hide_secrets(text).count(HIDDEN) == text.count(SECRET)


def test_plain_texts_stay_as_they_are() -> None:
    for text in ("Basic usage of a bucket", "photos/signature.png", "design = 4", "a/b/c?list-type=2&prefix=x"):
        assert hide_secrets(text) == text


def test_control_characters_can_not_start_a_line_or_drive_a_terminal(stream: io.StringIO) -> None:
    configure_log("info", "console", stream)
    get_logger("x").info("found", path='a\n2026 error "forged"\x1b[2J\u202ec\udc80', other="plain")
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\\x0a2026 error" in text
    assert "\\u202e" in text
    assert "\\udc80" in text
    assert "other=plain" in text
    text.encode()


def test_console_lines_show_tracebacks_below(stream: io.StringIO) -> None:
    configure_log("info", "console", stream)
    try:
        raise RuntimeError("x\x1b[31m")
    except RuntimeError:
        get_logger("x").exception("failed")
    lines = stream.getvalue().splitlines()
    assert "error   failed logger=x" in lines[0]
    assert lines[1].startswith("Traceback")
    assert "\x1b" not in stream.getvalue()


def test_escaping_keeps_ordinary_unicode() -> None:
    assert escape_text("Grüße 📷 e\u0301") == "Grüße 📷 e\u0301"


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        configure_log("loud")
    with pytest.raises(ValueError, match="xml"):
        configure_log("info", "xml")
