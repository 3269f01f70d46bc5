"""The policies that there are until somebody changes them. They follow those of Cells, as far as the routes do.

They are no rows of the database: a newer program brings newer ones, which know its newer routes. Who may use a route is
declared with the route; these leave all of that as it is.
"""

from collections.abc import Sequence

from cellsmono.interfaces.policies import Effect, Policy, PolicyGroup, ResourceGroup
from cellsmono.interfaces.users import Profile

ANY = ("<.+>",)
_NOBODY = f"profile:{Profile.ANON}"
_USERS = (f"profile:{Profile.SHARED}", f"profile:{Profile.STANDARD}")
_OPEN = ("config/discovery<.*>", "auth/reset-password<.*>", "frontend/<.+>")
_FILES = ("tree/<.+>", "meta/<.+>", "search/<.+>", "io/<.+>", "upload/<.+>", "jobs/<.+>", "templates<.*>")
_PEOPLE = ("user<.*>", "role<.*>", "workspace<.*>", "graph/<.+>", "share/<.+>", "activity/<.+>", "mailer/<.+>")
_OTHERS = ("auth/token/<.+>", "docstore/<.+>")


def _allow(id_: str, description: str, subjects: Sequence[str], paths: Sequence[str]) -> Policy:
    resources = tuple(f"rest:/{path}" for path in paths)
    return Policy(id_, description, tuple(subjects), resources, ANY, Effect.ALLOW)


DEFAULT_GROUPS = (
    PolicyGroup(
        "public-access",
        "Public access",
        ResourceGroup.REST,
        (_allow("anon-rest", "What is open to everybody", (_NOBODY,), _OPEN),),
        "What can be asked without signing in",
    ),
    PolicyGroup(
        "rest-apis-default-accesses",
        "Access for users",
        ResourceGroup.REST,
        (_allow("user-rest", "Files and people", _USERS, (*_OPEN, *_FILES, *_PEOPLE, *_OTHERS)),),
        "What users can ask who are no administrators",
    ),
    PolicyGroup(
        "rest-apis-admin-accesses",
        "Access for administrators",
        ResourceGroup.REST,
        (Policy("admin-rest", "Everything", (f"profile:{Profile.ADMIN}",), ("rest:<.+>",), ANY, Effect.ALLOW),),
        "What administrators can ask",
    ),
    PolicyGroup(
        "oidc-default-accesses",
        "Signing in by OIDC",
        ResourceGroup.OIDC,
        (Policy("oidc-login", "Everybody may sign in", ("profile:<.+>",), ("oidc",), ("login",), Effect.ALLOW),),
        "Kept for clients; nothing asks it yet",
    ),
)
