"""D1: the server is killed at seeded random moments under a mixed load; nothing acknowledged is lost, nothing torn."""

import random
import threading

import pytest

BUCKET = "crash"
WORKERS = 6
PART = 5 * 1024 * 1024


class Worker(threading.Thread):
    """Writes its own keys, one operation after the other, until the server is gone."""

    def __init__(self, site, s3, number: int, seed: int, errors) -> None:
        super().__init__(name=f"worker-{number}")
        self.site, self.s3, self.number, self.errors = site, s3, number, errors
        self.dice = random.Random(seed)
        self.failure: Exception | None = None

    def run(self) -> None:
        actions = (
            [self.put] * 6 + [self.copy, self.delete, self.delete_many] + ([self.upload] if self.number == 0 else [])
        )
        try:
            while True:
                self.dice.choice(actions)()
        except self.errors as error:
            answer = getattr(error, "response", None) or {}
            if answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) not in {0, 503}:
                self.failure = error
        except Exception as error:
            self.failure = error

    def key(self) -> str:
        return f"w{self.number}/{'abc'[self.dice.randrange(3)]}/é {self.dice.randrange(12)}.bin"

    def body(self) -> bytes:
        return self.dice.randbytes(self.dice.choice([0, 1, 4096, 4096, 70_000, 400_000]))

    def write(self, key: str, digest: str, action) -> None:
        self.site.oracle.begin(key, digest)
        action()
        self.site.oracle.end(key, digest)

    def put(self) -> None:
        from hashlib import sha256

        key, body = self.key(), self.body()
        self.write(key, sha256(body).hexdigest(), lambda: self.s3.put_object(Bucket=BUCKET, Key=key, Body=body))

    def copy(self) -> None:
        mine = [
            (k, d) for k, d in self.site.oracle.certain().items() if k.startswith(f"w{self.number}/") and d != "absent"
        ]
        if mine:
            source, digest = self.dice.choice(sorted(mine))
            key = f"{self.key()}.copy{self.dice.randrange(1000)}"
            origin = {"Bucket": BUCKET, "Key": source}
            self.write(key, digest, lambda: self.s3.copy_object(Bucket=BUCKET, Key=key, CopySource=origin))

    def delete(self) -> None:
        key = self.key()
        self.write(key, "absent", lambda: self.s3.delete_object(Bucket=BUCKET, Key=key))

    def delete_many(self) -> None:
        keys = sorted({self.key() for _ in range(4)})
        for key in keys:
            self.site.oracle.begin(key, "absent")
        answer = self.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
        assert "Errors" not in answer, answer["Errors"]
        for key in keys:
            self.site.oracle.end(key, "absent")

    def upload(self) -> None:
        from hashlib import sha256

        key, parts = self.key() + ".parts", [self.dice.randbytes(PART), self.dice.randbytes(1000)]
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=key)["UploadId"]
        names = {"Bucket": BUCKET, "Key": key, "UploadId": upload}
        etags = [
            self.s3.upload_part(**names, PartNumber=number, Body=part)["ETag"] for number, part in enumerate(parts, 1)
        ]
        listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
        digest = sha256(b"".join(parts)).hexdigest()
        self.write(key, digest, lambda: self.s3.complete_multipart_upload(**names, MultipartUpload={"Parts": listed}))


def run_round(site, s3, dice: random.Random, errors) -> None:
    """Load, and a kill in its middle."""
    workers = [Worker(site, s3, number, dice.randrange(2**32), errors) for number in range(WORKERS)]
    death = threading.Timer(dice.uniform(0.005, 1.5), site.server.kill)
    for thread in [*workers, death]:
        thread.start()
    for thread in [*workers, death]:
        thread.join()
    for worker in workers:
        if worker.failure is not None:
            raise worker.failure


def run_kills(site, count: int, seed: int, errors) -> None:
    dice = random.Random(seed)
    s3 = site.start()
    for number in range(count):
        run_round(site, s3, dice, errors)
        s3 = site.start()
        site.check_certain(s3)
        site.check_uncertain(s3)
        if number % 10 == 9:
            site.check_all(s3)
    site.check_all(s3)
    assert site.oracle.acknowledged > count
    assert site.server.stop() == 0


@pytest.mark.timeout(300)
def test_d1_twenty_kills_lose_and_tear_nothing(site, wire_errors):
    run_kills(site, 20, 20261122, wire_errors)
    assert site.oracle.acknowledged > 20 * 20
    assert sorted(site.starts)[len(site.starts) // 2] < 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("site", "count"), [("flat", 6), ("far", 4)], indirect=["site"])
def test_d1_some_kills_of_flat_ones_lose_and_tear_nothing(site, wire_errors, count):
    run_kills(site, count, 20261122, wire_errors)


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("site", ["structured", "flat", "far"], indirect=True)
@pytest.mark.parametrize("seed", range(10))
def test_d1_three_thousand_kills(site, wire_errors, seed):
    run_kills(site, 300, seed, wire_errors)
