"""The synchronizer follows whatever is done to a storage: see the machine in ``conftest.py``."""

import pytest


def test_index_follows_a_random_storage(run_machine):
    run_machine(max_examples=80, stateful_step_count=25)


def test_index_follows_a_random_folder_of_the_disk(run_machine):
    run_machine("disk", max_examples=12, stateful_step_count=15)


def test_index_follows_a_random_bucket(run_machine):
    run_machine("s3", max_examples=40, stateful_step_count=20)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("kind", "examples"), [("memory", 20_000), ("disk", 1000), ("s3", 10_000), ("moto", 30)])
def test_index_follows_for_long(run_machine, kind, examples):
    run_machine(kind, max_examples=examples, stateful_step_count=30)
