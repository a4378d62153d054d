"""Axes that tables lack, or that `torch.vmap` maps: each row is rotated by its own position."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from rope_parity.backends import array, tensor
from rope_parity.constructed import LAYOUTS
from rope_spec.channels import HALVES
from rope_torch.rotation import rotate_pairs

SHAPES = [((4, 5, 64), -3), ((4, 2, 5, 64), -4), ((3, 2, 5, 4, 64), -2), ((2, 5, 64), None)]


@pytest.mark.parametrize("shape, heads_axis", SHAPES)
def test_tables_without_the_leading_axes_of_x(shape, heads_axis, rng):
    """cos and sin `(S, P)`, whatever stands before: each row is rotated by its own position."""
    spec, x = LAYOUTS["half"], rng.standard_normal(shape).astype(np.float32)
    cos, sin = rope_torch.cos_sin(spec, torch.arange(5))
    mine = rope_torch.rotate(spec, tensor(x), cos, sin, heads_axis=heads_axis)
    theirs = rope_jax.rotate(spec, jnp.asarray(x), array(cos), array(sin), heads_axis=heads_axis)
    axis = -3 if heads_axis == -2 else -2
    row = lambda i: rotate_pairs(tensor(x.take([i], axis)), cos[i], sin[i], HALVES, "float32")
    expected = torch.cat([row(i) for i in range(5)], axis)
    assert torch.equal(mine, expected) and np.array_equal(theirs, array(expected))


@pytest.mark.parametrize("mapped", [(0, 0, 0), (0, None, None), (None, 0, 0), (-1, 0, None)])
@pytest.mark.parametrize("heads_axis", [None, -3, -2])
@pytest.mark.parametrize("size", [5, 17])  # by torch's formula, and in chunks
def test_mapped_axes(size, heads_axis, mapped, rng):
    """`vmap` over x, the tables, or both, where these have fewer axes, is a loop."""
    spec, shapes = LAYOUTS["interleaved"], ((size, size, 64), (size, 32), (size, 32))
    operands = [torch.tensor(rng.standard_normal(shape)).float() for shape in shapes]
    several = lambda t, axis: t if axis is None else torch.stack([t, 2 * t, 3 * t], axis)
    one = lambda t, axis, i: t if axis is None else t.select(axis, i)
    stacked = list(map(several, operands, mapped))
    rotate = lambda x, cos, sin: rope_torch.rotate(spec, x, cos, sin, heads_axis=heads_axis)
    each = [rotate(*map(one, stacked, mapped, [i] * 3)) for i in range(3)]
    assert torch.equal(torch.vmap(rotate, mapped)(*stacked), torch.stack(each))
    in_jax = lambda x, cos, sin: rope_jax.rotate(spec, x, cos, sin, heads_axis=heads_axis)
    theirs = jax.vmap(in_jax, mapped)(*map(array, stacked))
    assert np.array_equal(theirs, array(torch.stack(each)))
