"""Documents: golden ones out, hostile ones in, and the errors."""

import errno
import xml.etree.ElementTree as ET

import pytest

from cellsmono.gateway.s3 import xml_listings, xml_read, xml_versions, xml_write
from cellsmono.gateway.s3.errors import ERRORS, S3Error, from_domain, render
from cellsmono.gateway.s3.escaping import encode_url, escape_text
from cellsmono.gateway.s3.xml_write import Owner
from cellsmono.interfaces.node import Checksum, Facts, Node, NodeMeta, PartInfo
from cellsmono.interfaces.objects import Part, Upload
from cellsmono.interfaces.version import Version, VersionPage
from cellsmono.kernel import errors as domain

OWNER = Owner("abc", "owner")
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
AT = 1_369_353_600_000_000_000


def node(path: str, checksum: Checksum | None = None) -> Node:
    return Node(path, "u", Facts(7, AT), etag=ETAG, meta=NodeMeta(checksum=checksum))


ENTRIES = [node("a&b.txt"), "dir/", node("z", Checksum("CRC32", "AAAAAA==", "COMPOSITE"))]
CONTENTS = (
    "<Contents><Key>{key}</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified>"
    f"<ETag>&quot;{ETAG}&quot;</ETag>{{checksum}}<Size>7</Size>{{owner}}<StorageClass>STANDARD</StorageClass></Contents>"
)
CRC = "<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>COMPOSITE</ChecksumType>"


def test_list_v2_golden():
    page = xml_listings.ListingPage(
        "bucket", ENTRIES, prefix="<p", delimiter="/", max_keys=3, is_truncated=True, next="tok", owner=OWNER
    )
    owner = "<Owner><ID>abc</ID><DisplayName>owner</DisplayName></Owner>"
    expected = (
        f"{HEAD}<ListBucketResult{NS}><Name>bucket</Name><Prefix>&lt;p</Prefix>"
        "<ContinuationToken>t0</ContinuationToken><NextContinuationToken>tok</NextContinuationToken>"
        "<StartAfter>s</StartAfter><KeyCount>3</KeyCount><MaxKeys>3</MaxKeys><Delimiter>/</Delimiter>"
        "<IsTruncated>true</IsTruncated>"
        + CONTENTS.format(key="a&amp;b.txt", checksum="", owner=owner)
        + CONTENTS.format(key="z", checksum=CRC, owner=owner)
        + "<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes></ListBucketResult>"
    )
    assert xml_listings.write_list_v2(page, start_after="s", token="t0").decode() == expected


def test_list_v1_golden():
    page = xml_listings.ListingPage("bucket", ENTRIES[:1], delimiter="&", is_truncated=True, next="a&b.txt")
    expected = (
        f"{HEAD}<ListBucketResult{NS}><Name>bucket</Name><Prefix></Prefix><Marker>m</Marker>"
        "<NextMarker>a&amp;b.txt</NextMarker><MaxKeys>1000</MaxKeys><Delimiter>&amp;</Delimiter>"
        "<IsTruncated>true</IsTruncated>"
        + CONTENTS.format(key="a&amp;b.txt", checksum="", owner="")
        + "</ListBucketResult>"
    )
    assert xml_listings.write_list_v1(page, "m").decode() == expected
    without = xml_listings.ListingPage("bucket", ENTRIES[:1], is_truncated=True, next="a&b.txt")
    assert b"NextMarker" not in xml_listings.write_list_v1(without, "")


