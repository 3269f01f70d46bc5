"""D6: the server is killed while it completes an upload, at its first rename or link; the client repeats."""

import contextlib
import hashlib
import subprocess

import pytest

BUCKET = "crash"
PART = 5 * 1024 * 1024
RENAME = "rename,renameat,renameat2,link,linkat"

pytestmark = pytest.mark.client("strace")


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@contextlib.contextmanager
def killer(pid: int, calls: str, number: int):
    """Kill the process when one of its threads makes such a call for the given time."""
    command = ["strace", "-f", "-qq", "-p", str(pid), "-e", f"trace={calls}", "-o", "/dev/null"]
    command += ["-e", f"inject={calls}:signal=SIGKILL:when={number}"]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_attachment(tracer, pid)
        yield
    finally:
        tracer.kill()  # a polite end would wait for threads that do not stop
        tracer.wait()
        tracer.stderr.close()


def wait_for_attachment(tracer: subprocess.Popen[str], pid: int) -> None:
    """Until every thread of the process is traced; skips where that is not allowed."""
    from pathlib import Path

    while True:
        if tracer.poll() is not None:
            pytest.skip(f"strace can not attach here: {tracer.stderr.read()[-200:]}")
        tasks = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/status")]
        if all("TracerPid:\t0\n" not in status for status in tasks):
            return


def complete(site, s3):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    names = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    bodies = [b"p" * PART, b"q"]
    etags = [s3.upload_part(**names, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    listed = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]}
    digest = digest_of(b"".join(bodies))
    return {"parts": digest}, lambda: s3.complete_multipart_upload(**names, MultipartUpload=listed)


@pytest.mark.timeout(240)
def test_d6_complete_can_be_repeated_after_a_kill(site, wire_errors):
    """The upload is either still there to be completed, or the object is there whole."""
    s3 = site.start()
    outcome, act = complete(site, s3)
    site.oracle.begin("parts", outcome["parts"])
    with killer(site.server.process.pid, RENAME, 1), contextlib.suppress(*wire_errors):
        act()
    assert site.server.process.wait(20) == -9, "nothing was killed: the harness is blind"
    site.server.kill()
    s3 = site.start()
    uploads = s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    if uploads:
        names = {"Bucket": BUCKET, "Key": "parts", "UploadId": uploads[0]["UploadId"]}
        parts = s3.list_parts(**names)["Parts"]
        listed = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
        answer = s3.complete_multipart_upload(**names, MultipartUpload={"Parts": listed})
        assert answer["ETag"].strip('"').endswith("-2")
    assert site.read(s3, "parts") == outcome["parts"]
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
