"""Projection weights from one layout to another: the rotation of converted weights gives the same
attention scores.
"""

import re
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
from rope_parity.constructed import LAYOUTS
from rope_spec import Pairs, RopeSpec, channel_order, convert_fused_projection, convert_projection

HALF, PARTIAL = LAYOUTS["half"], LAYOUTS["first quarter"]
SOURCES = {
    "half": (HALF, "interleaved"),
    "interleaved": (LAYOUTS["interleaved"], "half"),
    "DeepSeek": (LAYOUTS["de-interleave"], "half"),
    "first quarter": (PARTIAL, "interleaved"),
    "last half": (LAYOUTS["last half, interleaved"], "half"),
    "half per axis": (LAYOUTS["half per axis"], "half"),
    "sections": (LAYOUTS["sections"], "interleaved"),
}


def scores(spec, x, q_weight, k_weight, heads, bias=None):
    """`(B, S, S)` of each head: rotated q times rotated k."""
    q, k = (
        jnp.asarray(x @ weight.T + (0 if bias is None else bias[i]))
        for i, weight in enumerate((q_weight, k_weight))
    )
    positions = jnp.arange(x.shape[1])[None]
    if spec.pairs.axes > 1:
        positions = jnp.stack([positions * (axis + 1) for axis in range(spec.pairs.axes)], axis=-1)
    table = rope_jax.cos_sin(spec, positions)
    heads_of = lambda t: t.reshape(*t.shape[:2], -1, spec.head_dim).astype(jnp.float32)
    q, k = (np.asarray(rope_jax.rotate(spec, heads_of(t), *table), np.float64) for t in (q, k))
    return np.einsum("bqnh,bknh->bnqk", q, k.repeat(heads // k.shape[2], axis=2))


@pytest.mark.parametrize("spec, to", SOURCES.values(), ids=SOURCES)
def test_converted_weights_give_the_same_scores(spec, to, rng):
    """Grouped queries, with a bias: the same products in another order of summation, so equal in
    float64 from float32 keys.
    """
    x, heads, kv_heads = rng.standard_normal((1, 6, 10)), 4, 2
    q, k = (rng.standard_normal((n * spec.head_dim, 10)) for n in (heads, kv_heads))
    bias = [rng.standard_normal(n * spec.head_dim) for n in (heads, kv_heads)]
    converted = [convert_projection(spec, t, to) for t in (q, k)]
    biases = [convert_projection(spec, t, to) for t in bias]
    after = replace(spec, read=to, write=None)
    expected, got = scores(spec, x, q, k, heads, bias), scores(after, x, *converted, heads, biases)
    assert np.allclose(got, expected, rtol=0, atol=1e-13 * np.abs(expected).max() * spec.head_dim)
    wrong = scores(after, x, q, k, heads, bias)
    assert not np.allclose(wrong, expected, rtol=1e-3)


@pytest.mark.parametrize("spec, to", SOURCES.values(), ids=SOURCES)
def test_back_again_is_the_identity(spec, to, rng):
    for axis, shape in (
        (0, (3 * spec.head_dim, 5)),
        (-1, (5, 3 * spec.head_dim)),
        (0, (spec.head_dim,)),
    ):
        weight = rng.standard_normal(shape)
        there = convert_projection(spec, weight, to, axis=axis)
        assert np.array_equal(
            convert_projection(replace(spec, read=to), there, spec.read, axis=axis), weight
        )
    assert sorted(channel_order(spec, to)) == list(range(spec.head_dim))


def test_weights_stay_arrays_of_their_framework(rng):
    """A parameter of torch in bfloat16 that requires grad, and an array of JAX: the entries of the
    NumPy ones.
    """
    weight = rng.integers(-100, 100, (5, 2 * HALF.head_dim)).astype(np.float32)  # exact in bfloat16
    expected = convert_projection(HALF, weight, "interleaved", axis=-1)
    of_torch = convert_projection(
        HALF, torch.nn.Parameter(torch.tensor(weight).bfloat16()), "interleaved", axis=1
    )
    of_jax = convert_projection(HALF, jnp.asarray(weight, jnp.bfloat16), "interleaved", axis=1)
    assert of_torch.dtype == torch.bfloat16 and np.array_equal(
        of_torch.detach().float().numpy(), expected
    )
    assert of_jax.dtype == jnp.bfloat16 and np.array_equal(of_jax.astype(jnp.float32), expected)


@pytest.mark.parametrize("grouped", [False, True])
def test_fused_weights_are_the_parts(grouped, rng):
    """q, k and v in one, all of each kind together or group by group."""
    spec, heads, kv_heads = HALF, 6, 2
    parts = [rng.standard_normal((n, spec.head_dim, 5)) for n in (heads, kv_heads, kv_heads)]

    def fuse(q, k, v):
        if not grouped:
            return np.concatenate([q, k, v]).reshape(-1, 5)
        by_group = [t.reshape(kv_heads, -1, spec.head_dim, 5) for t in (q, k, v)]
        return np.concatenate(by_group, axis=1).reshape(-1, 5)

    flat = lambda t: convert_projection(spec, t.reshape(-1, 5), "interleaved").reshape(t.shape)
    expected = fuse(flat(parts[0]), flat(parts[1]), parts[2])
    options = {"heads": heads, "kv_heads": kv_heads, "grouped": grouped}
    got = convert_fused_projection(spec, fuse(*parts), "interleaved", **options)
    assert np.array_equal(got, expected)
    there = convert_fused_projection(spec, fuse(*parts).T, "interleaved", axis=1, **options)
    assert np.array_equal(there.T, expected)


@pytest.mark.unchecked
def test_bad_input():
    with pytest.raises(
        ValueError,
        match=re.escape(
            "got 100 channels at axis 0 of (100, 3), expected a multiple of head_dim=64"
        ),
    ):
        convert_projection(HALF, np.ones((100, 3)), "interleaved")
    with pytest.raises(
        ValueError,
        match=re.escape(
            "got 128 channels at axis 0 of (128, 3), expected (4 + 2 * 2) * head_dim=64"
        ),
    ):
        convert_fused_projection(HALF, np.ones((128, 3)), "interleaved", heads=4, kv_heads=2)
    with pytest.raises(ValueError, match="expected .3 . 2 . 2. . head_dim=64"):
        convert_fused_projection(
            *(HALF, np.ones((448, 3)), "interleaved"), heads=3, kv_heads=2, grouped=True
        )
    with pytest.raises(ValueError, match="to: got 'halves', expected one of 'half', 'interleaved'"):
        channel_order(HALF, "halves")
    with pytest.raises(ValueError, match="expected one block of equal length for each axis"):
        channel_order(
            RopeSpec(head_dim=64, theta=1e4, pairs=Pairs.sections(mrope_section=(8, 12, 12))),
            "half_per_axis",
        )
