# Shortcuts for people; nothing depends on them. CI is `.ci/run`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup check test coverage soak bench lock

help:  ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup:  ## make .venv with the versions that CI proved
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e '.[dev]'

check:  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test:  ## the test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

coverage:  ## the test suite, and which lines it never ran (takes more than twice as long)
	$(BIN)/python -m pytest -n auto --dist loadfile --cov --cov-report=term:skip-covered

soak:  ## the long forms of the crash tests (hours)
	$(BIN)/python -m pytest -m soak

bench:  ## measure beside the peers that are found; writes bench/RESULTS.md
	$(BIN)/python bench/run.py

lock:  ## write constraints.txt from a fresh environment
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q -e '.[dev,fast]'
	{ sed -n '/^#/p' constraints.txt; .venv-lock/bin/pip freeze --exclude-editable --exclude pip --exclude setuptools; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-lock
