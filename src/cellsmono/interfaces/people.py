"""What an administrator can ask about people. Each request is one struct that names what comes back.

There are many requests and three who hand them on (command line, control socket, server), so that they are data, not
methods: a new one is a struct here, a handler in ``idm``, and a command. All of them raise the errors of
``kernel.errors``: NotFound for users, groups and other things that are not there, Invalid for names and values that can
not be, AlreadyExists for names that are taken, Conflict for what the present state forbids.
"""

from typing import Any, Generic, Protocol, TypeVar, get_args

import msgspec

from cellsmono.interfaces.acls import Explanation, ShownAcl, ShownQuota
from cellsmono.interfaces.policies import PolicyGroup
from cellsmono.interfaces.roles import Role
from cellsmono.interfaces.sessions import FRONTEND, Session, ShownSession
from cellsmono.interfaces.tokens import KeyPair, NewToken, Token
from cellsmono.interfaces.users import Group, Profile, User
from cellsmono.interfaces.workspaces import ShownWorkspace, Template

R = TypeVar("R")


class Request(msgspec.Struct, Generic[R], frozen=True, forbid_unknown_fields=True):
    """One thing that can be asked for; ``R`` is what comes back."""


class People(Protocol):
    """Users, groups, and what belongs to them."""

    async def perform(self, request: Request[R]) -> R:
        """Do what is asked; what was changed is stored when this returns."""


class CreateUser(Request[User], frozen=True):
    """Make a user. Without a password nobody can sign in by password."""

    login: str
    group: str = "/"
    profile: Profile = Profile.STANDARD
    attributes: dict[str, str] = {}
    password: str = ""

    def __repr__(self) -> str:
        return f"CreateUser({self.login!r})"


class ListUsers(Request[list[User]], frozen=True):
    """The users of a group and of all groups below it, by login."""

    group: str = "/"


class ReadUser(Request[User], frozen=True):
    """One user."""

    login: str


class ChangeUser(Request[User], frozen=True):
    """Change what is not None. Attributes are merged; an empty text removes one."""

    login: str
    group: str | None = None
    profile: Profile | None = None
    attributes: dict[str, str] = {}


class DeleteUser(Request[None], frozen=True):
    """Remove a user and all that lets the user in. Files stay where they are."""

    login: str


class SetPassword(Request[None], frozen=True):
    """Give a user a new password, forget wrong attempts, and end all sessions. Tokens that were made stay."""

    login: str
    password: str

    def __repr__(self) -> str:
        return f"SetPassword({self.login!r})"


class CheckPassword(Request[User], frozen=True):
    """Try a password, as a sign-in does. Raises Forbidden (reasons ``login``, ``login_delay``), whatever was wrong.

    ``code`` is that of the second factor, for who has one; it is used up.
    """

    login: str
    password: str
    code: str = ""

    def __repr__(self) -> str:
        return f"CheckPassword({self.login!r})"


class SignIn(Request[Session], frozen=True):
    """Begin a session by password. Raises as ``CheckPassword``.

    ``description`` (what the client says it is), ``client`` (its id) and ``address`` are what a list of sessions shows.
    ``code`` is that of the second factor, for who has one.
    """

    login: str
    password: str
    description: str = ""
    client: str = FRONTEND
    address: str = ""
    code: str = ""

    def __repr__(self) -> str:
        return f"SignIn({self.login!r})"


class RefreshSession(Request[Session], frozen=True):
    """Go on with a session. Raises Forbidden (reason ``login``) for a refresh token that is not good any more.

    ``client`` is the id of the client that it must belong to; empty: any.
    """

    refresh: str
    client: str = ""

    def __repr__(self) -> str:
        return "RefreshSession()"


class ListSessions(Request[list[ShownSession]], frozen=True):
    """The sessions of a user, or of everybody without one, oldest first. Those that ended are not told."""

    login: str = ""


class EndSession(Request[None], frozen=True):
    """End a session at once; ``session`` is its id."""

    login: str
    session: str


class LockUser(Request[User], frozen=True):
    """Keep a user out from now on, whatever the user signs with, and end all sessions."""

    login: str


class UnlockUser(Request[User], frozen=True):
    """Remove all locks of a user, and forget wrong passwords."""

    login: str


class CreateToken(Request[NewToken], frozen=True):
    """Make a personal access token. ``seconds`` is how long it is good, 0: until it is revoked."""

    login: str
    description: str = ""
    scopes: tuple[str, ...] = ()
    seconds: float = 0.0


class ListTokens(Request[list[Token]], frozen=True):
    """The tokens of a user, or of everybody without one, oldest first, those of sessions among them.

    Those that expired are told as well: a session can be refreshed for some time after its token expired.
    """

    login: str = ""


class RevokeToken(Request[None], frozen=True):
    """Make a token unusable at once; a session ends with its token. ``token`` is its id."""

    login: str
    token: str


class CreateKeyPair(Request[KeyPair], frozen=True):
    """Make a key pair of a user: the only time that its secret is told."""

    login: str
    description: str = ""


class ListKeyPairs(Request[list[KeyPair]], frozen=True):
    """The key pairs of a user, or of everybody without one, oldest first, without their secrets."""

    login: str = ""


class RevokeKeyPair(Request[None], frozen=True):
    """Make a key pair unusable at once."""

    login: str
    access_key: str


class CreateGroup(Request[Group], frozen=True):
    """Make a group; the groups above it must be there."""

    path: str


class ListGroups(Request[list[Group]], frozen=True):
    """A group and all groups below it, by path."""

    path: str = "/"


class DeleteGroup(Request[None], frozen=True):
    """Remove an empty group. Raises Conflict (reason ``not_empty``)."""

    path: str


class CreateRole(Request[Role], frozen=True):
    """Make a role, or a team. It applies to users of the profiles ``auto_applies`` without being given.

    ``uuid`` is for clients that choose it themselves.
    """

    label: str
    is_team: bool = False
    auto_applies: tuple[Profile, ...] = ()
    uuid: str = ""


class ListRoles(Request[list[Role]], frozen=True):
    """All roles and teams by label; or every role of a user, groups and the user's own included, the weakest first."""

    login: str = ""


class ChangeRole(Request[Role], frozen=True):
    """Change what is not None of a role. ``role`` is its label or UUID."""

    role: str
    label: str | None = None
    auto_applies: tuple[Profile, ...] | None = None


class DeleteRole(Request[None], frozen=True):
    """Remove a role and its rights."""

    role: str


class GiveRole(Request[None], frozen=True):
    """Give a role to a user; it is stronger than those that the user was given before."""

    role: str
    login: str


class TakeRole(Request[None], frozen=True):
    """Take a role that was given."""

    role: str
    login: str


class SetRoles(Request[None], frozen=True):
    """Give a user these roles and no others, by label or UUID, the weakest first."""

    login: str
    roles: tuple[str, ...]


class SetAcl(Request[list[ShownAcl]], frozen=True):
    """Set actions of a role on the node at a tree path; what comes back is all that is set for both.

    ``path`` may also be ``TEMPLATE:NAME``, the folder that a template gives each user. ``workspace`` is the slug of the
    one in which it counts; empty: in all. ``subject`` is ``user:LOGIN``, ``group:PATH`` or ``role:LABEL``. Rights
    (``read``, ``write``, ``deny``) have the value ``1``, and replace the rights that were there.
    """

    path: str
    subject: str
    actions: dict[str, str]
    workspace: str = ""


class PutAcl(Request[ShownAcl], frozen=True):
    """Set one action of a role (its UUID) on a node (its UUID, or ``TEMPLATE:NAME``), and leave all others as they are.

    ``workspace`` is the UUID of the one in which it counts; empty: in all.
    """

    node: str
    role: str
    action: str
    value: str = "1"
    workspace: str = ""


