# Every target does its own set-up in .venv; the stamp makes the second time instant.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: eval test setup check verify docs sbom clean

eval: $(STAMP)  ## Measure the default configuration on the embedded demo set.
	$(BIN)/python -m whisperlab.eval latency_utterances=10

# Tests: one worker a core; more threads than that only wait for each other.
test verify: export OMP_NUM_THREADS ?= 1

test: $(STAMP)  ## The fast suite.
	$(BIN)/python -m pytest -q -n auto

setup: $(STAMP)  ## Install everything into .venv.

check: $(STAMP)  ## Formatting, lint, types, import directions.
	$(BIN)/ruff check whisperlab tests docs/generate
	$(BIN)/ruff format --check whisperlab tests docs/generate
	$(BIN)/mypy
	$(BIN)/lint-imports

verify: $(STAMP)  ## The fast suite, the long campaigns on real recordings, coverage, notebooks.
	$(BIN)/python -m pytest -q -n auto -m "not gpu and not network" --cov --cov-report=term
	$(BIN)/python -m pytest -q -n auto --nbmake notebooks/*.ipynb

docs: $(STAMP)  ## The site into site/, with nothing fetched.
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

sbom: $(STAMP)  ## The bill of materials of .venv into sbom.json (CycloneDX 1.6).
	$(BIN)/python docs/generate/sbom.py > sbom.json

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[dev,baseline]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
