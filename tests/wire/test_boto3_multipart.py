"""Uploads in parts through boto3. The endpoint of these tests takes parts from 1 KiB on."""

import base64
import hashlib
import zlib

import pytest

KIB = 1024


class Uploading:
    """One upload and its parts."""

    def __init__(self, s3, bucket, key, **options):
        self.s3 = s3
        self.where = {"Bucket": bucket, "Key": key}
        self.begun = s3.create_multipart_upload(**self.where, **options)
        self.where["UploadId"] = self.begun["UploadId"]
        self.parts = []

    def put(self, number, body, **more):
        answer = self.s3.upload_part(**self.where, PartNumber=number, Body=body, **more)
        kept = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
        self.parts.append({"PartNumber": number, **kept})
        return answer

    def complete(self, parts=None, **more):
        return self.s3.complete_multipart_upload(
            **self.where, MultipartUpload={"Parts": self.parts if parts is None else parts}, **more
        )


@pytest.fixture
def begin(s3, bucket):
    return lambda key="big", **options: Uploading(s3, bucket, key, **options)


def etag_of(*bodies):
    whole = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies))
    return f'"{whole.hexdigest()}-{len(bodies)}"'


A, B, C = b"a" * KIB, b"b" * 2 * KIB, b"c" * 7


def test_parts_become_one_object(s3, bucket, begin):
    upload = begin(ContentType="text/plain", Metadata={"k": "v", "mtime": "1500000000.5"}, Tagging="t=1")
    for number, body in ((1, A), (2, B), (10, C)):
        upload.put(number, body)
    done = upload.complete()
    assert done["ETag"] == etag_of(A, B, C)
    assert done["Bucket"] == bucket
    assert done["Location"].endswith(f"/{bucket}/big")
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == A + B + C
    assert (got["ContentType"], got["Metadata"]["k"], got["TagCount"]) == ("text/plain", "v", 1)
    assert int(got["LastModified"].timestamp()) == 1_500_000_000
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_single_parts_can_be_read_back(s3, refuse, bucket, begin):
    upload = begin()
    for number, body in ((1, A), (2, B), (3, C)):
        upload.put(number, body)
    upload.complete()
    got = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert got["Body"].read() == B
    assert got["PartsCount"] == 3
    assert got["ContentRange"] == f"bytes 1024-3071/{3 * KIB + 7}"
    assert s3.head_object(Bucket=bucket, Key="big", PartNumber=3)["ContentLength"] == 7
    assert refuse("get_object", Bucket=bucket, Key="big", PartNumber=4) == (416, "InvalidPartNumber")
    assert refuse("get_object", Bucket=bucket, Key="big", PartNumber=0) == (400, "InvalidArgument")
    assert refuse("get_object", Bucket=bucket, Key="big", PartNumber=1, Range="bytes=0-1") == (400, "InvalidRequest")
    s3.put_object(Bucket=bucket, Key="single", Body=b"hello")
    assert s3.get_object(Bucket=bucket, Key="single", PartNumber=1)["Body"].read() == b"hello"
    assert refuse("get_object", Bucket=bucket, Key="single", PartNumber=2) == (416, "InvalidPartNumber")


def test_a_part_can_be_uploaded_again(s3, bucket, begin):
    upload = begin()
    upload.put(1, A)
    upload.parts.clear()
    upload.put(1, B)
    upload.complete()
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == B


def test_completing_twice_is_answered_alike(begin):
    upload = begin()
    upload.put(1, A)
    first, second = upload.complete(), upload.complete()
    assert first["ETag"] == second["ETag"] == etag_of(A)


def test_what_can_not_be_completed(s3, refuse, bucket, begin):
    upload = begin()
    one, two, small = upload.put(1, A)["ETag"], upload.put(2, B)["ETag"], upload.put(3, C)["ETag"]

    def attempt(*parts):
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
        return refuse("complete_multipart_upload", **upload.where, MultipartUpload={"Parts": listed})

    assert attempt((2, two), (1, one)) == (400, "InvalidPartOrder")
    assert attempt((1, one), (1, one)) == (400, "InvalidPartOrder")
    assert attempt((1, two)) == (400, "InvalidPart")
    assert attempt((1, one), (4, two)) == (400, "InvalidPart")
    assert attempt((1, one), (3, small), (10_001, two)) == (400, "InvalidPart")
    assert attempt() == (400, "MalformedXML")
    upload.put(4, B)
    assert attempt((3, small), (4, upload.parts[-1]["ETag"])) == (400, "EntityTooSmall")
    assert refuse("head_object", Bucket=bucket, Key="big") == (404, "404")
    assert attempt((1, one), (2, "wrong")) == (400, "InvalidPart")
    upload.parts = upload.parts[:3]
    assert upload.complete()["ETag"] == etag_of(A, B, C)


