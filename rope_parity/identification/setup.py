"""From what a caller says about a function to the probe that calls it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Unpack

import numpy as np

from .axis_order import AxisOrder
from .frameworks import FRAMEWORKS
from .number import ROUNDOFF
from .options import Options, completed
from .probe import ROWS, Probe
from .subject import Subject

UNSAID = 4096  # positions where nothing says how long the context is
SHORT = 192  # the shortest length that is tried
PREFIX = 4096  # positions of a function that makes its own
REAL_UNIT = 2.0**-8  # real coordinates are measured in these steps


def build(fn: Callable, head_dim: int, *, axes: int = 1, **options: Unpack[Options]) -> Probe:
    """The probe of a function.

    Args:
        fn: the function, or what makes it.
        head_dim: H.
        axes: A, the number of coordinates of a position.
        **options: see `Options`.
    """
    given = completed(options)
    context = UNSAID if given["context"] is None else given["context"]
    _check(head_dim, context, axes)
    _check_choice("dtype", given["dtype"], ROUNDOFF)
    _check_choice("framework", given["framework"] or "numpy", FRAMEWORKS)
    mode, fixed = _mode(given["positions"], axes, context)
    subject = Subject(
        fn if given["factory"] else lambda: fn,
        AxisOrder(given["layout"]),
        given["dtype"],
        axes,
        REAL_UNIT if mode == "real" else None,
        shared=mode == "shared",
        is_factory=given["factory"],
        framework=given["framework"],
        device=given["device"],
    )
    if fixed is not None:
        context = int(fixed.max()) + 1
    mode = "any" if mode in ("shared", "real") else mode
    probe = Probe(subject, head_dim, context, mode, fixed)
    if fixed is None and mode == "contiguous" and context < probe.rows:
        raise ValueError(
            f"context: got {context}, expected at least {ROWS} where positions are contiguous."
        )
    return probe


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(choices)}.")


def _check(head_dim: int, context: int, axes: int) -> None:
    for name, value, least in (
        ("head_dim", head_dim, 2),
        ("context", context, 8),
        ("axes", axes, 1),
    ):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}: got {value!r}, expected a whole number, {least} or more.")


def _mode(positions: Any, axes: int, context: int) -> tuple[str, np.ndarray | None]:
    if not isinstance(positions, str):
        fixed = np.asarray(positions).astype(np.int64)
        if not np.array_equal(fixed, positions):
            raise ValueError(
                "positions: got numbers that are not whole, expected integers. Hand over a "
                "function that takes real coordinates, with positions='real'."
            )
        fixed = fixed[:, None] if fixed.ndim == 1 else fixed
        if fixed.ndim != 2 or fixed.shape[1] != axes:
            raise ValueError(
                f"positions: got shape {fixed.shape}, expected (S, {axes}): axes={axes}."
            )
        return "fixed", fixed
    if positions == "prefix":
        return "fixed", np.repeat(np.arange(min(context, PREFIX))[:, None], axes, 1)
    if positions not in ("any", "shared", "contiguous", "real"):
        raise ValueError(
            f"positions: got {positions!r}, expected 'any', 'shared', 'contiguous', 'real', "
            "'prefix', or the positions that the function makes itself as an array (S, A)."
        )
    return positions, None


def lengths_to_try(context: int, original: int | None = None) -> list[int]:
    """Lengths in ascending order: short, the original context and one more, the whole context."""
    wanted = [SHORT, original or context // 4, (original or context // 4) + 1, context]
    return sorted({n for n in wanted if 4 <= n <= context})


def original_length(rule: object) -> int | None:
    """The original context in the parameters of a rule, or None."""
    for name in ("original_max_position_embeddings", "max_position_embeddings"):
        if hasattr(rule, name):
            return int(getattr(rule, name))
    return None


def lengths(probe: Probe, rule: object = None) -> Sequence[int]:
    """The lengths for a probe and the rule that is expected."""
    return lengths_to_try(probe.context, original_length(rule))
