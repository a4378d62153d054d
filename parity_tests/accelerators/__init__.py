"""What the compilers for TPUs and GPUs make of the rotation, on a machine that has neither.

`make test-accelerators` runs these tests, with the wheels of accelerators.txt.
"""

import pytest

REASON = "needs the wheels of accelerators.txt, as `make test-accelerators` has them"


def wheel(module: str):
    """A module of accelerators.txt; where it is missing the tests of the file are skipped."""
    return pytest.importorskip(module, reason=REASON)
