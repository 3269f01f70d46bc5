"""Nodes on the wire, and what is asked and answered about them."""

import msgspec

from cellsmono.gateway.rest.proto_json import Int64, ProtoEnum


class NodeType(ProtoEnum):
    """What a node is."""

    UNKNOWN = "UNKNOWN"
    LEAF = "LEAF"
    COLLECTION = "COLLECTION"


class TreeNode(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """One node. ``path`` is ``WORKSPACE/folder/file``, for administrators ``DATASOURCE/folder/file``.

    ``size`` is in bytes, ``m_time`` in seconds since the epoch. ``etag`` is that of S3, without quotes. Each value of
    ``meta_store`` is JSON text.
    """

    uuid: str = ""
    path: str = ""
    type: NodeType = NodeType.UNKNOWN
    size: Int64 = ""
    m_time: Int64 = ""
    mode: int = 0
    etag: str = ""
    meta_store: dict[str, str] = {}


class NodeAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """One node."""

    node: TreeNode


class BulkRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Nodes by path. ``folder/*`` are the children of a folder, ``/*`` the workspaces.

    ``versions`` asks for the versions of files instead, the newest first. ``all_meta_providers`` adds what was stored
    with a file by S3. With ``limit`` a page of children or versions comes, from ``offset`` on.
    """

    node_paths: list[str] = []
    all_meta_providers: bool = False
    versions: bool = False
    offset: int = 0
    limit: int = 0


class Pagination(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Where a page stands among all; ``next_offset`` is not there on the last one."""

    limit: int = 0
    current_offset: int = 0
    total: int = 0
    current_page: int = 0
    total_pages: int = 0
    next_offset: int = 0
    prev_offset: int = 0


class BulkAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The nodes that are there. ``pagination`` comes only where ``limit`` left some out."""

    nodes: list[TreeNode] = []
    pagination: Pagination | None = None


class CreateRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Nodes to make: ``type`` and ``path`` of each count, and of a LEAF the text ``Contents`` in its ``meta_store``.

    With ``recursive`` the folders above are made as well, and a folder that is there already is no error.
    """

    nodes: list[TreeNode] = []
    recursive: bool = False


class NodesCollection(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Nodes, and perhaps the folder that they are in."""

    parent: TreeNode | None = None
    children: list[TreeNode] = []


class DeleteRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Nodes to delete, by ``path``, each with everything below it; ``remove_permanently`` passes the recycle bin."""

    nodes: list[TreeNode] = []
    recursive: bool = False
    remove_permanently: bool = False


class BackgroundJob(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A job that goes on after the answer. ``node_uuid`` is the node that it is about, where it is one alone."""

    uuid: str = ""
    label: str = ""
    node_uuid: str = ""


class DeleteAnswer(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The jobs that do it; none where all is done."""

    delete_jobs: list[BackgroundJob] = []


class AdminListRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A folder whose children are wanted; the root lists the datasources. ``limit`` 0: all of them."""

    node: TreeNode = TreeNode()
    offset: int = 0
    limit: int = 0


class AdminStatRequest(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """A node by its path."""

    node: TreeNode = TreeNode()
