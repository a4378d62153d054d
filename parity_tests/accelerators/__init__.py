"""What the compilers for TPUs and GPUs make of the rotation, on a machine that has neither: `make test-accelerators`."""

import pytest

REASON = "needs the wheels of accelerators.txt, as `make test-accelerators` has them"


def wheel(module: str):
    """A module of accelerators.txt; without it the tests of the file are skipped, with the reason."""
    return pytest.importorskip(module, reason=REASON)
