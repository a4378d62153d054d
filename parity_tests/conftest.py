"""Strict for every test: no silent promotion between dtypes in JAX, and every warning an error (pyproject.toml)."""

import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
WITHOUT = """
from importlib.machinery import PathFinder
find, absent = PathFinder.find_spec, {modules!r}
PathFinder.find_spec = lambda name, *at: None if name.split(".")[0] in absent else find(name, *at)
"""

jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250704)


@pytest.fixture(scope="session")
def run_without() -> Callable[[Collection[str], str], subprocess.CompletedProcess[str]]:
    """Run a program in a fresh interpreter that has not installed some modules."""

    def run(modules: Collection[str], program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT.format(modules=set(modules)) + program]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)

    return run
