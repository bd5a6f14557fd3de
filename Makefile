# Every target sets up what it needs; nothing has to be installed by hand but Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two processes side by side, each with a cluster of its own: the tests there wait more than they compute. Whole files, in the order of
# tests/conftest.py, since a file's tests share what is dear to make. `make test PYTEST_ARGS=` runs one after the other.
# Bytecode is kept even where images switch that off: hundreds of tests start an interpreter.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder -q

FUZZ_ARGS ?= --minutes 10

.PHONY: help venv check test test-integrations fuzz demo demo-record cluster cluster-down bench docs clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

$(BIN)/.ready: pyproject.toml constraints.txt
	@echo "==> Python environment in $(VENV) (packages from PyPI, pinned by constraints.txt)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

venv: $(BIN)/.ready  ## the Python environment

demo: venv  ## a cluster on this machine, a real training, the winner at the end
	@$(BIN)/python -m devcluster.demo

demo-record: venv  ## the demo, and what it showed written into README
	@$(BIN)/python -m devcluster.demo --record

test: venv  ## all tests; builds the control plane the first time (about 5 minutes)
	@$(BIN)/python -m devcluster build
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST_ARGS)

INTEGRATIONS := .venv-integrations
$(INTEGRATIONS)/.ready: tests/trial_image/integrations.txt
	@echo "==> Keras, Lightning, transformers, XGBoost and LightGBM in $(INTEGRATIONS) (some 6 GB, PyTorch's CUDA included)"
	@test -x $(INTEGRATIONS)/bin/python || $(PYTHON) -m venv $(INTEGRATIONS)
	@$(INTEGRATIONS)/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -r tests/trial_image/integrations.txt
	@touch $@

# PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu" gets a PyTorch without CUDA, where that host can be reached.
test-integrations: $(INTEGRATIONS)/.ready  ## the SDK's callbacks in the real frameworks, in an environment of their own
	@$(INTEGRATIONS)/bin/python -m pytest --noconftest -c tests/trial_image/integrations.ini tests/trial_image/test_integrations.py

fuzz: venv  ## ten minutes of hostile bytes for every parser of what trials say
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,fuzz]' || echo "no atheris here: without it"
	@$(BIN)/python -m tests.fuzz $(FUZZ_ARGS)

check: venv  ## style, types, arrows between the parts, generated files up to date
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy operator/rung devcluster trial_image/rung_trial trial_image/trainers
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m rung.api.crds --check crds
	@$(BIN)/python charts/sync.py --check
	@$(BIN)/python docs/generate.py --check

docs: venv  ## write everything that is generated: CRDs, their copies in the chart, the reference pages
	@$(BIN)/python -m rung.api.crds --write crds
	@$(BIN)/python charts/sync.py
	@$(BIN)/python docs/generate.py

cluster: venv  ## a development cluster that stays up, with the CRDs and the operator
	@$(BIN)/python -m devcluster up --operator

cluster-down:  ## stop it
	@$(BIN)/python -m devcluster down

bench: venv  ## every benchmark; results go to bench/results
	@$(BIN)/python -m bench

clean:  ## remove what these targets made here (caches elsewhere stay)
	rm -rf $(VENV) $(INTEGRATIONS) .pytest_cache .mypy_cache .ruff_cache .hypothesis .rung .devcluster
