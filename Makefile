# Every target does its own set-up in .venv; Python 3.11 or newer and make are enough. `make help` lists the targets.
#   make test ONLY=ledger            one area: tests/ledger, or the test files with that word in their name
#   make demo SCRIPTED=1             print the report and end;  HOSTS="example.com:443 …" adds hosts of your own;
#                                    PULUMI=1 builds Pulumi's CLI first where there is none (needs Go; four minutes, once)
#   make lock                        resolve pyproject.toml anew into the two lock files (needs uv)

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The stamps are named by content: a fresh checkout has new times and the same locks.
RUNTIME := $(VENV)/.runtime-$(shell cat requirements.lock pyproject.toml | cksum | tr -dc '0-9')
DEV := $(VENV)/.dev-$(shell cat requirements-dev.lock pyproject.toml | cksum | tr -dc '0-9')
LOCKED := $(BIN)/python -m pip install --disable-pip-version-check --quiet
# Tests mostly wait for servers, so three files at once on two cores; those of one file share its servers.
# One that ran out of time beside two others has a second try, which the closing line counts; a wrong answer has none.
SPREAD := -n 3 --dist loadfile --reruns 1 --only-rerun TimeoutError --only-rerun 'Failed: Timeout'
COMPILE := uv pip compile pyproject.toml --quiet --universal --generate-hashes --extra demo --group build \
	--no-header --no-emit-index-url --python-version 3.11

.PHONY: help setup demo up n8n test check bench soak docs clean lock ready servers

help:
	@echo 'make setup   only .venv, with the `nightshift` command in .venv/bin'
	@echo 'make demo    a night on throw-away servers, with console and Flower (SCRIPTED=1: print the report and end)'
	@echo 'make up      the whole instance in the foreground'
	@echo 'make n8n     beside a running instance: an n8n by npm with the workflows published, in the foreground'
	@echo 'make test    all tests on real servers (ONLY=ledger: one area)'
	@echo 'make check   format, rules, types, imports, dead code, licences, repository'
	@echo 'make bench   speeds beside bare Celery and procrastinate, as one table'
	@echo 'make soak    hundreds of kills; writes docs/reports/'
	@echo 'make docs    the pages and pictures that are made from the code'
	@echo 'make lock    resolve the dependencies anew (needs uv)'
	@echo 'make clean   remove everything the targets made'

setup: $(RUNTIME)

demo: $(RUNTIME) $(if $(PULUMI),$(DEV))
	@$(if $(PULUMI),$(BIN)/python -m tests.servers.pulumi_install)
	@$(BIN)/nightshift demo $(if $(SCRIPTED),--scripted) $(foreach host,$(HOSTS),--host $(host))

up: $(RUNTIME)
	@$(BIN)/nightshift up $(ARGS)

# n8n is fetched by npm, and is under its own licence.
n8n: $(RUNTIME)
	@PATH="$(CURDIR)/$(BIN):$$PATH" n8n_workflows/install/start

check: $(DEV)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	# Fields of rows and values are read as JSON and by templates, which vulture does not see; unused locals are ruff's.
	! $(BIN)/vulture | grep -v 'unused variable'
	$(BIN)/deptry .
	$(BIN)/python .ci/licences.py
	$(BIN)/pytest -q tests/test_repository.py

# pytest has the last word: nothing may print after it.
test: ready
	@$(BIN)/pytest $(SPREAD) $(if $(ONLY),$$(.ci/area $(ONLY)))

bench: ready
	@$(BIN)/python -m bench

soak: ready
	@$(BIN)/pytest -m soak --timeout 0

docs: ready
	@$(BIN)/python -m worker.cli.pages
	@$(BIN)/python -m tests.n8n.pictures
	@$(BIN)/python -m tests.drift.pictures

clean:
	rm -rf $(VENV) .nightshift .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock:
	$(COMPILE) --output-file requirements.lock >/dev/null
	$(COMPILE) --group dev --group bench --output-file requirements-dev.lock >/dev/null

# What tests need: the tools, and the servers (installed on Debian as root, skipped with a reason elsewhere).
ready: $(DEV) servers

servers:
	@.ci/servers

$(RUNTIME): | $(BIN)/python
	@echo 'Installing what Nightshift needs into $(VENV) …'
	@$(LOCKED) --require-hashes -r requirements.lock
	@$(LOCKED) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): | $(RUNTIME)
	@echo 'Installing the tools for tests and checks into $(VENV) …'
	@$(LOCKED) --require-hashes -r requirements-dev.lock
	@touch $@

$(BIN)/python:
	@.ci/venv $(VENV)
