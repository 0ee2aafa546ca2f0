# Two commands: `make demo` sets up and runs the demo, `make test` sets up and runs the tests.
# ARGS passes options on, for example `make demo ARGS=--once` or `make test ARGS="-k engine"`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
SINCE  ?= $(shell git describe --tags --abbrev=0 2>/dev/null)

.PHONY: demo test test-long attack attack-kills attack-clients check types vendor pictures changes docs docs-site answers performance real lock organism help clean

help:
	@echo "make demo         set up, ingest the bundled prompts, serve the API, print three answers and three studies"
	@echo "                  (ARGS=--once ends after the answers, ARGS=\"--quick --once\" also leaves out the studies)"
	@echo "make test         set up, run every check and test"
	@echo "make test-long    checks that take a quarter of an hour: kill the loader, a migration and the database, fill a"
	@echo "                  disk (needs root), cut the connection, bulk-import files, compare the README with the demo,"
	@echo "                  pass every id of an answer to every question"
	@echo "make check        run linters, types and import contracts only"
	@echo "make vendor       fetch the explorer's libraries again and check their hashes (needs Node)"
	@echo "make pictures     take the pictures of docs/explorer.md, beside the demo (needs Chromium)"
	@echo "make changes      list breaking changes of the GraphQL schema since the last release (or SINCE=v0.1.0)"
	@echo "make attack       attack-kills: kill commands at random moments and let them work beside each other, 200 rounds"
	@echo "                  (hours; can be stopped and continued); attack-clients: 50 clients beside one attacker of"
	@echo "                  each kind"
	@echo "make docs         write the generated pages: the graph model, the GraphQL schema, questions, limits, columns"
	@echo "make docs-site    build the documentation as a website in site/; a link that leads nowhere is an error"
	@echo "make answers      write the sample answers in schema/questions/cypher/ and docs/questions, from a new database"
	@echo "make performance  measure attribution: docs/performance.md, and the comparison with circuit-tracer"
	@echo "make real         train and measure transcoders of SmolLM2-135M in .real (hours on two cores; can be stopped)"
	@echo "make organism     train the bundled model and its transcoders again (about an hour)"
	@echo "make lock         write requirements.txt and requirements-dev.txt, with the extras that a checkout needs"

demo: $(VENV)/.installed
	@$(BIN)/atlas demo $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@command -v chromium chromium-browser >/dev/null || echo "Chromium is missing, so the explorer is not tested: apt-get install chromium"
	@# mypy runs beside the tests, which leave it a part of a core.
	$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(ARGS); tests=$$?; \
		wait $$types || { echo "mypy found errors: they are above"; exit 1; }; exit $$tests

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/long $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory types

# The types of the explorer's modules, in their comments; TypeScript is fetched the first time.
types:
	@if command -v npm >/dev/null; then cd api/explorer/vendor && { [ -d node_modules ] || npm ci --silent --ignore-scripts; } && npm run --silent types; \
		else echo "Node is missing, so the types of the explorer are not checked."; fi

vendor:
	cd api/explorer/vendor && npm ci --ignore-scripts --no-audit --no-fund && npm run vendor

pictures: $(VENV)/.installed-dev
	$(BIN)/python -m atlas.docs.explorer_pictures $(ARGS)

changes: $(VENV)/.installed
	@test -n "$(SINCE)" || { echo "There is no release to compare with."; echo "  -> name a commit: make changes SINCE=HEAD~10"; exit 1; }
	git show $(SINCE):api/schema.graphql | $(BIN)/python -m api.changes

real: $(VENV)/.installed-dev
	$(BIN)/python bench/real_model.py .real $(ARGS)

organism: $(VENV)/.installed
	$(BIN)/python -m ingest.organism all $(ARGS)

lock: $(VENV)/.uv
	$(BIN)/uv pip compile pyproject.toml --extra ingest --extra checkout --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.txt
	$(BIN)/uv pip compile pyproject.toml --extra ingest --extra checkout --extra dev --universal \
		--python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements-dev.txt

clean:
	rm -rf $(VENV)

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "The atlas needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "  -> name another one: make demo PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "Could not make a virtual environment in $(VENV)."; \
		echo "  -> on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (the first time only; a few minutes on a slow line)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8,<1"
	@touch $@

$(VENV)/.installed: $(VENV)/.uv requirements.txt pyproject.toml
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --compile-bytecode --require-hashes -r requirements.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --compile-bytecode --require-hashes -r requirements-dev.txt
	@touch $@

attack: attack-kills attack-clients

attack-kills: $(VENV)/.installed-dev
	$(BIN)/python -m attack.kills $(ARGS)

attack-clients: $(VENV)/.installed-dev
	test -d .attack/clients || $(BIN)/python -m bench.bulk --home .attack/clients --circuits 1000
	$(BIN)/python -m attack.clients --home .attack/clients $(ARGS)

performance: $(VENV)/.installed-dev
	$(BIN)/python bench/cost.py
	$(BIN)/python bench/attribution.py

docs: $(VENV)/.installed
	$(BIN)/python -c "from schema.model.page import markdown; print(markdown(), end='')" > docs/graph-model.md
	$(BIN)/python -c "from api.app import sdl; print(sdl(), end='')" > api/schema.graphql
	$(BIN)/python -m atlas.docs.question_pages
	$(BIN)/python -m atlas.docs.reference_tables

docs-site: $(VENV)/.installed
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet -r pyproject.toml --extra docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict $(ARGS)

answers: export ATLAS_HOME := .atlas-console
answers: $(VENV)/.installed
	$(BIN)/atlas db start --bolt-port 7697 --http-port 7484
	$(BIN)/python -m atlas.docs.sample_answers; done=$$?; $(BIN)/atlas db stop; exit $$done
