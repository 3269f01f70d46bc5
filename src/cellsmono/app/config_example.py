"""The commented configuration file: every key with its default, made from the structs so that it never falls behind."""

import textwrap
from typing import Any

import msgspec

from cellsmono.app.config import SECTIONS
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.oidc import OidcClient

WIDTH = 110

HEAD = """\
# Configuration of cellsmono. Every key is here with its default; take away the "#" before one to change it.
#
# A flag wins over the environment, the environment over this file, this file over the default. The variable of a key
# is CELLSMONO_SECTION__KEY, for example CELLSMONO_S3__LISTEN (lists are comma separated); with _FILE at its end it
# names a file that holds the value. CELLSMONO_CONFIG names this file, CELLSMONO_DATA_DIR the data folder.
# Relative folders are relative to this file.
"""

SECTION_TEXTS = {
    "server": "The process.",
    "s3": "The S3 endpoint.",
    "recycle": "The recycle bins of workspaces.",
    "limits": "What one client may ask for, on each listener.",
    "log": "The log goes to stderr.",
    "owner": "The owner's key pair. When it is not preset here, one is made at the first start and shown once.",
}

TEXTS = {
    "server.data_dir": "Databases, keys, lock and control socket. Empty: $XDG_DATA_HOME/cellsmono or "
    "~/.local/share/cellsmono.",
    "server.listen": 'Main listener: health, metrics, and S3 requests that are signed. HOST:PORT, or "off".',
    "server.external_url": "The address that browsers and programs reach the main listener by, as in "
    "https://files.example.org: needed behind a proxy with TLS. Empty: the one that each of them says it asked for.",
    "server.stop_timeout": "Seconds that requests get to finish when the server stops.",
    "server.event_loop": '"auto" takes uvloop if installed, "uvloop" insists on it, "asyncio" is Python\'s own.',
    "server.default_datasources": "Make the default datasources at the first start, in s3.bucket_root: pydiods1, "
    "personal and cellsdata, and the internal thumbnails and versions. Those that were removed are not made again.",
    "s3.listen": 'S3 listener: HOST:PORT, or "off".',
    "s3.region": "The region that clients sign for.",
    "s3.domains": "Host names below which each bucket is a host name of its own (virtual-host style).",
    "s3.sigv2": "Accept signatures of version 2, which old tools and some presigned links use.",
    "s3.bucket_root": 'Folder in which CreateBucket makes buckets. Empty: "buckets" in the data folder.',
    "s3.bucket_format": 'Format of the buckets that CreateBucket makes: "flat" takes every key that S3 takes, '
    '"structured" keeps plain files (see "format" of a datasource).',
    "s3.bucket_encryption": 'Encryption of the buckets that CreateBucket makes (see "encryption" of a datasource).',
    "s3.client_keys_over_http": "Take keys of clients (SSE-C) from other machines without TLS, too.",
    "s3.clock_skew_seconds": "How far the clocks of clients may be off, in seconds.",
    "s3.stale_upload_hours": "Multipart uploads that are older are aborted, in hours. 0: never.",
    "s3.max_object_size": "Largest object, in bytes.",
    "s3.lifecycle_day_seconds": "How long a day of lifecycle rules lasts, in seconds. Less is for trying them out.",
    "recycle.keep_days": "What was deleted goes for good after so many days. 0: never.",
    "recycle.max_bytes": "Bytes in one bin from which on the oldest go for good. 0: any number.",
    "limits.request_line": "Longest request line, in bytes.",
    "limits.header_line": "Longest header line, in bytes.",
    "limits.headers": "Number of headers.",
    "limits.header_seconds": "Seconds for complete headers.",
    "limits.idle_seconds": "Seconds that a connection may rest between requests.",
    "limits.body_rate": "Least rate of a request body, in bytes a second. 0: any.",
    "limits.rate_seconds": "How often the rate is looked at, in seconds.",
    "limits.stalled_seconds": "Seconds that a client may take nothing of what is sent to it.",
    "limits.linger_seconds": "Seconds that an unread body is read on after an early answer.",
    "limits.connections": "Connections open at once; one more is refused politely.",
    "limits.xml_bytes": "Largest XML body, in bytes.",
    "log.level": "debug, info, warning or error.",
    "log.format": 'console, json, or "auto": console on a terminal, JSON elsewhere.',
    "log.requests": "A line about every request. Requests that the server failed to answer are logged in any case.",
    "owner.access_key": "Access key (or CELLSMONO_OWNER_ACCESS_KEY).",
    "owner.secret_key": "Secret key (or CELLSMONO_OWNER_SECRET_KEY, or CELLSMONO_OWNER_SECRET_KEY_FILE).",
}