class ListAcls(Request[list[ShownAcl]], frozen=True):
    """What is set on a node, or for a subject, or for both; everything without either."""

    path: str = ""
    subject: str = ""


class DeleteAcl(Request[None], frozen=True):
    """Remove what is set for a subject on a node: these actions, or all; or the one row with ``id``."""

    path: str = ""
    subject: str = ""
    actions: tuple[str, ...] = ()
    workspace: str = ""
    id: int = 0


class ExplainAccess(Request[Explanation], frozen=True):
    """Say what a user may do with the node at a tree path, which need not exist, and why.

    With ``workspace``, a slug, the path is one in that workspace, and what is given in it counts.
    """

    login: str
    path: str
    workspace: str = ""


class CreateWorkspace(Request[ShownWorkspace], frozen=True):
    """Make a workspace. Each root is a name (empty: that of the folder) and a tree path, ``node:UUID`` or
    ``TEMPLATE:NAME``.

    Nobody sees it until somebody is given rights in it.
    """

    slug: str
    roots: tuple[tuple[str, str], ...]
    label: str = ""
    description: str = ""


class ListWorkspaces(Request[list[ShownWorkspace]], frozen=True):
    """All workspaces by slug; or those that a user sees, with where the roots are for that user, and with rights."""

    login: str = ""


class ChangeWorkspace(Request[ShownWorkspace], frozen=True):
    """Change what is not None."""

    slug: str
    label: str | None = None
    description: str | None = None


class DeleteWorkspace(Request[None], frozen=True):
    """Remove a workspace and the rights in it. Files stay where they are."""

    slug: str


class GiveWorkspace(Request[ShownWorkspace], frozen=True):
    """Give a subject rights (``read``, ``write``) in a workspace, on all of its roots."""

    slug: str
    subject: str
    rights: tuple[str, ...]


class TakeWorkspace(Request[None], frozen=True):
    """Take the rights of a subject on the roots of a workspace."""

    slug: str
    subject: str


class SetQuota(Request[list[ShownQuota]], frozen=True):
    """Limit how many bytes may lie in each root of a workspace, as far as a subject is concerned; None: no more.

    What comes back is all that is set so. Raises NotFound when there is nothing to be taken away.
    """

    slug: str
    subject: str
    limit: int | None


class ListQuotas(Request[list[ShownQuota]], frozen=True):
    """The quotas that are set in a workspace on its roots; or those that count for a user in it, with what is used."""

    slug: str
    login: str = ""


class SetTemplate(Request[Template], frozen=True):
    """Make a template, or change one. Folders that were made by it before stay where they are."""

    name: str
    pattern: str


class ListTemplates(Request[list[Template]], frozen=True):
    """All templates, by name."""


class DeleteTemplate(Request[None], frozen=True):
    """Remove a template. Raises Conflict (reason ``used``) while a workspace has it as a root."""

    name: str


class ListPolicyGroups(Request[list[PolicyGroup]], frozen=True):
    """All groups of policies."""


class PutPolicyGroup(Request[PolicyGroup], frozen=True):
    """Make a group of policies, or put it in the place of the one with its UUID."""

    group: PolicyGroup


class DeletePolicyGroup(Request[PolicyGroup], frozen=True):
    """Remove a group of policies."""

    uuid: str


class RestorePolicies(Request[None], frozen=True):
    """Bring the default groups of policies back as they come with the program; others stay."""


def result_of(kind: type[Request[R]]) -> type[R]:
    """What a request of this kind brings back."""
    result: type[R] = get_args(kind.__orig_bases__[0])[0]  # type: ignore[attr-defined]
    return result


def list_requests() -> dict[str, type[Request[Any]]]:
    """Every kind of request by its name."""
    return {kind.__name__: kind for kind in Request.__subclasses__()}
