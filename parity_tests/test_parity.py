"""rope_jax = rope_torch, to the last bit and the sign of zero, forward and backward."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import torch

import rope_jax
import rope_torch
from parity_tests.same import same_bytes
from rope_parity.backends import Jax, Torch, array, tensor
from rope_parity.cases import Case
from rope_parity.constructed import LAYOUTS, SPECS
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic

BRANCHES = Jax("eager"), Jax("jit"), Torch()
EXACT = Arithmetic()


@pytest.mark.parametrize("seq_len", [1, 10**5])
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_cos_and_sin_are_equal(spec, seq_len):
    positions = Case("constructed", spec, 4096).positions(beyond=True)
    tables = [np.stack(branch.cos_sin(spec, positions, seq_len, EXACT)) for branch in BRANCHES]
    assert same_bytes(*tables)


@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_rotation_and_gradient_are_equal(spec, dtype, rotate_in):
    case, arithmetic = Case("constructed", spec, 64), Arithmetic(rotate_in=rotate_in)
    x, ct = case.x(DTYPES[dtype]), case.x(DTYPES[dtype], seed=1)
    table = BRANCHES[2].cos_sin(spec, case.positions(), None, EXACT)
    assert same_bytes(*[branch.rotate(x, table, spec, arithmetic) for branch in BRANCHES])
    assert same_bytes(*[branch.gradient(x, ct, table, spec, arithmetic) for branch in BRANCHES])


@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_every_road_through_torch_is_equal(spec, dtype, rotate_in, monkeypatch):
    """By the formula, as it stands or mapped, as small arrays go; in one chunk, as where somebody
    learns; in many chunks.
    """
    case, arithmetic = Case("constructed", spec, 64), Arithmetic(rotate_in=rotate_in)
    table = rope_torch.cos_sin(spec, case.positions())
    rotate = lambda x: rope_torch.rotate(spec, x, *table, arithmetic=arithmetic)
    x = tensor(case.x(DTYPES[dtype])).transpose(1, 2).contiguous()
    roads = [rotate(x), torch.vmap(rotate)(x[None])[0], rotate(x.clone().requires_grad_()).detach()]
    monkeypatch.setattr("rope_torch.eager.CHUNK", 2**12)
    roads.append(rotate(x.clone().requires_grad_()).detach())
    assert same_bytes(*roads)


def test_the_case_table_holds_what_arithmetic_treats_specially():
    for dtype, kind in DTYPES.items():
        x = Case("constructed", SPECS["half"], 64).x(kind).astype(np.float64)
        assert {0.0, np.inf, -np.inf, 2.0**-24} <= set(x[1].ravel()) and np.isnan(x[1]).any()
        assert np.signbit(x[1][x[1] == 0]).any() and not np.signbit(x[1][x[1] == 0]).all(), dtype


def _of_the_tables_gradient(rotate, x, cos, sin):
    """The derivative for x of a function of the derivative for cos."""
    (dcos,) = torch.autograd.grad(
        (rotate(x, cos, sin) ** 2 * torch.arange(64)).sum(), cos, create_graph=True
    )
    return torch.autograd.grad((dcos**2).sum(), x)[0]


def test_torch_derivatives_of_every_order(rng):
    """vmap, a second derivative and the gradient for cos and sin, against torch's own derivative of
    the formula.
    """
    spec = SPECS["de-interleave"]
    x = torch.tensor(rng.standard_normal((2, 3, 8, 64)))
    cos, sin = (t.double() for t in rope_torch.cos_sin(spec, torch.arange(8)[None]))
    rotate = lambda x, cos, sin: rope_torch.rotate(spec, x, cos, sin)
    small = x[:1, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        rotate, [small, cos.clone().requires_grad_(), sin.clone().requires_grad_()]
    )
    assert torch.autograd.gradgradcheck(lambda x: rotate(x, cos, sin) ** 2, [small])
    tables = [cos.clone().requires_grad_(), sin.clone().requires_grad_()]
    assert torch.autograd.gradgradcheck(rotate, [small, *tables])
    plain = lambda x, cos, sin: rope_torch.rotation.rotate_pairs(
        x, cos[:, None], sin[:, None], spec.channels, "float32"
    )
    assert torch.allclose(
        _of_the_tables_gradient(rotate, small, *tables),
        _of_the_tables_gradient(plain, small, *tables),
    )
    loss = lambda rotate: (
        lambda cos: (rotate(small.detach(), cos, sin) ** 2 * torch.arange(64)).sum()
    )
    assert torch.allclose(torch.func.grad(loss(rotate))(cos), torch.func.grad(loss(plain))(cos))
    mapped = torch.vmap(lambda x: rope_torch.rotate(spec, x, cos[0], sin[0]))(x)
    assert torch.equal(mapped, rotate(x, cos, sin))


@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_the_gradient_is_the_rotation_by_the_negative_angle(spec, rng):
    """Of the same channels, from the layout that was written to the one that was read."""
    x, ct = torch.tensor(rng.standard_normal((2, 1, 3, 8, spec.head_dim)), dtype=torch.float32)
    shape = (1, 8) if spec.pairs.axes == 1 else (1, 8, spec.pairs.axes)
    table = rope_torch.cos_sin(spec, torch.tensor(rng.integers(0, 99, shape)))
    backwards = replace(spec, read=spec.written, write=spec.read, sign=-spec.sign)
    _, pullback = torch.func.vjp(lambda x: rope_torch.rotate(spec, x, *table), x)
    assert same_bytes(pullback(ct)[0], rope_torch.rotate(backwards, ct, *table))


@pytest.mark.parametrize(
    "name, first, second",
    [
        ("first quarter", slice(10), slice(10, 20)),
        ("last half, interleaved", slice(24, None, 2), slice(25, None, 2)),
    ],
)
def test_gradients_of_each_table_and_of_both(name, first, second, rng):
    """Against the sums over 3 heads of 2 products, of the two channels of each pair."""
    spec = SPECS[name]
    x, ct = rng.standard_normal((2, 1, 3, 8, spec.head_dim)).astype(np.float32)
    cos, sin = map(array, rope_torch.cos_sin(spec, torch.arange(8)[None]))
    a, b, to_a, to_b = (t[..., half].astype(float) for t in (x, ct) for half in (first, second))
    terms = {"cos": (a * to_a, b * to_b), "sin": (a * to_b, -b * to_a)}
    for names in (["cos"], ["sin"], ["cos", "sin"]):
        learned = {key: tensor({"cos": cos, "sin": sin}[key]).requires_grad_() for key in names}
        y = rope_torch.rotate(spec, tensor(x), **{"cos": tensor(cos), "sin": tensor(sin)} | learned)
        theirs = torch.autograd.grad(y, list(learned.values()), tensor(ct))
        rotate = lambda tables: rope_jax.rotate(
            spec, x, **{"cos": cos, "sin": sin} | tables, heads_axis=-3
        )
        pullback = jax.vjp(rotate, {key: array(t) for key, t in learned.items()})[1]
        for key, mine in zip(names, theirs, strict=True):
            bound = 7 * 2.0**-24 * np.abs(terms[key]).sum((0, 2))  # a product, 5 sums, their square
            for found in (mine.numpy(), np.asarray(pullback(ct)[0][key])):
                assert (np.abs(found - np.sum(terms[key], (0, 2))) <= bound).all()


def test_the_gradient_of_a_table_has_its_own_dtype(rng):
    """Beside a table of another dtype, and without a rounding to that."""
    x, ct = torch.tensor(rng.standard_normal((2, 1, 3, 8, 64)), dtype=torch.float32)
    tables = [t.bfloat16() for t in rope_torch.cos_sin(HALF, torch.arange(8)[None])]
    gradients = {}
    for dtypes in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        both = [t.to(dtype).requires_grad_() for t, dtype in zip(tables, dtypes, strict=True)]
        for name, gradient in zip(
            ("cos", "sin"),
            torch.autograd.grad(rope_torch.rotate(HALF, x, *both), both, ct),
            strict=True,
        ):
            gradients[name, gradient.dtype] = gradient
    for name in ("cos", "sin"):
        wide, narrow = gradients[name, torch.float32], gradients[name, torch.bfloat16]
        assert torch.equal(wide.bfloat16(), narrow) and not torch.equal(wide, narrow.float())


@pytest.mark.parametrize("length", [8, 2048])  # by the formula, and in chunks
@pytest.mark.parametrize("name", ["first quarter", "last half, interleaved"])
def test_forward_mode_is_that_of_jax(name, length, rng):
    """In x the rotation itself, bit for bit; in cos and sin that of x by their tangents."""
    spec = SPECS[name]
    x, dx = rng.standard_normal((2, 1, 3, length, spec.head_dim)).astype(np.float32)
    cos, sin = map(array, rope_torch.cos_sin(spec, torch.arange(length)[None]))
    ours = lambda x, cos, sin: rope_torch.rotate(spec, x, cos, sin)
    theirs = lambda x, cos, sin: rope_jax.rotate(spec, x, cos, sin, heads_axis=-3)
    forward = lambda at, tangents: array(
        torch.func.jvp(ours, tuple(map(tensor, at)), tuple(map(tensor, tangents)))[1]
    )
    in_x, in_all = (dx, 0 * cos, 0 * sin), (dx, sin, cos)
    assert np.array_equal(forward((x, cos, sin), in_x), np.asarray(theirs(dx, cos, sin)))
    right = jax.jvp(theirs, (x, cos, sin), in_all)[1]
    bound = (
        7 * 2.0**-24 * 4 * max(np.abs(x).max(), np.abs(dx).max())
    )  # 4 products, 3 sums; JAX contracts some
    assert np.abs(forward((x, cos, sin), in_all) - right).max() <= bound


def test_forward_mode_of_a_gradient(rng):
    """Half the squared length has x as its gradient, turned there and back, and so dx as the
    derivative of that.
    """
    spec, (x, dx) = (
        SPECS["de-interleave"],
        torch.tensor(rng.standard_normal((2, 1, 3, 8, 64)), dtype=torch.float32),
    )
    rotate = lambda x: rope_torch.rotate(spec, x, *rope_torch.cos_sin(spec, torch.arange(8)))
    product = torch.func.jvp(torch.func.grad(lambda x: 0.5 * (rotate(x) ** 2).sum()), (x,), (dx,))[
        1
    ]
    assert torch.equal(product, torch.func.vjp(rotate, x)[1](rotate(dx))[0])


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64])
def test_every_integer_dtype_of_positions(dtype):
    info = torch.iinfo(dtype)
    positions = torch.tensor(
        [0, 1, 100, max(info.min, -(2**31)), min(info.max, 2**31 - 1)], dtype=dtype
    )
    ours = rope_torch.cos_sin(SPECS["llama3"], positions)
    jaxs = Jax("jit").cos_sin(SPECS["llama3"], positions.numpy(), None, EXACT)
    assert same_bytes(ours, jaxs)


HALF = SPECS["half"]
X, TABLE = torch.zeros(2, 3, 8, 64), rope_torch.cos_sin(HALF, torch.arange(16).reshape(2, 8))
BAD = {
    "integer x": (
        lambda: rope_torch.rotate(HALF, X.int(), *TABLE),
        TypeError,
        "got x of dtype int32",
    ),
    "width": (
        lambda: rope_torch.rotate(HALF, X[..., :32], *TABLE),
        ValueError,
        r"shape \(2, 3, 8, 32\).*head_dim=64",
    ),
    "heads axis": (
        lambda: rope_torch.rotate(HALF, X, *TABLE, heads_axis=-2),
        ValueError,
        r"tokens of shape \(2, 3\), but cos for \(2, 8\). Expected a row for each token. Name the",
    ),
    "rank": (
        lambda: rope_torch.rotate(HALF, X[0, 0, 0], *TABLE),
        ValueError,
        r"got heads_axis=-3 for x of shape \(64,\), expected an axis before",
    ),
    "float positions": (
        lambda: rope_torch.cos_sin(HALF, torch.zeros(3)),
        TypeError,
        "positions: got float32, expected integers",
    ),
    "length": (
        lambda: rope_torch.cos_sin(SPECS["dynamic"], torch.arange(8), seq_len=torch.tensor(8.0)),
        TypeError,
        "seq_len: got float32, expected integers",
    ),
    "bool positions": (
        lambda: rope_torch.cos_sin(HALF, torch.zeros(3) > 0),
        TypeError,
        "positions: got bool",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("call, error, message", BAD.values(), ids=BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_tensors_keep_their_bits(rng):
    for kind in DTYPES.values():
        values = rng.standard_normal(5).astype(kind)
        assert (array(tensor(values)) == values).all() and array(tensor(values)).dtype == kind


def test_nothing_of_x_is_kept_for_the_backward_pass():
    """Only cos and sin, which every layer shares."""
    x, saved = torch.zeros(1, 3, 8, 64, requires_grad=True), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        rope_torch.rotate(HALF, x * 1.0, *rope_torch.cos_sin(HALF, torch.arange(8)[None]))
    assert saved and all(t.numel() <= 8 * 32 for t in saved)


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name, seq_len", [("half", None), ("dynamic", 9000), ("longrope", 9000)])
def test_the_default_dtype_of_torch_changes_nothing(default, name, seq_len):
    """Models are often loaded under another default dtype; angles stay float32."""
    lengths = (seq_len, None if seq_len is None else torch.tensor(seq_len))
    for length in lengths:
        run = lambda length=length: rope_torch.cos_sin(
            SPECS[name],
            torch.arange(5000, 5008)[None],
            seq_len=length,
            arithmetic=Arithmetic(angles="float32"),
        )
        expected = run()
        torch.set_default_dtype(default)
        try:
            assert all(map(torch.equal, run(), expected)) and run()[0].dtype == torch.float32
        finally:
            torch.set_default_dtype(torch.float32)
