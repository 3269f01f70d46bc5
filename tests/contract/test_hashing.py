"""Hashing what lies there already, on every format and storage."""

import asyncio
import hashlib

import pytest

from cellsmono.datasource.hashing.run import HashRun
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.hashes import HashAlgorithm, HashProblem, RehashOptions
from cellsmono.interfaces.node import BLOCK_BYTES, hash_one_block
from cellsmono.interfaces.objects import Target
from cellsmono.interfaces.patch import Patch, PutLeaf, SetHash
from cellsmono.kernel.clock import ManualClock, SystemClock
from cellsmono.kernel.errors import Invalid, NotFound

WRONG = "0" * 32
LARGE = b"0123456789abcdef" * (BLOCK_BYTES // 16) + b"and more"


async def chunks(data):
    for start in range(0, len(data), 1 << 20):
        yield data[start : start + (1 << 20)]


async def put(nodes, path, data=b"data"):
    return await nodes.put_node(path, chunks(data), PlainDigest(), WriteOptions())


async def forget(nodes, *paths):
    """As after an upload in parts, or when a file was found: nobody knows the MD5."""
    for path in paths:
        node = await nodes.index.read_node(path)
        leaf = PutLeaf(path, node.facts, etag="0-2", blob=node.blob)
        await nodes.index.apply(Patch((leaf,)))


async def falsify(nodes, path):
    """The other way round of a disk that changes a bit: the recorded hash is another one."""
    node = await nodes.index.read_node(path)
    await nodes.index.apply(Patch((SetHash(path, node.facts, WRONG, blob=node.blob, replaces=True),)))


def run(nodes, path="", **options):
    return HashRun(nodes, SystemClock(), RehashOptions(**options), path=path).run()


def blocks_of(data):
    digests = [hashlib.md5(data[start : start + BLOCK_BYTES]).digest() for start in range(0, len(data), BLOCK_BYTES)]
    return hashlib.md5(b"".join(digests)).hexdigest()


async def test_missing_hashes_are_filled_in_and_only_those_are_read(nodes):
    await put(nodes, "a/large", LARGE)
    await put(nodes, "a/small", b"hello")
    await put(nodes, "b", b"known")
    await forget(nodes, "a/small")
    report = await run(nodes)
    assert (report.files, report.bytes, report.hashed, report.verified) == (2, len(LARGE) + 5, 2, 0)
    assert not report.counts
    large, small = await nodes.index.read_node("a/large"), await nodes.index.read_node("a/small")
    assert (large.content_hash, large.cells_hash) == (hashlib.md5(LARGE).hexdigest(), blocks_of(LARGE))
    assert small.content_hash == hashlib.md5(b"hello").hexdigest()
    assert small.cells_hash == "62109206880d38a4010a98e11243924a"
    assert small.etag == "0-2"
    again = await run(nodes)
    assert (again.files, again.hashed) == (0, 0)
    copy = await nodes.copy_node("a/large", "copy")
    moved = await nodes.move_node("a/large", "c/moved")
    assert copy.cells_hash == moved.cells_hash == large.cells_hash
    assert not (await put(nodes, "copy", LARGE + b"!")).cells_hash


async def test_one_algorithm_leaves_the_other_out(nodes):
    await put(nodes, "a", LARGE)
    await put(nodes, "b", b"b")
    await forget(nodes, "a", "b")
    await run(nodes, algorithm=HashAlgorithm.CELLS)
    node = await nodes.index.read_node("a")
    assert (node.content_hash, node.cells_hash) == ("", blocks_of(LARGE))
    assert (await nodes.index.read_node("b")).is_hashed
    assert (await run(nodes, algorithm=HashAlgorithm.CELLS)).files == 0
    assert (await run(nodes, algorithm=HashAlgorithm.MD5)).hashed == 1
    assert (await nodes.index.read_node("a")).is_hashed


async def test_a_path_is_a_folder_or_a_file(nodes):
    for path in ("a/x", "a/y", "ab", "b"):
        await put(nodes, path)
        await forget(nodes, path)
    assert (await run(nodes, "a")).files == 2
    assert (await run(nodes, "ab")).files == 1
    assert (await run(nodes, "ab")).files == 0
    assert (await run(nodes, "ab", verify=True)).verified == 1
    assert (await run(nodes, "a/", verify=True)).verified == 2
    with pytest.raises(NotFound):
        await run(nodes, "none")


async def test_content_that_contradicts_its_hash_is_reported_and_left_alone(nodes, events):
    await put(nodes, "good")
    await put(nodes, "rotten")
    await falsify(nodes, "rotten")
    assert (await run(nodes)).files == 0
    events.clear()
    report = await run(nodes, verify=True)
    assert (report.files, report.verified, report.hashed, report.open_problems) == (2, 1, 0, 1)
    [found] = report.findings
    assert (found.problem, found.path) == (HashProblem.ROT, "rotten")
    assert WRONG in found.detail
    assert hashlib.md5(b"data").hexdigest() in found.detail
    node = await nodes.index.read_node("rotten")
    assert (node.content_hash, node.etag) == (WRONG, WRONG)
    assert not events


async def test_a_hash_that_is_filled_in_must_agree_with_the_one_that_is_known(nodes):
    await put(nodes, "large", LARGE)
    await falsify(nodes, "large")
    report = await run(nodes)
    assert report.counts == {HashProblem.ROT: 1}
    assert not (await nodes.index.read_node("large")).block_hash


async def test_force_takes_what_is_found_for_right_and_says_so(nodes):
    await put(nodes, "rotten")
    await falsify(nodes, "rotten")
    report = await run(nodes, force=True)
    assert (report.replaced, report.counts, report.open_problems) == (1, {HashProblem.ROT: 1}, 0)
    node = await nodes.index.read_node("rotten")
    assert node.content_hash == node.etag == hashlib.md5(b"data").hexdigest()
    assert (await run(nodes, verify=True)).verified == 1


async def test_a_walk_over_all_content_goes_on_behind_a_path(nodes):
    for path in ("a/1", "a/2", "b/1", "c"):
        await put(nodes, path)
    assert (await run(nodes, verify=True, after="a/2")).verified == 2
    assert (await run(nodes, "a/", verify=True, after="a/1")).verified == 1
    with pytest.raises(Invalid):
        await run(nodes, after="a/2")


async def test_what_was_found_is_kept_when_it_is_cancelled_and_progress_tells_how_far_it_is(nodes):
    paths = [f"f{number}" for number in range(6)]
    for path in paths:
        await put(nodes, path)
    await forget(nodes, *paths)
    clock, seen = ManualClock(), []

    def note(progress):
        seen.append(progress)
        clock.advance(1)
        if progress.files == 3:
            task.cancel()

    clock_run = HashRun(nodes, clock, note=note)
    clock.advance(1)
    task = asyncio.create_task(clock_run.run())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await nodes.index.count_unhashed()).files == 3
    last = seen[-1]
    assert (last.files, last.files_total, last.bytes, last.bytes_total, last.path) == (3, 6, 12, 24, "f2")
    assert last.rate > 0
    assert last.eta is not None
    assert last.eta > 0
    assert (await run(nodes)).hashed == 3


