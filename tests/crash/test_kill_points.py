"""D2: the server is killed at the K-th system call of a kind within one operation, for K = 1, 2, ... until it survives.

Small and exhaustive finds more than large and random. The server runs undisturbed until strace attaches to it; then one
operation is sent, and whatever it was doing at its K-th fsync, rename or write is cut short.
"""

import contextlib
import hashlib
import subprocess

import pytest

BUCKET = "crash"
PART = 5 * 1024 * 1024
SYNC, RENAME, UNLINK = "fsync,fdatasync", "rename,renameat,renameat2,link,linkat", "unlink,unlinkat,ftruncate"
WRITE = "pwrite64,write,copy_file_range"
MOST_POINTS = 80

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


def put_new(site, s3):
    body = b"new" * 2000
    return {"dir/sub/new": digest_of(body)}, lambda: s3.put_object(Bucket=BUCKET, Key="dir/sub/new", Body=body)


def put_over(site, s3):
    body = b"over" * 2000
    return {"old": digest_of(body)}, lambda: s3.put_object(Bucket=BUCKET, Key="old", Body=body)


def delete(site, s3):
    return {"old": "absent"}, lambda: s3.delete_object(Bucket=BUCKET, Key="old")


def delete_many(site, s3):
    keys = ["old", "many/1", "many/2"]
    listed = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
    return dict.fromkeys(keys, "absent"), lambda: s3.delete_objects(Bucket=BUCKET, Delete=listed)


def copy(site, s3):
    digest = site.oracle.certain()["old"]
    source = {"Bucket": BUCKET, "Key": "old"}
    return {"copy": digest}, lambda: s3.copy_object(Bucket=BUCKET, Key="copy", CopySource=source)


def complete(site, s3):
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    names = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    bodies = [b"p" * PART, b"q"]
    etags = [s3.upload_part(**names, PartNumber=n, Body=body)["ETag"] for n, body in enumerate(bodies, 1)]
    listed = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]}
    digest = digest_of(b"".join(bodies))
    return {"parts": digest}, lambda: s3.complete_multipart_upload(**names, MultipartUpload=listed)


def run_point(site, operation, calls: str, number: int, errors) -> bool:
    """One run with a kill at one point; whether the server survived, because there was no such point."""
    s3 = site.client()
    for key in ("old", "many/1", "many/2"):
        body = b"before %d " % number + key.encode()
        site.oracle.begin(key, digest_of(body))
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        site.oracle.end(key, digest_of(body))
    outcome, act = operation(site, s3)
    for key, digest in outcome.items():
        site.oracle.begin(key, digest)
    with killer(site.server.process.pid, calls, number):
        with contextlib.suppress(*errors):
            act()
            for key, digest in outcome.items():
                site.oracle.end(key, digest)
    if site.server.process.poll() is None and not site.oracle.uncertain():
        return True
    site.server.kill()
    s3 = site.start()
    site.check_certain(s3)
    site.check_all(s3)
    return False


def run_points(site, operation, calls: str, errors, most: int) -> int:
    """Kill at every point until the operation survives; how many there were."""
    site.start()
    for number in range(1, most + 1):
        if run_point(site, operation, calls, number, errors):
            return number - 1
    return most


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("operation", "calls"),
    [(put_new, SYNC), (put_over, RENAME), (put_over, WRITE), (delete, UNLINK), (complete, RENAME)],
    ids=lambda value: getattr(value, "__name__", None) or value.split(",")[0],
)
def test_d2_first_kill_points_lose_and_tear_nothing(site, wire_errors, operation, calls):
    points = run_points(site, operation, calls, wire_errors, most=4)
    assert points >= 1, "nothing was killed: the harness is blind"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("calls", [SYNC, RENAME, UNLINK, WRITE], ids=lambda calls: calls.split(",")[0])
@pytest.mark.parametrize("operation", [put_new, put_over, delete, delete_many, copy, complete])
def test_d2_every_kill_point(site, wire_errors, operation, calls):
    assert run_points(site, operation, calls, wire_errors, most=MOST_POINTS) < MOST_POINTS


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
