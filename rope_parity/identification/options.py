"""How a function is called and where it is measured: the options of `identify` and `check_rope`."""

from __future__ import annotations

from typing import Any, TypedDict

from numpy.typing import ArrayLike


class Options(TypedDict, total=False):
    """How a function is called, and where it is measured. Each may be left out.

    Attributes:
        layout: the axes of x: `BSNH` (the default), `BNSH`, `SH`, `BS(NH)` for heads in one axis
            with the channels.
        context: positions are measured from 0 to context - 1. By default, or with None, what the
            config says, and 4096 without one.
        dtype: of x: `float32` (the default), `bfloat16` or `float16`.
        positions: which ones the function takes: `any` (the default); `shared`: one row `(S,)` for
            the whole batch; `contiguous`: only p, p + 1, ...; `prefix`: it counts from 0 itself;
            `real`: float32 coordinates, measured in steps of 1 / 256; or an array `(S, A)` of those
            that it makes itself.
        factory: the function takes no arguments and returns the function to measure, so that state
            can be tested on a fresh one.
        framework: `numpy`, `torch`, `jax`, `mlx` or `keras`; by default what its code names.
        device: where the arrays are put, as torch, jax or keras takes it.
    """

    layout: str
    context: int | None
    dtype: str
    positions: str | ArrayLike
    factory: bool
    framework: str | None
    device: Any


DEFAULTS = Options(
    layout="BSNH",
    context=None,
    dtype="float32",
    positions="any",
    factory=False,
    framework=None,
    device=None,
)


def completed(options: Options) -> dict[str, Any]:
    """All options, with the defaults for those that are left out.

    Raises:
        TypeError: there is no such option.
    """
    if unknown := sorted(options.keys() - DEFAULTS.keys()):
        raise TypeError(
            f"options: got {', '.join(unknown)}, expected some of {', '.join(DEFAULTS)}."
        )
    return {**DEFAULTS, **options}
