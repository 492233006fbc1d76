# Driftline: one command for each thing. `make help` lists them; `make demo` and `make test` set a fresh machine up by themselves.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST := $(BIN)/python -m pytest
# Whole files go to the processes, in the order of collection. Each process of tests on Kafka has a broker of its own: two of
# them, as most of their time is waiting, and what they wait for must not wait for a processor.
SPREAD := --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder
SPREAD_KAFKA := $(SPREAD) --maxprocesses 2
# 5 is pytest's "no test was collected": right where ARGS names tests of the other kind only, a mistake where there are no ARGS.
NONE_CHOSEN = { code=$$?; [ $$code -eq 5 ] && [ -n "$(ARGS)" ] || exit $$code; }
LOCKING := uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --quiet
VERSIONS := 3.11 3.12 3.13
ARGS ?=
export UV_PYTHON_DOWNLOADS := never
# Some machines set it for everybody. The tests start hundreds of processes, and each would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test check format test-quick test-kafka verify image bench lowest pythons lock hooks tools clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

# ------------------------------------------------------------------------------------------------------------ set-up
# Three stamps: the environment, what the daemon needs, what development needs. Each is remade when its input changes.

$(VENV)/made:
	@python="$$(bash tests/tools/find-python $(VERSIONS))"; \
	echo "driftline: making $(VENV) with $$("$$python" --version)" >&2; \
	rm -rf $(VENV); "$$python" -m venv $(VENV); touch $@

$(VENV)/installed: requirements.lock pyproject.toml $(VENV)/made
	@echo "driftline: installing what the daemon needs (requirements.lock)" >&2
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/developed: requirements-dev.lock $(VENV)/installed
	@echo "driftline: installing what development needs (requirements-dev.lock)" >&2
	@$(PIP) install --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

setup: $(VENV)/developed ## make .venv and install everything, by hash

tools: ## install the Debian packages that the tests use, when they are missing
	@bash tests/tools/debian-packages

# -------------------------------------------------------------------------------------------------------------- use

demo: $(VENV)/developed ## play flights, an incident and the retraining that mends it; nothing else needs to run
	@$(BIN)/driftline demo $(ARGS)

check: $(VENV)/developed ## ruff (lint and layout), mypy --strict, import contracts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo --cache-dir build/import_linter

test: check tools ## everything but the slow tests: checks first, then quick tests, then those on a real Kafka
	@$(PYTEST) $(SPREAD) -m "not slow and not kafka" $(ARGS) || $(NONE_CHOSEN)
	@$(PYTEST) $(SPREAD_KAFKA) -m "kafka and not slow" $(ARGS) || $(NONE_CHOSEN)

test-quick: $(VENV)/developed ## the tests that need no broker
	@$(PYTEST) $(SPREAD) -m "not slow and not kafka" $(ARGS)

test-kafka: $(VENV)/developed ## the tests on a real Kafka
	@$(PYTEST) $(SPREAD_KAFKA) -m "kafka and not slow" $(ARGS)

verify: $(VENV)/developed tools ## hours: the slow tests, all examples of every law, every part of tests/verify; writes tests/verify/report.md
	@DRIFTLINE_THOROUGH=1 $(PYTEST) -m "slow or not kafka" $(ARGS)
	@$(BIN)/python -m tests.verify all

image: ## build deploy/Dockerfile on a base of Debian's packages and run it, without a container engine (root; some minutes)
	@bash tests/tools/image --folder build/image $(ARGS)

bench: $(VENV)/developed ## measure on a real Kafka; prints a table, writes build/bench.json
	@$(BIN)/python -m tests.bench $(ARGS)

# ------------------------------------------------------------------------------------------------------- maintenance

lowest: $(VENV)/developed ## the quick tests with the oldest dependencies that pyproject.toml admits
	@BIN=$(BIN) bash tests/tools/lowest $(ARGS)

pythons: $(VENV)/developed ## the quick tests on every Python we claim
	@BIN=$(BIN) bash tests/tools/pythons $(VERSIONS)

lock: $(VENV)/developed ## renew both locks from pyproject.toml (LOCK_ARGS=--upgrade to move versions)
	@$(BIN)/$(LOCKING) $(LOCK_ARGS) --output-file requirements.lock
	@$(BIN)/$(LOCKING) $(LOCK_ARGS) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

format: $(VENV)/developed ## let ruff lay out the code
	@$(BIN)/ruff format

hooks: $(VENV)/developed ## run `make check` before each commit
	@$(BIN)/pre-commit install

clean: ## remove what was made here (.venv, build, caches); the cache of Kafka jars in the home folder stays
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
