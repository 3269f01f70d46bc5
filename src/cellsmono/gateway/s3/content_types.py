"""The media type of a file that nobody declared one for, guessed from its name."""

import mimetypes
from typing import Final

DEFAULT_TYPE: Final = "binary/octet-stream"
"""What S3 says of an object that was put without a Content-Type."""

# The library's own table, without the machine's: the same file has the same type everywhere.
_TYPES: Final = mimetypes.MimeTypes()
_TYPES.encodings_map.clear()
_MORE: Final = {
    ".bz2": "application/x-bzip2",
    ".gz": "application/gzip",
    ".heic": "image/heic",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".toml": "application/toml",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
for _extension, _type in _MORE.items():
    _TYPES.add_type(_type, _extension)

_cache: dict[str, str] = {}
_MAX_CACHED: Final = 4096


def guess_type(key: str) -> str:
    """The type that the key's extension suggests, ``binary/octet-stream`` when it suggests none."""
    dot = key.rfind(".")
    if dot <= key.rfind("/") + 1:
        return DEFAULT_TYPE
    extension = key[dot:].lower()
    found = _cache.get(extension)
    if found is None:
        if len(_cache) >= _MAX_CACHED:
            _cache.clear()
        found = _cache[extension] = _TYPES.guess_type("a" + extension, strict=True)[0] or DEFAULT_TYPE
    return found
