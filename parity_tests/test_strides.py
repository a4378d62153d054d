"""Arrays as they come: strides, offsets, repeated axes, sizes and threads change no bit.

What is right is the formula on contiguous copies, `rope_torch.rotation.rotate_pairs`.
"""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import rope_jax
import rope_spec
import rope_torch
from parity_tests.same import same_bytes
from rope_parity.backends import tensor
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic, Pairs, RopeSpec
from rope_torch.rotation import rotate_pairs

# How an array is stored, and how NumPy, JAX or torch then see it, in its own shape again.
VIEWS = {
    "contiguous": (lambda t: t, lambda t: t),
    "other order of axes": (lambda t: t.swapaxes(-3, -2), lambda t: t.swapaxes(-3, -2)),
    "channels not innermost": (lambda t: t.swapaxes(-1, -2), lambda t: t.swapaxes(-1, -2)),
    "channels outermost": (lambda t: t.swapaxes(-1, 0), lambda t: t.swapaxes(-1, 0)),
    "every third channel": (lambda t: t.repeat(3, -1), lambda t: t[..., ::3]),
    "every other row": (lambda t: t.repeat(2, -2), lambda t: t[..., ::2, :]),
    "an odd part of wider rows": (
        lambda t: np.concatenate([t[..., :1], t, t], -1),
        lambda t: t[..., 1 : (t.shape[-1] + 1) // 2],
    ),
}
REPEATED = {  # what is stored of an array that is seen with strides of 0
    "one batch for all": lambda t: t[:1],
    "one position for all": lambda t: t[..., :1, :],
    "one channel for all": lambda t: t[..., :1],
}
NAMES = [*VIEWS, *REPEATED]
WIDTHS = {"whole": (32, 0), "odd start": (34, 1), "odd width": (33, 0), "few pairs": (10, 0)}
ORDERS = {
    "half": ("half", None),
    "interleaved": ("interleaved", None),
    "de-interleave": ("interleaved", "half"),
    "interleave": ("half", "interleaved"),
    "half per axis": ("half_per_axis", None),
    "interleaved to axes": ("interleaved", "half_per_axis"),
}
ARITHMETIC = [("float32", "float32"), ("bfloat16", "float32"), ("float16", "float32")]
ARITHMETIC += [("bfloat16", "input"), ("float16", "input")]
EACH_ORDER = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
EACH_ARITHMETIC = pytest.mark.parametrize("dtype, rotate_in", ARITHMETIC)


def stored(name, values):
    return np.ascontiguousarray((VIEWS[name][0] if name in VIEWS else REPEATED[name])(values))


def seen(name, held, shape, library):
    return VIEWS[name][1](held) if name in VIEWS else library.broadcast_to(held, shape)


def view(name, values, dtype="float32"):
    held = tensor(stored(name, values.astype(DTYPES[dtype])))
    return seen(name, held, values.shape, torch)


def spec_of(width, order) -> RopeSpec:
    head_dim, start = width
    pairs, (read, write) = Pairs.axial(rotary_dim=min(head_dim, 32) // 4 * 4), order
    return RopeSpec(head_dim=head_dim, theta=1e4, pairs=pairs, start=start, read=read, write=write)


def operands(rng, spec, heads=3):
    """x `(B, N, S, H)`, cos, sin `(B, S, P)`, and a gradient like x."""
    x, ct = rng.standard_normal((2, 2, heads, 6, spec.head_dim))
    return x, *rng.standard_normal((2, 2, 6, len(spec.pairs))), ct


def copy(t):
    return t.detach().clone(memory_format=torch.contiguous_format)


def formula(x, cos, sin, ct, spec, rotate_in):
    """y and dx, from contiguous copies."""
    x, cos, sin, ct = map(copy, (x, cos, sin, ct))
    cos, sin = cos[:, None], sin[:, None]
    y = rotate_pairs(x, cos, sin, spec.channels, rotate_in)
    return y, rotate_pairs(ct, cos, -sin, spec.channels.inverse, rotate_in)


def ours(x, cos, sin, ct, spec, rotate_in):
    x = x.detach().requires_grad_()
    y = rope_torch.rotate(spec, x, cos, sin, arithmetic=Arithmetic(rotate_in=rotate_in))
    return y.detach(), torch.autograd.grad(y, x, ct)[0]


def arrangements():
    """A view for x, cos, sin and the gradient: for each alone, for cos and sin, for all four."""
    which = [{0}, {1}, {2}, {3}, {1, 2}, {0, 1, 2, 3}]
    each = product(NAMES, which)
    return {tuple(name if i in some else NAMES[0] for i in range(4)) for name, some in each}


@EACH_ARITHMETIC
@EACH_ORDER
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_strides_of_every_operand(width, order, dtype, rotate_in, rng, monkeypatch):
    """Forward and backward, in one chunk and in many."""
    spec = spec_of(width, order)
    values, dtypes = operands(rng, spec), (dtype, "float32", "float32", dtype)
    for names in arrangements():
        views = list(map(view, names, values, dtypes))
        right = formula(*views, spec, rotate_in)
        assert same_bytes(ours(*views, spec, rotate_in), right), names
        with monkeypatch.context() as patch:
            patch.setattr("rope_torch.eager.CHUNK", 2**9)
            patch.setattr("rope_torch.eager.NO_SCRATCH_CHUNK", 2**9)
            assert same_bytes(ours(*views, spec, rotate_in), right), names


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("order", ["interleaved", "de-interleave", "interleave"])
@pytest.mark.parametrize("pairs", [4, 10, 16, 24, 31, 32, 40, 64])
def test_sizes_and_threads(pairs, order, threads, set_threads, rng):
    """Shares of threads and chunks that are no multiple of a vector; positions before heads too."""
    set_threads(threads)
    (read, write), single = ORDERS[order], Pairs.single(rotary_dim=2 * pairs)
    spec = RopeSpec(head_dim=2 * pairs, theta=1e4, pairs=single, read=read, write=write)
    for size, dtype in ((2000, "float32"), (28001, "float32"), (28003, "bfloat16")):
        x, ct = rng.standard_normal((2, 1, 5, size // pairs, 2 * pairs))
        cos, sin = rng.standard_normal((2, 1, size // pairs, pairs))
        for name, table in product(NAMES[:2], ("contiguous", "channels not innermost")):
            views = view(name, x, dtype), view(table, cos), view(table, sin), view(name, ct, dtype)
            right = formula(*views, spec, "float32")
            assert same_bytes(ours(*views, spec, "float32"), right), (size, dtype, name, table)


def test_tables_as_rope_spec_makes_them(rng):
    """M-RoPE in NumPy gathers a coordinate for each pair: strides of 1, 1 and S numbers."""
    pairs = Pairs.sections(mrope_section=(8, 12, 12))
    spec = RopeSpec(head_dim=64, theta=1e6, pairs=pairs, read="interleaved")
    cos, sin = map(torch.from_numpy, rope_spec.cos_sin(spec, rng.integers(0, 1000, (1, 31, 3))))
    assert cos.stride() == (1, 1, 31)
    x, ct = torch.tensor(rng.standard_normal((2, 1, 4, 31, 64)), dtype=torch.float32)
    right = formula(x, cos, sin, ct, spec, "float32")
    assert same_bytes(ours(x, cos, sin, ct, spec, "float32"), right)


@EACH_ORDER
def test_gradients_of_cos_and_sin(order, rng):
    """The sum over the heads has the same order, however x and the gradient lie."""
    spec = spec_of(WIDTHS["whole"], order)
    values = operands(rng, spec, heads=37)

    def gradients(x, cos, sin, ct):
        cos, sin = cos.detach().requires_grad_(), sin.detach().requires_grad_()
        return torch.autograd.grad(rope_torch.rotate(spec, x, cos, sin), (cos, sin), ct)

    for names in arrangements():
        views = list(map(view, names, values))
        assert same_bytes(gradients(*views), gradients(*map(copy, views))), names


@pytest.mark.parametrize("dtype, rotate_in", [ARITHMETIC[0], ARITHMETIC[1], ARITHMETIC[4]])
@pytest.mark.parametrize("order", ["half", "interleaved", "de-interleave"])
def test_jax_takes_the_same_views(order, dtype, rotate_in, rng):
    """NumPy arrays of any strides, and device arrays that are turned, cut or repeated in jit."""
    spec, arithmetic = spec_of(WIDTHS["odd start"], ORDERS[order]), Arithmetic(rotate_in=rotate_in)
    dtypes = (DTYPES[dtype], np.float32, np.float32, DTYPES[dtype])
    values = [t.astype(kind) for t, kind in zip(operands(rng, spec), dtypes, strict=True)]
    shapes = [t.shape for t in values]

    def both(x, cos, sin, ct):
        rotate = lambda x: rope_jax.rotate(spec, x, cos, sin, heads_axis=-3, arithmetic=arithmetic)
        y, pullback = jax.vjp(rotate, x)
        return y, *pullback(ct)

    def views(name, held, library):
        return [seen(name, t, shape, library) for t, shape in zip(held, shapes, strict=True)]

    all_held = {name: [stored(name, t) for t in values] for name in NAMES}
    inside = jax.jit(lambda held: {name: both(*views(name, held[name], jnp)) for name in held})
    by_name, from_numpy = inside(all_held), jax.jit(both)
    for name, held in all_held.items():
        right = formula(*map(tensor, views(name, held, np)), spec, rotate_in)
        for result in (by_name[name], from_numpy(*views(name, held, np))):
            assert same_bytes([tensor(np.asarray(t)) for t in result], right), name


@EACH_ARITHMETIC
def test_no_heads(dtype, rotate_in):
    x = tensor(np.zeros((2, 0, 6, 32), DTYPES[dtype]))
    table = torch.ones(1, 6, 16)
    for order in ORDERS.values():
        y, dx = ours(x, table, table, x, spec_of(WIDTHS["whole"], order), rotate_in)
        assert y.shape == dx.shape == x.shape and y.dtype == dx.dtype == x.dtype


@EACH_ARITHMETIC
def test_a_single_row_at_an_odd_address(dtype, rotate_in, rng):
    """It counts as contiguous, and yet cannot be seen as numbers of twice the width."""
    spec = RopeSpec(
        head_dim=33, theta=1e4, pairs=Pairs.single(rotary_dim=32), start=1, read="interleaved"
    )
    x = tensor(rng.standard_normal((1, 1, 1, 33)).astype(DTYPES[dtype]))
    table = rope_torch.cos_sin(spec, torch.arange(7, 8)[None])
    assert same_bytes(ours(x, *table, x, spec, rotate_in), formula(x, *table, x, spec, rotate_in))


@EACH_ARITHMETIC
@EACH_ORDER
def test_a_view_that_negates_what_it_reads(order, dtype, rotate_in, rng):
    """As the imaginary part of a conjugate is one."""
    spec = spec_of(WIDTHS["whole"], order)
    x, cos, sin, ct = map(torch.tensor, operands(rng, spec))
    x, ct = (t.to(getattr(torch, dtype)) for t in (x, ct))
    right = formula(x, cos.float(), sin.float(), ct, spec, rotate_in)
    views = (torch._neg_view(-t) for t in (x, cos.float(), sin.float(), ct))
    assert same_bytes(ours(*views, spec, rotate_in), right)
