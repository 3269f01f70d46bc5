"""Multipart uploads: begin, complete, abort."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.checksums import COMPOSITE, combine_parts, find_by_header, multipart_etag, resolve_type
from cellsmono.gateway.s3.client_keys import ClientKey, read_client_key
from cellsmono.gateway.s3.conditions import parse_write_conditions
from cellsmono.gateway.s3.encryption import SEALED, read_wish, sealed_headers
from cellsmono.gateway.s3.errors import S3Error, from_domain, invalid_argument
from cellsmono.gateway.s3.expiration import abort_headers, expiration_headers
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.locking import with_lock
from cellsmono.gateway.s3.metadata import read_meta
from cellsmono.gateway.s3.mtimes import read_mtime
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.versioning import version_headers
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.node import Checksum, Node, NodeMeta, PartInfo
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.sealing import SealWish
from cellsmono.kernel.errors import NotFound

PAGE: Final = 1000


class UploadContext(msgspec.Struct, frozen=True, omit_defaults=True):
    """What CreateMultipartUpload said and the completed object needs; kept with the upload.

    ``algorithm`` and ``type`` are those of the additional checksum, empty when none was asked for. ``is_sealed``: the
    parts are encrypted. ``key_check`` knows the client's key again (SSE-C); empty: there is none.
    """

    meta: NodeMeta = NodeMeta()
    algorithm: str = ""
    type: str = ""
    is_sealed: bool = False
    key_check: bytes = b""


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(UploadContext)


def read_context(upload: Upload) -> UploadContext:
    """What was said when the upload was begun; nothing, for one that something else began."""
    try:
        return _decoder.decode(upload.context) if upload.context else UploadContext()
    except msgspec.DecodeError:
        return UploadContext()


async def find_upload(s3: S3Context, request: S3Request) -> Upload:
    """The upload that the query names. Raises S3Error NoSuchUpload also when it is of another key."""
    upload_id = request.query.get("uploadId")
    if not upload_id:
        raise S3Error("NoSuchUpload", fields={"UploadId": upload_id})
    upload = await s3.router.read_upload(request.actor, request.bucket, upload_id)
    if upload.key != request.key:
        raise S3Error("NoSuchUpload", fields={"UploadId": upload_id})
    return upload


async def create_upload(s3: S3Context, request: S3Request) -> Reply:
    """CreateMultipartUpload."""
    headers = request.headers
    if is_folder(request.key):
        raise invalid_argument("A key that ends in '/' is a folder here and can not have content.", "key", request.key)
    meta = with_lock(s3, request.bucket, request.key, read_meta(headers, request.key), headers)
    algorithm, kind = resolve_type(headers.get("x-amz-checksum-algorithm", ""), headers.get("x-amz-checksum-type", ""))
    await read_document(s3, request)
    await s3.router.check_meta(request.actor, request.bucket, request.key, meta)
    wish = await read_wish(s3, request)
    is_sealed = wish.seal is not None or s3.router.is_sealing(request.bucket)
    check = b"" if wish.client_key is None else wish.client_key.make_check()
    context = _encoder.encode(UploadContext(wish.mark(meta), algorithm, kind, is_sealed, check))
    options = WriteOptions(meta=meta, mtime_ns=read_mtime(meta.user), seal=wish.seal)
    upload = await s3.router.create_upload(request.actor, request.bucket, request.key, context, options)
    answer = [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", kind)] if algorithm else []
    if wish.client_key is not None:
        s3.upload_keys.keep(upload.upload_id, wish.client_key.secret)
        answer += wish.client_key.headers()
    else:
        answer += SEALED if is_sealed else ()
    answer += abort_headers(s3, request, upload)
    return reply_xml(xml_write.write_initiate(request.bucket, request.key, upload.upload_id), answer)


async def abort_upload(s3: S3Context, request: S3Request) -> Reply:
    """AbortMultipartUpload."""
    upload = await find_upload(s3, request)
    await s3.router.abort_upload(request.actor, request.bucket, upload.upload_id)
    s3.upload_keys.forget(upload.upload_id)
    return reply_empty(204)


async def complete_upload(s3: S3Context, request: S3Request) -> Reply:
    """CompleteMultipartUpload. Said twice (the first answer was lost), it is answered alike."""
    conditions = parse_write_conditions(request.headers)
    wanted = xml_read.read_complete(await read_document(s3, request, has_object_checksum=True))
    _check_order(wanted)
    async with s3.hold(request.query.get("uploadId")):
        try:
            upload = await find_upload(s3, request)
        except (NotFound, S3Error) as error:
            if from_domain(error).code != "NoSuchUpload":
                raise
            return _answer(s3, request, await _find_completed(s3, request, wanted, error))
        context = read_context(upload)
        client_key = find_upload_key(s3, request, upload, context)
        parts = _choose_parts(wanted, await read_parts(s3, request, upload.upload_id), context, s3)
        checksum = _combine(parts, context, request)
        infos = tuple(PartInfo(part.number, part.size, _own_checksum(part, context)) for part in parts)
        options = WriteOptions(
            meta=msgspec.structs.replace(context.meta, checksum=checksum, parts=infos),
            mtime_ns=read_mtime(context.meta.user),
            size=sum(part.size for part in parts),
            conditions=conditions,
            seal=None if client_key is None else SealWish(client_key.secret),
        )
        etag = multipart_etag(part.etag for part in parts)
        node = await s3.router.complete_upload(request.actor, request.bucket, upload.upload_id, parts, etag, options)
    s3.upload_keys.forget(upload.upload_id)
    return _answer(s3, request, node)


def find_upload_key(s3: S3Context, request: S3Request, upload: Upload, context: UploadContext) -> ClientKey | None:
    """The client's key of an upload that was begun with one: from the request, else as it was told before.

    Raises S3Error InvalidRequest for another key, or one too many, or when it is not known any more.
    """
    given = read_client_key(s3, request.exchange, request.headers)
    if not context.key_check:
        if given is not None:
            raise S3Error("InvalidRequest", "The multipart upload was not initiated with encryption parameters.")
        return None
    if given is not None and not given.fits(context.key_check):
        raise S3Error("InvalidRequest", "The encryption key is not the one that the multipart upload was begun with.")
    told = s3.upload_keys.find(upload.upload_id)
    if given is None and told is None:
        raise S3Error(
            "InvalidRequest",
            "The server does not keep the encryption key, and was started anew since it was told. Repeat the request "
            "with the encryption parameters.",
        )
    return given or ClientKey(told or b"")


async def read_parts(s3: S3Context, request: S3Request, upload_id: str) -> dict[int, Part]:
    """All parts of an upload by number."""
    found: dict[int, Part] = {}
    after = 0
    while page := await s3.router.list_parts(request.actor, request.bucket, upload_id, after, PAGE):
        found |= {part.number: part for part in page}
        after = page[-1].number
        if len(page) < PAGE:
            break
    return found


def _check_order(wanted: Sequence[xml_read.CompletePart]) -> None:
    numbers = [part.number for part in wanted]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise S3Error("InvalidPartOrder")


def _choose_parts(
    wanted: Sequence[xml_read.CompletePart], stored: dict[int, Part], context: UploadContext, s3: S3Context
) -> list[Part]:
    """The stored parts that the client lists. Raises S3Error InvalidPart, EntityTooSmall, InvalidRequest."""
    chosen = []
    for asked in wanted:
        part = stored.get(asked.number)
        if part is None or part.etag != asked.etag:
            raise _invalid_part(asked)
        _check_part_checksum(asked, part, context)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < s3.settings.min_part_bytes:
            raise S3Error(
                "EntityTooSmall",
                fields={
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(s3.settings.min_part_bytes),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    size = sum(part.size for part in chosen)
    if size > s3.settings.max_object_bytes:
        raise S3Error("EntityTooLarge", fields={"ProposedSize": str(size)})
    return chosen


def _invalid_part(asked: xml_read.CompletePart) -> S3Error:
    return S3Error("InvalidPart", fields={"PartNumber": str(asked.number), "ETag": asked.etag})


def _check_part_checksum(asked: xml_read.CompletePart, part: Part, context: UploadContext) -> None:
    for algorithm, value in asked.checksums.items():
        if part.checksum is None or part.checksum.algorithm != algorithm or part.checksum.value != value:
            raise _invalid_part(asked)
    if context.type == COMPOSITE and context.algorithm not in asked.checksums:
        name = context.algorithm.lower()
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using a {name} checksum. The complete request must include the checksum for each"
            f" part. It was missing for part {asked.number} in the request.",
        )


def _own_checksum(part: Part, context: UploadContext) -> Checksum | None:
    """The part's checksum as the object keeps it: only where the object has one of the same algorithm."""
    return part.checksum if context.algorithm else None


