"""Values of the Triton kernel by its interpreter; `test_triton.py` runs this file in a process of its own.

What is right is the formula, `rope_torch.rotation.rotate_pairs`, on contiguous copies.
"""

import pytest
import torch

import rope_torch
from parity_tests.test_strides import (
    ARITHMETIC,
    NAMES,
    ORDERS,
    WIDTHS,
    copy,
    formula,
    operands,
    ours,
    same,
    spec_of,
    view,
)
from rope_parity.backends import tensor
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES
from rope_torch import gpu

from .interpreter import use_interpreter

use_interpreter()
EACH_ARITHMETIC = pytest.mark.parametrize("dtype, rotate_in", ARITHMETIC)
TRANSFORMED = ["half", "interleaved", "de-interleave", "three quarters"]
EACH_TRANSFORMED = pytest.mark.parametrize("name", TRANSFORMED)


@pytest.fixture(params=[1, 4], ids=["a head each", "four heads each"])
def heads_each(request, monkeypatch):
    """How many heads a program rotates, however small the arrays are."""
    gpu._plan.cache_clear()
    monkeypatch.setattr(gpu, "PROGRAMS", 1)
    monkeypatch.setattr(gpu, "MAX_HEADS", request.param)
    yield
    gpu._plan.cache_clear()


def arrays(spec, dtype, rng, heads=5):
    """As test_strides has them, with cos and sin in float32."""
    x, cos, sin, ct = operands(rng, spec, heads)
    dtypes = DTYPES[dtype], DTYPES["float32"], DTYPES["float32"], DTYPES[dtype]
    return [tensor(t.astype(kind)) for t, kind in zip((x, cos, sin, ct), dtypes, strict=True)]


@EACH_ARITHMETIC
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout(spec, dtype, rotate_in, heads_each, rng):
    """Forward and derivative; a negative sign is in sin."""
    x, cos, sin, ct = arrays(spec, dtype, rng)
    right = formula(x, cos, sin * spec.sign, ct, spec, rotate_in)
    assert same(ours(x, cos, sin, ct, spec, rotate_in), right)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_strides_of_every_operand(width, order, rng):
    """Each view of all four operands, and of cos alone."""
    spec, values = spec_of(width, order), operands(rng, spec_of(width, order))
    for name in NAMES:
        for names in ((name,) * 4, (NAMES[0], name, NAMES[0], NAMES[0])):
            views = list(map(view, names, values, ("bfloat16", "float32", "float32", "bfloat16")))
            assert same(ours(*views, spec, "float32"), formula(*views, spec, "float32")), names


@pytest.mark.parametrize("axes", [0, 1, 4, 5])
def test_any_number_of_axes(axes, rng):
    """Every other one is repeated in cos and sin."""
    spec, shape = LAYOUTS["half"], (2, 3, 2, 1, 3)[:axes]
    x = torch.tensor(rng.standard_normal((*shape, 64)), dtype=torch.float32)
    repeated = [n if i % 2 else 1 for i, n in enumerate(shape)]
    cos, sin = torch.tensor(rng.standard_normal((2, *repeated, 32)), dtype=torch.float32)
    y = rope_torch.rotate(x, cos, sin, spec, heads_axis=None)
    assert torch.equal(y, rope_torch.rotation.rotate_pairs(x, cos, sin, spec.channels, "float32"))


@pytest.mark.parametrize("shape", [(2, 1, 0, 64), (0, 3, 4, 64)])
def test_nothing_to_rotate(shape):
    table = torch.ones(shape[0], shape[2], 32)
    assert rope_torch.rotate(torch.ones(shape), table, table, LAYOUTS["half"]).shape == shape


def test_a_stride_beyond_32_bits(rng):
    """Rows of 2 ** 32 bytes; of the memory between them nothing is touched."""
    far = 2**31 + 64
    memory = torch.empty(far + 64, dtype=torch.bfloat16)
    x = memory.as_strided((1, 1, 2, 64), (0, 0, far, 1))
    x.copy_(torch.tensor(rng.standard_normal((1, 1, 2, 64))))
    cos, sin = torch.tensor(rng.standard_normal((2, 1, 2, 32)), dtype=torch.float32)
    right = formula(x, cos, sin, x, LAYOUTS["half"], "float32")
    assert same(ours(x, cos, sin, x, LAYOUTS["half"], "float32"), right)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, which the interpreter computes with
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_numbers(dtype):
    """Zeros of both signs, subnormals, infinities, NaN, and what overflows in float16."""
    kind = torch.finfo(getattr(torch, dtype))
    some = [0.0, -0.0, kind.tiny / 4, kind.tiny, 1.0, kind.max, torch.inf, torch.nan]
    some = torch.tensor(some, dtype=getattr(torch, dtype))
    pairs = torch.cartesian_prod(some, some)
    x = torch.cat([pairs, pairs[:, :1], -pairs[:, :1]], -1)[None, None].contiguous()
    cos, sin = torch.tensor([[[1.0, 0.0]], [[-0.0, 2.0]]]).expand(2, 64, 2)
    spec = spec_of((4, 0), ORDERS["half"])
    right = formula(x, cos[None], sin[None], x, spec, "float32")
    assert same(ours(x, cos[None], sin[None], x, spec, "float32"), right)


@EACH_TRANSFORMED
def test_function_transforms(name, rng):
    """vmap over x alone, over all, vjp, jvp, and both after another."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    rotate = lambda x, cos=cos, sin=sin: rope_torch.rotate(x, cos, sin, spec)
    y, dx = formula(x, cos, sin, ct, spec, "float32")
    assert same(torch.func.vmap(rotate)(x[:, None], cos[:, None], sin[:, None]), y[:, None])
    stacked = torch.func.vmap(rotate)(torch.stack([x, ct], 1).movedim(1, 0))
    assert same(stacked, [y, formula(ct, cos, sin, x, spec, "float32")[0]])
    assert same(torch.func.vjp(rotate, x)[1](ct), [dx])
    assert same(torch.func.jvp(rotate, (x,), (ct,)), [y, rotate(ct)])
    assert same(torch.func.vmap(lambda t: torch.func.vjp(rotate, x)[1](t)[0])(ct[None]), dx[None])


@EACH_TRANSFORMED
def test_second_derivative(name, rng):
    """The derivative of the pullback by its cotangent is the rotation."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    x, t = x.requires_grad_(), ct.clone().requires_grad_()
    (dx,) = torch.autograd.grad(rope_torch.rotate(x, cos, sin, spec), x, t, create_graph=True)
    again = torch.autograd.grad(dx, t, ct)
    assert same(again, [formula(ct, cos, sin, ct, spec, "float32")[0]])


@EACH_TRANSFORMED
def test_gradients_of_cos_and_sin(name, rng):
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    rotate = lambda cos, sin: (rope_torch.rotate(x, cos, sin, spec) * ct).sum()
    by_formula = lambda cos, sin: (
        rope_torch.rotation.rotate_pairs(x, cos[:, None], sin[:, None], spec.channels, "float32")
        * ct
    ).sum()
    found, right = (torch.func.grad(f, argnums=(0, 1))(cos, sin) for f in (rotate, by_formula))
    for mine, theirs in zip(found, right, strict=True):
        torch.testing.assert_close(mine, theirs)  # sums over the heads in another order


@EACH_TRANSFORMED
def test_compiled(name, rng):
    """In one graph, forward and backward, of transposed q, for lengths that are not known."""
    spec = LAYOUTS[name]
    torch._dynamo.reset()
    rotate = lambda x, cos, sin: rope_torch.rotate(x, cos, sin, spec) * 2
    compiled = torch.compile(rotate, fullgraph=True, dynamic=True, backend="aot_eager")
    for length in (6, 5):
        x, cos, sin, ct = (t[..., :length, :] for t in arrays(spec, "bfloat16", rng))
        x = x.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
        y = compiled(x, cos, sin)
        found = y.detach(), torch.autograd.grad(y, x, ct)[0]
        y, dx = formula(x, cos, sin, 2 * ct, spec, "float32")
        assert same(found, (2 * y, dx))


def test_compiled_by_inductor(rng):
    """Forward and backward."""
    spec = LAYOUTS["half"]
    x, cos, sin, ct = arrays(spec, "bfloat16", rng)
    torch._dynamo.reset()
    rotate = torch.compile(lambda x: rope_torch.rotate(x, cos, sin, spec), fullgraph=True)
    y = rotate(x.requires_grad_())
    found = y.detach(), torch.autograd.grad(y, x, ct)[0]
    assert same(found, formula(x, cos, sin, ct, spec, "float32"))


@EACH_TRANSFORMED
def test_exported(name, rng):
    """The program holds the operator, and no product."""

    class Module(torch.nn.Module):
        def forward(self, x, cos, sin):
            return rope_torch.rotate(x, cos, sin, LAYOUTS[name])

    x, cos, sin, ct = arrays(LAYOUTS[name], "bfloat16", rng)
    length = torch.export.Dim("s")
    dynamic = {"x": {2: length}, "cos": {1: length}, "sin": {1: length}}
    program = torch.export.export(Module(), (x, cos, sin), dynamic_shapes=dynamic)
    assert "rope_torch.rotate" in str(program.graph) and "aten.mul" not in str(program.graph)
    x, cos, sin, ct = (t[..., :4, :] for t in (x, cos, sin, ct))
    right = formula(x, cos, sin, ct, LAYOUTS[name], "float32")[:1]
    assert same([program.module()(x, cos, sin)], right)


def test_the_operator_keeps_the_rules_of_operators(rng):
    x, cos, sin, _ = arrays(LAYOUTS["half"], "bfloat16", rng)
    operator = torch.ops.rope_torch.rotate.default
    tests = "test_schema", "test_faketensor", "test_aot_dispatch_dynamic"
    torch.library.opcheck(
        operator, (x, cos[:, None], sin[:, None], 0, 1, 1, False), test_utils=tests
    )


def test_another_dtype_is_left_to_the_formula():
    x = copy(torch.ones(1, 1, 1, 64, dtype=torch.float64))
    assert not gpu.takes(x, x) and not gpu.takes(x.float(), x)
