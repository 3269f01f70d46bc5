"""The server is killed while objects expire: the next start goes on, and takes nothing else."""

import time

import pytest

BUCKET = "crash"
COUNT = 2000
RULE = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}


def wait_until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.timeout(240)
def test_a_run_that_was_killed_is_finished_by_the_next_start(site):
    for name in ("tmp", "keep"):
        (site.folder / name).mkdir()
    for number in range(COUNT):
        (site.folder / "tmp" / f"{number:04}").write_bytes(b"x")
    (site.folder / "keep" / "x").write_bytes(b"x")
    short_days = {"CELLSMONO_S3__LIFECYCLE_DAY_SECONDS": "1"}
    s3 = site.start(**short_days)
    wait_until(lambda: len(site.list_keys(s3)) == COUNT + 1)
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [RULE]})
    tmp = site.folder / "tmp"
    wait_until(lambda: len(list(tmp.iterdir())) < COUNT)
    site.server.kill()
    s3 = site.start(**short_days)
    assert s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"] == [RULE]
    wait_until(lambda: site.list_keys(s3) == ["keep/x"])
    assert set(site.list_disk()) == {"keep/x"}
