"""Node paths: the one way in which a place in a datasource's tree is written.

A node path is the S3 key of the node: segments joined by ``/`` without a leading slash. A collection (folder) ends
with ``/``, a leaf (file) does not, and the root of a datasource is the empty string. So the child of ``a/`` named
``b/`` is simply ``a/`` + ``b/``, "is below" is a plain prefix test that can not confuse ``ab/`` with ``a/``, and byte
order of the UTF-8 form is S3's listing order.

A segment may be empty where the storage has no folders of its own: ``a//b`` is the leaf ``b`` in the folder ``/`` in
the folder ``a/``, and ``/b`` one in the folder ``/`` of the root. ``.`` and ``..`` are names like any other.
"""

ROOT = ""


def is_folder(path: str) -> bool:
    """Whether the path names a collection (the root is one)."""
    return not path or path.endswith("/")


def parent_of(path: str) -> str:
    """The folder that holds this node; the root is its own parent."""
    return path[: path.rfind("/", 0, -1) + 1]


def name_of(path: str) -> str:
    """The last segment, with its ``/`` when it is a folder; empty for the root."""
    return path[path.rfind("/", 0, -1) + 1 :]


def ancestors_of(path: str) -> list[str]:
    """Every folder above this node, outermost first, without the root and without the node itself."""
    found = []
    at = path.find("/")
    while 0 <= at < len(path) - 1:
        found.append(path[: at + 1])
        at = path.find("/", at + 1)
    return found


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` itself or stands somewhere beneath it."""
    return path.startswith(folder)


def rebase(path: str, old: str, new: str) -> str:
    """The path that a node at or below ``old`` has after ``old`` was moved to ``new``."""
    return new + path[len(old) :]
