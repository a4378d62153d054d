"""The exact reference: the formulas of the papers in mpmath, one pair at a time.

Of `rope_spec` it knows only `RopeSpec`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mpmath.ctx_mp import MPContext

from rope_spec import RopeSpec

mp: Any = MPContext()
mp.dps = 50  # digits
mpf = mp.mpf
Real = Any  # an mpf


def inverse_frequencies(spec: RopeSpec, seq_len: int | None = None) -> list[Real]:
    """Radians per position of every pair, to 50 digits."""
    unit = 2 * mp.pi if spec.unit == "turn" else 1
    pairs = zip(spec.pairs.axis, spec.pairs.frequency_index, strict=True)
    return [unit * _inv_freq(spec, axis, k, seq_len) for axis, k in pairs]


def cos_sin(
    spec: RopeSpec, positions: np.ndarray, seq_len: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """cos and sin times the attention factor, float64 `(..., S, P)`.

    Positions are as for `rope_spec.cos_sin`.
    """
    inv_freq, axes = inverse_frequencies(spec, seq_len), spec.pairs.axes
    per_axis = np.asarray(positions)[..., None] if axes == 1 else np.asarray(positions)
    rows = per_axis.reshape(-1, axes).tolist()
    factor = attention_factor(spec)
    angles = [
        [row[axis] * inv for axis, inv in zip(spec.pairs.axis, inv_freq, strict=True)]
        for row in rows
    ]
    tables = [
        [[float(factor * f(angle)) for angle in row] for row in angles] for f in (mp.cos, mp.sin)
    ]
    cos, sin = (np.array(table).reshape(*per_axis.shape[:-1], len(inv_freq)) for table in tables)
    return cos, sin


def rotate(spec: RopeSpec, x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Each pair is rotated in float64, channel by channel.

    cos and sin broadcast against the pairs of x.
    """
    x = np.asarray(x, np.float64)
    y = x.copy()
    for j in range(len(spec.pairs)):
        (a, b), (to_a, to_b) = (channels(spec, j, spec.read), channels(spec, j, spec.written))
        c, s = cos[..., j], spec.sign * sin[..., j]
        y[..., to_a] = x[..., a] * c - x[..., b] * s
        y[..., to_b] = x[..., b] * c + x[..., a] * s
    return y


def channels(spec: RopeSpec, pair: int, layout: str) -> tuple[int, int]:
    """The two channels of a pair."""
    pairs, axes = len(spec.pairs), spec.pairs.axes
    block = pairs // axes
    first, distance = {
        "half": (pair, pairs),
        "interleaved": (2 * pair, 1),
        "half_per_axis": (pair // block * 2 * block + pair % block, block),
    }[layout]
    return spec.start + first, spec.start + first + distance


def attention_factor(spec: RopeSpec) -> Real:
    """The factor of cos and sin: YaRN section 3.4 with DeepSeek's ratio, LongRoPE section 3.3."""
    rule, kind = _rule(spec)
    if kind not in ("Yarn", "LongRope", "Explicit"):
        return mpf(1)
    if rule.attention_factor is not None:
        return mpf(rule.attention_factor)
    if kind == "LongRope":
        return mp.sqrt(
            1 + mp.log(max(rule.factor, 1)) / mp.log(rule.original_max_position_embeddings)
        )
    if rule.mscale and rule.mscale_all_dim:
        return yarn_mscale(rule.factor, rule.mscale) / yarn_mscale(rule.factor, rule.mscale_all_dim)
    return yarn_mscale(rule.factor, 1)


def softmax_scale_factor(spec: RopeSpec) -> Real:
    """The factor of the attention scale in DeepSeek-V3."""
    rule, kind = _rule(spec)
    scales = kind == "Yarn" and rule.scales_softmax and rule.mscale_all_dim
    return yarn_mscale(rule.factor, rule.mscale_all_dim) ** 2 if scales else mpf(1)


def yarn_mscale(factor: float, mscale: float) -> Real:
    """`0.1 mscale ln(factor) + 1`; nothing below a factor of 1."""
    return mscale * mp.log(max(factor, 1)) / 10 + 1


def _rule(spec: RopeSpec) -> tuple[Any, str]:
    """The rule and its name, since the classes of the rules belong to the trunk."""
    return spec.rule, type(spec.rule).__name__


def _inv_freq(spec: RopeSpec, axis: int, k: int, seq_len: int | None) -> Real:
    (rule, kind), dim = _rule(spec), spec.pairs.frequency_dim
    plain = mpf(spec.theta) ** (-mpf(2 * k) / dim)
    match kind:
        case "NoneType":
            return plain
        case "Linear":
            return plain / mpf(rule.factor)
        case "PerAxis":
            return mpf(rule.theta[axis]) ** (-mpf(2 * k) / dim) / mpf(rule.divisor[axis])
        case "DynamicNTK":
            length = (
                mpf(max(seq_len or 0, rule.max_position_embeddings)) / rule.max_position_embeddings
            )
            alpha = rule.factor * length - (rule.factor - 1)
            return plain * alpha ** (-mpf(2 * k) / (dim - 2))
        case "Llama3":
            return _llama3_rung(plain, rule)
        case "Yarn":
            return _yarn_rung(plain, rule, k, dim, mpf(spec.theta))
        case "LongRope":
            long = seq_len is not None and seq_len > rule.original_max_position_embeddings
            return plain / mpf((rule.long_factor if long else rule.short_factor)[k])
        case "Proportional":
            return plain / mpf(rule.factor) if k < rule.rotated else mpf(0)
        case "Explicit":
            return mpf(rule.inv_freq[k])
    raise AssertionError(f"the oracle does not know the rule {rule!r}")


def _llama3_rung(plain: Real, rule: Any) -> Real:
    """A frequency of Llama 3, by its number of turns within the original context.

    Few turns are divided, many are kept, with a linear blend between.
    """
    turns = rule.original_max_position_embeddings * plain / (2 * mp.pi)
    if rule.low_freq_factor == rule.high_freq_factor:  # a step
        return plain if turns >= rule.low_freq_factor else plain / mpf(rule.factor)
    keep = (turns - rule.low_freq_factor) / (rule.high_freq_factor - mpf(rule.low_freq_factor))
    keep = min(max(keep, mpf(0)), mpf(1))
    return plain * (keep + (1 - keep) / mpf(rule.factor))


def _yarn_rung(plain: Real, rule: Any, k: int, dim: int, theta: Real) -> Real:
    """A frequency of YaRN: a linear ramp in k, from kept to divided by the factor."""
    start, end = yarn_range(rule, dim, theta)
    stretched = min(max((k - start) / (end - start), mpf(0)), mpf(1))
    return plain * (1 - stretched + stretched / mpf(rule.factor))


def yarn_range(rule: Any, dim: int, theta: Real) -> tuple[Real, Real]:
    """The real indices of the frequencies that turn beta_fast and beta_slow times.

    The turns are those within the original context.
    """

    def rung_that_turns(times: float) -> Real:
        return (
            mpf(dim)
            / 2
            * mp.log(rule.original_max_position_embeddings / (2 * mp.pi * times), theta)
        )

    start, end = rung_that_turns(rule.beta_fast), rung_that_turns(rule.beta_slow)
    if rule.truncate:
        start, end = mp.floor(start), mp.ceil(end)
    start, end = max(start, mpf(0)), min(end, mpf(dim - 1))
    return (start, end + mpf(0.001)) if start == end else (start, end)
