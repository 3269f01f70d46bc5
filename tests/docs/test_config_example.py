"""The example configuration says exactly what the structs say."""

import itertools
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from cellsmono.app.config import SECTIONS, LimitsConfig
from cellsmono.app.config_example import CLIENT_SAMPLES, SAMPLES, render_example
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.oidc import OidcClient

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")


def uncomment(text: str) -> dict[str, dict[str, object]]:
    """The example with every key switched on."""
    return tomllib.loads(re.sub(r"(?m)^#(?=\w+ = |\[\[)", "", text))


def test_the_file_is_what_config_init_writes() -> None:
    assert render_example() == EXAMPLE, "run: cellsmono config init config.example.toml --force"


def test_as_it_stands_it_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(EXAMPLE)
    assert (
        load_config(config_file=str(file), environ={"HOME": "/h"}).config == load_config(environ={"HOME": "/h"}).config
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_there_with_its_default(section: str) -> None:
    table = uncomment(EXAMPLE)[section]
    defaults = {field.name: msgspec.to_builtins(field.default) for field in msgspec.structs.fields(SECTIONS[section])}
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()} == defaults


def test_every_key_of_a_datasource_is_there_with_its_default() -> None:
    table = uncomment(EXAMPLE)["datasource"][0]  # type: ignore[index]
    fields = msgspec.structs.fields(DatasourceConfig)
    expected = {field.name: SAMPLES.get(field.name, field.default) for field in fields}
    assert table == expected


def test_every_key_of_a_client_is_there_with_its_default() -> None:
    table = uncomment(EXAMPLE)["oidc_client"][0]  # type: ignore[index]
    fields = msgspec.structs.fields(OidcClient)
    expected = {field.name: CLIENT_SAMPLES.get(field.name, field.default) for field in fields}
    assert table == expected


def test_it_is_valid_with_every_key_switched_on(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(re.sub(r"(?m)^#(?=\w+ = |\[\[)", "", EXAMPLE))
    loaded = load_config(config_file=str(file), environ={"HOME": "/h"})
    assert loaded.config.datasource[0] == DatasourceConfig(name="photos", folder="/srv/photos")
    assert loaded.config.oidc_client[0].id == "wiki"


def test_every_key_has_a_comment_above_it() -> None:
    lines = EXAMPLE.splitlines()
    for above, line in itertools.pairwise(lines):
        if re.match(r"#\w+ = ", line):
            assert above.startswith("# "), line


def test_limits_are_those_of_the_listeners() -> None:
    from cellsmono.gateway.http import Limits

    mine = msgspec.structs.asdict(LimitsConfig())
    del mine["xml_bytes"]
    assert mine == msgspec.structs.asdict(Limits())
