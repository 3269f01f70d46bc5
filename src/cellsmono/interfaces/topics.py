"""The topics of the bus."""

from cellsmono.interfaces.events import NodeEvent
from cellsmono.kernel.bus import Topic

INDEX_CHANGES: Topic[NodeEvent] = Topic("index.nodes.changes")
"""Every change of a datasource's tree, after its commit, with paths of the datasource."""