def test_versions_golden():
    shown = node("a&b.txt")
    marker = Version("a&b.txt", "5" * 32, None, shown.mtime_ns, 2, is_latest=True)
    version = Version("a&b.txt", "", shown, shown.mtime_ns, 1)
    page = xml_versions.VersionsPage(
        "bucket", VersionPage((marker, version, "dir/"), "dir/"), OWNER, key_marker="k", version_marker="v"
    )
    owner = "<Owner><ID>abc</ID><DisplayName>owner</DisplayName></Owner>"
    expected = (
        f"{HEAD}<ListVersionsResult{NS}><Name>bucket</Name><Prefix></Prefix><KeyMarker>k</KeyMarker>"
        "<VersionIdMarker>v</VersionIdMarker><NextKeyMarker>dir/</NextKeyMarker>"
        "<MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>"
        f"<DeleteMarker><Key>a&amp;b.txt</Key><VersionId>{'5' * 32}</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>2013-05-24T00:00:00.000Z</LastModified>{owner}</DeleteMarker>"
        "<Version><Key>a&amp;b.txt</Key><VersionId>null</VersionId><IsLatest>false</IsLatest>"
        f"<LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag><Size>7</Size>"
        f"{owner}<StorageClass>STANDARD</StorageClass></Version>"
        "<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes></ListVersionsResult>"
    )
    assert xml_versions.write_list_versions(page).decode() == expected


def test_url_encoding_in_listings():
    key = "a b+c/é\x01&~"
    page = xml_listings.ListingPage(
        "b", [node(key), "p q/"], prefix="a b", delimiter="/", url_encoded=True, is_truncated=True, next=key
    )
    text = xml_listings.write_list_v1(page, "m k").decode()
    encoded = "a%20b%2Bc/%C3%A9%01%26~"
    assert f"<Key>{encoded}</Key>" in text
    assert f"<NextMarker>{encoded}</NextMarker>" in text
    assert "<Marker>m%20k</Marker>" in text
    assert "<Prefix>a%20b</Prefix>" in text
    assert "<CommonPrefixes><Prefix>p%20q/</Prefix></CommonPrefixes>" in text
    assert "<Delimiter>/</Delimiter><EncodingType>url</EncodingType>" in text
    ET.fromstring(text)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain é 😀", "plain é 😀"),
        ("<&>\"'", "&lt;&amp;&gt;&quot;'"),
        ("\x00\x01\x1f\x7f", "&#x0;&#x1;&#x1f;&#x7f;"),
        ("a\rb\nc\td", "a&#xd;b\nc\td"),
        ("\ufffe\uffff\ud800", "&#xfffe;&#xffff;\ufffd"),
    ],
)
def test_escaping(text, escaped):
    assert escape_text(text) == escaped
    assert encode_url("/~-_.!*") == "/~-_.%21%2A"


def test_uploads_golden():
    page = xml_listings.UploadsPage(
        "b", [Upload("b", "k", "id", AT), "p/"], OWNER, prefix="x", delimiter="/", key_marker="a",
        upload_id_marker="i", next_key="k", next_upload_id="id", max_uploads=2, is_truncated=True
    )  # fmt: skip
    people = (
        "<Initiator><ID>abc</ID><DisplayName>owner</DisplayName></Initiator>"
        "<Owner><ID>abc</ID><DisplayName>owner</DisplayName></Owner>"
    )
    expected = (
        f"{HEAD}<ListMultipartUploadsResult{NS}><Bucket>b</Bucket><KeyMarker>a</KeyMarker>"
        "<UploadIdMarker>i</UploadIdMarker><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>id</NextUploadIdMarker>"
        "<Delimiter>/</Delimiter><Prefix>x</Prefix><MaxUploads>2</MaxUploads><IsTruncated>true</IsTruncated>"
        f"<Upload><Key>k</Key><UploadId>id</UploadId>{people}<StorageClass>STANDARD</StorageClass>"
        f"<Initiated>2013-05-24T00:00:00.000Z</Initiated>{CRC}</Upload>"
        "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListMultipartUploadsResult>"
    )
    assert xml_listings.write_list_uploads(page, {"id": ("CRC32", "COMPOSITE")}).decode() == expected


def test_parts_golden():
    part = Part(2, 5, ETAG, AT, Checksum("SHA1", "AAAA"))
    page = xml_listings.PartsPage("b", "k&", "id", [part], OWNER, marker=1, next=2, max_parts=1, is_truncated=True,
                                  checksum_algorithm="SHA1", checksum_type="COMPOSITE")  # fmt: skip
    text = xml_listings.write_list_parts(page).decode()
    assert text.startswith(f"{HEAD}<ListPartsResult{NS}><Bucket>b</Bucket><Key>k&amp;</Key><UploadId>id</UploadId>")
    assert text.endswith(
        "<PartNumberMarker>1</PartNumberMarker><NextPartNumberMarker>2</NextPartNumberMarker><MaxParts>1</MaxParts>"
        "<IsTruncated>true</IsTruncated><ChecksumAlgorithm>SHA1</ChecksumAlgorithm>"
        "<ChecksumType>COMPOSITE</ChecksumType><Part><PartNumber>2</PartNumber>"
        f"<LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag><Size>5</Size>"
        "<ChecksumSHA1>AAAA</ChecksumSHA1></Part></ListPartsResult>"
    )


GOLDEN = {
    "buckets": (
        xml_listings.write_list_buckets([("b", AT)], OWNER, region="r", prefix="p", token="t"),
        f"<ListAllMyBucketsResult{NS}><Owner><ID>abc</ID><DisplayName>owner</DisplayName></Owner><Buckets><Bucket>"
        "<Name>b</Name><CreationDate>2013-05-24T00:00:00.000Z</CreationDate><BucketRegion>r</BucketRegion></Bucket>"
        "</Buckets><Prefix>p</Prefix><ContinuationToken>t</ContinuationToken></ListAllMyBucketsResult>",
    ),
    "initiate": (
        xml_write.write_initiate("b", "k", "u"),
        f"<InitiateMultipartUploadResult{NS}><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>"
        "</InitiateMultipartUploadResult>",
    ),
    "complete": (
        xml_write.write_complete("http://l", "b", "k", "e-2", Checksum("CRC32", "AAAAAA==-2", "COMPOSITE")),
        f"<CompleteMultipartUploadResult{NS}><Location>http://l</Location><Bucket>b</Bucket><Key>k</Key>"
        "<ETag>&quot;e-2&quot;</ETag><ChecksumCRC32>AAAAAA==-2</ChecksumCRC32><ChecksumType>COMPOSITE</ChecksumType>"
        "</CompleteMultipartUploadResult>",
    ),
    "copy": (
        xml_write.write_copy(ETAG, AT),
        f"<CopyObjectResult{NS}><LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
        "</CopyObjectResult>",
    ),
    "copy_part": (
        xml_write.write_copy(ETAG, AT, Checksum("CRC32", "AAAAAA=="), "CopyPartResult"),
        f"<CopyPartResult{NS}><LastModified>2013-05-24T00:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag>"
        "<ChecksumCRC32>AAAAAA==</ChecksumCRC32></CopyPartResult>",
    ),
    "delete": (
        xml_write.write_delete_result(
            [xml_write.DeleteOutcome("a"), xml_write.DeleteOutcome("b", S3Error("AccessDenied"), "null")], quiet=False
        ),
        f"<DeleteResult{NS}><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><VersionId>null</VersionId>"
        "<Code>AccessDenied</Code><Message>Access Denied</Message></Error></DeleteResult>",
    ),
    "delete_quiet": (
        xml_write.write_delete_result([xml_write.DeleteOutcome("a")], quiet=True),
        f"<DeleteResult{NS}></DeleteResult>",
    ),
    "attributes": (
        xml_write.write_attributes(
            xml_write.AttributesPage(
                etag=ETAG,
                checksum=Checksum("SHA1", "AA-1", "COMPOSITE"),
                size=9,
                storage_class="STANDARD",
                parts_total=1,
                parts=[PartInfo(1, 9, Checksum("SHA1", "AA"))],
                next=1,
            )
        ),
        f"<GetObjectAttributesResponse{NS}><ETag>{ETAG}</ETag><Checksum><ChecksumSHA1>AA-1</ChecksumSHA1>"
        "<ChecksumType>COMPOSITE</ChecksumType></Checksum><ObjectParts><PartsCount>1</PartsCount>"
        "<PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker><MaxParts>1000</MaxParts>"
        "<IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><Size>9</Size>"
        "<ChecksumSHA1>AA</ChecksumSHA1></Part></ObjectParts><StorageClass>STANDARD</StorageClass>"
        "<ObjectSize>9</ObjectSize></GetObjectAttributesResponse>",
    ),
    "attributes_size": (
        xml_write.write_attributes(xml_write.AttributesPage(size=0)),
        f"<GetObjectAttributesResponse{NS}><ObjectSize>0</ObjectSize></GetObjectAttributesResponse>",
    ),
    "post": (
        xml_write.write_post_response("http://h/b/k", "b", "k", ETAG),
        f"<PostResponse><Location>http://h/b/k</Location><Bucket>b</Bucket><Key>k</Key>"
        f"<ETag>&quot;{ETAG}&quot;</ETag></PostResponse>",
    ),
    "location": (xml_write.write_location("eu"), f"<LocationConstraint{NS}>eu</LocationConstraint>"),
    "location_default": (xml_write.write_location("us-east-1"), f"<LocationConstraint{NS}></LocationConstraint>"),
    "versioning": (xml_write.write_versioning(), f"<VersioningConfiguration{NS}></VersioningConfiguration>"),
    "tagging": (
        xml_write.write_tagging({"k<": "v"}),
        f"<Tagging{NS}><TagSet><Tag><Key>k&lt;</Key><Value>v</Value></Tag></TagSet></Tagging>",
    ),
    "acl": (
        xml_write.write_acl(OWNER),
        f"<AccessControlPolicy{NS}><Owner><ID>abc</ID><DisplayName>owner</DisplayName></Owner><AccessControlList><Grant>"
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><ID>abc</ID>'
        "<DisplayName>owner</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>"
        "</AccessControlPolicy>",
    ),
    "payment": (
        xml_write.write_request_payment(),
        f"<RequestPaymentConfiguration{NS}><Payer>BucketOwner</Payer></RequestPaymentConfiguration>",
    ),
    "logging": (xml_write.write_empty("BucketLoggingStatus"), f"<BucketLoggingStatus{NS}></BucketLoggingStatus>"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name):
    written, expected = GOLDEN[name]
    assert written.decode() == HEAD + expected
    ET.fromstring(written)


class TestReading:
    def test_delete(self):
        body = (
            b'<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">\n'
            b"<Quiet>true</Quiet> <Object><Key>a&amp;b &lt;&#233;</Key><VersionId>null</VersionId></Object>"
            b'<Object><Key> s </Key><ETag>"x"</ETag><Size>3</Size></Object></Delete>'
        )
        request = xml_read.read_delete(body)
        assert request.quiet
        assert [(entry.key, entry.version_id, entry.etag, entry.size) for entry in request.entries] == [
            ("a&b <é", "null", "", ""),
            (" s ", "", "x", "3"),
        ]
        assert xml_read.read_delete("<Delete><Object><Key>😀</Key></Object></Delete>".encode()).entries[0].key == "😀"
        utf16 = '<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>é</Key></Object></Delete>'
        assert xml_read.read_delete(utf16.encode("utf-16")).entries[0].key == "é"

    def test_delete_limit(self):
        rows = b"<Object><Key>k</Key></Object>"
        assert len(xml_read.read_delete(b"<Delete>" + rows * 1000 + b"</Delete>").entries) == 1000
        with pytest.raises(S3Error, match="MalformedXML"):
            xml_read.read_delete(b"<Delete>" + rows * 1001 + b"</Delete>")

    def test_complete(self):
        body = (
            b"<CompleteMultipartUpload><Part><ETag>&quot;abc&quot;</ETag><PartNumber>1</PartNumber></Part><Part>"
            b"<PartNumber>2</PartNumber><ETag>def</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part>"
            b"</CompleteMultipartUpload>"
        )
        parts = xml_read.read_complete(body)
        assert [(part.number, part.etag, part.checksums) for part in parts] == [
            (1, "abc", {}),
            (2, "def", {"CRC32": "AAAAAA=="}),
        ]
        rows = b"<Part><ETag>e</ETag><PartNumber>1</PartNumber></Part>" * 10_000
        assert (
            len(xml_read.read_complete(b"<CompleteMultipartUpload>" + rows + b"</CompleteMultipartUpload>")) == 10_000
        )

    def test_others(self):
        assert xml_read.read_location(b"") == ""
        location = b"<CreateBucketConfiguration><LocationConstraint>eu</LocationConstraint></CreateBucketConfiguration>"
        assert xml_read.read_location(location) == "eu"
        assert xml_read.read_location(b"<CreateBucketConfiguration/>") == ""
        tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value></Value></Tag></TagSet></Tagging>"
        assert xml_read.read_tagging(tags) == {"k": ""}
        assert xml_read.read_tagging(b"<Tagging><TagSet/></Tagging>") == {}
        status = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
        assert xml_read.read_versioning(status) == "Suspended"

    @pytest.mark.parametrize(
        ("pairs", "code"),
        [
            ([("k", "v"), ("k", "w")], "InvalidTag"),
            ([("", "v")], "InvalidTag"),
            ([("k" * 129, "v")], "InvalidTag"),
            ([("k", "v" * 257)], "InvalidTag"),
            ([("aws:k", "v")], "InvalidTag"),
            ([(str(i), "v") for i in range(11)], "BadRequest"),
        ],
    )
    def test_bad_tags(self, pairs, code):
        with pytest.raises(S3Error, match=code):
            xml_read.check_tags(pairs)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"  ",
            b"no xml",
            b"<Delete>",
            b"<Delete></Delete>",
            b"<Other><Object><Key>k</Key></Object></Other>",
            b"<Delete><Object></Object></Delete>",
            b"<Delete><Object><Key></Key></Object></Delete>",
            b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
            b"<Delete><Object><Key><b/></Key></Object></Delete>",
            b"<Delete><Objekt><Key>a</Key></Objekt></Delete>",
            b"<Delete><Object><Key>a</Key></Object><Quiet>maybe</Quiet></Delete>",
            b"<Delete><Object><Key>a</Key></Object></Delete><Delete/>",
            b"<Delete><Object><Key>&nbsp;</Key></Object></Delete>",
            b"<Delete><Object><Key>\xff</Key></Object></Delete>",
            b"<Delete><Object><Key>a\x01</Key></Object></Delete>",
            b'<?xml version="1.0" encoding="nonsense"?><Delete><Object><Key>a</Key></Object></Delete>',
            b"<!DOCTYPE Delete><Delete><Object><Key>a</Key></Object></Delete>",
            b'<!DOCTYPE d [<!ENTITY e "x">]><Delete><Object><Key>&e;</Key></Object></Delete>',
            b'<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
            b'<!DOCTYPE d SYSTEM "http://127.0.0.1/x.dtd"><Delete><Object><Key>a</Key></Object></Delete>',
            b"<Delete>" + b"<a>" * 100 + b"</a>" * 100 + b"</Delete>",
        ],
    )
    def test_malformed(self, body):
        with pytest.raises(S3Error) as caught:
            xml_read.read_delete(body)
        assert (caught.value.code, caught.value.status) == ("MalformedXML", 400)

    @pytest.mark.timeout(30)
    def test_p3_bombs(self, monkeypatch):
        """Billion laughs, a million levels, a million elements, endless attributes: refused after bounded work."""
        built = []

        class Counted(ET.Element):
            def __init__(self, tag):
                super().__init__(tag)
                built.append(tag)

        monkeypatch.setattr(xml_read, "Element", Counted)
        entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
        laughs = f'<!DOCTYPE d [<!ENTITY l0 "ha">{entities}]><Delete><Object><Key>&l9;</Key></Object></Delete>'
        bombs = [
            (laughs.encode(), 0),
            (b"<Delete>" + b"<a>" * 1_000_000, xml_read.MAX_DEPTH),
            (b"<Delete>" + b"<a/>" * 1_000_000 + b"</Delete>", xml_read.MAX_ELEMENTS),
            (b"<Delete " + b"".join(b'a%d="" ' % i for i in range(100_000)) + b"/>", 1),
        ]
        for bomb, most in bombs:
            built.clear()
            with pytest.raises(S3Error, match="MalformedXML"):
                xml_read.read_delete(bomb)
            assert len(built) <= most


class TestErrors:
    def test_rendering(self):
        error = S3Error("NoSuchKey", resource="/b/<k>", fields={"Key": "a&b"})
        assert render(error, "req", "host").decode() == (
            HEAD + "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>"
            "<Key>a&amp;b</Key><Resource>/b/&lt;k&gt;</Resource><RequestId>req</RequestId><HostId>host</HostId></Error>"
        )
        assert (error.status, str(error)) == (404, "NoSuchKey: The specified key does not exist.")

    def test_table(self):
        assert all(300 <= status < 600 and message for status, message in ERRORS.values())
        with pytest.raises(KeyError):
            S3Error("NoSuchCode")

    @pytest.mark.parametrize(
        ("error", "code", "status"),
        [
            (domain.NotFound("x"), "NoSuchKey", 404),
            (domain.NotFound("x", reason="root"), "NoSuchBucket", 404),
            (domain.NotFound("x", reason="upload"), "NoSuchUpload", 404),
            (domain.AlreadyExists("x"), "BucketAlreadyOwnedByYou", 409),
            (domain.AlreadyExists("x", reason="reserved"), "BucketAlreadyExists", 409),
            (domain.Conflict("x", reason="not_empty"), "BucketNotEmpty", 409),
            (domain.Conflict("x", reason="is_folder"), "KeyConflict", 409),
            (domain.Conflict("x", reason="parent_is_object"), "KeyConflict", 409),
            (domain.Conflict("x"), "OperationAborted", 409),
            (domain.PreconditionFailed("x", reason="if_match"), "PreconditionFailed", 412),
            (domain.Forbidden("x", reason="reserved"), "AccessDenied", 403),
            (domain.Invalid("x", reason="bad_digest"), "BadDigest", 400),
            (domain.Invalid("x", reason="checksum"), "BadDigest", 400),
            (domain.Invalid("x", reason="payload_sha256"), "XAmzContentSHA256Mismatch", 400),
            (domain.Invalid("x", reason="chunk_signature"), "SignatureDoesNotMatch", 403),
            (domain.Invalid("x", reason="name"), "InvalidBucketName", 400),
            (domain.Invalid("x", reason="key"), "InvalidArgument", 400),
            (domain.Invalid("x"), "InvalidRequest", 400),
            (domain.TooLarge("x"), "EntityTooLarge", 400),
            (domain.TooLarge("x", reason="key_length"), "KeyTooLongError", 400),
            (domain.TooLarge("x", reason="meta"), "MetadataTooLarge", 400),
            (domain.QuotaExceeded("x", reason="disk_full"), "InsufficientStorage", 507),
            (domain.QuotaExceeded("x"), "QuotaExceeded", 403),
            (domain.Locked("x"), "OperationAborted", 409),
            (domain.Locked("x", reason="content_lock"), "ObjectLocked", 423),
            (domain.Unavailable("x"), "ServiceUnavailable", 503),
            (domain.Unavailable("x", reason="busy"), "SlowDown", 503),
            (domain.Corrupt("x"), "InternalError", 500),
            (OSError(errno.ENOSPC, "No space left on device", "/secret/path"), "InsufficientStorage", 507),
            (TimeoutError(), "RequestTimeout", 400),
            (S3Error("NoSuchTagSet"), "NoSuchTagSet", 404),
        ],
    )
    def test_from_domain(self, error, code, status):
        found = from_domain(error)
        assert (found.code, found.status) == (code, status)

    def test_nothing_unknown_leaks(self):
        for error in (ValueError("/home/secret"), OSError(5, "io", "/home/secret"), domain.Corrupt("/home/secret")):
            found = from_domain(error)
            assert (found.code, found.status) == ("InternalError", 500)
            assert b"secret" not in render(found, "r", "h")
