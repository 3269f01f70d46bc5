"""The rule against a model that knows no compiled marks: it looks at all grants again for each folder of the path."""

from hypothesis import given
from hypothesis import strategies as st

from cellsmono.interfaces.paths import ancestors_of
from cellsmono.interfaces.permissions import Grant, Right, compile_marks, decide

SEGMENTS = st.lists(st.sampled_from(["a", "b", ""]), max_size=4)
PATHS = st.builds(lambda names, end: "/".join(names) + end, SEGMENTS, st.sampled_from(["", "/"])).map(
    lambda path: "ds/" + path if path else ""
)
RIGHTS = st.sampled_from([Right.READ, Right.WRITE, Right.READ | Right.WRITE, Right.DENY, Right.READ | Right.DENY])
GRANT = st.builds(Grant, PATHS, st.integers(0, 3), RIGHTS, st.booleans())
GRANTS = st.lists(GRANT, max_size=12, unique_by=lambda grant: (grant.path, grant.strength))


def say(grants, path):
    """What is said about exactly this node."""
    about = sorted((grant for grant in grants if grant.path == path), key=lambda grant: grant.strength)
    return about[-1].rights if about else None


def model(grants, path):
    trail = list(dict.fromkeys(["", *ancestors_of(path), path]))
    said = [rights for each in trail if (rights := say(grants, each)) is not None]
    if any(Right.DENY in rights for rights in said):
        return Right.NONE
    return said[-1] if said else Right.NONE


@given(GRANTS, PATHS)
def test_the_rule_is_what_the_model_says(grants, path):
    assert decide(compile_marks(grants), path).rights == model(grants, path)


@given(GRANTS, PATHS, st.randoms())
def test_the_order_in_which_rows_are_read_does_not_matter(grants, path, random):
    shuffled = random.sample(grants, len(grants))
    assert decide(compile_marks(shuffled), path) == decide(compile_marks(grants), path)


@given(GRANTS, PATHS, SEGMENTS)
def test_a_denial_is_never_lifted_from_below(grants, path, names):
    folder = path if path.endswith("/") else ""
    decision = decide(compile_marks(grants), folder)
    if decision.grant is not None and decision.grant.rights & Right.DENY:
        assert decide(compile_marks(grants), folder + "/".join(names)).rights is Right.NONE
