from pathlib import Path

import msgspec
import pytest

from cellsmono.app.config import Address, EventLoop, LogLevel, parse_address
from cellsmono.app.config_sources import (
    LoadedConfig,
    add_datasources,
    default_config_file,
    default_data_dir,
    load_config,
    read_datasource,
)
from cellsmono.interfaces.datasource import DatasourceConfig, Durability, Watch
from cellsmono.kernel.errors import Invalid

HOME = {"HOME": "/home/u"}


def load(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **flags: str) -> LoadedConfig:
    """Load with a file of this text; flags are given as ``s3__listen="..."``."""
    file = tmp_path / "config.toml"
    file.write_text(text)
    given = {name.replace("__", "."): (value, "--" + name.split("__")[1]) for name, value in flags.items()}
    return load_config(given, config_file=str(file), environ=HOME | (environ or {}))


def refuse(tmp_path: Path, text: str = "", environ: dict[str, str] | None = None, **flags: str) -> str:
    with pytest.raises(Invalid) as caught:
        load(tmp_path, text, environ, **flags)
    return caught.value.message


def test_without_anything_there_are_defaults_in_the_xdg_places() -> None:
    loaded = load_config(environ=HOME)
    assert loaded.data_dir == Path("/home/u/.local/share/cellsmono")
    assert loaded.config.s3.bucket_root == "/home/u/.local/share/cellsmono/buckets"
    assert loaded.file is None
    assert loaded.origins == {}
    assert {value.origin for value in loaded.list_values()} == {"default"}


