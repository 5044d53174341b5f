# The verbs, for people and for CI alike. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help up down status wipe test lint types unit e2e soak bench schema clean

PYTHON ?= python3
BIN := venv/bin

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: venv ## Engine, two-node Kubernetes, registry, verified: from nothing to `docker push`
	@$(BIN)/python -m dev up

down: venv ## Stop the embedded cluster and leave the machine as it was; images stay in .dev
	@$(BIN)/python -m dev down

status: venv ## Say what of the embedded cluster runs
	@$(BIN)/python -m dev status

wipe: venv ## Down, and delete the images and the state too
	@$(BIN)/python -m dev down --wipe

# ARGS are passed on to pytest: make e2e ARGS="-k rotation"
test: venv ## Everything that CI runs, in its order, with one summary
	@$(BIN)/python -m tests -- $(ARGS)

lint: venv ## ruff: format and rules
	@$(BIN)/python -m tests lint

types: venv ## mypy, strict
	@$(BIN)/python -m tests types

unit: venv ## Offline tests, 40 seconds
	@$(BIN)/python -m tests unit -- $(ARGS)

e2e: venv ## On embedded clusters of their own: real engine, Kubernetes and Docker engine; needs root
	@$(BIN)/python -m tests e2e -- $(ARGS)

soak: venv ## unit and e2e at full counts, with a fresh seed: make soak SEED=123 repeats a run
	@$(BIN)/python -m tests soak $(if $(SEED),--seed $(SEED)) -- $(ARGS)

bench: venv ## Measure the ratios of the README; writes bench/results
	@$(BIN)/python -m bench

schema: venv ## Write what other languages see of the component, and docs/configuration.md; tests compare
	@$(BIN)/python -m tests.golden

clean: ## Delete the virtual environment and the caches of the tools
	rm -rf venv registry/.venv examples/*/venv examples/*/sdks .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Stamped when whole, so that an interrupted installation is made anew.
venv: venv/.installed
venv/.installed: requirements.txt requirements-dev.txt registry/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv" >&2; exit 2; }
	@echo "  … Python packages into venv, a minute the first time"
	@$(PYTHON) -m venv venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
