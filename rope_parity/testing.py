"""For test suites: `check_rope` raises AssertionError with the diagnosis as its text. NumPy and the
function's framework.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rope_spec import RopeSpec
from rope_spec.config import Config

from .doctor import Verdict, check_rope as judge


def check_rope(fn: Callable, config: Config | RopeSpec, **options: Any) -> Verdict:
    """Fail unless `fn(x, positions)` is the rotary embedding that a config describes.

    Args:
        fn: see `rope_parity.check_rope`, as for the options.
        config: a `RopeSpec`, or a config.json.
        options: of `rope_parity.check_rope`.

    Returns:
        The `Verdict`, where it is right.

    Raises:
        AssertionError: it is wrong; the text says what is, where, and how to mend it.
        NotMeasured: fn raises, or returns another shape.
    """
    __tracebackhide__ = True
    verdict = judge(fn, config, **options)
    assert verdict.right, verdict.text
    return verdict
