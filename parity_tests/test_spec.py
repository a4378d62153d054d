"""Descriptions fail when they are built; each message says what, got, expected, and the next step."""

import pytest

from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    Proportional,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)

P8 = Pairs.single(8)


def spec(**changes):
    return RopeSpec(**{"head_dim": 8, "theta": 10000.0, "pairs": P8} | changes)


BAD = {
    "layout": (
        lambda: spec(read="halves"),
        r"read: got 'halves', expected one of 'half', 'interleaved', 'half_per_axis'",
    ),
    "theta": (lambda: spec(theta=0.0), r"theta: got 0.0, expected a finite number above 0"),
    "infinite theta": (lambda: spec(theta=float("inf")), r"theta: got inf"),
    "sign": (lambda: spec(sign=2), r"sign: got 2, expected 1 or -1"),
    "too wide": (
        lambda: spec(head_dim=6),
        r"got 4 pairs, which are 8 channels, from channel 0 on, expected them within head_dim=6",
    ),
    "start": (lambda: spec(start=2), r"from channel 2 on, expected them within head_dim=8"),
    "blocks": (
        lambda: spec(pairs=Pairs((0, 1, 0, 1), (0, 1, 2, 3), 8), read="half_per_axis"),
        r"half_per_axis with axes \(0, 1, 0, 1\), expected one block of equal length for each axis",
    ),
    "pairs": (lambda: Pairs((0,), (0, 1), 4), r"got 1 axes and 2 rungs, expected as many"),
    "rungs": (lambda: Pairs((0,), (2,), 4), r"got rungs 2 to 2, expected 0 to 1 for ladder_dim=4"),
    "axes": (lambda: Pairs((0, 2), (0, 1), 4), r"got axes \[0, 2\], expected each of 0 to A - 1"),
    "rotary_dim": (lambda: Pairs.single(0), r"got a size of 0, expected at least 1"),
    "axial": (lambda: Pairs.axial(6), r"got rotary_dim=6 for 2 axes, expected a multiple of 4"),
    "strided": (
        lambda: Pairs.strided((2, 4, 2)),
        r"strided: got sections \(2, 4, 2\), expected the first of 3 to be the longest",
    ),
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
    "no axes": (lambda: Pairs.axial(8, 0), r"got rotary_dim=8 for 0 axes"),
    "yarn length": (lambda: Yarn(4.0, 0), r"Yarn.original_max_position_embeddings: got 0"),
    "longrope": (
        lambda: LongRope((1.0, -1.0), (1.0, 1.0), 4096, 4.0),
        r"LongRope.short_factor: got -1.0",
    ),
    "longrope length": (
        lambda: LongRope((1.0,), (1.0,), 1, 4.0),
        r"got less than 2, expected a context length",
    ),
    "longrope rungs": (
        lambda: spec(rule=LongRope((1.0,), (1.0,), 4096, 4.0)),
        r"LongRope: got 1 short and 1 long factors, expected one for each of the 4 rungs",
    ),
    "attention factor": (
        lambda: inverse_frequencies(spec(rule=Yarn(40.0, 64, mscale=-10.0, mscale_all_dim=1.0))),
        r"Yarn: got an attention factor of -1.9.*, expected finite numbers above 0",
    ),
    "explicit rungs": (lambda: spec(rule=Explicit((1.0,))), r"Explicit: got 1 inverse frequencies"),
    "explicit": (lambda: Explicit((float("nan"),)), r"got a number that is not finite"),
    "proportional": (lambda: Proportional(8, 0.0), r"Proportional.factor: got 0.0"),
    "fewer than no rungs": (
        lambda: Proportional(-8),
        r"Proportional.rotated: got -8, expected a number of rungs, 0 or more",
    ),
    "dynamic": (
        lambda: spec(pairs=Pairs.single(2), rule=DynamicNTK(2.0, 64)),
        r"ladder_dim of 2 or less",
    ),
    "angles": (
        lambda: Arithmetic(angles="float64"),
        r"Arithmetic.angles: got 'float64', expected one of 'exact', 'float32'",
    ),
    "rotate_in": (lambda: Arithmetic(rotate_in="x"), r"Arithmetic.rotate_in: got 'x'"),
}


@pytest.mark.parametrize("build, message", BAD.values(), ids=BAD)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


WRONG_KIND = {
    "rule": (
        lambda: spec(rule={"rope_type": "linear"}),
        r"rule={'rope_type': 'linear'}, expected .* a rule such as Linear\(4.0\)",
    ),
    "head_dim": (
        lambda: spec(head_dim=8.5),
        r"got head_dim=8.5 and rule=None, expected a whole number",
    ),
    "pairs": (lambda: Pairs([0], [0], 2), r"got axis=\[0\] and rung=\[0\], expected tuples"),
}


@pytest.mark.parametrize("build, message", WRONG_KIND.values(), ids=WRONG_KIND)
def test_what_is_of_the_wrong_kind_is_refused(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_specs_are_values():
    assert spec() == spec() and hash(spec()) == hash(spec()) and spec() != spec(theta=500000.0)


def test_pairs_of_every_family():
    """Axis and rung of each pair, spelt out."""
    assert Pairs.sections((1, 2, 1)) == Pairs((0, 1, 1, 2), (0, 1, 2, 3), 8)
    assert Pairs.strided((4, 2, 2)) == Pairs((0, 1, 2, 0, 1, 2, 0, 0), tuple(range(8)), 16)
    assert Pairs.spatial_first((2, 2, 1)) == Pairs((1, 2, 1, 2, 0), tuple(range(5)), 10)
    assert Pairs.alternating(4) == Pairs((0, 1, 0, 1), (0, 1, 2, 3), 8)
    assert Pairs.axial(8) == Pairs((0, 0, 1, 1), (0, 1, 0, 1), 4)
    assert Pairs.axial_shared(8) == Pairs((0, 0, 1, 1), (0, 2, 1, 3), 8)
    assert Pairs.axial_alternating(8) == Pairs((0, 1, 0, 1), (0, 0, 1, 1), 4)


def test_an_odd_dim_rounds_the_pairs_up_and_keeps_the_denominator():
    assert Pairs.single(5) == Pairs((0, 0, 0), (0, 1, 2), 5)
