"""Seeded bugs: each is put into the synchronizer, and the machine of ``conftest.py`` must notice it."""

import msgspec
import pytest
from hypothesis import Phase

from cellsmono.datasource.sync import (
    actor,
    context,
    differ,
    displaced,
    folders,
    identity,
    leaves,
    relocation,
    removal,
    resync,
)
from cellsmono.datasource.sync.tombstones import Tombstones
from cellsmono.interfaces.patch import FolderScanned
from cellsmono.interfaces.paths import is_folder


def later(value):
    """A coroutine function that answers the same whatever it is asked."""

    async def answer(*args, **kwargs):
        return value

    return answer


def keep_every_row(patch):
    patch.setattr(differ.FolderDiffer, "_judge_absent", lambda self, row, bare_name, diff: None)


def forget_files_that_became_folders(patch):
    patch.setattr(removal, "_is_gone", lambda path, entry: entry is None)


def delete_by_prefix_without_separator(patch):
    def outermost(paths):
        found = []
        for path in sorted(paths):
            if not (found and path.startswith(found[-1].rstrip("/"))):
                found.append(path)
        return found

    patch.setattr(removal, "outermost", outermost)


def give_moved_files_new_uuids(patch):
    patch.setattr(leaves, "_confirm_moves", later({}))


def believe_every_folder_gone_from_where_it_was(patch):
    patch.setattr(identity, "still_stands", later(False))
    patch.setattr(relocation, "still_stands", later(False))


def believe_no_folder_gone_from_where_it_was(patch):
    patch.setattr(identity, "still_stands", later(True))


def trust_folders_that_were_just_changed(patch):
    patch.setattr(
        folders,
        "_state_of",
        lambda listing: FolderScanned(listing.key, listing.mtime_ns, listing.ctime_ns, listing.fingerprint),
    )


def trust_the_mtime_of_a_folder_over_its_names(patch):
    patch.setattr(resync.TreeWalk, "_changed", later([]))


def trust_what_was_listed_before(patch):
    patch.setattr(folders, "_is_unchanged", lambda visit, listing: bool(visit.fingerprint))


def overlook_new_sizes(patch):
    def compare(row, facts, diff):
        if row.facts.ino != facts.ino:
            diff.changed.append((row, facts))

    patch.setattr(differ, "compare_leaf", compare)


def update_what_did_not_change(patch):
    patch.setattr(differ, "compare_leaf", lambda row, facts, diff: diff.changed.append((row, facts)))


def forget_what_was_deleted_a_moment_ago(patch):
    patch.setattr(Tombstones, "take", lambda self, facts, now: None)


def write_no_markers(patch):
    async def skip(self, markers):
        return await self.objects.stat_folders(self.bucket, [folder for folder, _ in markers])

    patch.setattr(context.SyncContext, "mark_folders", skip)


def never_delete_what_was_held(patch):
    async def drop(self, now):
        self._held.clear()

    patch.setattr(actor.Synchronizer, "_delete_held", drop)


def overlook_what_changed_places(patch):
    patch.setattr(differ, "compare_folder", lambda row, facts, diff: None)


def move_over_what_stands_there(patch):
    plan = relocation._plan_move
    patch.setattr(
        relocation,
        "_plan_move",
        lambda node, target, facts, occupant, *, is_waiting: plan(node, target, facts, None, is_waiting=False),
    )


def store_wrong_facts(patch):
    describe = leaves._describe

    def spoil(context, files, attributes, count):
        wrong = [(path, msgspec.structs.replace(facts, size=facts.size + 1)) for path, facts in files]
        return describe(context, wrong, attributes, count)

    patch.setattr(leaves, "_describe", spoil)


def ignore_folders_without_rows_above(patch):
    async def widen(self, keys):
        return {key for key in keys if not is_folder(key)}

    patch.setattr(actor.Synchronizer, "_widen", widen)


def carry_what_was_seen_into_the_rows_of_another_folder(patch):
    patch.setattr(displaced, "find_displaced", later({}))


def forget_whose_place_a_folder_took(patch):
    patch.setattr(relocation, "_is_swapped", later(False))


MUTANTS = [
    keep_every_row,
    forget_files_that_became_folders,
    delete_by_prefix_without_separator,
    give_moved_files_new_uuids,
    believe_every_folder_gone_from_where_it_was,
    believe_no_folder_gone_from_where_it_was,
    trust_folders_that_were_just_changed,
    trust_the_mtime_of_a_folder_over_its_names,
    trust_what_was_listed_before,
    overlook_new_sizes,
    update_what_did_not_change,
    forget_what_was_deleted_a_moment_ago,
    write_no_markers,
    never_delete_what_was_held,
    overlook_what_changed_places,
    move_over_what_stands_there,
    store_wrong_facts,
    ignore_folders_without_rows_above,
    carry_what_was_seen_into_the_rows_of_another_folder,
    forget_whose_place_a_folder_took,
]


def patch_everywhere(monkeypatch, mutant):
    """Put a seeded bug in; a function that other modules imported by name is replaced there, too."""

    class Patch:
        def setattr(self, owner, name, value):
            old = getattr(owner, name)
            monkeypatch.setattr(owner, name, value)
            for module in (actor, context, differ, displaced, folders, identity, leaves, relocation, removal, resync):
                if getattr(module, name, None) is old:
                    monkeypatch.setattr(module, name, value)

    mutant(Patch())


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_seeded_bug_is_noticed(run_machine, monkeypatch, mutant):
    patch_everywhere(monkeypatch, mutant)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - an assertion of the machine, or an index that refuses
        run_machine(
            max_examples=150,
            stateful_step_count=25,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            report_multiple_bugs=False,
            print_blob=False,
        )
    assert not isinstance(caught.value, TypeError | AttributeError | NameError), "the seed itself is broken"
