"""Keys that are rotated already: moved, to other frequencies, and back; against rotating them
afresh.
"""

import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import rope_jax
import rope_torch
from rope_parity import bounds, oracle
from rope_parity.backends import array, tensor
from rope_parity.constructed import SPECS
from rope_parity.measure import DTYPES, compare, eps_of
from rope_spec import Arithmetic, Pairs, RopeSpec, inverse_frequencies

KEYS = {name: spec for name, spec in SPECS.items() if not spec.real}


def case(spec, dtype, rng):
    x = rng.standard_normal((2, 9, 3, spec.head_dim)).astype(DTYPES[dtype])
    shape = (2, 9) if spec.pairs.axes == 1 else (2, 9, spec.pairs.axes)
    return x, *(rng.integers(-(2**31), 2**31, shape).astype(np.int32) for _ in range(2))


def both(function, spec, *arrays, **options):
    """The result of either branch, which is the same to the byte."""
    ours = getattr(rope_jax, function)(spec, *map(jnp.asarray, arrays), **options)
    tensors = map(tensor, arrays)
    theirs = getattr(rope_torch, function)(spec, *tensors, heads_axis=-2, **options)
    assert compare(np.asarray(ours), array(theirs), 1.0, 0.0).ok
    return np.asarray(ours)


def fresh(x, positions, spec, seq_len=1):
    table = rope_jax.cos_sin(spec, positions, seq_len=seq_len)
    return np.asarray(rope_jax.rotate(spec, jnp.asarray(x), *table))


def is_near(got, expected, spec, factor, dtype, roundings):
    """Within so many rotations' roundings of the length of each pair."""
    one = float(bounds.rotation(bounds.exact_table(factor) / factor, DTYPES[dtype], Arithmetic()))
    pairs = [a.astype(np.float64)[..., channels_of(spec)] for a in (got, expected)]
    length = np.sqrt((pairs[1] ** 2).sum(-2))
    return (
        np.abs(pairs[0] - pairs[1]).max(-2)
        <= roundings * one * length + eps_of(DTYPES[dtype]) * 1e-3
    ).all()


def channels_of(spec):
    return np.array([oracle.channels(spec, j, spec.written) for j in range(len(spec.pairs))]).T


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("spec", KEYS.values(), ids=KEYS)
def test_rerotated_keys_are_fresh_keys(spec, dtype, rng):
    """At any int32 positions: the roundings of the first rotation, of the second, and of the fresh
    one.
    """
    x, old, new = case(spec, dtype, rng)
    moved = both("rerotate", spec, fresh(x, old, spec), old, new, seq_len=1)
    factor = inverse_frequencies(spec).attention_factor
    assert is_near(moved, fresh(x, new, spec), spec, factor, dtype, roundings=3)


@pytest.mark.parametrize("spec", KEYS.values(), ids=KEYS)
def test_unrotate_is_the_inverse(spec, rng):
    x, positions, _ = case(spec, "float32", rng)
    back = both("unrotate", spec, fresh(x, positions, spec), positions, seq_len=1)
    unturned = replace(spec, write=None)
    assert is_near(
        back, x, unturned, inverse_frequencies(spec).attention_factor, "float32", roundings=2
    )


@pytest.mark.parametrize("name", ["longrope", "dynamic"])
def test_to_the_frequencies_of_another_length(name, rng):
    """The switch of LongRoPE, and dynamic NTK as it grows."""
    spec = SPECS[name]
    x, old, new = case(spec, "float32", rng)
    moved = both(
        "rerotate", spec, fresh(x, old, spec, 1000), old, new, seq_len=1000, to_seq_len=9000
    )
    factors = [
        inverse_frequencies(spec, spec.effective_length(n)).attention_factor for n in (1000, 9000)
    ]
    assert is_near(moved, fresh(x, new, spec, 9000), spec, max(factors), "float32", roundings=3)


@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
def test_a_length_of_0_is_none(branch):
    x, at = np.ones((1, 1, 1, 64), np.float32), np.zeros((1, 1), np.int32)
    put = jnp.asarray if branch is rope_jax else tensor
    with pytest.raises(ValueError, match="seq_len: got 0, expected 1 to"):
        branch.rerotate(SPECS["dynamic"], *map(put, (x, at, at)), seq_len=9, to_seq_len=0)


def test_to_another_base(rng):
    spec, wider = SPECS["half"], replace(SPECS["half"], theta=80_000.0)
    x, old, _ = case(spec, "float32", rng)
    moved = both("rerotate", spec, fresh(x, old, spec), old, old, to_spec=wider)
    assert is_near(moved, fresh(x, old, wider), spec, 1.0, "float32", roundings=3)


PART = RopeSpec(head_dim=8, pairs=Pairs.single(rotary_dim=4))
OTHERS = {
    "another layout": (SPECS["half"], SPECS["interleaved"]),
    "another slice": (PART, replace(PART, start=4)),
    "other axes": (SPECS["half"], SPECS["sections"]),
    "real coordinates after": (PART, replace(PART, real=True)),
    "real coordinates before": (replace(PART, real=True), PART),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("branch", [rope_jax, rope_torch])
@pytest.mark.parametrize("spec, to_spec", OTHERS.values(), ids=OTHERS)
def test_other_channels_are_refused(spec, to_spec, branch):
    message = f"rerotate: got keys of RopeSpec(head_dim={spec.head_dim}"
    with pytest.raises(
        ValueError,
        match=re.escape(message) + ".* expected the same channels and axes, and integer positions",
    ):
        branch.rerotate(spec, None, None, None, to_spec=to_spec)


def test_to_another_attention_factor(rng):
    """The factor of a rule goes with its frequencies."""
    spec, to_spec = SPECS["explicit"], SPECS["yarn, own attention factor"]
    x, old, new = case(spec, "float32", rng)
    moved = both("rerotate", spec, fresh(x, old, spec), old, new, to_spec=to_spec)
    factor = inverse_frequencies(to_spec).attention_factor
    assert is_near(moved, fresh(x, new, to_spec), to_spec, factor, "float32", roundings=4)
