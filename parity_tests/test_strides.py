"""Tensors as they come: any strides, offsets and number of axes. JAX, which has only plain arrays, says what is right."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from rope_parity.backends import array, tensor
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES, compare
from rope_spec import Arithmetic, Pairs, RopeSpec

VIEWS = {
    "as it lies": lambda t: t,
    "heads and positions exchanged": lambda t: t.transpose(1, 2).contiguous().transpose(1, 2),
    "channels not innermost": lambda t: t.transpose(-1, -2).contiguous().transpose(-1, -2),
    "every third channel": lambda t: torch.stack([t, -t, t], dim=-1)[..., 0],
    "a part of a wider array": lambda t: torch.cat([t[..., :1], t, t], dim=-1)[..., 1 : t.shape[-1] + 1],
    "one batch repeated": lambda t: t[:1, :, :, :].expand(t.shape),
    "no heads": lambda t: t[:, :0],
}
WIDTHS = {"whole": (32, 0), "odd start": (34, 1), "odd width": (33, 0), "few pairs": (10, 0)}
ORDERS = {"interleaved": ("interleaved", None), "de-interleave": ("interleaved", "half"), "half": ("half", None)}
ORDERS |= {"interleave": ("half", "interleaved"), "interleaved to axes": ("interleaved", "half_per_axis")}
ROADS = [(dtype, "float32") for dtype in DTYPES] + [("bfloat16", "input")]


@pytest.mark.parametrize("dtype, rotate_in", ROADS)
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_every_view_has_the_bits_of_its_copy(width, order, dtype, rotate_in, rng):
    """Forward, and backward with a gradient that is such a view, as that of keys in `q @ k.T` is."""
    head_dim, start = width
    pairs = Pairs.axial(min(head_dim, 32) // 4 * 4)
    spec = RopeSpec(head_dim=head_dim, theta=1e4, pairs=pairs, start=start, read=order[0], write=order[1])
    arithmetic = Arithmetic(rotate_in=rotate_in)
    x, ct = (tensor(rng.standard_normal((2, 3, 5, head_dim)).astype(DTYPES[dtype])) for _ in range(2))
    positions = rng.integers(-50, 5000, (5, 2))
    cos, sin = rope_torch.cos_sin(spec, positions)
    theirs = jax.jit(lambda x, ct: _forward_and_backward(spec, arithmetic, positions, x, ct))
    for name, view in VIEWS.items():
        seen, gradient = view(x).requires_grad_(), view(ct)
        y = rope_torch.rotate(seen, cos, sin, spec, arithmetic=arithmetic)
        (dx,) = torch.autograd.grad(y, seen, gradient)
        for ours, right in zip((y.detach(), dx), theirs(array(seen.detach()), array(gradient)), strict=True):
            assert ours.numel() == 0 or compare(array(ours), np.asarray(right), 1.0, 0.0).ok, name


def _forward_and_backward(spec, arithmetic, positions, x, ct):
    cos, sin = rope_jax.cos_sin(spec, positions)
    y, pullback = jax.vjp(lambda x: rope_jax.rotate(x, cos, sin, spec, heads_axis=-3, arithmetic=arithmetic), x)
    return y, *pullback(ct)


@pytest.mark.parametrize("dtype, rotate_in", ROADS)
def test_a_single_row_at_an_odd_address(dtype, rotate_in, rng):
    """It counts as contiguous, and yet cannot be seen as numbers of twice the width."""
    spec = RopeSpec(head_dim=33, theta=1e4, pairs=Pairs.single(32), start=1, read="interleaved")
    x, arithmetic = rng.standard_normal((1, 1, 1, 33)).astype(DTYPES[dtype]), Arithmetic(rotate_in=rotate_in)
    cos, sin = rope_torch.cos_sin(spec, torch.arange(7, 8))
    ours = rope_torch.rotate(tensor(x), cos, sin, spec, arithmetic=arithmetic)
    right = rope_jax.rotate(jnp.asarray(x), array(cos), array(sin), spec, heads_axis=-3, arithmetic=arithmetic)
    assert compare(array(ours), np.asarray(right), 1.0, 0.0).ok


@pytest.mark.parametrize(
    "shape, heads_axis", [((4, 5, 64), -3), ((4, 2, 5, 64), -4), ((3, 2, 5, 4, 64), -2), ((2, 5, 64), None)]
)
def test_tables_without_the_leading_axes_of_x(shape, heads_axis, rng):
    """cos and sin `(S, P)`, whatever stands before: in both the rotation of each row by its own position."""
    spec, x = LAYOUTS["half"], rng.standard_normal(shape).astype(np.float32)
    cos, sin = rope_torch.cos_sin(spec, torch.arange(5))
    ours = rope_torch.rotate(tensor(x), cos, sin, spec, heads_axis=heads_axis)
    theirs = rope_jax.rotate(jnp.asarray(x), array(cos), array(sin), spec, heads_axis=heads_axis)
    axis = -3 if heads_axis == -2 else -2
    rows = [rope_jax.rotate(x.take([i], axis), array(cos[i]), array(sin[i]), spec, heads_axis=None) for i in range(5)]
    expected = np.concatenate(rows, axis)
    assert compare(array(ours), expected, 1.0, 0.0).ok and compare(np.asarray(theirs), expected, 1.0, 0.0).ok


@pytest.mark.parametrize("mapped", [(0, 0, 0), (0, None, None), (None, 0, 0), (-1, 0, None)])
def test_mapped_axes(mapped, rng):
    """`torch.vmap` over x, the tables, or both, where these have fewer axes, is a loop."""
    spec, count = LAYOUTS["interleaved"], 3
    x, cos, sin = (torch.tensor(rng.standard_normal(shape), dtype=torch.float32) for shape in ((3, 5, 64), (5, 32), (5, 32)))
    stacked = [
        t if axis is None else torch.stack([t, 2 * t, 3 * t], axis) for t, axis in zip((x, cos, sin), mapped, strict=True)
    ]
    rotate = lambda x, cos, sin: rope_torch.rotate(x, cos, sin, spec, heads_axis=None)
    each = lambda i: (t if axis is None else t.select(axis, i) for t, axis in zip(stacked, mapped, strict=True))
    assert torch.equal(torch.vmap(rotate, mapped)(*stacked), torch.stack([rotate(*each(i)) for i in range(count)]))
