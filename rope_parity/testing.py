"""For test suites: `check_rope` raises AssertionError with the diagnosis as its text.

It needs NumPy and the framework of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Unpack

from rope_spec import RopeSpec
from rope_spec.config import Config

from .doctor import Verdict, check_rope as judge
from .identification.options import Options


def check_rope(
    fn: Callable,
    config: Config | RopeSpec,
    *,
    label: str | None = None,
    model_type: str | None = None,
    ignore: Collection[str] = (),
    **options: Unpack[Options],
) -> Verdict:
    """Fail unless `fn(x, positions)` is the rotary embedding that a config describes.

    The arguments are those of `rope_parity.check_rope`.

    Returns:
        The `Verdict`, where it is right.

    Raises:
        AssertionError: it is wrong; the text says what is, where, and how to mend it.
        NotMeasured: fn raises, or returns another shape.
    """
    __tracebackhide__ = True
    verdict = judge(fn, config, label=label, model_type=model_type, ignore=ignore, **options)
    assert verdict.right, verdict.text
    return verdict