def _combine(parts: Sequence[Part], context: UploadContext, request: S3Request) -> Checksum | None:
    """The object's checksum, and the checks of what the client says about the whole object."""
    headers = request.headers
    size = headers.get("x-amz-mp-object-size")
    if size is not None and size != str(sum(part.size for part in parts)):
        raise S3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was uploaded.")
    kind = headers.get("x-amz-checksum-type", "").upper()
    if kind and kind != context.type:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {context.type or 'null'} checksum mode. The complete request must use"
            " the same checksum mode.",
        )
    checksum = None
    if context.algorithm:
        if any(part.checksum is None or part.checksum.algorithm != context.algorithm for part in parts):
            raise S3Error("InvalidPart", "A part lacks the checksum that the upload was begun with. Upload it again.")
        values = [(part.checksum.value, part.size) for part in parts if part.checksum is not None]
        checksum = combine_parts(context.algorithm, context.type, values)
    _check_announced(request, checksum)
    return checksum


def _check_announced(request: S3Request, checksum: Checksum | None) -> None:
    """``x-amz-checksum-*`` of CompleteMultipartUpload is about the object, not about the XML that carries it."""
    for name, value in request.headers.items():
        found = find_by_header(name)
        if found is None:
            continue
        if checksum is None or checksum.algorithm != found.name:
            raise S3Error(
                "InvalidRequest", "Checksum Type mismatch occurred: the upload has another algorithm or none."
            )
        if value.partition("-")[0] != checksum.value.partition("-")[0]:
            raise S3Error("BadDigest", f"The {found.name} you specified did not match the calculated checksum.")


async def _find_completed(
    s3: S3Context, request: S3Request, wanted: Iterable[xml_read.CompletePart], cause: Exception
) -> Node:
    """The object that these parts made earlier, for a client that did not hear the first answer."""
    try:
        etag = multipart_etag(part.etag for part in wanted)
        node = await s3.router.read_node(request.actor, request.bucket, request.key)
    except (NotFound, ValueError):
        raise cause from None
    if node.etag != etag:
        raise cause
    return node


def _answer(s3: S3Context, request: S3Request, node: Node) -> Reply:
    etag = node.etag or node.effective_etag
    document = xml_write.write_complete(request.location, request.bucket, request.key, etag, node.meta.checksum)
    headers = version_headers(s3, request.bucket, node.version)
    return reply_xml(document, headers + sealed_headers(node) + expiration_headers(s3, request, node))
