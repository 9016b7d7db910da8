# make reproduce   run the study PROFILE (default; any of workflow/studies/), make reports/report.html
#                  (others: reports/PROFILE/) and say whether the numbers equal the committed ones
# make test        lint, every test, every notebook, and the smoke study from end to end
# make test-spark  Spark's ALS on MovieLens-100K, packed (needs Java; creates .venv-spark, 0.6 GB)
# make test-slurm  the smoke study on Slurm, which it starts on this machine (Debian, root; installs it)
# make check-claims  the quick claims of docs/claims.md
# make lab         open the first notebook in JupyterLab
# make bench       the benchmark table
# make lint        ruff and mypy
# make clean       remove the environments, the caches and the results (not reports/)
# make lock        for maintainers: renew the locks in requirements/ (needs uv)
#
# The first command creates .venv. Variables: PROFILE, JOBS (cells at once, default: all cores), PYTHON
# (3.11 or 3.12), ACTIVE=1 (use the active conda or virtual environment instead of .venv), TORCH_INDEX
# (where to get a CPU build of torch when the index pip is configured for has none), BET_CACHE, BET_DATA,
# BET_RESULTS, BET_REPORTS (folders).
SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PROFILE ?= default
JOBS    ?= $(shell getconf _NPROCESSORS_ONLN)
PYTHON  ?= python3.11
VENV    ?= .venv
LOCK    := requirements/lock.txt
SPARK   := .venv-spark
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

.PHONY: help reproduce test test-spark test-slurm check-claims lab bench lint clean lock
help:
	@sed -n '/^SHELL/q; s/^#$$//p; s/^# //p' $(firstword $(MAKEFILE_LIST))

$(VENV)/.stamp: $(LOCK) requirements/torch.txt requirements/torch_cpu.txt pyproject.toml
	@$(PYTHON) -c 'import sys, ensurepip; assert sys.version_info[:2] in ((3, 11), (3, 12))' 2>/dev/null || \
	  { echo "make: needs Python 3.11 (or 3.12) with venv: 'apt install python3.11-venv', or" \
	  "PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating $(VENV), one to five minutes"
	$(PYTHON) -m venv --clear $(VENV)
	@requirements/install.sh $(PY) '$(TORCH)' '$(TORCH_INDEX)'
	@touch $@

reproduce: $(READY)
	@$(PY) -m bet study $(PROFILE) --jobs $(JOBS) --report

test: $(READY)
	@$(PY) .ci/test.py $(JOBS)

$(SPARK)/.stamp: requirements/spark.txt
	@test -n "$${JAVA_HOME-}" || command -v java >/dev/null || \
	  { echo "make: Spark needs Java: 'apt install openjdk-17-jre-headless' or set JAVA_HOME" >&2; exit 1; }
	@echo "creating $(SPARK), one to three minutes; 0.5 GB are downloaded"
	$(if $(ACTIVE),$(PY),$(PYTHON)) -m venv --clear $(SPARK)
	@$(SPARK)/bin/python -m pip install -qq --require-hashes -r requirements/spark.txt
	@touch $@

test-spark: $(READY) $(SPARK)/.stamp
	@$(PY) workflow/spark/check.py --spark $(SPARK)/bin/python

test-slurm: $(READY)
	@$(PY) -m pip install -qq --require-hashes -r requirements/cluster.txt
	@PATH="$(dir $(abspath $(PY))):$$PATH" $(PY) workflow/slurm/check.py

check-claims: $(READY)
	@$(PY) .ci/claims.py

# With the usual backend, so that figures are shown; from here, so that links to docs/ open; root is
# refused unless it says so.
lab: $(READY)
	env -u MPLBACKEND $(PY) -m jupyterlab --notebook-dir . \
	  --LabApp.default_url=/lab/tree/notebooks/01_data.ipynb \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

bench: $(READY)
	$(PY) -m benchmarks

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

clean:
	rm -rf $(VENV) $(SPARK) .cache results .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

COMPILE := uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' -q
lock:
	$(COMPILE) requirements/base.in -o $(LOCK)
	$(COMPILE) -c $(LOCK) requirements/torch.in -o requirements/torch.txt
	$(COMPILE) requirements/audit.in -o requirements/audit.txt
	$(COMPILE) -c $(LOCK) requirements/spark.in -o requirements/spark.txt
	$(COMPILE) -c $(LOCK) requirements/cluster.in -o requirements/cluster.txt