def test_uploads_that_are_not_there(s3, refuse, bucket, begin):
    upload = begin()
    wrong = upload.where | {"UploadId": "no-such-upload"}
    other_key = upload.where | {"Key": "other"}
    for where in (wrong, other_key):
        assert refuse("upload_part", **where, PartNumber=1, Body=A) == (404, "NoSuchUpload")
        assert refuse("list_parts", **where) == (404, "NoSuchUpload")
        assert refuse("abort_multipart_upload", **where) == (404, "NoSuchUpload")
        parts = {"Parts": [{"PartNumber": 1, "ETag": "x" * 32}]}
        assert refuse("complete_multipart_upload", **where, MultipartUpload=parts) == (404, "NoSuchUpload")
    for number in (0, 10_001):
        assert refuse("upload_part", **upload.where, PartNumber=number, Body=A) == (400, "InvalidArgument")
    s3.abort_multipart_upload(**upload.where)
    assert refuse("upload_part", **upload.where, PartNumber=1, Body=A) == (404, "NoSuchUpload")
    assert refuse("create_multipart_upload", Bucket="no-such-bucket", Key="x") == (404, "NoSuchBucket")
    assert refuse("create_multipart_upload", Bucket=bucket, Key="folder/") == (400, "InvalidArgument")


def test_conditions_hold_when_the_upload_is_completed(s3, refuse, bucket, begin):
    upload = begin()
    upload.put(1, A)
    s3.put_object(Bucket=bucket, Key="big", Body=b"meanwhile")
    where = upload.where | {"MultipartUpload": {"Parts": upload.parts}}
    assert refuse("complete_multipart_upload", **where, IfNoneMatch="*") == (412, "PreconditionFailed")
    etag = s3.head_object(Bucket=bucket, Key="big")["ETag"]
    assert upload.complete(IfMatch=etag)["ETag"] == etag_of(A)


def test_a_wrong_size_of_the_object_is_noticed(refuse, begin):
    upload = begin()
    upload.put(1, A)
    where = upload.where | {"MultipartUpload": {"Parts": upload.parts}}
    assert refuse("complete_multipart_upload", **where, MpuObjectSize=5) == (400, "InvalidRequest")
    upload.complete(MpuObjectSize=KIB)


def test_copying_parts(s3, refuse, bucket, begin):
    source = bytes(range(256)) * 16
    s3.put_object(Bucket=bucket, Key="source", Body=source)
    upload = begin()
    copied = []

    def copy(number, **more):
        answer = s3.upload_part_copy(
            **upload.where, PartNumber=number, CopySource={"Bucket": bucket, "Key": "source"}, **more
        )
        copied.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})

    copy(1)
    copy(2, CopySourceRange="bytes=10-1033")
    upload.complete(copied)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == source + source[10:1034]
    where = begin().where | {"PartNumber": 1, "CopySource": {"Bucket": bucket, "Key": "source"}}
    for asked in ("bytes=0-4096", "bytes=-5", "bytes=5-", "0-5", "bytes=9-5"):
        assert refuse("upload_part_copy", **where, CopySourceRange=asked) == (400, "InvalidArgument")
    assert refuse("upload_part_copy", **where, CopySourceIfMatch="no") == (412, "PreconditionFailed")
    missing = where | {"CopySource": {"Bucket": bucket, "Key": "missing"}}
    assert refuse("upload_part_copy", **missing) == (404, "NoSuchKey")


def test_parts_are_listed_in_pages(s3, begin):
    upload = begin(ChecksumAlgorithm="SHA256")
    for number in range(1, 8):
        upload.put(number, str(number).encode(), ChecksumAlgorithm="SHA256")
    page = s3.list_parts(**upload.where, MaxParts=3)
    assert [part["PartNumber"] for part in page["Parts"]] == [1, 2, 3]
    assert page["IsTruncated"]
    assert page["NextPartNumberMarker"] == 3
    assert page["ChecksumAlgorithm"] == "SHA256"
    assert page["Parts"][0]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"1").digest()).decode()
    rest = s3.list_parts(**upload.where, PartNumberMarker=3)
    assert [(part["PartNumber"], part["Size"]) for part in rest["Parts"]] == [(n, 1) for n in (4, 5, 6, 7)]
    assert not rest["IsTruncated"]
    none = s3.list_parts(**upload.where, MaxParts=0)
    assert "Parts" not in none


def test_uploads_are_listed_in_order_and_in_pages(s3, refuse, bucket):
    names = ["a/1", "a/2", "a/2", "b", "c/x/1", "c/x/2", "d"]
    begun = [(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in names]

    def listed(**more):
        answer = s3.list_multipart_uploads(Bucket=bucket, **more)
        uploads = [(each["Key"], each["UploadId"]) for each in answer.get("Uploads", [])]
        return uploads, [each["Prefix"] for each in answer.get("CommonPrefixes", [])], answer

    assert listed()[0] == begun
    assert listed(Prefix="a/")[0] == begun[:3]
    uploads, prefixes, _ = listed(Delimiter="/")
    assert ([key for key, _ in uploads], prefixes) == (["b", "d"], ["a/", "c/"])
    assert listed(KeyMarker="a/2")[0] == begun[3:]
    assert listed(KeyMarker="a/2", UploadIdMarker=begun[1][1])[0] == begun[2:]
    assert refuse("list_multipart_uploads", Bucket=bucket, UploadIdMarker=begun[1][1]) == (400, "InvalidArgument")
    seen, marker = [], {}
    while True:
        uploads, _, answer = listed(MaxUploads=2, **marker)
        seen += uploads
        if not answer["IsTruncated"]:
            break
        marker = {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
    assert seen == begun
    first = listed(Delimiter="/", MaxUploads=1)[2]
    assert [each["Prefix"] for each in first["CommonPrefixes"]] == ["a/"]
    assert first["IsTruncated"]
    assert listed(Delimiter="/", KeyMarker=first["NextKeyMarker"])[0] == [begun[3], begun[6]]


CRCS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}


@pytest.mark.parametrize("algorithm", CRCS)
def test_composite_checksums(s3, refuse, bucket, begin, algorithm):
    function, field = CRCS[algorithm], f"Checksum{algorithm}"
    upload = begin(ChecksumAlgorithm=algorithm)
    assert (upload.begun["ChecksumAlgorithm"], upload.begun["ChecksumType"]) == (algorithm, "COMPOSITE")
    upload.put(1, A, ChecksumAlgorithm=algorithm)
    upload.put(2, C, ChecksumAlgorithm=algorithm)
    bare = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in upload.parts]
    where = {name: upload.where[name] for name in ("Bucket", "Key", "UploadId")}
    assert refuse("complete_multipart_upload", **where, MultipartUpload={"Parts": bare}) == (400, "InvalidRequest")
    done = upload.complete()
    expected = base64.b64encode(function(function(A) + function(C))).decode() + "-2"
    assert (done[field], done["ChecksumType"]) == (expected, "COMPOSITE")
    head = s3.head_object(Bucket=bucket, Key="big", ChecksumMode="ENABLED")
    assert (head[field], head["ChecksumType"]) == (expected, "COMPOSITE")
    got = s3.get_object_attributes(Bucket=bucket, Key="big", ObjectAttributes=["Checksum", "ObjectParts"])
    assert got["Checksum"][field] == expected
    assert got["ObjectParts"]["TotalPartsCount"] == 2
    assert got["ObjectParts"]["Parts"][0][field] == base64.b64encode(function(A)).decode()
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=2, ChecksumMode="ENABLED")
    assert (part["Body"].read(), part["ChecksumType"]) == (C, "COMPOSITE")
    assert part[field] == base64.b64encode(function(C)).decode()


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums_equal_those_of_a_single_put(s3, bucket, begin, algorithm):
    field = f"Checksum{algorithm}"
    single = s3.put_object(Bucket=bucket, Key="single", Body=A + B + C, ChecksumAlgorithm=algorithm)
    upload = begin(ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    for number, body in ((1, A), (2, B), (3, C)):
        upload.put(number, body, ChecksumAlgorithm=algorithm)
    done = upload.complete(ChecksumType="FULL_OBJECT", **{field: single[field]})
    assert (done[field], done["ChecksumType"]) == (single[field], "FULL_OBJECT")
    part = s3.head_object(Bucket=bucket, Key="big", PartNumber=2, ChecksumMode="ENABLED")
    assert (part[field], part["ChecksumType"]) == (upload.parts[1][field], "FULL_OBJECT")
    listed = s3.get_object_attributes(Bucket=bucket, Key="big", ObjectAttributes=["ObjectParts"])["ObjectParts"]
    assert [each[field] for each in listed["Parts"]] == [each[field] for each in upload.parts]


def test_checksums_of_parts_are_checked(s3, refuse, bucket, begin):
    upload = begin(ChecksumAlgorithm="CRC32")
    arguments = upload.where | {"PartNumber": 1, "Body": A}
    assert refuse("upload_part", **arguments, ChecksumCRC32="AAAAAA==") == (400, "BadDigest")
    assert refuse("upload_part", **arguments, ChecksumAlgorithm="SHA1") == (400, "InvalidRequest")
    assert "Parts" not in s3.list_parts(**upload.where)
    create = {"Bucket": bucket, "Key": "x"}
    bad = create | {"ChecksumAlgorithm": "SHA1", "ChecksumType": "FULL_OBJECT"}
    assert refuse("create_multipart_upload", **bad) == (400, "InvalidRequest")
    assert refuse("create_multipart_upload", **create, ChecksumAlgorithm="MD5") == (400, "InvalidRequest")
    upload.put(1, A, ChecksumAlgorithm="CRC32")
    upload.parts[0]["ChecksumCRC32"] = "AAAAAA=="
    where = upload.where | {"MultipartUpload": {"Parts": upload.parts}}
    assert refuse("complete_multipart_upload", **where) == (400, "InvalidPart")


def test_the_transfer_manager(s3, bucket, tmp_path):
    from boto3.s3.transfer import TransferConfig

    body = hashlib.sha512(b"seed").digest() * 200_000
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(body)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
    s3.upload_file(str(source), bucket, "transfer", Config=config)
    s3.download_file(bucket, "transfer", str(target), Config=config)
    assert target.read_bytes() == body
    s3.copy({"Bucket": bucket, "Key": "transfer"}, bucket, "copied", Config=config)
    assert s3.head_object(Bucket=bucket, Key="copied")["ContentLength"] == len(body)
