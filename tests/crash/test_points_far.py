"""D2 for flat datasources in a bucket: the process is killed at its K-th request to the other server.

A proxy on the way kills it, once before the request has reached the server and once after the server has done what was
asked. These are all the states that a crash can leave behind in the bucket; what a crash leaves in the index is the
matter of ``test_points_core``.
"""

import asyncio
import importlib.util
import secrets
import shutil
import sys
from pathlib import Path

import boto3
import pytest

HERE = Path(__file__).parent
MOST_REQUESTS = 40


def load(name: str, path: Path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


core = load("points_core", HERE / "test_points_core.py")
s3_proxy = load("s3_proxy", HERE.parent / "flow" / "faults" / "s3_proxy.py")

CHILD = (
    core.OPERATIONS_SOURCE
    + """
from cellsmono.datasource.objects.s3 import staging

async def put_long(store):  # as an upload in parts
    staging.PART_BYTES = PART
    await store.put_node("tree/k1", body(*[b"l" * PART, b"l" * 1000]), PlainDigest(), WriteOptions())

async def main():
    async with open_it() as core:
        store = core.datasources.triple("docs").store
        if operation == "seed":
            await seed(store)
            return
        await prepare(store)
        os.write(1, b"go")
        sys.stdin.readline()
        await globals()[operation](store)
        await store.blobs.settle()  # what was replaced goes after the acknowledgement
        os.write(1, b"ack")
        sys.stdin.readline()

asyncio.run(main())
"""
)
OPERATIONS = [*core.FLAT_OPERATIONS, "put_long"]
SILENT = {"move_folder"}
"""What is done in the index alone."""


class FarPlace(core.FlatPlace):
    """A flat datasource in a bucket that is brought to the same beginning for each request."""

    def __init__(self, root: Path, proxy, moto_server: str) -> None:
        self.now, self.begin = root / "now", root / "begin"
        self.data, self.config = self.now / "data", root / "config.toml"
        self.data.mkdir(parents=True)
        self.proxy = proxy
        self.bucket = f"points-{secrets.token_hex(6)}"
        self.client = boto3.client(
            "s3",
            endpoint_url=moto_server,
            aws_access_key_id="a",
            aws_secret_access_key="b" * 20,
            region_name="us-east-1",
        )
        self.client.create_bucket(Bucket=self.bucket)
        self.client.create_bucket(Bucket=f"{self.bucket}-begin")
        values = {"name": "docs", "format": "flat", "storage": "s3", "endpoint": proxy.url, "bucket": self.bucket}
        values |= {"access_key": "access", "secret_key": "secretsecret"}
        lines = ["[[datasource]]", *(f'{name} = "{value}"' for name, value in values.items())]
        self.config.write_text("\n".join([*lines, "hash_content = false"]))

    def keys(self, bucket: str) -> list[str]:
        return [entry["Key"] for entry in self.client.list_objects_v2(Bucket=bucket).get("Contents", ())]

    def copy_all(self, source: str, target: str) -> None:
        for key in self.keys(target):
            self.client.delete_object(Bucket=target, Key=key)
        for key in self.keys(source):
            self.client.copy_object(Bucket=target, Key=key, CopySource={"Bucket": source, "Key": key})
        for upload in self.client.list_multipart_uploads(Bucket=target).get("Uploads", ()):
            self.client.abort_multipart_upload(Bucket=target, Key=upload["Key"], UploadId=upload["UploadId"])

    def keep(self) -> None:
        """Remember this state as the beginning."""
        shutil.copytree(self.now, self.begin)
        self.copy_all(self.bucket, f"{self.bucket}-begin")

    def reset(self) -> None:
        """Back to the beginning."""
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)
        self.copy_all(f"{self.bucket}-begin", self.bucket)

    async def operate(self, operation: str, plan: list) -> tuple[bool, int]:
        """Run it in a process of its own; whether it was acknowledged, and how many requests it made."""
        arguments = [str(self.data), str(self.config), operation]
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", CHILD, *arguments, **pipes)
        self.proxy.strike = child.kill
        try:
            if operation != "seed":
                assert await child.stdout.read(2) == b"go", await child.stderr.read()
                self.proxy.seen.clear()
                self.proxy.plan.extend(plan)
                child.stdin.write(b"\n")
            said = await child.stdout.read(3)
            passed = len(self.proxy.seen)
            self.proxy.mend()
            _, errors = await child.communicate(b"\n")
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        assert child.returncode in (0, -9), errors.decode()
        return said == b"ack", passed


@pytest.fixture
async def place(tmp_path, moto_server):
    async with s3_proxy.FaultyProxy(moto_server).running() as proxy:
        made = FarPlace(tmp_path, proxy, moto_server)
        await made.operate("seed", [])
        made.keep()
        yield made
        made.client.close()


STRIKES = (s3_proxy.STRIKE_BEFORE, s3_proxy.STRIKE_AFTER)


async def run_points(place: FarPlace, operation: str, *, both: bool) -> int:
    """Kill at every request, before or after it, or both; how many requests there are."""
    acknowledged, total = await place.operate(operation, [])
    assert acknowledged
    assert (total == 0) == (operation in SILENT)
    assert total < MOST_REQUESTS
    await place.check(operation, acknowledged=True)
    for number in range(total):
        for action in STRIKES if both else (STRIKES[(number + 1) % 2],):
            place.reset()
            acknowledged, passed = await place.operate(operation, [None] * number + [action])
            assert not acknowledged, "the process did not die at its request"
            assert passed > number
            await place.check(operation, acknowledged=False)
    return total


@pytest.mark.timeout(300)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_d2_a_kill_at_each_request_of_each_operation(place, operation):
    """The first one is done, the second one is not, and so on."""
    await run_points(place, operation, both=False)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_d2_a_kill_before_and_after_each_request_of_each_operation(place, operation):
    await run_points(place, operation, both=True)
