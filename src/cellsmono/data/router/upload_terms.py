"""What a policy is told of the object that an upload in parts makes: what was said when the upload began.

A part brings no headers about the object, and its client no rights that the upload did not begin with. So the terms lie
with the upload, in front of the gateway's own context, and are what policies see when it goes on.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from cellsmono.data.policy.keys import OF_NEW_OBJECTS
from cellsmono.interfaces.locks import ObjectLock
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.objects import Upload
from cellsmono.interfaces.router import Actor

_MARK: Final = b"terms:"
_END: Final = b"\n"
"""JSON of one line holds none."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was said of the object: values of conditions, tags and a lock."""

    values: Mapping[str, str] = {}
    tags: Mapping[str, str] = {}
    lock: ObjectLock | None = None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Terms)


def add_terms(actor: Actor, context: bytes, meta: NodeMeta | None) -> bytes:
    """The context to keep with an upload that begins; the gateway's own where nothing is known of the request."""
    values = actor.circumstances.values
    if not values:
        return context
    kept = {name: value for name, value in values.items() if name in OF_NEW_OBJECTS}
    terms = Terms(kept) if meta is None else Terms(kept, meta.tags, meta.lock)
    return context if terms == Terms() else _MARK + _encoder.encode(terms) + _END + context


def strip_terms(upload: Upload) -> Upload:
    """An upload as the gateway began it."""
    if not upload.context.startswith(_MARK):
        return upload
    return msgspec.structs.replace(upload, context=upload.context.partition(_END)[2])


def resume(actor: Actor, upload: Upload) -> Actor:
    """Somebody who goes on with an upload, with what was said when it began in place of what is said now."""
    terms = Terms()
    if upload.context.startswith(_MARK):
        terms = _decoder.decode(upload.context.partition(_END)[0].removeprefix(_MARK))
    now = {name: value for name, value in actor.circumstances.values.items() if name not in OF_NEW_OBJECTS}
    circumstances = msgspec.structs.replace(
        actor.circumstances, values={**now, **terms.values}, tags=terms.tags, lock=terms.lock
    )
    return msgspec.structs.replace(actor, circumstances=circumstances)
