# Two commands: `make demo` sets up and runs the main job, `make test` sets up and runs the tests.
# Pass options on with ARGS, for example `make demo ARGS=--once` or `make test ARGS="-k engine"`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
SINCE  ?= $(shell git describe --tags --abbrev=0 2>/dev/null)

.PHONY: demo test test-long check changes docs answers performance lock organism help clean

help:
	@echo "make demo      set up, ingest the bundled prompts, serve the API, print three answers and three studies"
	@echo "               (ARGS=--once ends there, ARGS=\"--quick --once\" leaves out the studies)"
	@echo "make test      set up, run every check and test"
	@echo "make test-long what takes too long for each time: kill loader and database in the midst of loads, fill"
	@echo "               a disk (takes root), cut the connection, bulk-import files (about a quarter of an hour)"
	@echo "make check     linters, types and import contracts only"
	@echo "make changes   name what the GraphQL schema breaks since the last release (SINCE=v0.1.0: since that one)"
	@echo "make docs      write the generated pages again: docs/graph-model.md, api/schema.graphql and docs/questions"
	@echo "make answers   write the answers in schema/questions/cypher/ and docs/questions again, from a database made for it"
	@echo "make performance  measure attribution: docs/performance.md, and the pair with circuit-tracer"
	@echo "make organism  train the bundled model and its transcoders again (about an hour)"
	@echo "make lock      write requirements.txt again from pyproject.toml"

demo: $(VENV)/.installed
	@$(BIN)/atlas demo $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/long $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

changes: $(VENV)/.installed
	@test -n "$(SINCE)" || { echo "There is no release to compare with."; echo "  -> name a commit: make changes SINCE=HEAD~10"; exit 1; }
	git show $(SINCE):api/schema.graphql | $(BIN)/python -m api.changes

organism: $(VENV)/.installed
	$(BIN)/python -m ingest.organism all $(ARGS)

lock: $(VENV)/.uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-emit-find-links --quiet --output-file requirements.txt
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements-dev.txt

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

performance: $(VENV)/.installed-dev
	$(BIN)/python bench/cost.py
	$(BIN)/python bench/attribution.py

docs: $(VENV)/.installed
	$(BIN)/python -c "from schema.model.page import markdown; print(markdown(), end='')" > docs/graph-model.md
	$(BIN)/python -c "from api.app import sdl; print(sdl(), end='')" > api/schema.graphql
	$(BIN)/python -m atlas.docs.question_pages

answers: export ATLAS_HOME := .atlas-console
answers: $(VENV)/.installed
	$(BIN)/atlas db start --bolt-port 7697 --http-port 7484
	$(BIN)/python -m atlas.docs.sample_answers; done=$$?; $(BIN)/atlas db stop; exit $$done
