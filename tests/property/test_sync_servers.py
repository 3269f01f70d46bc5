"""The server in memory answers a synchronizer as moto's does: what the machine learns from it holds."""

from cellsmono.kernel.clock import ManualClock


def play(site):
    """What others do to a bucket in the machine."""
    for key in ("a/x", "a/b/y", "a-", "ab/z", "c"):
        site.write(key, key.encode())
    site.make_folder("empty")
    site.copy("a", "d/e")
    site.move("d/e/b", "f")
    site.move("c", "a/c")
    site.remove("ab")
    site.edit("a-", b"")


async def look(site):
    """What a synchronizer sees, but for times."""
    store, found = site.store, []
    for listing in await store.scan("files", [(key, b"") for key in ("", "a/", "d/", "ab/", "empty/", "c/")]):
        entries = [(entry.name, site.seen(entry.facts)) for entry in listing.entries or ()]
        found.append((listing.key, listing.missing, listing.count, listing.marker, sorted(entries)))
    entries = await store.stat_entries("files", ["", "a", "a/b/", "a-", "ab", "a/x", "empty", "d/e/x"])
    found.append([entry and (entry.name, site.seen(entry.facts)) for entry in entries])
    found.append([await store.read_marker("files", folder) for folder in ("", "a/", "f/", "ab/")])
    return [*found, await store.stat_folders("files", ["", "a/", "a/b/", "d/", "ab/"])]


async def test_both_servers_answer_alike(open_site):
    seen = []
    for kind in ("s3", "moto"):
        site = open_site(kind)(ManualClock(), [])
        await site.open()
        try:
            play(site)
            answers = [await look(site)]
            uuids = [(folder, f"01890000-0000-7000-8000-00000000000{n}") for n, folder in enumerate(["", "a/", "f/"])]
            answers.append(await site.store.write_markers("files", [*uuids, ("ab/", uuids[0][1])]))
            answers.append(await look(site))
            site.remove("a")
            seen.append([*answers, await look(site)])
        finally:
            await site.close()
    assert seen[0] == seen[1]
