import pytest

from cellsmono.idm.templates import check_pattern, fill_pattern
from cellsmono.interfaces.users import Profile, User
from cellsmono.kernel.errors import Invalid

UUID = "01a22edc-372d-7820-b142-ef3998170b8b"
ALICE = User(UUID, "Alice", "/sales/europe", Profile.STANDARD)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("personal/{user}", "personal/Alice/"),
        ("personal/{user:1}/{user}", "personal/a/Alice/"),
        ("personal/{user:8}/{uuid}", f"personal/alice___/{UUID}/"),
        ("personal/{hash:2}/{hash:4}/{user}", "personal/2b/2bd8/Alice/"),
        ("personal/of {user}!/{profile}", "personal/of Alice!/standard/"),
        ("groups/{group}", "groups/sales/europe/"),
        ("groups/all-{group}/x", "groups/all-sales/europe/x/"),
    ],
)
def test_patterns_are_filled(pattern, path):
    assert fill_pattern(check_pattern(pattern), ALICE) == path


def test_everybody_has_a_group():
    assert fill_pattern("groups/{group}", User(UUID, "bob", "/", Profile.ADMIN)) == "groups/_/"


def test_logins_that_are_one_have_one_hash():
    assert fill_pattern("p/{hash}", User(UUID, "alice", "/", Profile.ADMIN)) == fill_pattern("p/{hash}", ALICE)


@pytest.mark.parametrize(
    "pattern",
    [
        "", "personal", "personal/", "/personal/{user}", "personal//{user}", "personal/../{user}", "personal/{user}/.",
        "{user}/files", "personal/files", "personal/{name}", "personal/{user.name}", "personal/{user", "personal/user}",
        "personal/{user:0}", "personal/{user:100}", "personal/{user:-1}", "personal/{user!r}", "personal/{}",
        "personal/{group:2}", "personal/{user}\n", "personal/{user}\0", "personal/{__class__}", "personal/{USER}",
        "personal/{{user}}", "p/{user}" + "x" * 600, "personal/{user}//", "personal/{0}",
    ],
)  # fmt: skip
def test_what_is_no_template(pattern):
    with pytest.raises(Invalid):
        check_pattern(pattern)
