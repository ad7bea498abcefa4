# Every habit of the project. `make help` lists them.
#
# The database is libpq's: DATABASE_URL if set, else PGHOST, PGSERVICE and the rest, as psql does.

PYTHON ?= python3
CONFIG ?= config.json
# Tests wait more than they compute, each worker on a server of its own.
WORKERS ?= 3

python := .venv/bin/python
pip_install := $(python) -m pip install -q --disable-pip-version-check --require-hashes
lock := build/uv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SILENT:
MAKEFLAGS += --no-builtin-rules --no-print-directory
export PYTHON

.PHONY: help
help: ## this list
	echo 'make TARGET; the database is $$DATABASE_URL, else PGHOST, PGSERVICE and the rest, as for psql'
	sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: demo
demo: sandbox ## see it work: a private PostgreSQL, a small fleet, its messages; KEEP=1 keeps its board
	$(python) -m sandbox.demo $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: install
install: .venv/runtime ## what a server of the notifier needs and no more: system packages, .venv
	echo 'Ready: make run, or $(CURDIR)/bin/notifier run'

.PHONY: migrate
migrate: .venv/runtime ## bring the database up to date: migrations, then sql/, then a first config
	$(python) -m notifier migrate $(CONFIG)

.PHONY: config
config: .venv/runtime ## check config.json (or CONFIG=file) and make it the config in force
	$(python) -m notifier config apply $(CONFIG)

.PHONY: schedule
schedule: .venv/runtime ## let pg_cron detect, as the config in force says, and wait for a first run; WAIT=0 does not
	$(python) -m notifier schedule $(if $(WAIT),--wait $(WAIT))

.PHONY: unschedule
unschedule: .venv/runtime ## stop pg_cron's passes
	$(python) -m notifier unschedule

.PHONY: status
status: .venv/runtime ## is detection alive, is delivery: exit 1 when something needs a person
	$(python) -m notifier status --jobs

.PHONY: run
run: .venv/runtime ## the notifier, until it is told to stop
	exec $(python) -m notifier run

.PHONY: service
service: .venv/runtime ## as root: install the notifier as a service of systemd
	sh deploy/service.sh

.PHONY: psql
psql: .venv/runtime ## a psql on the database
	exec $(python) -m notifier psql

.PHONY: test
test: tests-packages .venv/dev ## every test, on private PostgreSQLs; PYTEST='-k name' chooses, WORKERS=1 takes turns
	$(python) -m pytest -n $(WORKERS) --dist worksteal $(PYTEST)

.PHONY: lint
lint: sandbox ## style and types of the Python, style of the SQL, plpgsql_check on every function
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	$(python) -m sqlfluff lint sql migrations docs
	$(python) -m sandbox.plpgsql_check

.PHONY: bench
bench: sandbox ## what passes, views and delivery cost, as ratios; SCALE=full takes longer, SCALE=1k,10k less
	$(python) -m sandbox.bench $(if $(SCALE),--scale $(SCALE))

.PHONY: torture
torture: sandbox ## is anything lost, whatever dies? SEED=... replays a run, NOTIFICATIONS=... sizes it
	$(python) -m sandbox.torture $(if $(SEED),--seed $(SEED)) \
	    $(if $(NOTIFICATIONS),--notifications $(NOTIFICATIONS))

.PHONY: screenshot
screenshot: sandbox tests-packages ## take docs/board.png, a screenshot of the demo's board, with Chromium
	$(python) -m sandbox.screenshot

.PHONY: schema
schema: .venv/runtime ## write what follows from the models of notifier/config.py anew
	$(python) -m notifier.config

.PHONY: lock
lock: client-packages ## write requirements*.txt anew from requirements*.in
	$(PYTHON) -m venv --clear build/uv
	build/uv/bin/python -m pip install -q --disable-pip-version-check uv
	$(lock) -o requirements.txt requirements.in
	$(lock) -c requirements.txt -o requirements-dev.txt requirements-dev.in

.PHONY: clean
clean: ## remove .venv and whatever else can be made again
	rm -rf .venv build .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- what the targets stand on ---

.PHONY: sandbox tests-packages sandbox-packages client-packages
sandbox: sandbox-packages .venv/dev

tests-packages:
	sh deploy/packages.sh tests

sandbox-packages:
	sh deploy/packages.sh sandbox

client-packages:
	sh deploy/packages.sh client

# Two files mark how far .venv is. Both are made under a lock: two shells at once make it once.
.venv/runtime: requirements.txt | client-packages
	echo 'Making .venv with what the notifier needs'
	flock $< sh -c '[ $@ -nt $< ] || { $(PYTHON) -m venv --clear .venv && $(pip_install) -r $< \
	    && ln -s ../../bin/notifier .venv/bin/ && touch $@; }'

.venv/dev: requirements-dev.txt .venv/runtime
	echo 'Adding to .venv what the demo, the tests and the linters need'
	flock $< sh -c '[ $@ -nt $< ] || { $(pip_install) -r $< && touch $@; }'
