# Two commands: `make up` runs the system, `make test` checks everything. Both prepare .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Tests start hundreds of processes: without the bytecode of the first, each compiles everything.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup up docs lint style types test tests-only sim chaos attack conformance bench bench-long \
	rabbitmq strace chromium clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: Python 3.11 or newer is needed, $(PYTHON) is older; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

up: setup
	$(BIN)/ordermill up

# The reference in docs/, made from the code; lint says when it is stale.
docs: setup
	$(BIN)/ordermill docs all --out docs

lint: style types

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy
	$(BIN)/ordermill docs all --check

# The tests start a private node of it; where it cannot be had they are skipped by name, unless
# ORDERMILL_REQUIRE_RABBITMQ=1.
rabbitmq:
	@if ! [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || ! command -v amqp-get >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing rabbitmq-server and amqp-tools"; \
			(apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
				apt-get install -q -y --no-install-recommends rabbitmq-server amqp-tools) \
				> rabbitmq-install.log 2>&1 && rm rabbitmq-install.log \
				|| echo "could not install them, see rabbitmq-install.log"; \
		else \
			echo "rabbitmq-server or amqp-tools is missing: the tests that need them are skipped"; \
		fi; \
	fi

# Makes the disk fail under a running process. Without it those tests are skipped by name, unless
# ORDERMILL_REQUIRE_FAULTS=1.
strace:
	@if ! command -v strace >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing strace"; \
			(apt-get update -q && DEBIAN_FRONTEND=noninteractive \
				apt-get install -q -y --no-install-recommends strace) \
				> strace-install.log 2>&1 && rm strace-install.log \
				|| echo "could not install it, see strace-install.log"; \
		else \
			echo "strace is missing: the tests that need it are skipped"; \
		fi; \
	fi

# Walks through the web pages. Without it those tests are skipped by name, unless
# ORDERMILL_REQUIRE_BROWSER=1.
chromium:
	@if ! command -v chromium >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			echo "installing chromium"; \
			(apt-get update -q && DEBIAN_FRONTEND=noninteractive \
				apt-get install -q -y --no-install-recommends chromium) \
				> chromium-install.log 2>&1 && rm chromium-install.log \
				|| echo "could not install it, see chromium-install.log"; \
		else \
			echo "chromium is missing: the tests that need it are skipped"; \
		fi; \
	fi

# More workers than cores: most of a test's time is waiting for processes, disks and deadlines.
# Benchmarks are run as tests here; what they measure beside three others would say nothing.
WORKERS ?= 4
test: setup style rabbitmq strace chromium
	@$(MAKE) --no-print-directory --jobs=2 types tests-only

tests-only: setup
	$(BIN)/pytest -n $(WORKERS) --benchmark-disable

# Long: a thousand seeds of everything, some of every scenario, and an index of what they showed.
sim: setup
	$(BIN)/ordermill sim run everything --seeds 1000 --require-reached
	$(BIN)/ordermill sim run --seeds 160 --report .ordermill/sim-scenarios
	$(BIN)/ordermill sim view
	$(BIN)/ordermill sim view .ordermill/sim-scenarios

# Long: hundreds of SIGKILLs under load, and the ledgers compared. Others: SEED=7, or one campaign by
# name with .venv/bin/python -m tests.chaos (--help).
SEED ?= 1
chaos: setup rabbitmq
	$(BIN)/python -m tests.chaos --seed $(SEED)

# Long: a hundred thousand malformed requests, then floods. Another attack: SEED=7.
attack: setup
	$(BIN)/python -m tests.attacks --seed $(SEED)

# Long: the embedded broker and RabbitMQ on random steps, frame by frame. Others: SEEDS=1000 FIRST=500.
SEEDS ?= 300
FIRST ?= 0
conformance: setup rabbitmq
	$(BIN)/python -m tests.runtime.broker.conformance --seeds $(SEEDS) --first $(FIRST)
	$(BIN)/python -m tests.runtime.broker.conformance --seeds $(SEEDS) --first $(FIRST) --on tcp

# Every hot path beside its rivals, held against what was promised; on a quiet machine, please.
REPEAT ?= 5
RESULTS := bench/results/bench.json
LONG := bench/results/long.json
bench: setup rabbitmq
	@$(BIN)/ordermill bench run --repeat $(REPEAT) --require-targets --save $(RESULTS); met=$$?; \
		[ $$met -gt 1 ] || $(BIN)/ordermill bench report --out bench/results --readme README.md; \
		exit $$met

# At full size: a million messages waiting, a million orders in the store.
bench-long: setup rabbitmq
	$(BIN)/ordermill bench run backlog recover growth --long --repeat 2 --save $(LONG)
	$(BIN)/ordermill bench report $(LONG) --out bench/results/long

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist
