# The targets of the project, for people and CI. `make` without a target lists them.
.DEFAULT_GOAL := help
.PHONY: help up down status wipe test lint types unit e2e soak drills bench schema release clean

PYTHON ?= python3
BIN := venv/bin

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: venv ## Start the development cluster, deploy the registry and verify it; needs root
	@$(BIN)/python -m dev up

down: venv ## Stop the development cluster, keep images and state in .dev
	@$(BIN)/python -m dev down

status: venv ## Print which daemons run and which nodes are Ready
	@$(BIN)/python -m dev status

wipe: venv ## Stop the development cluster, delete images and state
	@$(BIN)/python -m dev down --wipe

# ARGS are arguments for pytest, for example: make e2e ARGS="-k rotation"
# K8S is the release of Kubernetes of `up`, `test`, `e2e`, `soak` and `drills`, for example: make e2e K8S=1.36
test: venv ## Run everything that CI runs, and print one summary
	@$(BIN)/python -m tests -- $(ARGS)

lint: venv ## Check format, style, language and spelling
	@$(BIN)/python -m tests lint

types: venv ## Check types with mypy
	@$(BIN)/python -m tests types

unit: venv ## Run the offline tests, a minute
	@$(BIN)/python -m tests unit -- $(ARGS)

e2e: venv ## Run the end-to-end tests on clusters of their own; needs root
	@$(BIN)/python -m tests e2e -- $(ARGS)

soak: venv ## Run unit and e2e with full counts and a new seed; SEED=123 repeats a run
	@$(BIN)/python -m tests soak $(if $(SEED),--seed $(SEED)) -- $(ARGS)

drills: venv ## Put faults into registries under load, write the figures to docs/reliability.md; needs root
	@$(BIN)/python -m tests drills $(if $(SEED),--seed $(SEED)) -- $(ARGS)

bench: venv ## Measure the speed, write bench/results
	@$(BIN)/python -m bench

schema: venv ## Write the generated files: schema, messages, configuration page, Pulumi.yaml
	@$(BIN)/python -m tests.golden

release: venv ## Release a version: make release VERSION=1.2.3 (ARGS=--dry-run)
	@$(BIN)/python -m dev release $(VERSION) $(ARGS)

clean: ## Delete the virtual environments and the caches of the tools
	rm -rf venv registry/.venv policy/.venv examples/*/venv examples/*/sdks examples/*/node_modules examples/*/bin .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamp is written last, so that an interrupted installation starts again.
venv: venv/.installed
venv/.installed: requirements.txt requirements-dev.txt registry/requirements.txt ops/requirements.txt policy/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11. Choose another one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2> /dev/null \
		|| { echo "$(PYTHON) cannot create virtual environments. Install them: apt-get install python3-venv" >&2; exit 2; }
	@echo "  … installing Python packages into venv, which takes a minute"
	@$(PYTHON) -m venv venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
