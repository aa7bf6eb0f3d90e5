# `make test` and `make demo` do everything on a fresh Debian 12 machine, as root. A second call does
# nothing twice. VENV=... names another virtual environment.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PY := $(abspath $(VENV))/bin/python
DEV := $(CURDIR)/build/dev
ASAN := $(CURDIR)/build/asan
TSAN := $(CURDIR)/build/tsan
JOBS := $(shell nproc)

export VENV
export BIFRONT_PYTHON := $(PY)

##@ Everyday
help: ## what can be made
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print "\n" substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

setup: ## system packages and the virtual environment, whatever is missing of them
	@tools/setup

build: setup ## the native module and the tools in build/dev, importable from .venv
	@tools/dev-build
	site=$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	printf '%s\n' '$(CURDIR)/python' >"$$site/bifront-dev.pth.new"
	cmp -s "$$site/bifront-dev.pth.new" "$$site/bifront-dev.pth" ||
	  cp "$$site/bifront-dev.pth.new" "$$site/bifront-dev.pth"
	rm "$$site/bifront-dev.pth.new"

demo: build ## a training step, eager and converted, side by side
	@$(PY) -m bench.demo

bench: build ## the programs side by side; ARGS="lenet --size paper" chooses
	@$(PY) -m bench $(ARGS)

bench-foundation: build ## the costs of conversion, calls, memory, beside eager
	@$(PY) -m bench.foundation

bench-safety: build ## the cost of safety, behaviours that alternate, memory over 100,000 steps
	@$(PY) -m bench.safety_cost
	$(PY) -m bench.long_training
	$(PY) -m bench.alternating

##@ Checks
test: build lint test-lit test-gtest test-pytest ## everything below, in this order

lint: build ## clang-format, clang-tidy, ruff, mypy --strict
	@$(PY) tools/lint

test-lit: build ## the graph's text: parser, verifiers, passes
	@tools/test-lit $(DEV)

test-gtest: build ## the C++ units
	@$(dir $(PY))ctest --test-dir $(DEV) --output-on-failure --no-tests=error -j $(JOBS)

test-pytest: build ## end to end, against eager
	@$(PY) -m pytest -q </dev/null

test-asan: setup ## lit, gtest and pytest's native paths under AddressSanitizer and UBSan
	@BIFRONT_CONFIG=asan tools/dev-build
	tools/test-asan $(ASAN)

test-tsan: setup ## what threads share of the runtime, under ThreadSanitizer
	@BIFRONT_CONFIG=tsan tools/dev-build unittest_runtime
	tools/test-tsan $(TSAN)

fuzz: build ## mutated graphs into the tools, for SECONDS (60), by SEED (0)
	@$(PY) fuzz/mutate_text.py --seconds $(or $(SECONDS),60) --seed $(or $(SEED),0)

##@ Packaging
wheel: setup ## dist/bifront-*.whl, LLVM inside
	@tools/make-wheel

test-wheel: wheel ## the wheel, in a fresh virtual environment that cannot see LLVM
	@tools/test-wheel

##@ Upkeep
format: setup ## clang-format and ruff, in place
	@$(PY) tools/lint --fix

docs: build ## the reference pages that are generated
	@$(PY) tools/make-docs

clean: ## what was built; the virtual environment stays
	@rm -rf build dist
	rm -f python/bifront/_core*.so

.PHONY: help setup build demo bench bench-foundation bench-safety test lint test-lit test-gtest test-pytest \
  test-asan test-tsan fuzz wheel test-wheel format docs clean
