"""P3, P6, C24: documents that explode, headers that split answers, secrets that must not leak, modes of files."""

import base64
import contextlib
import hashlib
import os

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError


def post_document(scene, target, document):
    md5 = base64.b64encode(hashlib.md5(document).digest()).decode()
    return scene.hand.send("POST", target, document, {"content-md5": md5})


LAUGHS = b"".join(b'<!ENTITY %c "%s">' % (ord("b") + n, b"&%c;" % (ord("a") + n) * 10) for n in range(9))
LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha">%s]><Delete><Object><Key>&j;</Key></Object></Delete>' % LAUGHS
BOMBS = {
    "billion laughs": LAUGHS,
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>',
    "parameter entity": b'<!DOCTYPE x [<!ENTITY % e SYSTEM "http://127.0.0.1:1/x"> %e;]><Delete/>',
    "any doctype": b"<!DOCTYPE Delete><Delete><Object><Key>x</Key></Object></Delete>",
    "a million deep": b"<a>" * 300_000,
    "not closed": b"<Delete><Object><Key>x</Key>",
    "not xml": b"\x00\x01\x02",
    "another encoding": '<?xml version="1.0" encoding="utf-16"?><Delete/>'.encode("utf-16"),
    "empty": b"",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("bomb", BOMBS)
def test_p3_documents_that_explode_are_refused_quickly(scene, bomb):
    upload = scene.s3.create_multipart_upload(Bucket="docs", Key="bomb")["UploadId"]
    for target in ("/docs?delete", f"/docs/bomb?uploadId={upload}"):
        status, text = post_document(scene, target, BOMBS[bomb])
        assert status in (400, 413), text[:300]
        assert b"root:" not in text
    scene.s3.abort_multipart_upload(Bucket="docs", Key="bomb", UploadId=upload)


@pytest.mark.parametrize("number", ["0", "10001", "-1", "1e3", "", "99999999999999999999", "%31%00"])
def test_part_numbers_out_of_range_are_refused(scene, number):
    upload = scene.s3.create_multipart_upload(Bucket="docs", Key="parts")["UploadId"]
    status, text = scene.hand.send("PUT", f"/docs/parts?partNumber={number}&uploadId={upload}", b"x")
    assert 400 <= status < 500, text[:300]
    assert "Parts" not in scene.s3.list_parts(Bucket="docs", Key="parts", UploadId=upload)
    scene.s3.abort_multipart_upload(Bucket="docs", Key="parts", UploadId=upload)


def test_a_thousand_parts_in_the_wrong_order_are_refused_and_nothing_is_stored(scene):
    names = {"Bucket": "docs", "Key": "many"}
    upload = names["UploadId"] = scene.s3.create_multipart_upload(Bucket="docs", Key="many")["UploadId"]
    etag = scene.s3.upload_part(**names, PartNumber=1, Body=b"x")["ETag"]
    row = "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>"
    rows = "".join(row % (number, etag) for number in [*range(2, 1001), 1])
    document = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
    status, text = post_document(scene, f"/docs/many?uploadId={upload}", document)
    assert status == 400
    assert b"InvalidPart" in text
    assert not (scene.folder / "many").exists()
    assert len(scene.s3.list_parts(**names)["Parts"]) == 1
    scene.s3.abort_multipart_upload(**names)


@pytest.mark.parametrize("length", ["-1", "NaN", "1,1", "0x10", "+4"])
def test_c23_lengths_that_are_none_store_nothing(scene, length):
    status, _ = scene.hand.talk(scene.hand.sign("PUT", "/docs/length", {"content-length": length}) + b"")
    assert status == 0 or 400 <= status < 500
    assert not (scene.folder / "length").exists()


SPLITS = ["a%0D%0AX-Evil%3A%201", "a%0AX-Evil%3A%201", "a%0DX-Evil%3A%201", "%00", "a%0D%0A%0D%0A%3Chtml%3E"]


@pytest.mark.parametrize("value", SPLITS)
@pytest.mark.parametrize(
    "name", ["response-content-type", "response-content-disposition", "response-cache-control", "response-expires"]
)
def test_no_query_splits_the_answer(scene, name, value):
    status, text = scene.hand.send("GET", f"/docs/sub/own?{name}={value}")
    head = text.partition(b"\r\n\r\n")[0].lower()
    assert status == 400
    assert b"\nx-evil" not in head


def test_no_stored_header_splits_the_answer(scene):
    for value in ("a\rX-Evil: 1", "a\x00b", "a\x0bb"):
        head = scene.hand.sign("PUT", "/docs/split", {"content-length": "0", "x-amz-meta-evil": value})
        status, _ = scene.hand.talk(head)
        if status == 200:
            _, text = scene.hand.send("GET", "/docs/split")
            assert b"\nx-evil" not in text.lower()
            assert b"\rx-evil" not in text.lower()


def test_c24_no_log_holds_a_secret_or_a_signature(scene):
    """Every way to sign, right and wrong, at the level DEBUG."""
    server, signatures = scene.server, []

    def note(request, **_):
        text = str(request.url) + "\n" + "\n".join(f"{name}: {value}" for name, value in request.headers.items())
        signatures.append(text.partition("Signature=")[2][:64].split("&")[0])
        signatures.append(text.partition("AWS " + server.access_key + ":")[2].split("\n")[0])

    for version in ("s3v4", "s3"):
        for secret in (server.secret_key, "wrong-but-still-a-secret-canary-0123456789"):
            config = Config(
                signature_version=version, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}
            )
            s3 = boto3.client(
                "s3",
                endpoint_url=server.url,
                aws_access_key_id=server.access_key,
                aws_secret_access_key=secret,
                region_name="us-east-1",
                config=config,
            )
            s3.meta.events.register("before-send.s3", note)
            for call in (
                lambda s3=s3: s3.put_object(Bucket="docs", Key="logged", Body=b"x" * 100),
                lambda s3=s3: s3.get_object(Bucket="docs", Key="logged"),
                lambda s3=s3: s3.list_objects_v2(Bucket="docs"),
            ):
                with contextlib.suppress(ClientError):
                    call()
            url = s3.generate_presigned_url("get_object", Params={"Bucket": "docs", "Key": "logged"})
            mark = "X-Amz-Signature=" if version == "s3v4" else "Signature="
            signatures.append(url.partition(mark)[2].split("&")[0])
            path = url.removeprefix(server.url)
            head = f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n\r\n"
            assert scene.hand.talk(head.encode())[0] in (200, 400, 403)
            s3.close()
    scene.hand.send("GET", "/docs/logged")
    log = server.log.read_text(errors="replace")
    assert "/docs/logged" in log, "nothing was logged: the test is blind"
    assert server.secret_key not in log
    assert "secret-canary" not in log
    found = [signature for signature in [*signatures, *scene.hand.signatures] if signature and signature in log]
    assert found == []
    assert len([signature for signature in signatures if signature]) >= 8


def test_c24_own_files_are_private_and_user_files_have_the_usual_mode(scene):
    scene.s3.put_object(Bucket="docs", Key="made/by/s3", Body=b"x" * 100_000)
    data = scene.root / "data"
    assert data.stat().st_mode & 0o777 == 0o700
    for at, folders, files in os.walk(data):
        for name in (*folders, *files):
            mode = os.lstat(os.path.join(at, name)).st_mode & 0o077
            assert mode == 0 or at.startswith(str(data / "buckets")), os.path.join(at, name)
    assert (scene.folder / "made/by/s3").stat().st_mode & 0o777 == 0o644
    assert (scene.folder / "made/by").stat().st_mode & 0o777 == 0o755


def test_the_server_is_well_after_all_of_this(scene):
    assert scene.server.process.poll() is None
    assert scene.s3.get_object(Bucket="docs", Key="sub/own")["Body"].read() == b"own"
    log = scene.server.log.read_text(errors="replace")
    assert "InternalError" not in log
