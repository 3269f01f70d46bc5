"""Which file systems tell about changes that another machine made: none of the network ones."""

import ctypes
import ctypes.util

SILENT = {
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x517B: "smb",
    0x01021997: "9p",
    0x65735546: "fuse",
    0x00C36400: "ceph",
    0x5346414F: "afs",
    0x0BD00BD0: "lustre",
    0x01161970: "gfs2",
    0x7461636F: "ocfs2",
}
"""``f_type`` of statfs(2), see its manual page. FUSE is among them: most of what is mounted by it is remote."""


def explain_no_events(folder: str) -> str:
    """Why the file system of this folder can not be watched, empty when it can."""
    kind = SILENT.get(read_type(folder), "")
    if not kind:
        return ""
    return f"{folder} is on a file system ({kind}) that does not tell about changes; they are found by polling."


def read_type(folder: str) -> int:
    """``f_type`` of the file system, 0 when it can not be told."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(256)
    if libc.statfs(folder.encode("utf-8", "surrogateescape"), buffer) != 0:
        return 0
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF
