"""Strict for every test: the shapes and types of every signature are checked, JAX promotes no dtype
silently, and every warning is an error (pyproject.toml).
"""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Generator
from pathlib import Path

import jax
import jaxtyping
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
WITHOUT = """
from importlib.machinery import PathFinder
find, absent = PathFinder.find_spec, {modules!r}
PathFinder.find_spec = lambda name, *at: None if name.split(".")[0] in absent else find(name, *at)
"""

TORCH = [path.stem for path in (ROOT / "rope_torch").glob("*.py")]
TORCH.remove("triton_kernel")  # Triton compiles what stands there, without a decorator
PACKAGES = ["rope_spec", "rope_jax", "rope_parity", *(f"rope_torch.{name}" for name in TORCH)]
# as type checkers read PEP 484: where a float is expected, an int will do
BEARTYPE = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"

jax.config.update("jax_numpy_dtype_promotion", "strict")
IS_CHECKED = os.environ.get("JAXTYPING_DISABLE", "0") == "0"
if IS_CHECKED:
    jaxtyping.install_import_hook(PACKAGES, BEARTYPE)  # before the first import of a package


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked `compiled` to a run with JAXTYPING_DISABLE=1: torch compiles no checks."""
    compiled = [item for item in items if IS_CHECKED and item.get_closest_marker("compiled")]
    config.hook.pytest_deselected(items=compiled)
    items[:] = [item for item in items if item not in compiled]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Check no signature in a test marked `unchecked`: bad input has to reach our own error."""
    jaxtyping.config.update("jaxtyping_disable", item.get_closest_marker("unchecked") is not None)
    try:
        return (yield)
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group]
    tests = [report for report in reports if getattr(report, "when", None) == "call"]
    unchecked = sum("unchecked" in report.keywords for report in tests)
    terminalreporter.write_line(
        f"signatures: checked in {len(tests) - unchecked} tests, not in {unchecked} (unchecked)"
    )


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
