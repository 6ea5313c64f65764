# One environment, pinned by requirements.lock, for everything that this project does.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo reproduce test lint bench clean

demo: $(READY)
	$(BIN)/nmrqb run protocols/asymptotic_ttss.toml -o demo --overwrite

reproduce: $(READY)
	$(BIN)/nmrqb reproduce -o reproduce --overwrite

# two test processes on two cores: one thread each, or they wait for one another
test: lint
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python benchmarks/bench.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/models.py
	$(BIN)/python benchmarks/readers.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/coverage.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/oscillation.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/inference.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/long_time.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/lines.py

clean:
	rm -rf $(VENV) demo reproduce build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)