DATASOURCE_TEXT = """\
# A folder, or a bucket of another S3 server, that is served as a bucket; one such table for each. Buckets made through
# S3 or by `cellsmono ds add` are kept in the data folder instead.
"""

DATASOURCE_TEXTS = {
    "name": "Name of the bucket: 3 to 63 lower-case letters, digits, '-' and '.'. Needed.",
    "folder": "The folder. Needed, unless the storage is s3.",
    "format": 'How the tree is laid out: "structured" is plain files and folders; "flat" is blobs named by UUID, with '
    'names and folders in the index alone; "internal" is flat and tells nobody of changes.',
    "symlinks": '"ignore", or "inside": follow links that stay beneath the folder.',
    "durability": '"fsync": a write is acknowledged when it is on the disk. "relaxed": when the kernel has it; faster, '
    "and a power cut may lose the last seconds.",
    "markers": '"file": folder UUIDs are kept in hidden .pydio files. "none": in the index alone.',
    "watch": '"auto": inotify, polling where that is not possible. "poll", or "off".',
    "reconcile_seconds": "How often folders are compared by their times, in seconds. 0: never.",
    "full_reconcile_hours": "How often every file is compared, in hours. 0: never.",
    "max_delete_share": "A scan that would delete more than this share of the nodes ...",
    "max_delete_nodes": "... and more than this number of them waits for `ds resync --accept-deletes`.",
    "hash_content": "Compute missing content hashes (MD5, block hash) in the background, with long rests.",
    "anonymous": 'What unsigned requests may do: "" nothing, "read", or "write" (read and write).',
    "snapshot_hours": "How often a snapshot of the index is taken, in hours. 0: never. -1: as suits the format, "
    "never for structured (its folder tells all but UUIDs), 24 for the others (their index alone knows the tree).",
    "snapshot_keep_days": "How long such a snapshot is kept, in days. Those taken by hand stay.",
    "versions": "Keep content that is replaced or deleted, from the beginning; see `cellsmono versions`. Clients can "
    "change it later (PutBucketVersioning). A structured datasource needs the internal one called versions.",
    "version_periods": "How many noncurrent versions of a file are kept by their age, for example "
    "'1h=10, 1d=5, 30d=0': all of the first hour, 10 of the first day, 5 of the first 30 days, then none. Empty: all.",
    "version_max_size": "Bytes of noncurrent versions of one file that are kept, the newest first. 0: no limit.",
    "version_max_total": "Bytes of noncurrent versions that are kept in all; the oldest go first. 0: no limit.",
    "version_ignore_larger": "Noncurrent versions with more bytes are not kept. 0: no limit.",
    "version_deleted": 'What is kept of deleted files: "keep-all" (what the other keys say), "keep-last" (one version) '
    'or "keep-none".',
    "storage": '"local": a folder of this machine. "s3": a bucket of an S3-compatible server; the keys below are for '
    "it, and it has no folder.",
    "endpoint": "URL of the S3 server. Empty: AWS.",
    "region": "The region that requests are signed for.",
    "bucket": "The bucket on the server. Needed with storage s3. It must exist.",
    "prefix": "Base folder in the bucket: only keys below it are served.",
    "path_style": "Address the bucket in the path. false: as a host name below the endpoint's.",
    "access_key": "Access key. Without one, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of the environment are taken.",
    "secret_key": "Secret key ...",
    "secret_key_file": "... or a file that holds it.",
    "storage_class": "Storage class of every object, for example STANDARD_IA. Empty: the bucket's own.",
    "object_tags": "Tags of every object: key=value&key=value.",
    "read_only": "Never write, not even markers.",
    "encryption": '"aes256": new content is encrypted before it is stored; see `cellsmono encryption`. For formats '
    '"flat" and "internal". "none": content is stored as it is.',
    "signature": '"s3v4", or "s3" (version 2) for old servers.',
    "sign_payload": "Sign bodies also over TLS, which costs processor time.",
    "checksums": "Send a CRC32 with every body, so that the server notices damage. Old servers may need it off.",
    "verify_tls": "Check the server's certificate.",
    "ca_file": "File with the authorities to trust instead of the system's.",
    "request_seconds": "How long one operation on the server may take with all its repetitions, in seconds, before it "
    "is given up. Bodies get more time by their size, copies inside the server ten times as much.",
    "notify_token": "Lets that server tell of changes by POST /-/notify/NAME on the main listener: 16 characters or "
    "more, sent as a bearer token. For structured datasources ...",
    "notify_token_file": "... or a file that holds it.",
    "migrated_from": "Written by `cellsmono ds migrate`: format and place that the datasource was at before.",
    "created": "When the bucket was made, as listings show it: seconds since 1970, UTC.",
}

