"""What a migration is asked for, and what is refused before anything is looked at."""

import pytest

from cellsmono.app.migration_target import make_target
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Storage
from cellsmono.interfaces.migration import MigrationOptions
from cellsmono.kernel.errors import Conflict, Invalid

LOCAL = DatasourceConfig(name="docs", folder="/srv/docs")
FAR = DatasourceConfig(
    name="docs", storage=Storage.S3, bucket="b", prefix="p/", endpoint="http://127.0.0.1:1", request_seconds=7
)


def test_a_name_is_a_folder_beside_the_present_one():
    target = make_target(LOCAL, MigrationOptions(format=Format.FLAT, target="blobs"))
    assert (target.folder, target.format) == ("/srv/blobs", Format.FLAT)
    assert target.migrated_from == "structured /srv/docs"


def test_another_bucket_of_the_same_server_keeps_what_was_said_about_it():
    target = make_target(FAR, MigrationOptions(format=Format.STRUCTURED, target="s3://c/q/"))
    assert (target.bucket, target.prefix, target.endpoint) == ("c", "q/", FAR.endpoint)
    assert target.request_seconds == 7


@pytest.mark.parametrize(
    ("source", "wanted", "error", "text"),
    [
        (LOCAL, MigrationOptions(format=Format.FLAT), Invalid, "--target-bucket"),
        (LOCAL, MigrationOptions(format=Format.INTERNAL, target="x"), Invalid, "keep their format"),
        (LOCAL, MigrationOptions(format=Format.FLAT, target="./x"), Invalid, "absolute"),
        (LOCAL, MigrationOptions(format=Format.FLAT, target="/srv/docs"), Conflict, "in place"),
        (LOCAL, MigrationOptions(format=Format.STRUCTURED, target="/srv/docs"), Conflict, "already"),
        (LOCAL, MigrationOptions(format=Format.FLAT, target="/x", values={"region": "r"}), Invalid, "only a bucket"),
        (FAR, MigrationOptions(format=Format.FLAT, target="s3://b/p/"), Conflict, "in place"),
    ],
)
def test_what_can_not_be_is_refused(source, wanted, error, text):
    with pytest.raises(error, match=text):
        make_target(source, wanted)