async def test_content_that_is_replaced_while_it_is_read_gets_no_hash_of_the_old_one(nodes):
    await put(nodes, "a", LARGE)
    await forget(nodes, "a")
    is_done = False

    async def pace():
        nonlocal is_done
        if not is_done:
            is_done = True
            await put(nodes, "a", LARGE[::-1])
            await forget(nodes, "a")

    report = await HashRun(nodes, SystemClock(), pace=pace).run()
    assert not report.counts
    assert (await nodes.index.read_node("a")).content_hash in ("", hashlib.md5(LARGE[::-1]).hexdigest())


async def test_a_blob_that_is_missing_or_cut_short_is_told_of(flat):
    for path in ("cut", "gone", "good"):
        await put(flat, path)
    await forget(flat, "cut", "gone", "good")
    cut, gone = await flat.index.read_node("cut"), await flat.index.read_node("gone")
    await flat.blobs.objects.delete(flat.config.name, flat.blobs.key_of(gone))
    key = flat.blobs.key_of(cut)  # what is sealed is sealed for its key
    staged = await flat.blobs.objects.stage(flat.config.name, chunks(b"d"), target=Target(key))
    await flat.blobs.objects.commit(staged, key)
    report = await run(flat)
    assert (report.counts, report.hashed) == ({HashProblem.UNREADABLE: 2}, 1)
    assert {found.path for found in report.findings} == {"cut", "gone"}
    assert {node.path for node in await flat.index.list_unhashed()} == {"cut", "gone"}


async def test_small_content_is_hashed_as_it_arrives(nodes):
    node = await put(nodes, "a", b"hello")
    assert node.cells_hash == hash_one_block(node.content_hash) == "62109206880d38a4010a98e11243924a"
    assert (await nodes.index.count_unhashed()).files == 0
