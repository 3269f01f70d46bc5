"""The rule: examples of the documents, cases by hand, and every combination of a small world against plain words."""

import itertools
import re
from pathlib import Path

import pytest

from cellsmono.interfaces.permissions import Decision, Grant, Right, compile_marks, decide

DOCUMENT = (Path(__file__).parents[3] / "docs" / "permissions.md").read_text()
R, W, RW, D, N = Right.READ, Right.WRITE, Right.READ | Right.WRITE, Right.DENY, Right.NONE
NAMES = {"r": R, "w": W, "rw": RW, "d": D, "-": N, "rd": R | D, "rwd": RW | D}


def parse(text):
    """``0 ds/a/ rw`` is a grant of role 0; a ``*`` behind the number: in the workspace."""
    grants = []
    for each in filter(None, text.split("; ")):
        role, path, rights = each.split(" ")
        grants.append(Grant(path.removeprefix("/"), int(role.rstrip("*")), NAMES[rights], role.endswith("*")))
    return grants


CASES = [
    # where nothing is said
    ("", "ds/a", "-"),
    ("", "", "-"),
    ("0 other/ rw", "ds/a", "-"),
    ("0 ds/a/ rw", "ds/", "-"),
    ("0 ds/a/ rw", "", "-"),
    ("0 ds/a rw", "ds/ab", "-"),
    ("0 ds/a rw", "ds/a/", "-"),
    ("0 ds/a/ rw", "ds/a", "-"),
    ("0 ds/a/ rw", "ds/A/x", "-"),
    # the nearest counts
    ("0 / r", "ds/a/b/c", "r"),
    ("0 / rw; 0 ds/ r", "ds/x", "r"),
    ("0 ds/ r", "ds/", "r"),
    ("0 ds/ r; 0 ds/a/b/ rw", "ds/a/x", "r"),
    ("0 ds/ r; 0 ds/a/b/ rw", "ds/a/b/", "rw"),
    ("0 ds/ r; 0 ds/a/b/ rw", "ds/a/b/x/y/z", "rw"),
    ("0 ds/ rw; 0 ds/a/ w", "ds/a/x", "w"),
    ("9 ds/ rw; 0 ds/a/ r", "ds/a/x", "r"),
    ("0 ds/a.txt rw; 0 ds/ r", "ds/a.txt", "rw"),
    ("0 ds/a.txt rw; 0 ds/ r", "ds/b.txt", "r"),
    # on one node the strongest
    ("0 ds/ rw; 1 ds/ r", "ds/x", "r"),
    ("1 ds/ r; 0 ds/ rw", "ds/x", "r"),
    ("0 ds/ r; 1 ds/ w", "ds/x", "w"),
    ("0 ds/ r; 1 ds/ rw; 2 ds/ w", "ds/x", "w"),
    ("0 ds/ rw; 0* ds/ r", "ds/x", "r"),
    ("0* ds/ r; 0 ds/ rw", "ds/x", "r"),
    ("0* ds/ r; 1 ds/ rw", "ds/x", "rw"),
    ("0 ds/ d; 0* ds/ r", "ds/x", "r"),
    # denials
    ("0 ds/ d", "ds/", "-"),
    ("0 / d", "ds/x", "-"),
    ("0 / d; 9 ds/ rw", "ds/x", "-"),
    ("0 ds/a/ d; 9 ds/a/b/ rw", "ds/a/b/c", "-"),
    ("0 ds/a/ d; 9 ds/ rw", "ds/a/b", "-"),
    ("0 ds/a/ d; 9 ds/ rw", "ds/b", "rw"),
    ("0 ds/a/ d; 1 ds/a/ r", "ds/a/b", "r"),
    ("1 ds/a/ d; 0 ds/a/ r", "ds/a/b", "-"),
    ("0 ds/a.txt d; 0 ds/ rw", "ds/a.txt", "-"),
    ("0 ds/a.txt d; 0 ds/ rw", "ds/a.txt.bak", "rw"),
    ("0 ds/ rd", "ds/x", "-"),
    ("0 ds/ rwd; 1 ds/x r", "ds/x", "-"),
    # keys that only flat datasources have
    ("0 ds// r", "ds//x", "r"),
    ("0 ds// r", "ds/x", "-"),
    ("0 ds/a// d; 0 ds/ rw", "ds/a//x", "-"),
    ("0 ds/a// d; 0 ds/ rw", "ds/a/x", "rw"),
    ("0 ds/../ d; 0 ds/ rw", "ds/../x", "-"),
    ("0 ds/../ d; 0 ds/ rw", "ds/x", "rw"),
    ("0 é/ r", "é/x", "r"),
    ("0 é/ r", "e\u0301/x", "-"),
]


@pytest.mark.parametrize(("said", "path", "expected"), CASES)
def test_by_hand(said, path, expected):
    assert decide(compile_marks(parse(said)), path).rights == NAMES[expected]


def read_examples():
    rows = re.findall(r"(?m)^\| (.+) \| `(.+)` \| (.+) \|$", DOCUMENT)
    for said, path, may in rows:
        grants = [
            Grant(node.removeprefix("/"), {"weak": 0, "strong": 1}[role], sum_up(rights))
            for role, node, rights in re.findall(r"(weak|strong) `([^`]+)`: ([a-z ]+)", said)
        ]
        yield pytest.param(grants, path, sum_up(may), id=f"{said} about {path}")


def sum_up(words):
    found = Right.NONE
    for word in words.split():
        found |= {"read": R, "write": W, "deny": D, "nothing": N}[word]
    return found


EXAMPLES = list(read_examples())


def test_the_examples_are_read():
    assert len(EXAMPLES) == DOCUMENT.count("\n| weak") + DOCUMENT.count("\n| strong") + 1 == 12


@pytest.mark.parametrize(("grants", "path", "may"), EXAMPLES)
def test_the_examples_of_the_document(grants, path, may):
    assert decide(compile_marks(grants), path).rights == may


SAYS = [None, R, W, RW, D]
WORLD = list(itertools.product(SAYS, repeat=4))


def in_words(outer_weak, outer_strong, inner_weak, inner_strong):
    """What may be done below the inner folder, said without paths and loops."""
    outer = outer_weak if outer_strong is None else outer_strong
    inner = inner_weak if inner_strong is None else inner_strong
    if D in (outer, inner):
        return N
    if inner is not None:
        return inner
    return N if outer is None else outer


@pytest.mark.parametrize("said", WORLD, ids=lambda said: "-".join("x" if each is None else str(+each) for each in said))
def test_every_combination_of_two_roles_on_two_folders(said):
    places = [("ds/", 0), ("ds/", 1), ("ds/a/", 0), ("ds/a/", 1)]
    grants = [
        Grant(path, role, rights) for (path, role), rights in zip(places, said, strict=True) if rights is not None
    ]
    for ordered in (grants, grants[::-1]):
        assert decide(compile_marks(ordered), "ds/a/x").rights == in_words(*said)


def test_a_decision_names_its_grant():
    weak, strong, denial = Grant("ds/", 0, R), Grant("ds/", 1, RW), Grant("ds/a/", 0, D)
    marks = compile_marks([weak, strong, denial])
    assert decide(marks, "ds/x") == Decision(RW, strong)
    assert decide(marks, "ds/a/b/c") == Decision(N, denial)
    assert decide(marks, "") == Decision(N, None)
