"""Buckets of other servers as datasources, in the configuration and on the command line."""

from pathlib import Path

import msgspec
import pytest

from cellsmono.app.config_sources import load_config, read_datasource
from cellsmono.app.remote import read_place_argument
from cellsmono.datasource.objects.s3.opening import make_endpoint
from cellsmono.datasource.placing import check_bucket
from cellsmono.interfaces.datasource import DatasourceConfig, Storage
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid

BUCKET = {"name": "far", "storage": "s3", "bucket": "b", "endpoint": "https://s3.example.org"}
SECRET = "hush-hush-hush"


def make(**values) -> DatasourceConfig:
    return read_datasource(BUCKET | values, "test", Path("/base"))


def test_a_bucket_needs_no_folder_and_files_are_relative_to_the_configuration() -> None:
    source = make(prefix="in/here", secret_key_file="secret")
    assert (source.storage, source.folder, source.secret_key_file) == (Storage.S3, "", "/base/secret")
    assert source.place == "s3://b/in/here on https://s3.example.org"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"bucket": ""}, "'bucket' is missing"),
        ({"folder": "/srv"}, "folder"),
        ({"endpoint": "s3.example.org"}, "https://"),
        ({"object_tags": "nonsense"}, "key=value"),
        ({"secret_key": SECRET, "secret_key_file": "x"}, "secret_key_file"),
        ({"notify_token": SECRET, "notify_token_file": "x"}, "notify_token_file"),
        ({"notify_token": SECRET}, "16 characters"),
        ({"notify_token": SECRET * 2, "format": "flat"}, "only structured"),
        ({"notify_token_file": "x", "format": "flat"}, "only structured"),
        (
            {"storage": "local", "folder": "/srv", "bucket": "", "endpoint": "", "notify_token": SECRET},
            "storage = 's3'",
        ),
        ({"signature": "v2"}, "s3v4"),
        ({"storage": "s4"}, "'local', 's3'"),
        ({"storage": "local", "folder": "/srv"}, "storage = 's3' only"),
    ],
)
def test_what_is_wrong_is_told(values: dict[str, object], said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        make(**values)
    assert SECRET not in str(caught.value)


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    values = BUCKET | {"access_key": "AK", "secret_key": SECRET, "notify_token": SECRET * 2}
    lines = [f"{key} = {value!r}" for key, value in values.items()]
    file.write_text("\n".join(["[[datasource]]", *lines]))
    loaded = load_config(config_file=str(file), environ={"HOME": "/h"})
    (source,) = loaded.config.datasource
    assert source.secret_key == SECRET
    shown = [repr(source), repr(loaded), repr(make_endpoint(source, {})), msgspec.json.encode(source.without_secrets())]
    assert SECRET not in str(shown)
    assert SECRET not in str([value for value in loaded.list_values() if value.key.startswith("datasource.")])


def test_where_the_keys_come_from(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    assert make_endpoint(make(access_key="AK", secret_key_file=str(file)), {}).secret_key == SECRET
    environ = {"AWS_ACCESS_KEY_ID": "EK", "AWS_SECRET_ACCESS_KEY": "ES"}
    assert make_endpoint(make(), environ).access_key == "EK"
    for values, said in [
        ({}, "access_key"),
        ({"access_key": "AK"}, "secret_key"),
        ({"access_key": "AK", "secret_key_file": "/none"}, "secret_key_file"),
        ({"access_key": "AK", "secret_key": "x", "ca_file": "/none"}, "ca_file"),
    ]:
        with pytest.raises(Invalid, match=said):
            make_endpoint(make(**values), {})


def test_two_datasources_never_hold_the_same_objects() -> None:
    other = make(name="other", prefix="a/b")
    check_bucket(make(prefix="a/bc"), [other])
    check_bucket(make(prefix="a/b", endpoint="https://elsewhere"), [other])
    for prefix in ("", "a", "/a/", "a/b", "a/b/c"):
        with pytest.raises(Conflict):
            check_bucket(make(prefix=prefix), [other])
    with pytest.raises(AlreadyExists):
        check_bucket(make(name="other", bucket="c"), [other])


def test_arguments_of_the_command_line(tmp_path: Path) -> None:
    given = {"endpoint": "https://e", "region": "us-east-1"}
    assert read_place_argument("s3://bucket/deep/Base/", [], given) == {
        "name": "base",
        "storage": Storage.S3,
        "bucket": "bucket",
        "prefix": "deep/Base/",
        **given,
    }
    assert read_place_argument("far=s3://bucket", [], given)["name"] == "far"
    with pytest.raises(AlreadyExists):
        read_place_argument("far=s3://bucket", [make()], given)
    with pytest.raises(Invalid, match="--endpoint"):
        read_place_argument(str(tmp_path), [], given)
    found = read_place_argument(f"docs={tmp_path}", [make()], {"region": "us-east-1"})
    assert found == {"name": "docs", "folder": str(tmp_path)}
