"""The pages: plain HTML that works without scripts, and loads nothing from anywhere."""

import base64
import hashlib
from html import escape
from urllib.parse import urlsplit

from aiohttp import web

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2b30;--paper:#f3f6f7;--card:#fff;--line:#8a999f;--main:#2b6777;--bad:#a3261c}
@media (prefers-color-scheme:dark){
:root{--ink:#e6edef;--paper:#12191c;--card:#1b2529;--line:#7d8f96;--main:#7cc3d6;--bad:#ff9d93}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--paper);color:var(--ink);
font:1rem/1.5 system-ui,sans-serif}
main{width:100%;max-width:24rem;background:var(--card);border-radius:.75rem;padding:2rem;box-shadow:0 1px 6px #0003}
h1{margin:0 0 .25rem;font-size:1.5rem}
p{margin:0 0 1rem;overflow-wrap:anywhere}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
small{display:block;font-weight:400}
input{width:100%;padding:.6rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);
border-radius:.4rem}
input[readonly]{font:.7rem monospace}
button{width:100%;margin-top:1.5rem;padding:.7rem;font:inherit;font-weight:600;color:var(--card);background:var(--main);
border:1px solid var(--main);border-radius:.4rem;cursor:pointer}
button.other{margin-top:.75rem;color:var(--main);background:transparent}
:focus-visible{outline:3px solid var(--main);outline-offset:2px}
[role=alert]{padding:.6rem .8rem;border-left:4px solid var(--bad);color:var(--bad);font-weight:600}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def page(title: str, body: str, status: int = 200, form_target: str = "") -> web.Response:
    """A whole page. ``form_target`` is where a form may lead in the end, beside this server."""
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n"
    )
    response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self'{_source_of(form_target)}"
    )
    return response


def _source_of(target: str) -> str:
    """Browsers look at where a form leads after all redirects: that must be allowed as well."""
    parts = urlsplit(target)
    if not parts.scheme:
        return ""
    if parts.scheme in {"http", "https"} and "[" not in parts.netloc:
        return f" {parts.scheme}://{parts.netloc}"
    return f" {parts.scheme}:"


def sign_in_page(
    client: str, mark: str, target: str, login: str = "", error: str = "", status: int = 200
) -> web.Response:
    """Login, password and code, all at once. ``error`` is what the last attempt was answered."""
    failed = ' aria-describedby="error"' if error else ""
    alert = f'<p role="alert" id="error">{escape(error)}</p>' if error else ""
    focus_login, focus_password = ("", " autofocus") if login else (" autofocus", "")
    body = (
        f"<p>to go on to {escape(client)}</p>{alert}"
        f'<form method="post"><input type="hidden" name="mark" value="{escape(mark)}">'
        '<label for="login">Login</label><input id="login" name="login" type="text" required maxlength="200"'
        f' autocomplete="username" autocapitalize="none" spellcheck="false" value="{escape(login)}"'
        f"{focus_login}{failed}>"
        '<label for="password">Password</label><input id="password" name="password" type="password" required'
        f' maxlength="1000" autocomplete="current-password"{focus_password}{failed}>'
        '<label for="code">Code<small>only if you set up a second factor</small></label>'
        '<input id="code" name="code" type="text" maxlength="40" autocomplete="one-time-code" spellcheck="false"'
        f' autocapitalize="none"{failed}>'
        '<button name="action" value="sign-in">Sign in</button></form>'
    )
    return page("Sign in", body, status, target)


def continue_page(client: str, mark: str, target: str, shown: str) -> web.Response:
    """Somebody is signed in: may this program go on?"""
    body = (
        f"<p>{escape(client)} asks to act for you. You are signed in as <strong>{escape(shown)}</strong>.</p>"
        f'<form method="post"><input type="hidden" name="mark" value="{escape(mark)}">'
        f'<button name="action" value="continue" autofocus>Continue as {escape(shown)}</button>'
        '<button class="other" name="action" value="switch">Sign in as somebody else</button></form>'
    )
    return page(f"Continue to {client}", body, 200, target)


def sign_out_page(mark: str, shown: str) -> web.Response:
    """Asks before it is done, since any page can lead here."""
    body = (
        f"<p>You are signed in as <strong>{escape(shown)}</strong> with this browser.</p>"
        f'<form method="post"><input type="hidden" name="mark" value="{escape(mark)}">'
        '<button name="action" value="sign-out" autofocus>Sign out</button></form>'
    )
    return page("Sign out", body)


def code_page(code: str) -> web.Response:
    """The code, for people to carry to the program that waits for it."""
    body = (
        '<p><label for="code">Copy this code into the program that you came from'
        "<small>Only if you began to sign in there yourself.</small></label>"
        f'<input id="code" type="text" readonly value="{escape(code)}" autofocus></p>'
    )
    return page("Your code", body)


def notice_page(title: str, text: str, status: int = 200) -> web.Response:
    """Something to read, and nothing to do."""
    return page(title, f"<p>{escape(text)}</p>", status)


def reset_page(login: str, error: str = "", status: int = 200) -> web.Response:
    """A new password, twice."""
    failed = ' aria-describedby="error"' if error else ""
    alert = f'<p role="alert" id="error">{escape(error)}</p>' if error else ""
    body = (
        f"<p>for <strong>{escape(login)}</strong></p>{alert}"
        '<form method="post">'
        f'<input type="text" value="{escape(login)}" autocomplete="username" hidden>'
        '<label for="password">New password</label><input id="password" name="password" type="password" required'
        f' maxlength="1000" autocomplete="new-password" autofocus{failed}>'
        '<label for="again">The same once more</label><input id="again" name="again" type="password" required'
        f' maxlength="1000" autocomplete="new-password"{failed}>'
        "<button>Set password</button></form>"
    )
    return page("Choose a password", body, status)