def test_xdg_variables_count_when_they_are_absolute() -> None:
    assert default_data_dir({"HOME": "/h", "XDG_DATA_HOME": "/d"}) == Path("/d/cellsmono")
    assert default_data_dir({"HOME": "/h", "XDG_DATA_HOME": "d"}) == Path("/h/.local/share/cellsmono")
    assert default_config_file({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c/cellsmono/config.toml")


def test_the_usual_file_is_read_when_it_exists(tmp_path: Path) -> None:
    file = tmp_path / "cellsmono" / "config.toml"
    file.parent.mkdir()
    file.write_text('[s3]\nregion = "here"\n')
    loaded = load_config(environ=HOME | {"XDG_CONFIG_HOME": str(tmp_path)})
    assert loaded.file == file
    assert loaded.config.s3.region == "here"


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    text = '[s3]\nlisten = "127.0.0.1:1"\nregion = "file"\n[log]\nlevel = "error"\n'
    environ = {"CELLSMONO_S3__LISTEN": "127.0.0.1:2", "CELLSMONO_S3__REGION": "environment"}
    loaded = load(tmp_path, text, environ, s3__listen="127.0.0.1:3")
    assert loaded.config.s3.listen == "127.0.0.1:3"
    assert loaded.config.s3.region == "environment"
    assert loaded.config.log.level is LogLevel.ERROR
    origins = {value.key: value.origin for value in loaded.list_values()}
    assert origins["s3.listen"] == "flag --listen"
    assert origins["s3.region"] == "environment CELLSMONO_S3__REGION"
    assert origins["log.level"] == f"file {tmp_path / 'config.toml'}"
    assert origins["s3.sigv2"] == "default"


def test_the_environment_is_converted_to_the_type_of_the_key(tmp_path: Path) -> None:
    environ = {
        "CELLSMONO_S3__SIGV2": "no",
        "CELLSMONO_S3__DOMAINS": "a.example, b.example,",
        "CELLSMONO_S3__CLOCK_SKEW_SECONDS": "60",
        "CELLSMONO_LIMITS__CONNECTIONS": "5",
        "CELLSMONO_SERVER__EVENT_LOOP": "asyncio",
    }
    config = load(tmp_path, "", environ).config
    assert config.s3.sigv2 is False
    assert config.s3.domains == ("a.example", "b.example")
    assert config.s3.clock_skew_seconds == 60.0
    assert config.limits.connections == 5
    assert config.server.event_loop is EventLoop.ASYNCIO


def test_short_names_and_secret_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t-s3cr3t\n")
    environ = {
        "CELLSMONO_DATA_DIR": str(tmp_path / "data"),
        "CELLSMONO_OWNER_ACCESS_KEY": "OWNER",
        "CELLSMONO_OWNER_SECRET_KEY_FILE": str(secret),
    }
    loaded = load(tmp_path, "", environ)
    assert loaded.data_dir == tmp_path / "data"
    assert loaded.config.owner.secret_key == "s3cr3t-s3cr3t"
    shown = {value.key: value.value for value in loaded.list_values()}
    assert shown["owner.access_key"] == "OWNER"
    assert shown["owner.secret_key"] == "[hidden]"
    assert "s3cr3t" not in repr(loaded)


def test_a_value_and_its_file_are_too_much(tmp_path: Path) -> None:
    environ = {"CELLSMONO_OWNER__SECRET_KEY": "12345678", "CELLSMONO_OWNER__SECRET_KEY_FILE": "/x"}
    assert "both CELLSMONO_OWNER__SECRET_KEY and" in refuse(tmp_path, "", environ)


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path) -> None:
    message = refuse(tmp_path, "", {"CELLSMONO_OWNER_SECRET_KEY_FILE": "/nowhere/secret"})
    assert "CELLSMONO_OWNER_SECRET_KEY_FILE" in message
    assert "/nowhere/secret" in message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[s3]\nregoin = "x"\n', ["'s3.regoin'", "config.toml", "did you mean 's3.region'"]),
        ("[srever]\n", ["'[srever]'", "config.toml", "did you mean 'server'"]),
        ("[s3]\nsigv2 = 1\n", ["s3.sigv2 = 1", "config.toml", "true or false"]),
        ('[log]\nlevel = "debgu"\n', ["log.level = 'debgu'", "'debug', 'info'", "did you mean 'debug'"]),
        ('[limits]\nconnections = "many"\n', ["limits.connections = 'many'", "expected `int`"]),
        ("[limits]\nconnections = 0\n", ["limits.connections = 0", ">= 1"]),
        ("[s3]\nlisten = 9000\n", ["s3.listen = 9000", "expected `str`"]),
        ('[s3]\nlisten = "nine"\n', ["s3.listen = 'nine'", "HOST:PORT"]),
        ("s3 = 3\n", ["s3 in file", "[s3]"]),
        ("[s3\n", ["config.toml", "not valid TOML", "line 1"]),
        ("[[datasource]]\n", ["datasource number 1", "'name' is missing"]),
        ('[[datasource]]\nname = "abc"\n', ["datasource 'abc'", "'folder' is missing"]),
        ('[[datasource]]\nname = "A"\nfolder = "/x"\n', ["name = 'A'", "lower-case letters"]),
        ('[[datasource]]\nname = "abc"\nfolder = "/x"\nwach = "poll"\n', ["'wach'", "did you mean 'watch'"]),
        ('[[datasource]]\nname = "abc"\nfolder = "/x"\nwatch = "pol"\n', ["watch = 'pol'", "did you mean 'poll'"]),
        ('[[datasource]]\nname = "abc"\nfolder = "/x"\nmax_delete_share = 2.0\n', ["max_delete_share", "0 to 1"]),
        ('[[datasource]]\nname = "abc"\nfolder = "/x"\nanonymous = "all"\n', ["anonymous = 'all'", "'read'"]),
        ('[[datasource]]\nname = "abc"\nfolder = "/x"\n' * 2, ["two datasources", "'abc'"]),
        ('[datasource]\nname = "abc"\n', ["[[datasource]]"]),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_remedy(tmp_path: Path, text: str, wanted: list[str]) -> None:
    message = refuse(tmp_path, text)
    for part in wanted:
        assert part in message


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("CELLSMONO_S3__REGOIN", "x", "did you mean 'CELLSMONO_S3__REGION'"),
        ("CELLSMONO_DATADIR", "x", "did you mean 'CELLSMONO_DATA_DIR'"),
        ("CELLSMONO_DATASOURCE__NAME", "x", "use the configuration file"),
        ("CELLSMONO_S3__SIGV2", "maybe", "true or false"),
        ("CELLSMONO_LIMITS__CONNECTIONS", "many", "environment CELLSMONO_LIMITS__CONNECTIONS"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(tmp_path: Path, name: str, value: str, wanted: str) -> None:
    message = refuse(tmp_path, "", {name: value})
    assert wanted in message
    assert name in message


def test_what_is_wrong_in_a_flag_is_named(tmp_path: Path) -> None:
    assert "flag --level" in refuse(tmp_path, log__level="loud")


def test_a_secret_is_not_repeated_in_an_error(tmp_path: Path) -> None:
    assert "12345678" not in refuse(tmp_path, "[owner]\nsecret_key = 12345678\n")


@pytest.mark.parametrize(
    ("owner", "wanted"),
    [
        ('access_key = "OWNER"', "owner.secret_key is missing"),
        ('secret_key = "12345678"', "owner.access_key is missing"),
        ('access_key = "a/b/c"\nsecret_key = "12345678"', "only letters"),
        ('access_key = "OWNER"\nsecret_key = "1234567"', "at least 8"),
    ],
)
def test_a_preset_pair_must_be_whole_and_usable(tmp_path: Path, owner: str, wanted: str) -> None:
    assert wanted in refuse(tmp_path, f"[owner]\n{owner}\n")


def test_a_file_that_was_asked_for_must_exist() -> None:
    with pytest.raises(Invalid, match="asked for by --config"):
        load_config(config_file="/nowhere.toml", environ=HOME)
    with pytest.raises(Invalid, match="asked for by CELLSMONO_CONFIG"):
        load_config(environ=HOME | {"CELLSMONO_CONFIG": "/nowhere.toml"})


def test_relative_folders_are_relative_to_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    text = '[server]\ndata_dir = "data"\n[s3]\nbucket_root = "../b"\n[[datasource]]\nname = "abc"\nfolder = "pics"\n'
    loaded = load(tmp_path, text)
    assert loaded.data_dir == tmp_path / "data"
    assert loaded.config.s3.bucket_root == str(tmp_path.parent / "b")
    assert loaded.config.datasource[0].folder == str(tmp_path / "pics")
    assert load(tmp_path, text, server__data_dir="here").data_dir == elsewhere / "here"


def test_a_datasource_has_its_keys_converted() -> None:
    table = {"name": "abc", "folder": "/x", "durability": "relaxed", "watch": "poll", "reconcile_seconds": 5}
    source = read_datasource(table, "test", Path("/"))
    assert source == DatasourceConfig(
        name="abc", folder="/x", durability=Durability.RELAXED, watch=Watch.POLL, reconcile_seconds=5.0
    )


def test_datasources_can_be_added_but_not_replaced(tmp_path: Path) -> None:
    loaded = load(tmp_path, '[[datasource]]\nname = "abc"\nfolder = "/x"\n')
    more = [DatasourceConfig(name="abc", folder="/y"), DatasourceConfig(name="def", folder="/z")]
    merged = add_datasources(loaded, more, "command line")
    assert [source.folder for source in merged.config.datasource] == ["/x", "/z"]
    rows = {value.key: value.origin for value in merged.list_values()}
    assert rows["datasource.def.folder"] == "command line"
    assert rows["datasource.abc.folder"].startswith("file ")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9000", Address("127.0.0.1", 9000)),
        ("[::1]:80", Address("::1", 80)),
        (":0", Address("0.0.0.0", 0)),
        ("localhost:1", Address("localhost", 1)),
        ("off", None),
    ],
)
def test_addresses(text: str, address: Address | None) -> None:
    assert parse_address(text) == address
    if address is not None and text[0] != ":":
        assert str(address) == text


@pytest.mark.parametrize("text", ["", "9000", "host:", "host:x", "host:65536", "::1:80", "host:-1", "host:٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="as in"):
        parse_address(text)


def test_local_addresses_are_known() -> None:
    assert Address("127.0.0.1", 1).is_local
    assert Address("::1", 1).is_local
    assert Address("localhost", 1).is_local
    assert not Address("0.0.0.0", 1).is_local
    assert not Address("files.example", 1).is_local


def test_the_structs_are_closed() -> None:
    from cellsmono.app.config import Config

    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"s3": {"x": 1}}, Config)


def test_encryption_of_new_buckets_needs_buckets_that_can(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "CELLSMONO_S3__BUCKET_ENCRYPTION": "aes256"}
    assert load_config(environ=environ).config.s3.bucket_encryption == "aes256"
    with pytest.raises(Invalid, match=r"environment CELLSMONO_S3__BUCKET_ENCRYPTION.*bucket_format = 'flat'"):
        load_config(environ=environ | {"CELLSMONO_S3__BUCKET_FORMAT": "structured"})