CLIENT_TEXT = """\
# A program that people sign in with (OpenID Connect), beside those of Cells; one such table for each.
"""

CLIENT_TEXTS = {
    "id": "Its client_id. One of Cells' own (cells-sync, ...) takes the place of that one. Needed.",
    "name": "What people are shown. Empty: the id.",
    "redirect_uris": "The addresses that people may be sent back to, compared as they are. {site} is the address of "
    "this server, [3636-3666] in the place of a port each of them. Needed.",
    "full_access": "Whether it may ask for the scope pydio: then it may do whatever the user may. Others are told who "
    "somebody is, and no more.",
    "secret": "Secret of a program that can keep one. Empty: it has none, and should use PKCE.",
}

CLIENT_SAMPLES = {"id": "wiki", "redirect_uris": ["https://wiki.example.org/callback"]}

SAMPLES = {"name": "photos", "folder": "/srv/photos"}


def render_example() -> str:
    """The text of ``config.example.toml``."""
    lines = HEAD.splitlines()
    for section, kind in SECTIONS.items():
        lines += ["", f"# {SECTION_TEXTS[section]}", f"[{section}]"]
        for field in msgspec.structs.fields(kind):
            lines += _render_key(TEXTS[f"{section}.{field.name}"], field.name, field.default)
    lines += ["", *DATASOURCE_TEXT.splitlines(), "#[[datasource]]"]
    for field in msgspec.structs.fields(DatasourceConfig):
        value = SAMPLES.get(field.name, field.default)
        lines += _render_key(DATASOURCE_TEXTS[field.name], field.name, value)
    lines += ["", *CLIENT_TEXT.splitlines(), "#[[oidc_client]]"]
    for field in msgspec.structs.fields(OidcClient):
        value = CLIENT_SAMPLES.get(field.name, field.default)
        lines += _render_key(CLIENT_TEXTS[field.name], field.name, value)
    return "\n".join(lines) + "\n"


def _render_key(text: str, name: str, value: Any) -> list[str]:
    comment = [f"# {line}" for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False)]
    return [*comment, f"#{name} = {_render_value(value)}"]


def _render_value(value: Any) -> str:
    """A value as TOML writes it; for these types that is how JSON does."""
    return msgspec.json.encode(value).decode()
