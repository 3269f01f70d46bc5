"""Paths that clients send: a workspace, and a path in it."""

import msgspec

from cellsmono.gateway.rest.errors import RestError, bad_request

LONGEST = 8_192
CHILDREN = "*"
"""As the last segment: the children of the folder before it."""


class NodePath(msgspec.Struct, frozen=True):
    """``root`` is a workspace (empty: the list of all), ``inner`` a path in it that may or may not end in ``/``."""

    root: str
    inner: str = ""

    @property
    def folder(self) -> str:
        """The same as a folder's node path."""
        return self.inner if not self.inner or self.inner.endswith("/") else self.inner + "/"

    @property
    def leaf(self) -> str:
        """The same as a leaf's node path."""
        return self.inner.rstrip("/")

    @property
    def shown(self) -> str:
        """As clients write it."""
        return f"{self.root}/{self.leaf}" if self.leaf else self.root


def parse_path(text: str) -> NodePath:
    """Read ``workspace/folder/file``. Raises RestError (400) for what can not be a path of a node."""
    if len(text) > LONGEST:
        raise bad_request(f"A path has at most {LONGEST} characters", "path")
    root, _, inner = text.lstrip("/").partition("/")
    if any(segment in {".", ".."} for segment in (root, *inner.split("/"))):
        raise bad_request(f"A path can not hold the segments . and ..: {text[:200]!r}", "path")
    if "\0" in text:
        raise bad_request("A path can not hold NUL", "path")
    return NodePath(root, inner)


def split_children(text: str) -> NodePath | None:
    """The folder of ``folder/*``; None for a path that asks for no children."""
    if text in {CHILDREN, "/" + CHILDREN}:
        return NodePath("")
    return parse_path(text[:-1]) if text.endswith("/" + CHILDREN) else None


def require_inner(path: NodePath) -> NodePath:
    """The path, if it leads into a workspace. Raises RestError (403): workspaces themselves are for administrators."""
    if not path.root:
        raise bad_request("The path is empty: it begins with the name of a workspace", "path")
    if not path.leaf:
        raise RestError(403, "forbidden", f"{path.root!r} is a workspace, not a node in one")
    return path
