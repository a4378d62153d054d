"""Frequencies and phase of the trunk against mpmath, and the polynomials against NumPy's float64
functions.
"""

from dataclasses import asdict
from importlib import import_module

import numpy as np
import pytest

import rope_spec
from rope_parity import oracle
from rope_parity.constructed import SPECS
from rope_spec import Llama3, LongRope, RopeSpec, Yarn, inverse_frequencies
from rope_spec.phase import fixed_point, phase_cos_sin

LONG = 10**5  # a length beyond every original context of the table
HALF_ULP = 2.0**-24  # of a product, relative
COS_SIN_BOUND = 3.2e-8  # derived in rope_spec/phase.py


@pytest.mark.parametrize("seq_len", [None, 100, LONG])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_frequencies_are_the_rounded_exact_ones(spec, seq_len):
    exact, ours = oracle.inverse_frequencies(spec, seq_len), inverse_frequencies(spec, seq_len)
    assert ours.inv_freq.tolist() == [float(value) for value in exact]
    turns = [int(oracle.mp.nint(value / (2 * oracle.mp.pi) * 2**64)) % 2**64 for value in exact]
    assert ours.turns.view(np.uint64).tolist() == turns
    assert ours.attention_factor == float(oracle.attention_factor(spec))
    assert ours.softmax_scale_factor == float(oracle.softmax_scale_factor(spec))


ENDS = {  # of YaRN's ramp: frequency indices that are cut off at the ladder's, or are the same
    "beyond the ladder": RopeSpec(head_dim=64, theta=10.0, rule=Yarn(4.0, 4096, 512.0)),
    "below the ladder": RopeSpec(head_dim=64, rule=Yarn(4.0, 6)),
    "one index": RopeSpec(head_dim=64, rule=Yarn(4.0, 4096, 8.0, 8.0, truncate=False)),
}


