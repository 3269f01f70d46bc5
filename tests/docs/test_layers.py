"""The import contracts hold, and the check that says so is able to fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = Path(sys.executable).parent / "lint-imports"


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT, "--no-cache", "--config", root / "pyproject.toml"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_imports_run_only_downwards():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "statement", "contract"),
    [
        ("kernel/clock.py", "import aiohttp", "aiohttp is known to the gateway alone"),
        ("kernel/clock.py", "import cellsmono.interfaces.node", "Imports run downwards"),
        ("datasource/claims.py", "import cellsmono.gateway", "siblings never import each other"),
    ],
)
def test_a_wrong_import_is_noticed(tmp_path, module, statement, contract):
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "src" / "cellsmono" / module
    path.write_text(path.read_text() + f"\n{statement}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")]
    assert any(contract in line for line in broken), done.stdout
