"""Strict for every test: no silent promotion between dtypes in JAX, and every warning an error (pyproject.toml)."""

import jax
import numpy as np
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250704)
