"""The synchronizer follows whatever is done to a storage: see the machine in ``conftest.py``."""

import pytest


def test_index_follows_a_random_storage(run_machine):
    run_machine(max_examples=80, stateful_step_count=25)


def test_index_follows_a_random_folder_of_the_disk(run_machine):
    run_machine(is_real=True, max_examples=12, stateful_step_count=15)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("is_real", [False, True])
def test_index_follows_for_long(run_machine, is_real):
    run_machine(is_real=is_real, max_examples=1000 if is_real else 20_000, stateful_step_count=30)
