"""Which object service serves which buckets, as the commands show it: the example of the documentation of Cells."""

import json
import re
import subprocess
import sys

import pytest

from cellsmono.interfaces.datasource import Format

SHARED = ["cells", "newdatasource", "personal"]
FORMATS = {"cells": "flat", "newdatasource": "structured", "personal": "internal", "pydiods1": "structured"}


@pytest.fixture(scope="module")
def data_dir(start_server, tmp_path_factory):
    """A server with four datasources: three in sibling folders, of three formats, and one elsewhere."""
    root = tmp_path_factory.mktemp("sharing")
    lines = []
    for name, format_ in FORMATS.items():
        folder = root / ("one" if name in SHARED else "two") / name
        folder.mkdir(parents=True)
        lines += ["[[datasource]]", f'name = "{name}"', f'folder = "{folder}"', f'format = "{Format(format_)}"']
    (root / "config.toml").write_text("\n".join(lines))
    server = start_server(root / "data", "--config", str(root / "config.toml"))
    yield root / "data"
    assert server.stop() == 0, server.read_log()


@pytest.fixture
def ask(data_dir):
    """What a command prints about the running server."""

    def run(*arguments):
        command = [sys.executable, "-m", "cellsmono", *arguments, "--data-dir", str(data_dir)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_ps_names_two_object_services_and_their_buckets(ask, data_dir):
    rows = {row["name"]: row for row in json.loads(ask("ps", "--output", "json"))}
    objects = {name: row for name, row in rows.items() if name.startswith("data.objects.")}
    assert {name: (row["detail"], row["serves"]) for name, row in objects.items()} == {
        "data.objects.local1": (str(data_dir.parent / "one"), SHARED),
        "data.objects.local2": (str(data_dir.parent / "two"), ["pydiods1"]),
    }
    assert not any(row["serves"] for name, row in rows.items() if name not in objects)
    assert {name for name in rows if name.startswith("data.index.")} == {f"data.index.{name}" for name in FORMATS}
    assert {name for name in rows if name.startswith("data.sync.")} == {"data.sync.newdatasource", "data.sync.pydiods1"}
    table = ask("ps")
    parent = re.escape(str(data_dir.parent))
    assert re.search(rf"(?m)^data\.objects\.local1 +\[X\]  {parent}/one, serves cells, newdatasource, personal$", table)
    assert re.search(rf"(?m)^data\.objects\.local2 +\[X\]  {parent}/two, serves pydiods1$", table)


def test_ds_list_names_the_service_of_each_datasource_and_what_each_service_serves(ask):
    infos = {info["config"]["name"]: info for info in json.loads(ask("ds", "list", "--output", "json"))}
    assert {name: (info["objects"], info["objects_serves"]) for name, info in infos.items()} == {
        **dict.fromkeys(SHARED, ("data.objects.local1", SHARED)),
        "pydiods1": ("data.objects.local2", ["pydiods1"]),
    }
    sources, services = ask("ds", "list").split("\n\n")
    for name, format_ in FORMATS.items():
        service = "data.objects.local1" if name in SHARED else "data.objects.local2"
        assert re.search(rf"(?m)^{name} +ready .* {format_} +{service} ", sources)
    assert services.splitlines() == [
        "OBJECT SERVICE       SERVES",
        "data.objects.local1  cells, newdatasource, personal",
        "data.objects.local2  pydiods1",
    ]


def test_ds_show_names_who_shares_the_service(ask):
    assert re.search(
        r"(?m)^objects +data\.objects\.local1, serves cells, newdatasource, personal$", ask("ds", "show", "cells")
    )
