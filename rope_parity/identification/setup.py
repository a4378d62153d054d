"""From what a caller says about a function to the probe that calls it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .layouts import AxisOrder
from .number import ROUNDOFF
from .probe import ROWS, Probe, Subject

SHORT = 192  # the shortest length that is tried
PREFIX = 4096  # positions of a function that makes its own


def build(
    fn: Callable,
    head_dim: int,
    *,
    layout: str = "BSNH",
    context: int = 4096,
    dtype: str = "float32",
    axes: int = 1,
    positions: str | Any = "any",
    factory: bool = False,
    framework: str | None = None,
    device: Any = None,
    unit: float | None = None,
) -> Probe:
    """The probe; the arguments are those of `identify`."""
    _check(head_dim, context, dtype, axes)
    mode, fixed = _mode(positions, axes, context)
    subject = Subject(
        fn if factory else lambda: fn,
        AxisOrder(layout),
        dtype,
        axes,
        unit,
        shared=mode == "shared",
        framework=framework,
        device=device,
    )
    if fixed is not None:
        context = int(fixed.max()) + 1
    probe = Probe(subject, head_dim, context, "any" if mode == "shared" else mode, fixed)
    if fixed is None and mode == "contiguous" and context < probe.rows:
        raise ValueError(
            f"context: got {context}, expected at least {ROWS} where positions are contiguous."
        )
    return probe


def _check(head_dim: int, context: int, dtype: str, axes: int) -> None:
    if dtype not in ROUNDOFF:
        raise ValueError(f"dtype: got {dtype!r}, expected one of {', '.join(ROUNDOFF)}.")
    for name, value, least in (
        ("head_dim", head_dim, 2),
        ("context", context, 8),
        ("axes", axes, 1),
    ):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}: got {value!r}, expected a whole number, {least} or more.")


def _mode(positions: Any, axes: int, context: int) -> tuple[str, np.ndarray | None]:
    if not isinstance(positions, str):
        fixed = np.asarray(positions, np.int64)
        fixed = fixed[:, None] if fixed.ndim == 1 else fixed
        if fixed.ndim != 2 or fixed.shape[1] != axes:
            raise ValueError(
                f"positions: got shape {fixed.shape}, expected (S, {axes}): axes={axes}."
            )
        return "fixed", fixed
    if positions == "prefix":
        return "fixed", np.repeat(np.arange(min(context, PREFIX))[:, None], axes, 1)
    if positions not in ("any", "shared", "contiguous"):
        raise ValueError(
            f"positions: got {positions!r}, expected 'any', 'shared', 'contiguous', "
            "'prefix', or the positions that "
            "the function makes itself as an array (S, A)."
        )
    return positions, None


def lengths_to_try(context: int, original: int | None = None) -> list[int]:
    """Lengths in ascending order: short, the original context and one more, the whole context."""
    wanted = [SHORT, original or context // 4, (original or context // 4) + 1, context]
    return sorted({n for n in wanted if 4 <= n <= context})


def original_length(rule: object) -> int | None:
    """The context of pretraining, by a rule."""
    for name in ("original_max_position_embeddings", "max_position_embeddings"):
        if hasattr(rule, name):
            return int(getattr(rule, name))
    return None


def lengths(probe: Probe, rule: object = None) -> Sequence[int]:
    """The lengths for a probe and the rule that is expected."""
    return lengths_to_try(probe.context, original_length(rule))
