"""The sign-in page: who is let in, what others can make a browser do, and where nobody is ever sent."""

import re
from urllib.parse import quote, urlencode

import pytest
import requests

from cellsmono.interfaces.people import ChangeUser, CreateUser, ListSessions, LockUser, SetPassword, UnlockUser
from cellsmono.interfaces.signing_in import CreateReset, EnableTotp

LOOPBACK = "http://localhost:3000/servers/callback"


@pytest.mark.parametrize(
    "redirect",
    [
        "",
        "https://evil.test/",
        "//evil.test",
        "http://localhost:3000/servers/callback/",
        "http://localhost:3000/servers/callback?x",
        "http://localhost:3000/servers/callback#x",
        "http://localhost:3000@evil.test/servers/callback",
        "http://localhost:3000.evil.test/servers/callback",
        "http://localhost:3635/servers/callback",
        "http://localhost:3667/servers/callback",
        "http://localhost:03640/servers/callback",
        "http://localhost:3640 /servers/callback",
        "http://localhost:3640@evil.test:3640/servers/callback",
        "http://localhost:\u0663640/servers/callback",
        "http://localhost:[3636-3666]/servers/callback",
        "http://LOCALHOST:3000/servers/callback",
        "http://127.0.0.1:3000/servers/callback",
        "https://localhost:3000/servers/callback",
        "cellsauth://callback",
        "javascript:alert(1)",
        "http://localhost:3000/servers/callback\r\nX: y",
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(server, browser, redirect):
    answer = browser.open(server.address(redirect_uri=redirect))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "not registered" in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize("client", ["", "nobody", "<script>"])
def test_a_stranger_gets_nobody_sent_anywhere(server, browser, client):
    answer = browser.open(server.address(client_id=client))
    assert (answer.status_code, "Location" in answer.headers) == (400, False)
    assert "<script>" not in answer.text


def test_what_is_given_twice_counts_as_nothing(server, browser):
    for name, value in (("redirect_uri", "https://evil.test"), ("client_id", "wiki")):
        answer = browser.open(server.address() + "&" + urlencode({name: value}))
        assert (answer.status_code, "Location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "x" * 43, "code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge_method": "S256"}, "invalid_request"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "https://evil.test"}, "request_uri_not_supported"),
        ({"nonce": "x" * 3000}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_other_errors_are_told_to_the_client(server, browser, sent_back, fields, error):
    where, told = sent_back(browser.open(server.address(**fields)))
    assert (where, told["error"], told["state"], told["iss"]) == (LOOPBACK, error, "a state", f"{server.url}/oidc")


def test_the_page_is_safe_and_plain(server, browser):
    answer = browser.open(server.address(client_id="wiki", redirect_uri="https://wiki.test/callback"))
    assert answer.status_code == 200
    assert "The &lt;Wiki&gt;" in answer.text
    assert "<script" not in answer.text
    policy = dict(each.strip().split(" ", 1) for each in answer.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3
    assert policy["form-action"] == "'self' https://wiki.test"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    for name in re.findall(r'<label for="(\w+)"', answer.text):
        assert f'<input id="{name}"' in answer.text
    assert re.findall(r'<input [^>]*name="(\w+)"', answer.text) == ["mark", "login", "password", "code"]


@pytest.mark.parametrize(
    ("redirect", "client", "allowed"),
    [
        ("cellsauth://callback", "cells-mobile", "'self' cellsauth:"),
        (LOOPBACK, "cells-sync", "'self' http://localhost:3000"),
    ],
)
def test_a_form_may_lead_where_the_client_is(server, browser, redirect, client, allowed):
    answer = browser.open(server.address(client_id=client, redirect_uri=redirect))
    assert answer.headers["Content-Security-Policy"].endswith(f"form-action {allowed}")


def test_whatever_is_wrong_the_page_says_the_same(server, alice, password, another):
    locked, bare = alice + "-locked", alice + "-bare"
    server.perform(CreateUser(locked, password=password))
    server.perform(LockUser(locked))
    server.perform(CreateUser(bare))
    told = set()
    for login, tried in [
        (alice, "wrong"),
        ("nobody" + alice, password),
        (locked, password),
        (bare, password),
        (bare, ""),
    ]:
        url = server.address()
        answer = another.sign_in(url, login, tried)
        page = re.sub(r'value="[^"]*"', "", answer.text)
        told.add((answer.status_code, page, tuple(sorted(set(answer.headers) - {"Set-Cookie"}))))
        assert not another.cookie()
    assert len(told) == 1
    [(status, page, _)] = told
    assert status == 403
    assert '<p role="alert" id="error">Login failed</p>' in page


def test_the_login_that_was_typed_is_text(server, browser):
    answer = browser.sign_in(server.address(), '"><script>alert(1)</script>', "x")
    assert 'value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"' in answer.text


def test_wrong_passwords_delay_the_next_attempt(server, browser, alice, password, clock):
    clock.stop()
    for _ in range(3):
        browser.sign_in(server.address(), alice, "wrong")
    answer = browser.sign_in(server.address(), alice, password)
    assert answer.status_code == 403
    assert "Login failed: try again in 1 seconds" in answer.text
    clock.ahead += 1
    assert browser.sign_in(server.address(), alice, password).status_code == 303


def test_a_form_of_another_site_does_nothing(server, browser, another, alice, password):
    url = server.address()
    page = browser.open(url)
    mark = re.search(r'name="mark" value="([^"]+)"', page.text)[1]
    foreign = another.open(url)
    attempts = [
        browser.session.post(url, data={"login": alice, "password": password}, allow_redirects=False),
        browser.session.post(url, data={"mark": "x", "login": alice, "password": password}, allow_redirects=False),
        browser.submit(url, foreign, login=alice, password=password),
        browser.submit(url, page, {"Origin": "https://evil.test"}, login=alice, password=password),
        browser.submit(url, page, {"Origin": "null"}, login=alice, password=password),
        requests.post(url, data={"mark": mark, "login": alice, "password": password}, allow_redirects=False),
    ]
    for answer in attempts:
        assert answer.status_code == 403
        assert "cells_browser" not in answer.headers.get("Set-Cookie", "")
    assert server.perform(ListSessions(alice)) == []
    answer = browser.submit(url, page, {"Origin": server.url}, login=alice, password=password)
    assert answer.status_code == 303


def test_a_cookie_that_somebody_else_put_there_lets_nobody_in(server, browser, another, alice, sent_back, password):
    """Session fixation: the cookie is new with each sign-in, and the one before is good no more."""
    url = server.address()
    another.sign_in(url, alice, password)
    planted = another.cookie()
    browser.session.cookies.set("cells_browser", planted, domain="127.0.0.1", path="/oidc")
    page = browser.open(url)
    browser.submit(url, page, action="sign-in", login=alice, password=password)
    fresh = [cookie.value for cookie in browser.session.cookies if cookie.name == "cells_browser"]
    assert planted not in fresh
    assert len(fresh) == 1
    assert 'name="password"' in another.open(url).text, "signed out"
    browser.session.cookies.clear()
    browser.session.cookies.set("cells_browser", "cmb_planted000_x", domain="127.0.0.1", path="/oidc")
    browser.sign_in(url, alice, password)
    assert browser.cookie() not in {None, "cmb_planted000_x"}


def test_cookies_are_for_this_server_alone(server, browser, alice, password):
    answer = browser.sign_in(server.address(), alice, password)
    [cookie] = [each for each in browser.session.cookies if each.name == "cells_browser"]
    assert (cookie.path, cookie.expires, cookie.has_nonstandard_attr("HttpOnly")) == ("/oidc", None, True)
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert cookie.value.startswith("cmb_")


def test_programs_of_the_same_machine_are_asked_about(server, browser, alice, sent_back, password):
    """Any program can listen at a loopback address: it gets no code behind somebody's back."""
    url = server.address()
    browser.sign_in(url, alice, password)
    page = browser.open(url)
    assert page.status_code == 200
    assert "Continue as Alice &lt;Ames&gt;" in page.text
    assert sent_back(browser.open(server.address(prompt="none")))[1]["error"] == "interaction_required"
    assert browser.submit(url, page, {"Origin": "https://evil.test"}, action="continue").status_code == 403
    assert "code" in sent_back(browser.submit(url, page, action="continue"))[1]
    switched = browser.submit(url, page, action="switch")
    assert 'name="password"' in switched.text
    assert 'name="password"' in browser.open(url).text, "signed out"


def test_who_has_to_sign_in_again(server, browser, alice, sent_back, password, clock):
    wiki = {"client_id": "wiki", "redirect_uri": "https://wiki.test/callback"}
    browser.sign_in(server.address(), alice, password)
    assert "code" in sent_back(browser.open(server.address(**wiki)))[1]
    assert "code" in sent_back(browser.open(server.address(**wiki, prompt="none")))[1]
    assert "code" in sent_back(browser.open(server.address(**wiki, max_age="100")))[1]
    assert 'name="password"' in browser.open(server.address(**wiki, prompt="login")).text
    assert "Continue as" in browser.open(server.address(**wiki, prompt="consent")).text
    clock.ahead += 101
    late = server.address(**wiki, max_age="100")
    assert 'name="password"' in browser.open(late).text
    assert sent_back(browser.open(late + "&prompt=none"))[1]["error"] == "login_required"
    url = server.address(**wiki, prompt="login", max_age="0")
    assert "code" in sent_back(browser.sign_in(url, alice, password))[1]


@pytest.mark.parametrize("change", [LockUser, lambda login: SetPassword(login, "another horse battery")])
def test_what_signs_a_browser_out(server, browser, alice, password, change):
    browser.sign_in(server.address(), alice, password)
    assert "Continue as" in browser.open(server.address()).text
    server.perform(change(alice))
    assert 'name="password"' in browser.open(server.address()).text


def test_somebody_signs_out(server, browser, alice, password):
    url = f"{server.url}/oidc/logout"
    assert "Nobody is signed in" in browser.open(url).text
    browser.sign_in(server.address(), alice, password)
    page = browser.open(url)
    assert browser.session.post(url, data={"mark": "x"}).status_code == 403
    assert "Continue as" in browser.open(server.address()).text, "nobody is signed out by another site"
    kept = browser.cookie()
    assert "Nobody is signed in" in browser.submit(url, page, action="sign-out").text
    assert not browser.cookie()
    browser.session.cookies.set("cells_browser", kept, domain="127.0.0.1", path="/oidc")
    assert 'name="password"' in browser.open(server.address()).text


@pytest.mark.parametrize("path", ["/oauth2/oob", "/oidc/oauth2/oob"])
def test_a_code_is_shown_to_be_copied(server, browser, alice, sent_back, password, path):
    url = server.address(client_id="cells-client", redirect_uri=server.url + path)
    where, told = sent_back(browser.sign_in(url, alice, password))
    assert where == server.url + path
    shown = browser.open(f"{where}?code={told['code']}")
    assert f'readonly value="{told["code"]}"' in shown.text
    answer = server.redeem(told["code"], client_id="cells-client", redirect_uri=where)
    assert answer.status_code == 200
    for wrong in ("", "?code=", "?code=" + quote("<b>x"), "?error=access_denied"):
        assert browser.open(where + wrong).status_code == 400


def test_the_frontend_of_this_site_is_sent_to_this_site(server, browser, alice, sent_back, password):
    url = server.address(client_id="cells-frontend", redirect_uri=f"{server.url}/auth/callback")
    assert sent_back(browser.sign_in(url, alice, password))[0] == f"{server.url}/auth/callback"
    server.perform(ChangeUser(alice, attributes={"displayName": ""}))
    assert "code" in sent_back(browser.open(url))[1]
    assert browser.open(url, Host="evil.test").status_code == 400


def test_a_request_without_a_host(server, browser):
    answer = browser.open(server.address(), Host='a"b')
    assert answer.status_code == 400
    assert (
        requests.get(f"{server.url}/oidc/.well-known/openid-configuration", headers={"Host": "x/y"}, timeout=20).json()[
            "error"
        ]
        == "invalid_request"
    )


def test_who_has_a_second_factor_tells_its_code(server, browser, alice, sent_back, password):
    made = server.perform(EnableTotp(alice))
    url = server.address()
    page = browser.open(url)
    for code in ("", "000000", "wrong"):
        answer = browser.submit(url, page, login=alice, password=password, code=code)
        assert (answer.status_code, "Login failed" in answer.text) == (403, True)
    server.perform(UnlockUser(alice))
    told = sent_back(browser.submit(url, page, login=alice, password=password, code=made.recovery_codes[0]))[1]
    assert server.redeem(told["code"]).status_code == 200


def test_a_link_gives_a_new_password_once(server, browser, another, alice, password):
    browser.sign_in(server.address(), alice, password)
    url = f"{server.url}/oidc/reset?token={server.perform(CreateReset(alice)).secret}"
    page = another.open(url)
    assert alice in page.text
    assert page.headers["Cache-Control"] == "no-store"
    chosen = "another horse battery"
    for fields, said in [
        ({"password": chosen, "again": chosen + "x"}, "not the same"),
        ({"password": "short", "again": "short"}, "too short"),
        ({}, "too short"),
    ]:
        answer = another.submit(url, page, **fields)
        assert (answer.status_code, said in answer.text) == (400, True)
    assert "Your password is set" in another.submit(url, page, password=chosen, again=chosen).text
    assert 'name="password"' in browser.open(server.address()).text, "sessions end with it"
    for answer in (another.open(url), another.submit(url, page, password=chosen, again=chosen)):
        assert (answer.status_code, alice in answer.text) == (403, False)
    assert another.sign_in(server.address(), alice, chosen).status_code == 303


@pytest.mark.parametrize("token", ["", "x", "cmp_", "cmp_" + "a" * 43])
def test_a_link_that_is_none(server, browser, token):
    assert browser.open(f"{server.url}/oidc/reset?token={token}").status_code == 403
