# Every verb of the project. `make help` lists them; `make run` and `make test` are all a newcomer needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
RATE ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=

# Where the environment forbids it, each process would compile the service anew: a second for each of a hundred starts.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help setup lock run demo demo-monitoring test test-unit dataset-memory spool-damage short-lives coverage mutation chaos model-test fuzz hostile check lint typecheck imports format protos protos-check protos-lint clean bench bench-full labels-at-size

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# Made once, and again only when the lock or the project file changed. pip checks every hash.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "headrace needs Python 3.11 or later; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: .venv/.installed ## make .venv from the lock file (the other verbs do it by themselves)

lock: setup ## renew requirements.lock from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock
	$(BIN)/uv pip compile protos/toolchain.in --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o protos/toolchain.lock
	$(BIN)/uv pip compile pyproject.toml --extra bench --constraint requirements.lock --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o benchmarks/requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra fuzz --constraint requirements.lock --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o tests/fuzz/requirements.lock

# The stubs' toolchain is older than the service's libraries, so it lives in an environment of its own.
PROTO_PATHS := $(wildcard protos/headrace/v1/*.proto)
STUBS ?= client
.venv/protos/.installed: protos/toolchain.lock | .venv/.installed
	@test -x .venv/protos/bin/python || $(PYTHON) -m venv .venv/protos
	@.venv/protos/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r protos/toolchain.lock
	@touch $@

protos: .venv/protos/.installed ## generate the stubs in client/headrace/v1 from protos/
	@mkdir -p $(STUBS)
	@PATH=$(CURDIR)/.venv/protos/bin:$$PATH .venv/protos/bin/python -m grpc_tools.protoc -I protos \
		--python_out=$(STUBS) --mypy_out=quiet:$(STUBS) --grpc_python_out=$(STUBS) --mypy_grpc_out=quiet:$(STUBS) $(PROTO_PATHS)
	@find $(STUBS)/headrace/v1 -name '*_pb2_grpc.py*' ! -name '*_service_pb2_grpc.py*' -delete
	@test -f $(STUBS)/headrace/v1/__init__.py || touch $(STUBS)/headrace/v1/__init__.py

protos-check: .venv/protos/.installed ## fail when the committed stubs are not what protos/ generates
	@rm -rf .venv/stubs && $(MAKE) --no-print-directory protos STUBS=.venv/stubs
	@diff -r -x __pycache__ -x __init__.py .venv/stubs/headrace/v1 client/headrace/v1 && echo "stubs are fresh"

protos-lint: setup ## lint the contract with buf (STANDARD + COMMENTS)
	$(BIN)/buf lint protos
	$(BIN)/buf format --diff --exit-code protos

run: setup ## serve on localhost, with a database of its own (gRPC 50051, HTTP 8080)
	$(BIN)/headrace serve

demo: setup ## in a second terminal: a year of flights through the service, scored and labelled (RATE=n: n rows/s)
	$(BIN)/python -m examples.flights $(if $(RATE),--rate $(RATE))

demo-monitoring: setup ## half a year of flights watched against the half before it, every figure checked by pandas
	$(BIN)/python -m examples.flights.monitoring

# Two at a time, a database each: most tests wait, for a commit or a process. Tests of one file stay together.
test: setup ## run every test: unit, contract, and against a real TimescaleDB
	$(BIN)/pytest -n 2 --dist loadfile $(PYTEST_ARGS)

test-unit: setup ## run the tests that need no database
	$(BIN)/pytest tests/unit $(PYTEST_ARGS)

dataset-memory: setup ## publish a CSV of 2 GB as a dataset and measure the memory of client and service (minutes, 10 GB of disk)
	HEADRACE_TEST_DATASET_MB=2000 $(BIN)/pytest -s -o timeout=3600 tests/e2e/test_dataset_memory.py

POSITIONS ?= 2000
spool-damage: setup ## cut a spool at POSITIONS places, then flip a bit at as many (2000: about a minute)
	HEADRACE_TEST_SPOOL_POSITIONS=$(POSITIONS) HEADRACE_TEST_SPOOL_SEED=$(SEED) \
		$(BIN)/pytest -s -o timeout=3600 tests/unit/client/spool/test_damage.py

# SEED=… FAULTS="kill-service compound" CYCLES=… choose; SHORT=1 is what `make test` runs; WRITE=1 renews the page.
SEED ?=
FAULTS ?=
CYCLES ?=
SHORT ?=
WRITE ?=
chaos: setup ## kill, freeze and cut everything while rows flow, then look for each row (about an hour; see docs/guarantees.md)
	@cd tests && ../$(BIN)/python -m chaos $(FAULTS) $(if $(SEED),--seed $(SEED)) $(if $(CYCLES),--cycles $(CYCLES)) $(if $(SHORT),--short) $(if $(WRITE),--write)

# RUNS=n: how many; 12 of them are in `make test`.
RUNS ?= 2000
model-test: setup ## the client's session, and sessions and ledger, in every order hypothesis can think of (a quarter of an hour)
	HEADRACE_TEST_MODEL_RUNS=$(RUNS) $(BIN)/pytest -s tests/unit/client/sending/test_session_machine.py \
		tests/integration/ledger/test_session_model.py $(PYTEST_ARGS)

# LIVES=n: how many of each kind; 25 of them are in `make test`.
LIVES ?= 5000
short-lives: setup ## clients that log a row, flush and close, each on a fresh stream, sync and asyncio (5000: some minutes)
	HEADRACE_TEST_LIVES=$(LIVES) $(BIN)/pytest -s -o timeout=3600 tests/e2e/test_short_lives.py $(PYTEST_ARGS)

# Services that the tests start are covered, too. What is looked at stands in pyproject.toml.
COVERED := tests/unit/client tests/unit/server/intake tests/unit/server/batching tests/unit/server/copying \
	tests/integration/copying tests/integration/ledger tests/integration/intake tests/integration/dead_letters \
	tests/integration/late_kinds/test_settling.py tests/integration/access/test_quotas.py tests/e2e
coverage: setup ## every branch of ledger, ladder, session and spool: which ones no test goes through (minutes)
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -n 2 --dist loadfile -q $(COVERED) --deselect tests/e2e/test_chaos.py $(PYTEST_ARGS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report

# MUTANTS=n: of each file, 0 for all; SEED=n draws others; FILES="spool/store ledger" chooses.
MUTANTS ?= 30
FILES ?=
mutation: setup ## change ledger, ladder, session and spool in small ways: which changes no test notices (hours; FILES=… chooses)
	@cd tests && ../$(BIN)/python -m mutation $(FILES) --mutants $(MUTANTS) $(if $(SEED),--seed $(SEED))

# The fuzzer's wheel is large and not made for every Python; it shares an environment with what speaks HTTP/2 badly.
.venv/fuzz/.installed: tests/fuzz/requirements.lock | .venv/.installed
	@test -x .venv/fuzz/bin/python || $(PYTHON) -m venv .venv/fuzz
	@echo "installing the fuzzer into .venv/fuzz (once; about a minute)"
	@.venv/fuzz/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/fuzz/requirements.lock
	@.venv/fuzz/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

FUZZ_SECONDS ?= 600
fuzz: .venv/fuzz/.installed ## decoding and validation under mutated bytes, from tests/fuzz/corpus (ten minutes; FUZZ_SECONDS=n)
	cd tests && ../.venv/fuzz/bin/python -m fuzz --seconds $(FUZZ_SECONDS) --keep ../.venv/fuzz/kept

HOSTILE_ARGS ?=
hostile: .venv/fuzz/.installed ## strangers at the gRPC door: mutated HTTP/2, resets, floods, bombs, silence; what they cost (minutes)
	cd tests && ../.venv/fuzz/bin/python -m hostile $(HOSTILE_ARGS)

# The peers of the benchmark bring much that the service does not need, so it has an environment of its own.
.venv/bench/.installed: benchmarks/requirements.lock | .venv/.installed
	@test -x .venv/bench/bin/python || $(PYTHON) -m venv .venv/bench
	@echo "installing the benchmark's peers into .venv/bench (once; about a minute)"
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.lock
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

bench: .venv/bench/.installed ## measure headrace beside its peers, in one run (about an hour; writes benchmarks/results)
	.venv/bench/bin/python -m benchmarks $(BENCH_ARGS)

labels-at-size: .venv/bench/.installed ## a million labels in random order, with and without times: states and rates (a few minutes)
	.venv/bench/bin/python -m benchmarks late_labels $(BENCH_ARGS)

bench-full: .venv/bench/.installed ## the same, and how cost grows with rows and columns (well over an hour)
	.venv/bench/bin/python -m benchmarks --full $(BENCH_ARGS)

lint: setup ## ruff: lint and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: setup ## mypy, strict, on both packages, the examples, the chaos harness, the mutants and the public API as users write it
	$(BIN)/mypy
	$(BIN)/mypy tests/typing/client_api.py
	$(BIN)/mypy -p examples.flights
	MYPYPATH=tests $(BIN)/mypy -p chaos -p mutation

imports: setup ## the rooms' import rules
	$(BIN)/lint-imports --no-cache

check: lint typecheck imports protos-lint protos-check ## everything that needs no test: ruff, mypy, imports, buf, fresh stubs

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and caches; the embedded database stays (headrace doctor says where it is)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist
