# `make help` lists what there is. Everything runs in .venv, which `setup` makes from requirements.lock.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The first that can make a virtual environment, or else that runs; `make PYTHON=/path/to/python3.12 …` picks another.
# Debian's own goes first: one that was built without profile-guided optimization, as pyenv does, is a fifth slower here.
PYTHON ?= $(shell for needed in 'import ensurepip' ''; do for python in /usr/bin/python3.11 python3.11 python3; do \
	$$python -c "$$needed" 2>/dev/null && { command -v $$python; exit; }; done; done)
BIN := .venv/bin
UV ?= $(shell test -x $(BIN)/uv && echo $(BIN)/uv || echo uv)
PYTEST_ARGS ?=

.PHONY: help
help: ## show this list
	@awk 'BEGIN { FS = ":[^#]*## " } /^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.ready ## make .venv from the lock (again only when the lock or pyproject.toml changed)

.venv/.ready: requirements.lock pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'streamlimit needs Python 3.11 or newer: make setup PYTHON=/path/to/python3' >&2; exit 1; }
	@test -x $(BIN)/pip || "$(PYTHON)" -m venv --clear .venv || { \
		echo 'Cannot make .venv. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: sam
sam: .venv-sam/.ready ## the SAM command line, whose pins suit nobody else, in a .venv-sam of its own

.venv-sam/.ready: requirements-sam.lock .venv/.ready
	"$(PYTHON)" -m venv --clear .venv-sam
	$(BIN)/uv pip install --quiet --python .venv-sam/bin/python --require-hashes -r requirements-sam.lock
	@touch $@

.PHONY: demo
demo: setup ## play the sample streams against a limiter on this machine
	$(BIN)/streamlimit demo

.PHONY: test
test: check ## everything CI runs: check, then the whole test suite (PYTEST_ARGS=… passes arguments)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

.PHONY: check
check: setup ## lint, formatting, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## let ruff fix and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# mutmut's verdicts are made anew each time (one of before may be by a test that is gone), and with our type checker.
.PHONY: mutants
mutants: setup ## break the code in named ways, and the rules in every way (LUA=100: so many ways to break the scripts)
ifdef LUA
	$(BIN)/python -m tests.mutants.lua $(LUA)
else
	$(BIN)/python -m tests.mutants
	rm -rf mutants
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/mutmut run
	$(BIN)/python -m tests.mutants.survivors
endif

.PHONY: coverage
coverage: setup ## which lines and branches the tests run, by room, into bench/results (PYTEST_ARGS=… picks tests)
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest --timeout 900 $(PYTEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m bench.covered $(PYTEST_ARGS)

.PHONY: soak
soak: setup ## an hour of faults under load (ARGS='--minutes 10'), then long runs that watch for leaks and drift
	$(BIN)/python -m bench.soak $(ARGS)
	$(BIN)/python -m pytest tests/soak -n 0 --timeout 0 $(PYTEST_ARGS)

.PHONY: image
image: setup ## build the container's image twice and run it (needs buildah, root, and a base: BASE=localhost/python)
	$(BIN)/python -m pytest tests/image -n 0 --timeout 1200

.PHONY: walk
walk: setup ## the way of somebody who tries it, by real commands: minutes, and what each step needed
	$(BIN)/python -m tests.walk $(ARGS)

.PHONY: bench
bench: setup ## measure this machine for a quarter of an hour (ARGS='cluster' measures rows with that word alone)
	$(BIN)/python -m bench $(ARGS)

.PHONY: trace
trace: setup ## how many calls and files of ours a warm request takes (ARGS=--calls prints them)
	$(BIN)/python -m bench.trace $(ARGS)

.PHONY: docs
docs: setup ## build the pages of docs/ into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean

.PHONY: dist
dist: setup ## build a release, the wheel and the archive of the sources, into dist/
	rm -rf dist
	$(BIN)/uv build --quiet --offline --no-build-isolation --python $(BIN)/python --out-dir dist

.PHONY: samples
samples: setup ## make the sample streams again (needs ffmpeg)
	$(BIN)/python tools/make_samples.py

.PHONY: screenshots
screenshots: setup ## make the pictures of docs/ again (needs chromium)
	$(BIN)/python tools/make_screenshots.py

.PHONY: lock
lock: ## resolve pyproject.toml into requirements.lock (UPGRADE=--upgrade for newer releases)
	$(UV) pip compile pyproject.toml --group test --group dev --group docs --extra traces --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet $(UPGRADE) --output-file requirements.lock
	echo aws-sam-cli | $(UV) pip compile - --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet $(UPGRADE) --output-file requirements-sam.lock
	@if grep -nE '://|file:| @ |^-' requirements.lock requirements-sam.lock; then \
		echo 'a lock names a host or a path' >&2; exit 1; fi

.PHONY: clean
clean: ## remove .venv, caches and build results
	rm -rf .venv .venv-sam .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist mutants \
		tests/typescript/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
