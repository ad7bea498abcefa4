# Everything that is done with the project regularly. `make help` lists the targets.
#
# The database is that of DATABASE_URL if set, or else of PGHOST, PGSERVICE and the like, as for psql.

PYTHON ?= python3
CONFIG ?= config.json
# Two more than there are cores, since tests also wait. Each worker has a server of its own.
WORKERS ?= $(shell echo $$(($$(nproc) + 2)))

python := .venv/bin/python
pip := pip install -q --disable-pip-version-check --require-hashes
pip_install := $(python) -m $(pip)
lock := build/uv/bin/uv pip compile -q --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'
npm := npm --loglevel=error --no-audit --no-fund --ignore-scripts --fetch-retries=1
queues := build/queues

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SILENT:
MAKEFLAGS += --no-builtin-rules --no-print-directory
export PYTHON

.PHONY: help
help: ## print this list
	echo 'make TARGET. The database is $$DATABASE_URL, or else PGHOST, PGSERVICE and the like, as for psql.'
	sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

.PHONY: demo
demo: sandbox ## show everything at work with a private PostgreSQL and a small fleet; KEEP=1 keeps the board
	$(python) -m sandbox.demo $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: install
install: .venv/runtime ## install what the notifier needs on a server: system packages and .venv
	echo 'Ready. Run the notifier with: make run, or $(CURDIR)/bin/notifier run'

.PHONY: migrate
migrate: .venv/runtime ## bring the database up to date: migrations, sql/, and a first config if it has none
	$(python) -m notifier migrate $(CONFIG)

.PHONY: router
router: .venv/runtime ## make the database a router over the shards that SHARDS=file lists, or bring it up to date
	$(python) -m notifier router "$(or $(SHARDS),$(error SHARDS=file names no file with a connection string in each line))"

.PHONY: move
move: .venv/runtime ## move a shard of the router: SHARDS=file as it is, TO=file as it shall be; UNDO=1 after a killed move
	$(python) -m notifier move "$(or $(SHARDS),$(error SHARDS=file names no file))" \
	    "$(or $(TO),$(error TO=file names no file))" $(if $(filter-out 0,$(UNDO)),--undo)

.PHONY: config
config: .venv/runtime ## check config.json (or CONFIG=file) and put it in force
	$(python) -m notifier config apply $(CONFIG)

.PHONY: schedule
schedule: .venv/runtime ## make pg_cron run detection, and wait for its first run; WAIT=0 does not wait
	$(python) -m notifier schedule $(if $(WAIT),--wait $(WAIT))

.PHONY: unschedule
unschedule: .venv/runtime ## remove pg_cron's jobs
	$(python) -m notifier unschedule

.PHONY: status
status: .venv/runtime ## check detection, delivery and pg_cron's jobs; exit 1 if something needs a person
	$(python) -m notifier status --jobs

.PHONY: run
run: .venv/runtime ## run the notifier until it is told to stop
	exec $(python) -m notifier run

.PHONY: service
service: .venv/runtime ## install the notifier as a systemd service; SHARD=name: one for that shard; needs root
	sh deploy/service.sh

.PHONY: psql
psql: .venv/runtime ## open psql on the database
	exec $(python) -m notifier psql

.PHONY: test
test: tests-packages .venv/dev ## every test, on private PostgreSQLs; QUICK=1 leaves out the slow ones, PYTEST='-k name' selects
	$(python) -m pytest -n $(WORKERS) --dist worksteal \
	    $(if $(filter-out 0,$(QUICK)),-m 'not slow') $(PYTEST)

.PHONY: lint
lint: sandbox ## check style and types of the Python, style of the SQL, and every function with plpgsql_check
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	$(python) -m sqlfluff lint sql migrations docs notifier
	$(python) -m sandbox.plpgsql_check

.PHONY: bench
bench: sandbox bench-queues ## measure passes, views and delivery, as ratios; SCALE=full takes longer, SCALE=1k,10k less
	$(python) -m sandbox.bench $(if $(SCALE),--scale $(SCALE))

.PHONY: torture
torture: sandbox ## kill parts at random, check that nothing is lost; SEED=... repeats a run, NOTIFICATIONS=... sizes it
	$(python) -m sandbox.torture $(if $(SEED),--seed $(SEED)) \
	    $(if $(NOTIFICATIONS),--notifications $(NOTIFICATIONS))

.PHONY: screenshot
screenshot: sandbox tests-packages ## take docs/board.png, a screenshot of the demo's board, with Chromium
	$(python) -m sandbox.screenshot

.PHONY: schema
schema: .venv/runtime ## regenerate config.schema.json and its copy for the database from notifier/config/models.py
	$(python) -m notifier.config.schema

.PHONY: lock
lock: client-packages ## regenerate requirements*.txt and package-lock.json with the newest versions; needs npm
	$(PYTHON) -m venv --clear build/uv
	build/uv/bin/python -m pip install -q --disable-pip-version-check uv
	$(lock) pyproject.toml -o requirements.txt
	$(lock) pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	$(lock) --group bench -o requirements-bench.txt
	cd sandbox/bench && rm -f package-lock.json \
	    && $(npm) --omit-lockfile-registry-resolved --package-lock-only install >/dev/null

.PHONY: clean
clean: ## remove .venv and everything else that can be regenerated
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- prerequisites of the targets ---

.PHONY: sandbox tests-packages sandbox-packages client-packages
sandbox: sandbox-packages .venv/dev

tests-packages:
	sh deploy/packages.sh tests

sandbox-packages:
	sh deploy/packages.sh sandbox

client-packages:
	sh deploy/packages.sh client

# Two files mark what .venv has. A lock makes sure that two shells at once create it only once.
.venv/runtime: requirements.txt | client-packages
	echo 'Creating .venv with what the notifier needs'
	flock $< sh -c '[ $@ -nt $< ] || { $(PYTHON) -m venv --clear .venv && $(pip_install) -r $< \
	    && ln -s ../../bin/notifier .venv/bin/ && touch $@; }'

.venv/dev: requirements-dev.txt .venv/runtime
	echo 'Adding what the demo, the tests and the linters need to .venv'
	flock $< sh -c '[ $@ -nt $< ] || { $(pip_install) -r $< && touch $@; }'

# The queues that the bench compares the notifier with. They stay apart from .venv: their dependencies
# must not decide which versions the notifier gets. The bench leaves out what could not be installed.
.PHONY: bench-queues
bench-queues: | .venv/dev
	$(MAKE) $(queues)/procrastinate/installed || true
	! command -v npm >/dev/null || $(MAKE) $(queues)/graphile-worker/installed || true

$(queues)/procrastinate/installed: requirements-bench.txt
	echo 'Installing procrastinate, to compare with'
	flock $< sh -c '[ $@ -nt $< ] || { $(PYTHON) -m venv --clear $(@D) \
	    && $(@D)/bin/python -m $(pip) --retries 1 -r $< && touch $@; }'

$(queues)/graphile-worker/installed: sandbox/bench/package-lock.json
	echo 'Installing graphile-worker, to compare with'
	mkdir -p $(@D)
	flock $< sh -c '[ $@ -nt $< ] || { cp $(<D)/package.json $< $(@D) && cd $(@D) && rm -f installed \
	    && $(npm) --engine-strict ci >/dev/null && touch installed; }'
