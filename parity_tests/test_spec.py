"""Descriptions fail when they are built; each message says what, got, expected, and the next
step.
"""

from dataclasses import replace

import numpy as np
import pytest

from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    PerAxis,
    Proportional,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)

P8 = Pairs.single(rotary_dim=8)


def spec(**changes):
    return RopeSpec(**{"head_dim": 8, "theta": 10000.0, "pairs": P8} | changes)


BAD = {
    "layout": (
        lambda: spec(read="halves"),
        r"read: got 'halves', expected one of 'half', 'interleaved', 'half_per_axis'",
    ),
    "theta": (lambda: spec(theta=0.0), r"theta: got 0.0, expected a finite number above 0"),
    "theta that float32 does not hold": (
        lambda: spec(theta=1e-31),
        r"theta: got 1e-31, expected a finite number above 0, from 1e-30 to 1e\+30",
    ),
    "infinite theta": (lambda: spec(theta=float("inf")), r"theta: got inf"),
    "sign": (lambda: spec(sign=2), r"sign: got 2, expected -1 to 1"),
    "too wide": (
        lambda: spec(head_dim=6),
        r"got 4 pairs, which are 8 channels, from channel 0 on, expected them within head_dim=6",
    ),
    "start": (lambda: spec(start=2), r"from channel 2 on, expected them within head_dim=8"),
    "blocks": (
        lambda: spec(pairs=Pairs((0, 1, 0, 1), (0, 1, 2, 3), 8), read="half_per_axis"),
        r"half_per_axis with axes \(0, 1, 0, 1\), expected one block of equal length for each axis",
    ),
    "pairs": (
        lambda: Pairs((0,), (0, 1), 4),
        r"got 1 axes and 2 frequency indices, expected as many",
    ),
    "frequency indices": (
        lambda: Pairs((0,), (2,), 4),
        r"got frequency indices 2 to 2, expected 0 to 1 for frequency_dim=4",
    ),
    "axes": (
        lambda: Pairs((0, 2), (0, 1), 4),
        r"got axes \[0, 2\], expected all of 0 to 2. Renumber",
    ),
    "rotary_dim": (lambda: Pairs.single(rotary_dim=0), r"rotary_dim: got 0, expected 1 to 65536"),
    "axial": (
        lambda: Pairs.axial(rotary_dim=6),
        r"got rotary_dim=6 for 2 axes, expected a multiple of 4",
    ),
    "three pairs for two axes": (
        lambda: Pairs.alternating(rotary_dim=6),
        r"got rotary_dim=6 for 2 axes, expected a multiple of 4",
    ),
    "strided": (
        lambda: Pairs.strided((2, 4, 2)),
        r"strided: got sections \(2, 4, 2\), expected the first of 3 to be the longest: "
        r"if they alternate, they get \(3, 3, 2\) pairs. If that is meant, as in timm, pass pairs=",
    ),
    "an odd width": (
        lambda: Pairs.widths((16, 55, 57)),
        r"widths: got \(16, 55, 57\), expected an even number of channels for each axis",
    ),
    "a width of 0": (
        lambda: Pairs.widths((0, 56)),
        r"widths: got \(0, 56\), expected an even number",
    ),
    "no widths": (lambda: Pairs.widths(()), r"widths: got \(\), 0 in all, expected one or more"),
    "a base for each axis": (
        lambda: spec(pairs=Pairs.widths((4, 4)), rule=PerAxis((1e4, 1e3, 1e2))),
        r"PerAxis: got 3 bases and 3 divisors, expected one for each of the 2 axes. Give that many",
    ),
    "a divisor for each axis": (
        lambda: spec(pairs=Pairs.widths((4, 4)), rule=PerAxis((1e4, 1e3), (1.0,))),
        r"PerAxis: got 2 bases and 1 divisors, expected one for each of the 2 axes",
    ),
    "a base below 0": (lambda: PerAxis((1e4, -1.0)), r"PerAxis.theta: got -1.0, expected a finite"),
    "spatial first": (
        lambda: Pairs.spatial_first((3, 2, 4)),
        r"expected as many for height as for width",
    ),
    "linear": (lambda: Linear(0.0), r"Linear.factor: got 0.0, expected a finite number above 0"),
    "llama3": (
        lambda: Llama3(8.0, 4.0, 1.0, 8192),
        r"low_freq_factor=4.0 and high_freq_factor=1.0",
    ),
    "yarn": (
        lambda: Yarn(4.0, 4096, beta_fast=1.0, beta_slow=32.0),
        r"beta_fast=1.0 below beta_slow=32.0",
    ),
    "yarn theta": (
        lambda: spec(theta=1.0, rule=Yarn(4.0, 4096)),
        r"Yarn: got theta=1.0, expected another",
    ),
    "no axes": (lambda: Pairs.axial(rotary_dim=8, axes=0), r"got rotary_dim=8 for 0 axes"),
    "yarn length": (lambda: Yarn(4.0, 0), r"Yarn.original_max_position_embeddings: got 0"),
    "longrope": (
        lambda: LongRope((1.0, -1.0), (1.0, 1.0), 4096, 4.0),
        r"LongRope.short_factor: got -1.0",
    ),
    "longrope length": (
        lambda: LongRope((1.0,), (1.0,), 1, 4.0),
        r"original_max_position_embeddings: got 1, expected 2 to",
    ),
    "longrope factors": (
        lambda: spec(rule=LongRope((1.0,), (1.0,), 4096, 4.0)),
        r"LongRope: got 1 short and 1 long factors, expected one for each of the 4 frequencies",
    ),
    "attention factor": (
        lambda: inverse_frequencies(spec(rule=Yarn(40.0, 64, mscale=-10.0, mscale_all_dim=1.0))),
        r"Yarn: got an attention factor of -1.9.*, expected finite numbers above 0",
    ),
    "explicit frequencies": (
        lambda: spec(rule=Explicit((1.0,))),
        r"Explicit: got 1 inverse frequencies",
    ),
    "explicit": (
        lambda: Explicit((float("nan"),)),
        r"Explicit.inv_freq: got nan, expected a finite number",
    ),
    "infinite frequency": (
        lambda: Explicit((float("inf"),)),
        r"Explicit.inv_freq: got inf, expected a finite number",
    ),
    "huge frequency": (
        lambda: Explicit((1e31,)),
        r"got 1e\+31, expected a finite number, from -1e",
    ),
    "proportional": (lambda: Proportional(8, 0.0), r"Proportional.factor: got 0.0"),
    "fewer than no frequencies": (
        lambda: Proportional(-8),
        r"Proportional.rotated: got -8, expected 0 to",
    ),
    "dynamic": (
        lambda: spec(pairs=Pairs.single(rotary_dim=2), rule=DynamicNTK(2.0, 64)),
        r"DynamicNTK: got frequency_dim=2, expected more than 2",
    ),
    "angles": (
        lambda: Arithmetic(angles="float64"),
        r"Arithmetic.angles: got 'float64', expected one of 'exact', 'float32'",
    ),
    "rotate_in": (lambda: Arithmetic(rotate_in="x"), r"Arithmetic.rotate_in: got 'x'"),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("build, message", BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


WRONG_KIND = {
    "several factors": (lambda: Linear((4.0,)), r"factor: got \(4.0,\), expected a number"),
    "no factor": (lambda: Linear(None), r"Linear.factor: got None, expected a number"),
    "one divisor": (
        lambda: LongRope(1.0, (1.0,), 64, 4.0),
        r"LongRope.short_factor: got 1.0, expected a tuple",
    ),
    "truncate": (lambda: Yarn(4.0, 64, truncate=1), r"truncate: got 1, expected True or False"),
    "rule": (
        lambda: spec(rule={"rope_type": "linear"}),
        r"rule: got {'rope_type': 'linear'}, expected a rule, as Linear\(4.0\), or None",
    ),
    "head_dim": (lambda: spec(head_dim=8.5), r"head_dim: got 8.5, expected a whole number"),
    "pairs": (lambda: Pairs([0], [0], 2), r"Pairs.axis: got \[0\], expected a tuple"),
    "pairs that are a number": (
        lambda: spec(pairs=16),
        r"pairs: got 16, expected Pairs, as Pairs.single\(rotary_dim=64\)",
    ),
    "pairs that are text": (lambda: spec(pairs="single"), r"pairs: got 'single', expected Pairs"),
    "sections of M-RoPE for the widths of axes": (
        lambda: Pairs.sections((8, 28, 28)),
        r"takes 1 positional argument",
    ),
    "a width": (lambda: Pairs.widths((16.0, 56)), r"widths: got 16.0, expected a whole number"),
    "a number of pairs": (lambda: Pairs.single(4), r"takes 1 positional argument"),
    "an axis": (lambda: Pairs((0.0,), (0,), 2), r"Pairs.axis: got 0.0, expected a whole number"),
    "start": (lambda: spec(start=0.0), r"start: got 0.0, expected a whole number"),
    "sign": (lambda: spec(sign=True), r"sign: got True, expected a whole number"),
    "theta": (lambda: spec(theta=True), r"theta: got True, expected a number"),
    "theta that is text": (lambda: spec(theta="10000"), r"theta: got '10000', expected a number"),
    "real": (lambda: spec(real=1), r"real: got 1, expected True or False"),
    "factor": (lambda: Linear("4"), r"Linear.factor: got '4', expected a number"),
    "a number for a tuple": (
        lambda: Explicit(inv_freq=1.0),
        r"Explicit.inv_freq: got 1.0, expected a tuple, which can be hashed. Make one",
    ),
    "a list of factors": (
        lambda: LongRope([1.0], (2.0,), 4096, 4.0),
        r"LongRope.short_factor: got \[1.0\], expected a tuple",
    ),
    "no width": (lambda: RopeSpec(head_dim=None), r"head_dim: got None, expected a whole number"),
    "a base for all axes": (lambda: PerAxis(1e4), r"PerAxis.theta: got 10000.0, expected a tuple"),
    "length of a rule": (
        lambda: DynamicNTK(4.0, 64.5),
        r"max_position_embeddings: got 64.5, expected a whole number",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("build, message", WRONG_KIND.values(), ids=WRONG_KIND)
def test_what_is_of_the_wrong_kind_is_refused(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_specs_are_values():
    assert spec() == spec() and hash(spec()) == hash(spec()) and spec() != spec(theta=500000.0)


@pytest.mark.unchecked  # numbers of NumPy, which a type checker refuses
def test_equal_specs_are_equal_whatever_they_were_made_of():
    """NumPy's numbers are Python's, what is the default need not be said, and hashes follow."""
    plain = RopeSpec(head_dim=8)
    of_numpy = spec(head_dim=np.int64(8), theta=np.float32(10000), start=np.int8(0), write="half")
    assert plain == spec() == of_numpy and hash(plain) == hash(of_numpy)
    assert repr(plain) == repr(of_numpy)
    assert Linear(np.float32(4)) == Linear(4) and repr(Linear(np.int64(4))) == repr(Linear(4.0))
    assert replace(spec(read="half", write="half"), read="interleaved").written == "interleaved"


@pytest.mark.parametrize("rule", [DynamicNTK(4.0, 64), LongRope((1.0,) * 4, (2.0,) * 4, 64, 4.0)])
def test_frequencies_that_depend_on_the_length_ask_for_it(rule):
    """And they change beyond the original context, not at its end."""
    by_length = spec(rule=rule)
    with pytest.raises(TypeError, match=r"seq_len: got None for a spec with \w+, expected the cur"):
        by_length.effective_length(None)
    for wrong in (8.5, True, "8"):
        with pytest.raises(TypeError, match="seq_len: got .*, expected a whole number"):
            by_length.effective_length(wrong)
    with pytest.raises(ValueError, match="seq_len: got 0, expected 1 to"):
        by_length.effective_length(0)
    assert [by_length.effective_length(n) for n in (np.int64(1), 64, 65)] == [None, None, 65]
    assert spec().effective_length(None) is None


def test_pairs_of_every_family():
    """Axis and frequency index of each pair, spelt out."""
    assert Pairs.sections(mrope_section=(1, 2, 1)) == Pairs((0, 1, 1, 2), (0, 1, 2, 3), 8)
    assert Pairs.strided((4, 2, 2)) == Pairs((0, 1, 2, 0, 1, 2, 0, 0), tuple(range(8)), 16)
    some = (0, 1, 2, 0, 1, 2, 0, 1, 0, 0, 0, 0)  # (3, 3, 2) take turns, and four pairs are left
    assert Pairs.strided((2, 3, 2), 12) == Pairs(some, tuple(range(12)), 24)
    assert Pairs.spatial_first((2, 2, 1)) == Pairs((1, 2, 1, 2, 0), tuple(range(5)), 10)
    assert Pairs.alternating(rotary_dim=8) == Pairs((0, 1, 0, 1), (0, 1, 2, 3), 8)
    assert Pairs.axial(rotary_dim=8) == Pairs((0, 0, 1, 1), (0, 1, 0, 1), 4)
    assert Pairs.axial_shared(rotary_dim=8) == Pairs((0, 0, 1, 1), (0, 2, 1, 3), 8)
    assert Pairs.axial_alternating(rotary_dim=8) == Pairs((0, 1, 0, 1), (0, 0, 1, 1), 4)


def test_an_odd_dim_rounds_the_pairs_up_and_keeps_the_denominator():
    assert Pairs.single(rotary_dim=5) == Pairs((0, 0, 0), (0, 1, 2), 5)


def test_axes_of_several_widths_have_ladders_of_their_own():
    """Wan's 44 + 42 + 42: each block has the frequencies of a spec of that width alone."""
    assert Pairs.widths((4, 8)) == Pairs((0, 0, 1, 1, 1, 1), (0, 2, 0, 1, 2, 3), 8)
    assert Pairs.widths((8, 8)) == Pairs.axial(rotary_dim=16)
    widths, thetas = (44, 42, 42), (10000.0, 10000.0, 300.0)
    together = RopeSpec(head_dim=128, pairs=Pairs.widths(widths), rule=PerAxis(thetas))
    alone = [RopeSpec(head_dim=d, theta=t) for d, t in zip(widths, thetas, strict=True)]
    ours, theirs = inverse_frequencies(together), [inverse_frequencies(one) for one in alone]
    for name in ("inv_freq", "inv_freq_float32", "turns"):
        joined = np.concatenate([getattr(one, name) for one in theirs])
        assert np.array_equal(getattr(ours, name), joined)


def test_a_divisor_for_each_axis():
    """Kandinsky 5 divides by 1, 2, 2: half the frequencies, for a divisor is a power of two."""
    pairs = Pairs.widths((16, 24, 24))
    plain = inverse_frequencies(RopeSpec(head_dim=64, pairs=pairs))
    rule = PerAxis((10000.0,) * 3, (1.0, 2.0, 2.0))
    divided = inverse_frequencies(RopeSpec(head_dim=64, pairs=pairs, rule=rule))
    factor = np.repeat([1.0, 2.0, 2.0], [8, 12, 12])
    assert np.array_equal(divided.inv_freq, plain.inv_freq / factor)
    assert np.array_equal(divided.inv_freq_float32, plain.inv_freq_float32 / factor)
