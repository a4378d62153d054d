"""Frequencies for long contexts, from the papers; a fault exchanges keywords."""

import numpy as np

from .rope import Array, Ladder


def linear(ladder: Ladder, factor: float) -> Array:
    """Position interpolation, arXiv:2306.15595: every frequency is divided by the factor."""
    return ladder.plain / ladder.number(factor)


def dynamic_ntk(ladder: Ladder, factor: float, original: int, length: int = 0) -> Array:
    """A larger theta for a call beyond the original context; `length` fixes that of the call."""
    call = max(length or ladder.length, original)
    stretch = factor * call / original - (factor - 1)
    theta = ladder.theta * stretch ** (ladder.dim / (ladder.dim - 2))
    return 1 / ladder.number(theta) ** ladder.exponents


def interpolated_ntk(ladder: Ladder, factor: float, original: int) -> Array:
    """Wrong: positions beyond the original context are divided, as in position interpolation."""
    return ladder.plain / ladder.number(factor if ladder.length > original else 1)


def llama3(ladder: Ladder, factor: float, low: float, high: float, original: int) -> Array:
    """Long wavelengths are stretched, short ones kept, those between blended (Llama 3.1)."""
    w = ladder.plain
    turns = (original * w / (2 * np.pi)).astype(ladder.number)  # within the original context
    blend = (turns - low) / (high - low) if high != low else turns
    mixed = ((1 - blend) / factor + blend) * w
    return np.where(turns > high, w, np.where(turns < low, w / factor, mixed))


def yarn(
    ladder: Ladder,
    factor: float,
    original: int,
    fast: float = 32,
    slow: float = 1,
    truncate: bool = True,
) -> Array:
    """arXiv:2309.00071: what turns more than `fast` times is kept, less than `slow` stretched."""
    ends = [
        ladder.dim * np.log(original / (2 * np.pi * turns)) / (2 * np.log(ladder.theta))
        for turns in (fast, slow)
    ]
    if truncate:
        ends = [np.floor(ends[0]), np.ceil(ends[1])]
    low, high = max(ends[0], 0), min(ends[1], ladder.dim - 1)
    k = np.arange(len(ladder.exponents))
    stretched = np.clip((k - low) / ((high - low) or 0.001), 0, 1).astype(ladder.number)
    return ladder.plain * (stretched / ladder.number(factor) + (1 - stretched))


def longrope(
    ladder: Ladder, short: tuple[float, ...], long: tuple[float, ...], original: int
) -> Array:
    """arXiv:2402.13753: a list of factors for each of two lengths."""
    factors = long if ladder.length > original else short
    return ladder.plain / np.array(factors[: len(ladder.exponents)], ladder.number)


def proportional(ladder: Ladder, turning: int) -> Array:
    """Gemma 4: the first `turning` pairs of the head turn, the others stand still."""
    return np.where(np.arange(len(ladder.exponents)) < turning, ladder.plain, 0)
