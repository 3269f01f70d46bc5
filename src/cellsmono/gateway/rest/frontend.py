"""What clients read when they begin: who is signed in, which workspaces there are, and what the server is like."""

import re
from typing import Final

import msgspec

import cellsmono
from cellsmono.gateway.http import Reply
from cellsmono.gateway.rest.call import Call, RestContext
from cellsmono.gateway.rest.discovery import LABEL, PACKAGE
from cellsmono.gateway.rest.seen import kind_of, list_seen, rights_of
from cellsmono.interfaces.users import User
from cellsmono.interfaces.workspaces import ShownWorkspace

_XML_TYPE: Final = ("Content-Type", "application/xml; charset=utf-8")
_SPECIAL: Final = re.compile('[&<>"\r\n\t\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}


class Backend(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """What runs here."""

    package_type: str
    package_label: str
    version: str
    license: str
    build_stamp: str = ""
    build_revision: str = ""
    server_offset: int = 0


class BootConf(msgspec.Struct, frozen=True, rename="camel"):
    """What a client shows before anybody signed in."""

    ajxp_version: str
    custom_wording: dict[str, str]
    backend: Backend
    other: dict[str, dict[str, dict[str, str]]] = {}


async def read_bootconf(rest: RestContext, call: Call, body: None) -> BootConf:
    """GET /frontend/bootconf."""
    return BootConf(
        ajxp_version=cellsmono.__version__,
        custom_wording={"title": LABEL, "icon": "", "welcomeMessage": ""},
        backend=Backend(PACKAGE, LABEL, cellsmono.__version__, "apache-2.0"),
        other={"vanity": {"palette": {"primary1Color": "#2b6777"}}},
    )


async def read_state(rest: RestContext, call: Call, body: None) -> Reply:
    """GET /frontend/state: the whole registry, also where a part of it is asked for by ``XPath``."""
    user = call.caller.user
    inner = "" if user is None else _write_user(user, await list_seen(rest, call))
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<pydio_registry>{inner}</pydio_registry>\n'
    return Reply(200, [_XML_TYPE], text.encode("utf-8", "replace"))


def _write_user(user: User, workspaces: list[ShownWorkspace]) -> str:
    # Clients read the first attribute of the element, whatever it is called, for the login.
    head = f"<user {_attributes(id=user.login, profile=user.profile.value, groupPath=user.group)}>"
    repositories = "".join(_write_workspace(each) for each in workspaces)
    return f"{head}<repositories>{repositories}</repositories></user>"


def _write_workspace(shown: ShownWorkspace) -> str:
    workspace = shown.workspace
    attributes = _attributes(
        id=workspace.uuid,
        repositorySlug=workspace.slug,
        repository_type=kind_of(workspace),
        acl=",".join(rights_of(shown)),
        access_type="gateway",
        owner="",
        allowCrossRepositoryCopy="true",
        meta_syncable_REPO_SYNCABLE="true",
    )
    label, description = _escape(workspace.label), _escape(workspace.description)
    return f"<repo {attributes}><label>{label}</label><description>{description}</description></repo>"


def _attributes(**values: str) -> str:
    return " ".join(f'{name}="{_escape(value)}"' for name, value in values.items())


def _escape(text: str) -> str:
    """Text for XML; what XML has no form for becomes U+FFFD."""
    return _SPECIAL.sub(lambda found: _NAMED.get(found.group(), "\ufffd"), text)
