# Everything is one command on a fresh clone: each target installs what it lacks, builds, and runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

JOBS ?= $(shell n=$$(nproc); echo $$((n < 2 ? 2 : n)))
PY := .venv/bin/python
NATIVE := $(MAKE) --no-print-directory -f tests/c/build.mk -j$(JOBS)
BUILD_EXT := $(PY) setup.py -q build_ext --inplace
BACKEND ?= all

.PHONY: help build demo test test-c test-python stress check tidy format lint types warnings models \
	reformat sanitize sanitize-c sanitize-python bench docs notebooks coverage wheel clean distclean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# What each target stands on. Stamps make the second run quick.

build/stamp-system:
	@.ci/bootstrap system
	@mkdir -p build && touch $@

build/stamp-check: .ci/bootstrap build/stamp-system
	@.ci/bootstrap system check
	@touch $@

.venv/stamp-%: pyproject.toml .ci/bootstrap .ci/requirements.py | build/stamp-system
	@.ci/bootstrap venv $@ $*

build: .venv/stamp-progress ## Build the extension in place
	@$(BUILD_EXT)

demo: build ## Census of this Python's own library, on every backend, checked against plain Python
	@$(PY) -m foliot demo --backend $(BACKEND)

# Tests

test: test-c test-python ## Plain-C tests, then pytest with doctests

test-c: build/stamp-system
	@$(NATIVE) VARIANT=debug run-c-tests

test-python: .venv/stamp-test build
	@$(PY) -m pytest -q

stress: build/stamp-check .venv/stamp-test build ## The stress tests and models, long
	@FOLIOT_STRESS=1 $(NATIVE) VARIANT=release run-c-tests
	@FOLIOT_STRESS=1 $(PY) tests/model/check_models.py
	@FOLIOT_STRESS=1 $(PY) -m pytest -q -m stress tests/stress tests/property

coverage: .venv/stamp-dev ## Branch coverage of the Python code
	@$(BUILD_EXT)
	@$(PY) -m coverage run -m pytest -q && $(PY) -m coverage report

# Checks

check: build/stamp-check .venv/stamp-dev ## Tidy tests, formats, types, warnings, models, sanitizers
	@$(MAKE) --no-print-directory tidy format lint build types warnings models sanitize
	@echo "check: all passed"

tidy: .venv/stamp-dev
	@$(PY) -m pytest -q -p no:cacheprovider tests/tidy

format: .venv/stamp-dev
	@find csrc include tests benchmarks/c \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 \
		| xargs -0 -r .venv/bin/clang-format --dry-run --Werror
	@.venv/bin/ruff format --check .

reformat: .venv/stamp-dev ## Rewrite C and Python in the project's format
	@find csrc include tests benchmarks/c \( -name '*.c' -o -name '*.h' -o -name '*.cpp' \) -print0 \
		| xargs -0 -r .venv/bin/clang-format -i
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .

lint: .venv/stamp-dev
	@.venv/bin/ruff check .

types: .venv/stamp-dev build
	@$(PY) -m mypy
	@$(PY) -m mypy.stubtest foliot --mypy-config-file pyproject.toml --allowlist .ci/stubtest-allowlist

warnings: build/stamp-check .venv/stamp-dev
	@$(NATIVE) VARIANT=release WERROR=1 tests
	@$(NATIVE) VARIANT=clang WERROR=1 tests
	@FOLIOT_WERROR=1 CC=gcc $(PY) setup.py -q build_ext -b build/werror/gcc -t build/werror/gcc
	@FOLIOT_WERROR=1 CC=clang $(PY) setup.py -q build_ext -b build/werror/clang -t build/werror/clang

models: build/stamp-check .venv/stamp-dev ## Models of memory, schedules and idling, with planted bugs
	@$(PY) tests/model/check_models.py

sanitize: sanitize-c sanitize-python

sanitize-c: build/stamp-check
	@$(NATIVE) VARIANT=asan run-c-tests
	@$(NATIVE) VARIANT=tsan run-c-tests

sanitize-python: .venv/stamp-test
	@.ci/sanitize-python tests/unit

# Results

bench: .venv/stamp-bench build ## Benchmarks against the peers, with ratios
	@$(NATIVE) VARIANT=release bench
	@if command -v cargo > /dev/null; then \
		$(PY) benchmarks/harness.py --build; \
	else \
		echo "No cargo here, so the Rust peers are left out: install Rust 1.85 or newer for them."; \
		$(PY) benchmarks/harness.py; \
	fi
	@$(PY) benchmarks/bench_exec.py --build
	@$(PY) benchmarks/bench_io.py --build
	@$(PY) benchmarks/bench_policy.py --build
	@$(PY) benchmarks/bench_sim.py --build

docs: .venv/stamp-docs build ## The documentation site, in site/
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet && echo "docs: site/index.html"

notebooks: .venv/stamp-notebook build ## Run the notebooks top to bottom
	@mkdir -p build/notebooks
	@set -- notebooks/*.py; if [ -e "$$1" ]; then \
		rm -f build/notebooks/*.ipynb; \
		for page; do .venv/bin/jupytext -q --to ipynb \
			--output "build/notebooks/$$(basename "$$page" .py).ipynb" "$$page"; done; \
		$(PY) -m pytest -q -c /dev/null --rootdir build/notebooks -p no:cacheprovider \
			--nbmake --nbmake-timeout=600 build/notebooks; \
	fi

wheel: .venv/stamp-dev build/stamp-system ## A wheel that carries liburing and hwloc, in dist/
	@.ci/wheel

clean: ## Remove what was built, keep .venv
	@rm -rf build dist site python/foliot/*.so python/*.egg-info
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv
