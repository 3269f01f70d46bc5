"""A bucket of the object service: which bucket of the server, below which prefix, and how objects are stored in it."""

from typing import Any

import msgspec

from cellsmono.datasource.objects.names import MARKER, MAX_KEY_BYTES, WORK_FOLDER
from cellsmono.interfaces.node import Facts
from cellsmono.kernel.errors import Forbidden, TooLarge

FOLDER_FACTS = Facts(0, 0)
"""What S3 tells about a folder: nothing."""

RESERVED_ROOT = WORK_FOLDER + "/"


class Place(msgspec.Struct, frozen=True):
    """Where a datasource's bytes lie. ``prefix`` is empty or ends with ``/``.

    ``has_folders``: keys are paths in a tree of folders. Where they are names alone, as those of blobs, no folder is
    made or asked for on the way to an object. ``marked``: folders have markers that hold their UUIDs.
    """

    name: str
    bucket: str
    prefix: str = ""
    storage_class: str = ""
    tags: str = ""
    read_only: bool = False
    marked: bool = True
    has_folders: bool = True

    def at(self, key: str) -> dict[str, str]:
        """Bucket and key on the server, as the client's calls take them."""
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def options(self) -> dict[str, Any]:
        """What every object is stored with."""
        options: dict[str, Any] = {}
        if self.storage_class:
            options["StorageClass"] = self.storage_class
        if self.tags:
            options["Tagging"] = self.tags
        return options

    def marker(self, folder: str) -> str:
        """The key of a folder's marker."""
        return folder + MARKER

    def check_writable(self) -> None:
        """Raise Forbidden (reason ``read_only``) where nothing may be changed."""
        if self.read_only:
            raise Forbidden(f"The datasource '{self.name}' is read-only by its configuration.", reason="read_only")

    def is_too_long(self, key: str) -> bool:
        """Whether a key is too long for S3, together with the prefix."""
        return len((self.prefix + key).encode("utf-8", "replace")) > MAX_KEY_BYTES

    def check_length(self, key: str) -> None:
        """Raise TooLarge when the prefix makes a key too long for S3."""
        if self.prefix and self.is_too_long(key):
            raise TooLarge(
                f"The key is longer than {MAX_KEY_BYTES} bytes together with the prefix of the bucket.",
                reason="key_length",
                path=key[:80],
            )
