# retroprop: every target does its own set-up in .venv; `make` alone lists them.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The extras of the package that go into .venv (comma-separated), see pyproject.toml.
EXTRAS ?= all,test
# Processes of the test run: a number, or auto for one a processor.
WORKERS ?= auto
# Further arguments for pytest, e.g. make test PYTEST_ARGS="-k losses -x"
PYTEST_ARGS ?=
# Further arguments for bench and bench-check, e.g. make bench BENCH_ARGS=--quick
BENCH_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
# The demo needs no test tools and no compiler: a third of the packages. Where they are installed, they serve.
DEMO_EXTRAS := cli,data,plot,sklearn
DEMO_STAMP := $(or $(wildcard $(STAMP)),$(VENV)/.installed-$(subst $(comma),-,$(DEMO_EXTRAS)))
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile --editable
DOCS_STAMP := $(VENV)/.installed-docs

# pip would compile to bytecode on one processor, and the packages' own tests too. The demo compiles what it imports.
# A file that does not compile is no failure.
COMPILE := $(BIN)/python -m compileall -qq -j 0 -x /tests/ $(VENV)/lib || true

# Every worker computes on one thread: two workers with two BLAS threads each only get in each other's way.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 VECLIB_MAXIMUM_THREADS=1 NUMBA_NUM_THREADS=1
# A file is run by one worker: another would compile for JAX, C++ and CUDA what the first has compiled.
PYTEST := $(ONE_THREAD) MPLBACKEND=Agg $(BIN)/python -m pytest -p no:benchmark -n $(WORKERS) --maxprocesses 8 --dist loadfile

# Two runs, one after the other, as all that compilers and libraries keep in memory for the tests is over 1.5 GB a
# process; one where PYTEST_ARGS chooses tests.
ENGINE := tests/architecture tests/backends tests/core tests/functions
REST := tests $(ENGINE:%=--ignore=%)
PARTS = $(if $(PYTEST_ARGS),$(PYTEST) $(PYTEST_ARGS),$(PYTEST) $(ENGINE) || failed=$$?; $(PYTEST) $(REST)) || failed=$$?

.PHONY: help setup demo test test-long lint ruff format bench bench-check gpu-check docs clean

help:  ## this list
	@echo "make <target>, one of:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	    printf '  %-12s %s\n' "$${name#  }" "$$text"; done

setup: $(STAMP)  ## make .venv with the package (editable) and its extras; instant when nothing changed

# The interpreter: $PYTHON if given, else the first that is Python 3.11 or newer and can make an environment.
$(BIN)/python:
	@set -eu; found=; \
	for candidate in $${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do \
	    if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        found=$$candidate; break; fi; done; \
	if [ -z "$$found" ]; then \
	    echo "error: no Python >= 3.11 with venv found (tried: $${PYTHON:-python3, python3.14 to python3.11}); install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; \
	    exit 1; fi; \
	echo "Making $(VENV) with $$("$$found" --version)"; \
	"$$found" -m venv --clear $(VENV)

$(STAMP): pyproject.toml $(BIN)/python
	@echo "Installing retroprop[$(EXTRAS)] into $(VENV) (once; later runs skip this)"
	@$(BIN)/python $(INSTALL) ".[$(EXTRAS)]"
	@$(COMPILE)
	@touch $@

$(filter-out $(STAMP),$(DEMO_STAMP)): pyproject.toml $(BIN)/python
	@echo "Installing retroprop[$(DEMO_EXTRAS)] into $(VENV) (once; later runs skip this)"
	@$(BIN)/python $(INSTALL) ".[$(DEMO_EXTRAS)]"
	@touch $@

$(DOCS_STAMP): pyproject.toml $(BIN)/python | $(STAMP)
	@echo "Installing retroprop[docs] into $(VENV) (once; later runs skip this)"
	@$(BIN)/python $(INSTALL) ".[docs]"
	@touch $@

demo: $(DEMO_STAMP)  ## train a network on real handwritten digits; leaves a model and a picture in build/
	@mkdir -p build
	@$(BIN)/retroprop train digits --output build/digits.safetensors --picture build/digits.png
	@echo "(retroprop is $(BIN)/retroprop here)"

# mypy reads beside the tests, and what it says comes after theirs: either fails the target.
test: ruff  ## ruff, mypy and the tests, without the long ones
	@$(BIN)/python -m compileall -qq -j 0 src tests  # once, not in each of the processes that tests start
	@mkdir -p build
	@$(BIN)/mypy > build/mypy.txt 2>&1 & types=$$!; failed=0; \
	$(PARTS); \
	wait $$types || failed=$$?; echo "mypy: $$(cat build/mypy.txt)"; exit $$failed

test-long: PYTEST += -m "long or not long"
test-long: lint  ## ruff, mypy and all tests, the long ones too
	@failed=0; $(PARTS); exit $$failed

lint: ruff  ## ruff and mypy
	@$(BIN)/mypy

ruff: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMP)  ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP)  ## time training steps on every backend present, about a minute; leaves build/bench.json
	@$(BIN)/python -m retroprop.bench --json build/bench.json $(BENCH_ARGS)

bench-check: $(STAMP)  ## fail if a step has become slower than benchmarks/bounds.json allows; on an idle machine
	@$(BIN)/python benchmarks/check.py --out build/bench-check.txt $(BENCH_ARGS)

gpu-check: $(STAMP)  ## with EXTRAS=all,test,cuda12 or cuda13, on an NVIDIA GPU: the gpu tests, the benchmark
	@$(BIN)/python benchmarks/gpu_check.py --out build/gpu

docs: $(DOCS_STAMP)  ## build the site into site/, every warning an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Site: site/index.html"

clean:  ## remove .venv and everything the other targets write
	rm -rf $(VENV) build dist site .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
