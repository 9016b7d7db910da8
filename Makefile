# make reproduce   run the cells of PROFILE (default; smoke, full, paper) and render reports/report.html (other profiles: reports/PROFILE/)
# make test        lint, every test, every notebook, and the smoke study from end to end
# make bench       the benchmark table
# make lint        ruff and mypy
# make kernel      show this environment in your own JupyterLab as "bet"
# make clean       remove the environment, the caches and the results (not reports/)
# make lock        for maintainers: renew requirements/lock.txt (needs uv)
#
# The first command creates .venv. Variables: PROFILE, JOBS (cells at once, default: all cores), PYTHON (3.11 or 3.12),
# ACTIVE=1 (use the active conda or virtual environment instead of .venv), TORCH_INDEX (where to get a CPU build of torch
# when the index pip is configured for has none), BET_CACHE, BET_DATA, BET_RESULTS, BET_REPORTS (folders).
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PROFILE ?= default
JOBS    ?= $(shell getconf _NPROCESSORS_ONLN)
PYTHON  ?= python3.11
VENV    ?= .venv
LOCK    := requirements/lock.txt
TORCH   := torch==2.13.0

ifdef ACTIVE
PY    := $(shell command -v python)
READY :=
else
PY    := $(VENV)/bin/python
READY := $(VENV)/.stamp
endif

export BET_CACHE ?= $(CURDIR)/.cache/bet
export PYTHONHASHSEED := 0
export OMP_NUM_THREADS := 1
export MPLBACKEND := Agg
export JUPYTER_PREFER_ENV_PATH := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
unexport PYTHONPATH

.PHONY: help reproduce test smoke bench lint kernel clean lock
help:
	@sed -n '/^SHELL/q; s/^#$$//p; s/^# //p' $(firstword $(MAKEFILE_LIST))

$(VENV)/.stamp: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip; assert sys.version_info[:2] in ((3, 11), (3, 12))' 2>/dev/null || { echo \
	  "make: needs Python 3.11 (or 3.12) with venv: 'apt install python3.11-venv', or PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating $(VENV): about 2 GB, one to five minutes"
	$(PYTHON) -m venv --clear $(VENV)
	$(PY) -m pip install -qq --require-hashes -r $(LOCK)
	$(PY) -m pip install -qq --no-deps '$(TORCH)+cpu' 2>/dev/null || \
	$(PY) -m pip install -qq $(if $(TORCH_INDEX),--no-deps --index-url '$(TORCH_INDEX)',) '$(TORCH)'
	$(PY) -m pip install -qq --no-deps --no-build-isolation -e .
	$(PY) -m pip check
	@touch $@

# A failed cell stops neither the other cells nor the report; the last line names what is missing and fails.
reproduce: $(READY)
	@$(PY) -m bet.study.grid $(PROFILE) --jobs $(JOBS) || [ $$? -eq 1 ]
	@$(PY) -m bet report --profile $(PROFILE)
	@$(PY) -m bet.study.grid $(PROFILE) --check

test: lint
	$(PY) -m pytest -p no:randomly -n $(JOBS) --maxprocesses 8 tests
	$(PY) -m pytest -p no:randomly --nbval-lax --nbval-current-env --nbval-cell-timeout 120 notebooks
	$(MAKE) smoke

# The whole study in small, in folders of its own: nothing committed is overwritten, nothing finished is reused.
smoke: export BET_RESULTS := $(CURDIR)/.cache/smoke/results
smoke: export BET_REPORTS := $(CURDIR)/.cache/smoke/reports
smoke: export BET_CACHE   := $(CURDIR)/.cache/smoke/cache
smoke: $(READY)
	@rm -rf .cache/smoke
	@$(MAKE) reproduce PROFILE=smoke
	@ls -l .cache/smoke/reports/smoke/report.html

bench: $(READY)
	$(PY) -m benchmarks

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m mypy

kernel: $(READY)
	$(PY) -m ipykernel install --user --name bet --display-name 'bet ($(CURDIR))'

clean:
	rm -rf $(VENV) .cache results .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock:
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command 'make lock' -q requirements/base.in -o $(LOCK)
