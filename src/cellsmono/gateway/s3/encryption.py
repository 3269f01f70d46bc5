"""Server-side encryption: what requests ask for, what answers say, and the default of a bucket.

Source: "Using server-side encryption with Amazon S3 managed keys" and "PutBucketEncryption" in AWS's documentation.
"""

from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_read, xml_write
from cellsmono.gateway.s3.buckets import require_owner
from cellsmono.gateway.s3.client_keys import ClientKey, SecretDigest, is_client_sealed, mark_meta, read_client_key
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.sealing import SealWish

SSE: Final = "x-amz-server-side-encryption"
AES256: Final = "AES256"
_READ: Final = "s3:GetEncryptionConfiguration"
_WRITE: Final = "s3:PutEncryptionConfiguration"
_KMS: Final = frozenset({"aws:kms", "aws:kms:dsse"})
_OF_KMS: Final = (f"{SSE}-aws-kms-key-id", f"{SSE}-context")
_NO_KMS: Final = (
    "Keys of a key management service (aws:kms) are not implemented: this server encrypts with keys of its own, AES256."
)
SEALED: Final = ((SSE, AES256),)
"""What answers say of encrypted content."""


class Wish(msgspec.Struct, frozen=True):
    """What a request that stores content says about its encryption. ``seal`` None: as the bucket is set."""

    seal: SealWish | None = None
    client_key: ClientKey | None = None

    def mark(self, meta: NodeMeta) -> NodeMeta:
        """The metadata of what is stored so."""
        return mark_meta(meta, self.client_key)

    def hide(self, digest: BodyDigest) -> "BodyDigest | SecretDigest":
        """The digest of what is stored so."""
        return digest if self.client_key is None else SecretDigest(digest)

    def headers(self, node: Node) -> list[tuple[str, str]]:
        """What the answer about the new object says."""
        return sealed_headers(node) if self.client_key is None else self.client_key.headers()


async def read_wish(
    s3: S3Context, request: S3Request, *, headers: MultiMapping[str] | None = None, actor: Actor | None = None
) -> Wish:
    """What a request that stores content says about its encryption; a form says so instead of its headers.

    Raises S3Error NotImplemented for keys that this server does not have, and for a bucket that can not encrypt;
    InvalidEncryptionAlgorithmError, InvalidArgument, and what ``read_client_key`` raises.
    """
    headers = request.headers if headers is None else headers
    algorithm = headers.get(SSE)
    for name in _OF_KMS:
        if name in headers and algorithm not in _KMS:
            raise invalid_argument(
                f"Server Side Encryption with AWS KMS managed key requires HTTP header {SSE} : aws:kms", name, ""
            )
    client_key = read_client_key(s3, request.exchange, headers)
    if algorithm is None and client_key is None:
        return Wish()
    if algorithm is not None and client_key is not None:
        raise invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
            SSE,
            algorithm,
        )
    if algorithm in _KMS:
        raise S3Error("NotImplemented", _NO_KMS, fields={"Header": SSE})
    if algorithm not in {None, AES256}:
        raise S3Error(
            "InvalidEncryptionAlgorithmError",
            "The Encryption request you specified is not valid. Supported value: AES256.",
            fields={"ArgumentName": SSE, "ArgumentValue": str(algorithm)},
        )
    await s3.router.check_sealing(actor or request.actor, request.bucket)
    return Wish(SealWish() if client_key is None else SealWish(client_key.secret), client_key)


def sealed_headers(node: Node) -> list[tuple[str, str]]:
    """What an answer about a node says of its encryption."""
    return list(SEALED) if node.is_sealed and not is_client_sealed(node) else []


def refuse_wish(request: S3Request) -> None:
    """Raise S3Error InvalidRequest if a request that reads says how to encrypt: what is there decides that."""
    if SSE in request.headers:
        raise S3Error("InvalidRequest", f"The header {SSE} is for requests that store content.")


async def get_encryption(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketEncryption: the bucket's own default, else that of its datasource."""
    settings = await s3.router.read_settings(request.actor, request.bucket, _READ)
    if not (settings.encryption or s3.router.is_sealing(request.bucket)):
        raise S3Error("ServerSideEncryptionConfigurationNotFoundError", fields={"BucketName": request.bucket})
    default = xml_write.element("SSEAlgorithm", AES256)
    rule = f"<ApplyServerSideEncryptionByDefault>{default}</ApplyServerSideEncryptionByDefault>"
    rule += xml_write.element("BucketKeyEnabled", False)
    return reply_xml(xml_write.document("ServerSideEncryptionConfiguration", f"<Rule>{rule}</Rule>"))


async def put_encryption(s3: S3Context, request: S3Request) -> Reply:
    """PutBucketEncryption: from now on everything that is stored is encrypted."""
    require_owner(request)
    _read_configuration(await read_document(s3, request))
    await s3.router.check_sealing(request.actor, request.bucket)
    await s3.router.change_settings(
        request.actor, request.bucket, _WRITE, lambda old: msgspec.structs.replace(old, encryption=AES256)
    )
    return reply_empty(200)


async def delete_encryption(s3: S3Context, request: S3Request) -> Reply:
    """DeleteBucketEncryption: back to what the datasource is set to; what is encrypted stays so."""
    await s3.router.change_settings(
        request.actor, request.bucket, _WRITE, lambda old: msgspec.structs.replace(old, encryption="")
    )
    return reply_empty(204)


def _read_configuration(body: bytes) -> None:
    """Accept a configuration that asks for AES256. Raises S3Error MalformedXML, NotImplemented, InvalidArgument."""
    root = xml_read.parse_xml(body, "ServerSideEncryptionConfiguration")
    rules = list(xml_read.only_children(root, "Rule"))
    if len(rules) != 1:
        raise S3Error("MalformedXML")
    known = ("ApplyServerSideEncryptionByDefault", "BucketKeyEnabled", "BlockedEncryptionTypes")
    children = {child.tag: child for child in xml_read.only_children(rules[0], *known)}
    if "BlockedEncryptionTypes" in children:
        raise S3Error("NotImplemented", "Blocking kinds of encryption is not implemented.")
    if "BucketKeyEnabled" in children:
        xml_read.read_bool(xml_read.child_text(rules[0], "BucketKeyEnabled"))  # it is about keys of KMS alone
    default = children.get("ApplyServerSideEncryptionByDefault")
    if default is None:
        raise S3Error("MalformedXML")
    algorithm = xml_read.child_text(default, "SSEAlgorithm").strip()
    if algorithm in _KMS:
        raise S3Error("NotImplemented", _NO_KMS)
    if algorithm != AES256:
        raise S3Error("MalformedXML")
    if xml_read.child_text(default, "KMSMasterKeyID", ""):
        raise invalid_argument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms", "KMSMasterKeyID", ""
        )
