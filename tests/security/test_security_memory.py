"""F5: memory does not grow with the size of what is sent."""

import hashlib
import os
import threading

import pytest
from botocore.exceptions import ClientError

MIB = 1024 * 1024
SIZE = 64 * MIB
CROWD = 16


class Endless:
    """A body of so many bytes, made while it is read."""

    def __init__(self, size):
        self.size, self.at = size, 0

    def __len__(self):
        return self.size

    def read(self, length=-1):
        count = self.size - self.at if length is None or length < 0 else min(length, self.size - self.at)
        self.at += count
        return bytes(count)

    def tell(self):
        return self.at

    def seek(self, at, whence=0):
        self.at = at if whence == 0 else self.size + at
        return self.at


def resident(pid):
    """Anonymous memory of a process in bytes: pages of files that are cached in it are not its own."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["RssAnon"].split()[0]) * 1024


def run_crowd(pid, work):
    """Everybody at once; the largest memory that was seen meanwhile."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(CROWD)]
    for thread in threads:
        thread.start()
    most = 0
    while any(thread.is_alive() for thread in threads):
        most = max(most, resident(pid))
        for thread in threads:
            thread.join(0.02)
    return most


@pytest.mark.timeout(180)
def test_f5_sixteen_large_puts_and_gets_at_once_need_little_memory(scene):
    pid = scene.server.process.pid
    space = os.statvfs(scene.folder)
    if space.f_bavail * space.f_frsize < 2 * CROWD * SIZE:
        pytest.skip("needs 2 GiB of disk")
    expected = hashlib.md5(bytes(SIZE)).hexdigest()
    outcomes = []

    def put(number):
        try:
            answer = scene.s3.put_object(Bucket="docs", Key=f"large{number}", Body=Endless(SIZE), ContentLength=SIZE)
            outcomes.append(answer["ETag"].strip('"'))
        except ClientError as error:
            outcomes.append(str(error))

    def get(number):
        body, digest = scene.s3.get_object(Bucket="docs", Key=f"large{number}")["Body"], hashlib.md5()
        for chunk in body.iter_chunks(MIB):
            digest.update(chunk)
        outcomes.append(digest.hexdigest())

    # What is needed once, for one of them, is not growth.
    scene.s3.put_object(Bucket="docs", Key="first", Body=Endless(8 * MIB), ContentLength=8 * MIB)
    assert len(scene.s3.get_object(Bucket="docs", Key="first")["Body"].read()) == 8 * MIB
    before = resident(pid)
    grown = {work.__name__: (run_crowd(pid, work) - before) / MIB for work in (put, get)}
    for number in range(CROWD):
        scene.s3.delete_object(Bucket="docs", Key=f"large{number}")
    assert outcomes == [expected] * (2 * CROWD)
    assert max(grown.values()) <= 64, grown
