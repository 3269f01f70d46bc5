"""The route table: every route is declared here, once, with who may use it."""

from cellsmono.gateway.rest import discovery, frontend, session, tree_admin, tree_reading, tree_writing
from cellsmono.gateway.rest import tree_structs as tree
from cellsmono.gateway.rest.routes import Access, Route

_CONFIG = (
    Route(
        method="GET",
        path="/config/discovery",
        name="Discovery",
        tag="Config",
        summary="What this server is, and what it has.",
        access=Access.OPEN,
        handler=discovery.read_discovery,
        gives=discovery.Discovery,
    ),
)

_FRONTEND = (
    Route(
        method="POST",
        path="/frontend/session",
        name="FrontendSession",
        tag="Frontend",
        summary="Begin a session by password, go on with it, or end it.",
        access=Access.OPEN,
        handler=session.change_session,
        takes=session.SessionRequest,
        gives=session.SessionAnswer,
    ),
    Route(
        method="GET",
        path="/frontend/state",
        name="FrontendState",
        tag="Frontend",
        summary="Who is signed in, and the user's workspaces.",
        access=Access.ANYBODY,
        handler=frontend.read_state,
        media="application/xml",
        bound=True,
    ),
    Route(
        method="GET",
        path="/frontend/bootconf",
        name="FrontendBootConf",
        tag="Frontend",
        summary="What a client shows before anybody signed in.",
        access=Access.OPEN,
        handler=frontend.read_bootconf,
        gives=frontend.BootConf,
    ),
)

_TREE = (
    Route(
        method="GET",
        path="/tree/stat/{Node*}",
        name="TreeStat",
        tag="Tree",
        summary="One node.",
        access=Access.USERS,
        handler=tree_reading.read_stat,
        gives=tree.NodeAnswer,
        bound=True,
    ),
    Route(
        method="POST",
        path="/tree/stats",
        name="TreeStats",
        tag="Tree",
        summary="Many nodes, the children of folders, or the versions of files.",
        access=Access.USERS,
        handler=tree_reading.read_bulk,
        takes=tree.BulkRequest,
        gives=tree.BulkAnswer,
        bound=True,
    ),
    Route(
        method="POST",
        path="/meta/bulk/get",
        name="MetaBulkGet",
        tag="Meta",
        summary="The same as /tree/stats, under its older name.",
        access=Access.USERS,
        handler=tree_reading.read_bulk,
        takes=tree.BulkRequest,
        gives=tree.BulkAnswer,
        bound=True,
    ),
    Route(
        method="POST",
        path="/tree/create",
        name="TreeCreate",
        tag="Tree",
        summary="Make folders, and files with little in them.",
        access=Access.USERS,
        handler=tree_writing.create_nodes,
        takes=tree.CreateRequest,
        gives=tree.NodesCollection,
        bound=True,
    ),
    Route(
        method="POST",
        path="/tree/delete",
        name="TreeDelete",
        tag="Tree",
        summary="Delete nodes, with everything below them.",
        access=Access.USERS,
        handler=tree_writing.delete_nodes,
        takes=tree.DeleteRequest,
        gives=tree.DeleteAnswer,
        bound=True,
    ),
    Route(
        method="POST",
        path="/tree/admin/list",
        name="AdminTreeList",
        tag="AdminTree",
        summary="The children of a folder in the tree of all datasources.",
        access=Access.ADMINS,
        handler=tree_admin.read_list,
        takes=tree.AdminListRequest,
        gives=tree.NodesCollection,
    ),
    Route(
        method="POST",
        path="/tree/admin/stat",
        name="AdminTreeStat",
        tag="AdminTree",
        summary="One node in the tree of all datasources.",
        access=Access.ADMINS,
        handler=tree_admin.read_stat,
        takes=tree.AdminStatRequest,
        gives=tree.NodeAnswer,
    ),
)

ROUTES = _CONFIG + _FRONTEND + _TREE