def of_transformers(kind, rope, length):
    """The inverse frequencies and the attention factor of its own function."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    config = transformers.LlamaConfig(
        head_dim=64, rope_parameters=rope, max_position_embeddings=length
    )
    functions = import_module("transformers.modeling_rope_utils").ROPE_INIT_FUNCTIONS
    return functions[kind](config, device="cpu")


@pytest.mark.parametrize("spec", ENDS.values(), ids=ENDS)
def test_the_ends_of_a_ramp(spec):
    """And the float32 frequencies are those of transformers, whose powers may be an ULP off."""
    test_frequencies_are_the_rounded_exact_ones(spec, None)
    rope = {"rope_type": "yarn", "rope_theta": spec.theta} | asdict(spec.rule)
    theirs, _ = of_transformers("yarn", rope, 16384)
    ours = inverse_frequencies(spec).inv_freq_float32
    assert np.abs(ours / theirs.numpy() - 1).max() <= 8 * 2.0**-24  # 4 operations and 2 powers


ONES = (1.0,) * 32
STRETCHES = {  # at most 1, just above it, and an attention factor that is given
    "longrope, shrunk": LongRope(ONES, ONES, 4096, 0.5),
    "longrope, as it is": LongRope(ONES, ONES, 4096, 1.0),
    "longrope, a little": LongRope(ONES, ONES, 4096, 1.25),
    "longrope, given": LongRope(ONES, ONES, 4096, 32.0, 1.19),
    "yarn, shrunk": Yarn(0.5, 4096),
    "yarn, as it is": Yarn(1.0, 4096),
    "yarn, a little": Yarn(1.25, 4096),
    "yarn, given": Yarn(32.0, 4096, attention_factor=1.19),
}


@pytest.mark.parametrize("rule", STRETCHES.values(), ids=STRETCHES)
def test_the_attention_factor_of_a_stretch(rule):
    """That of transformers, whose float64 logarithm and root may be an ULP off each."""
    spec = RopeSpec(head_dim=64, rule=rule)
    test_frequencies_are_the_rounded_exact_ones(spec, None)
    kind = type(rule).__name__.lower()
    rope = {"rope_type": kind, "rope_theta": spec.theta} | asdict(rule)
    _, factor = of_transformers(kind, rope, 4096)
    assert abs(inverse_frequencies(spec).attention_factor / factor - 1) <= 4 * 2.0**-53


def test_a_wavelength_that_is_the_limit_of_llama_3_in_float32():
    """2 pi rounded up: the exact one is shorter, hence kept; none is blended between two limits
    that are equal.
    """
    limit = 64 / float(np.float32(2 * np.pi))
    ours = inverse_frequencies(RopeSpec(head_dim=64, rule=Llama3(8.0, limit, limit, 64)))
    assert ours.inv_freq_float32[0] == ours.inv_freq[0] == 1.0
    assert ours.inv_freq_float32[1] == np.float32(ours.inv_freq[1])


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_the_last_length_of_the_original_context(name):
    """It has the frequencies of that context, and the next has others."""
    spec = SPECS[name]
    original = spec.original_length
    inside, last, beyond = (inverse_frequencies(spec, n) for n in (1, original, original + 1))
    test_frequencies_are_the_rounded_exact_ones(spec, original)
    assert last.turns.tolist() == inside.turns.tolist() != beyond.turns.tolist()


@pytest.mark.parametrize("seq_len", [1, LONG])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_cos_and_sin_keep_their_bound_at_every_int32_position(spec, seq_len, rng):
    ends = [0, 1, -1, 2**31 - 1, -(2**31), 2**31 - 2, 2**30, 10**9 + 7]
    positions = np.concatenate(
        [ends, rng.integers(-(2**31), 2**31, 40), rng.integers(0, 2**17, 16)]
    )[None]
    if spec.pairs.axes > 1:
        positions = np.stack(
            [rng.permutation(positions[0]) for _ in range(spec.pairs.axes)], axis=-1
        )[None]
    factor = float(oracle.attention_factor(spec))
    bound = COS_SIN_BOUND * factor + (factor * HALF_ULP if factor != 1 else 0)
    for ours, exact in zip(
        rope_spec.cos_sin(spec, positions, seq_len=seq_len),
        oracle.cos_sin(spec, positions, seq_len),
        strict=True,
    ):
        assert ours.dtype == np.float32 and ours.shape == exact.shape
        assert np.abs(ours.astype(np.float64) - exact).max() <= bound


def test_the_polynomials_are_as_good_as_the_bound_says():
    """0.079e-8 of the 3.2e-8, over the whole eighth of a turn: its ends, and a stride without a
    common factor.
    """
    phase = np.concatenate([np.arange(2**18), 2**29 - np.arange(2**18), np.arange(0, 2**29, 257)])
    half_ulp = 2.0**-25
    for ours, exact in zip(phase_cos_sin(phase), (np.cos, np.sin), strict=True):
        error = np.abs(ours.astype(np.float64) - exact(phase * (np.pi / 2**31)))
        assert error.max() <= half_ulp + 0.079e-8


def test_position_zero_turns_nothing_and_opposite_positions_mirror(rng):
    spec = SPECS["llama3"]
    cos, sin = rope_spec.cos_sin(spec, np.array([0]))
    assert (cos == 1).all() and (sin == 0).all() and not np.signbit(sin).any()
    positions = rng.integers(0, 2**31, 64)
    (cos, sin), (mirrored_cos, mirrored_sin) = (
        rope_spec.cos_sin(spec, positions),
        rope_spec.cos_sin(spec, -positions),
    )
    assert (cos == mirrored_cos).all() and (sin == -mirrored_sin).all()


def test_quarter_turns_are_exact():
    cos, sin = phase_cos_sin(np.arange(-8, 8) << 30)
    assert cos.tolist() == [1, 0, -1, 0] * 4 and sin.tolist() == [0, 1, 0, -1] * 4


@pytest.mark.parametrize(
    "factor", [0.3, 0.9999999999, 1.0000001, 1.138629436111989, 1.5, 2.0, 40.0]
)
def test_the_attention_factor_has_32_bits(factor):
    multiplier, scale = fixed_point(factor)
    assert 2**31 <= multiplier < 2**32
    assert abs(multiplier * 2.0**-32 * scale * 2.0**31 / factor - 1) <= 2.0**-32


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "positions, error, message",
    [
        (
            np.zeros((2, 3), np.float32),
            TypeError,
            "positions: got float32, expected integers. If they are whole numbers, cast",
        ),
        (np.zeros(3, bool), TypeError, "positions: got bool, expected integers"),
        (np.array(3), ValueError, r"positions: got shape \(\), expected \(..., S\)"),
        (None, TypeError, "cos_sin: got None as positions, expected an array"),
        ([[0, 1]], TypeError, "cos_sin: got list as positions, expected an array"),
    ],
)
def test_bad_positions(positions, error, message):
    with pytest.raises(error, match=message):
        rope_spec.cos_sin(SPECS["half"], positions)


def test_bad_length():
    with pytest.raises(ValueError, match="got seq_len=0, expected at least 1, or None"):
        inverse_frequencies(SPECS["dynamic"], 0)
