"""Values of the Triton kernel, on a GPU or by its interpreter; `test_triton.py` runs this file.

What is right is the formula, `rope_torch.rotation.rotate_pairs`, on contiguous copies on the CPU.
"""

import pytest
import torch
from torch.autograd import forward_ad

import rope_torch
from parity_tests import test_strides
from parity_tests.same import same_bytes
from parity_tests.test_strides import ARITHMETIC, NAMES, ORDERS, WIDTHS, operands, ours, spec_of
from rope_parity.backends import tensor
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES
from rope_torch import gpu
from rope_torch.rotation import rotate_pairs

from .interpreter import use_interpreter

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    use_interpreter()
EACH_ARITHMETIC = pytest.mark.parametrize("dtype, rotate_in", ARITHMETIC)
TRANSFORMED = ["half", "interleaved", "de-interleave", "three quarters"]
EACH_TRANSFORMED = pytest.mark.parametrize("name", TRANSFORMED)


def there(tensor):
    """The same numbers on the device, seen in the same way."""
    length = tensor.untyped_storage().nbytes() // tensor.itemsize
    memory = tensor.as_strided((length,), (1,), 0).to(DEVICE)
    return memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def arrays(spec, dtype, rng, heads=5):
    """x, cos, sin and a gradient on the device, as test_strides has them; float32 cos and sin."""
    dtypes = DTYPES[dtype], DTYPES["float32"], DTYPES["float32"], DTYPES[dtype]
    values = zip(operands(rng, spec, heads), dtypes, strict=True)
    return [tensor(t.astype(kind)).to(DEVICE) for t, kind in values]


def formula(x, cos, sin, ct, spec, rotate_in="float32"):
    """y and dx on a CPU, from contiguous copies."""
    return test_strides.formula(*(t.cpu() for t in (x, cos, sin, ct)), spec, rotate_in)


@EACH_ARITHMETIC
@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout(spec, dtype, rotate_in, rng):
    """Forward and derivative; a negative sign is in sin."""
    x, cos, sin, ct = arrays(spec, dtype, rng)
    right = formula(x, cos, sin * spec.sign, ct, spec, rotate_in)
    assert same_bytes(ours(x, cos, sin, ct, spec, rotate_in), right)


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_strides_of_every_operand(width, order, rng):
    """Each view of all four operands, and of cos alone."""
    spec, dtypes = spec_of(width, order), ("bfloat16", "float32", "float32", "bfloat16")
    values = operands(rng, spec)
    for name in NAMES:
        for names in ((name,) * 4, (NAMES[0], name, NAMES[0], NAMES[0])):
            views = [there(t) for t in map(test_strides.view, names, values, dtypes)]
            assert same_bytes(ours(*views, spec, "float32"), formula(*views, spec)), names


@pytest.mark.parametrize("axes", [1, 4, 5])
def test_any_number_of_axes(axes, rng):
    """cos and sin have every other one."""
    spec, shape = LAYOUTS["half"], (2, 3, 2, 1, 3)[:axes]
    repeated = [n if (axes - i) % 2 else 1 for i, n in enumerate(shape)]
    random = lambda *size: torch.tensor(rng.standard_normal(size), dtype=torch.float32)
    x, (cos, sin) = random(*shape, 64), random(2, *repeated, 32)
    y = rope_torch.rotate(spec, *(t.to(DEVICE) for t in (x, cos, sin)), heads_axis=None)
    assert same_bytes([y], [rotate_pairs(x, cos, sin, spec.channels, "float32")])


@pytest.mark.parametrize("shape", [(2, 1, 0, 64), (0, 3, 4, 64)])
def test_nothing_to_rotate(shape):
    table = torch.ones(shape[0], shape[2], 32, device=DEVICE)
    y = rope_torch.rotate(LAYOUTS["half"], torch.ones(shape, device=DEVICE), table, table)
    assert y.shape == shape


def test_views_that_negate_what_they_read(rng):
    """As the imaginary part of a conjugate is one."""
    spec, (x, cos, sin, ct) = LAYOUTS["half"], arrays(LAYOUTS["half"], "bfloat16", rng)
    views = [torch._neg_view(-t) for t in (x, cos, sin, ct)]
    assert same_bytes(ours(*views, spec, "float32"), formula(x, cos, sin, ct, spec))


def test_a_stride_beyond_32_bits(rng):
    """Rows that are 2 ** 32 bytes apart; of the memory between them nothing is touched."""
    far, spec = 2**31 + 64, LAYOUTS["half"]
    memory = torch.empty(far + 64, dtype=torch.bfloat16, device=DEVICE)
    x = memory.as_strided((1, 1, 2, 64), (0, 0, far, 1))
    x.copy_(torch.tensor(rng.standard_normal((1, 1, 2, 64))))
    cos, sin = torch.tensor(rng.standard_normal((2, 1, 2, 32)), dtype=torch.float32, device=DEVICE)
    assert same_bytes(ours(x, cos, sin, x, spec, "float32"), formula(x, cos, sin, x, spec))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, by which the interpreter computes
@pytest.mark.parametrize("dtype", DTYPES)
def test_special_numbers(dtype):
    """Zeros of both signs, subnormals, infinities, NaN, and what overflows in float16."""
    kind, spec = torch.finfo(getattr(torch, dtype)), spec_of((4, 0), ORDERS["half"])
    some = [0.0, -0.0, kind.tiny / 4, kind.tiny, 1.0, kind.max, torch.inf, torch.nan]
    some = torch.tensor(some, dtype=getattr(torch, dtype), device=DEVICE)
    pairs = torch.cartesian_prod(some, some)
    x = torch.cat([pairs, pairs[:, :1], -pairs[:, :1]], -1)[None, None]
    table = torch.tensor([[1.0, 0.0], [-0.0, 2.0]], device=DEVICE)
    cos, sin = table[:, None, None].expand(2, 1, 64, 2)
    assert same_bytes(ours(x, cos, sin, x, spec, "float32"), formula(x, cos, sin, x, spec))


@EACH_TRANSFORMED
def test_function_transforms(name, rng):
    """vmap over x alone, over all, vjp, jvp, and both after another."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    rotate = lambda x, cos=cos, sin=sin: rope_torch.rotate(spec, x, cos, sin)
    y, dx = formula(x, cos, sin, ct, spec)
    assert same_bytes(torch.func.vmap(rotate)(x[:, None], cos[:, None], sin[:, None]), y[:, None])
    stacked = torch.stack([x, ct], 1)
    two = torch.func.vmap(rotate, in_dims=1)(stacked)
    assert same_bytes(list(two), [y, formula(ct, cos, sin, x, spec)[0]])
    assert same_bytes(torch.func.vjp(rotate, x)[1](ct), [dx])
    assert same_bytes(torch.func.jvp(rotate, (x,), (ct,)), [y, rotate(ct)])
    assert same_bytes(
        torch.func.vmap(lambda t: torch.func.vjp(rotate, x)[1](t)[0])(ct[None]), dx[None]
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, of torch.jit.script
@EACH_TRANSFORMED
def test_forward_mode_without_functions(name, rng):
    """Dual numbers, with no gradient asked for."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    with torch.no_grad(), forward_ad.dual_level():
        y = rope_torch.rotate(spec, forward_ad.make_dual(x, ct), cos, sin)
        found = tuple(forward_ad.unpack_dual(y))
    right = (formula(t, cos, sin, ct, spec)[0] for t in (x, ct))
    assert same_bytes(found, list(right))


@EACH_TRANSFORMED
def test_second_derivative(name, rng):
    """The derivative of the pullback by its cotangent is the rotation."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    x, t = x.requires_grad_(), ct.clone().requires_grad_()
    (dx,) = torch.autograd.grad(rope_torch.rotate(spec, x, cos, sin), x, t, create_graph=True)
    again = torch.autograd.grad(dx, t, ct)
    assert same_bytes(again, [formula(ct, cos, sin, ct, spec)[0]])


@EACH_TRANSFORMED
def test_gradients_of_cos_and_sin(name, rng):
    """Those of the formula, within float32 of sums over the heads in another order."""
    spec = LAYOUTS[name]
    x, cos, sin, ct = arrays(spec, "float32", rng)
    form = lambda cos, sin: rotate_pairs(x, cos[:, None], sin[:, None], spec.channels, "float32")
    rotate = lambda cos, sin: rope_torch.rotate(spec, x, cos, sin)
    found, right = (torch.func.vjp(f, cos, sin)[1](ct) for f in (rotate, form))
    for mine, theirs in zip(found, right, strict=True):
        torch.testing.assert_close(mine, theirs)


@EACH_TRANSFORMED
def test_compiled(name, rng):
    """In one graph, forward and backward, of transposed q, for lengths that are not known."""
    spec = LAYOUTS[name]
    torch._dynamo.reset()
    rotate = lambda x, cos, sin: rope_torch.rotate(spec, x, cos, sin) * 2
    compiled = torch.compile(rotate, fullgraph=True, dynamic=True, backend="aot_eager")
    for length in (6, 5):
        x, cos, sin, ct = (t[..., :length, :] for t in arrays(spec, "bfloat16", rng))
        x = x.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
        y = compiled(x, cos, sin)
        found = y.detach(), torch.autograd.grad(y, x, ct)[0]
        y, dx = formula(x.detach(), cos, sin, 2 * ct, spec)
        assert same_bytes(found, (2 * y, dx))


def test_compiled_by_inductor(rng):
    """Forward and backward."""
    spec = LAYOUTS["half"]
    x, cos, sin, ct = arrays(spec, "bfloat16", rng)
    torch._dynamo.reset()
    rotate = torch.compile(lambda x: rope_torch.rotate(spec, x, cos, sin), fullgraph=True)
    y = rotate(x.requires_grad_())
    found = y.detach(), torch.autograd.grad(y, x, ct)[0]
    assert same_bytes(found, formula(x.detach(), cos, sin, ct, spec))


@EACH_TRANSFORMED
def test_exported(name, rng):
    """The program holds the operator, and no product."""

    class Module(torch.nn.Module):
        def forward(self, x, cos, sin):
            return rope_torch.rotate(LAYOUTS[name], x, cos, sin)

    x, cos, sin, ct = arrays(LAYOUTS[name], "bfloat16", rng)
    length = torch.export.Dim("s")
    dynamic = {"x": {2: length}, "cos": {1: length}, "sin": {1: length}}
    program = torch.export.export(Module(), (x, cos, sin), dynamic_shapes=dynamic)
    assert "rope_torch.rotate" in str(program.graph) and "aten.mul" not in str(program.graph)
    x, cos, sin, ct = (t[..., :4, :] for t in (x, cos, sin, ct))
    right = formula(x, cos, sin, ct, LAYOUTS[name])[:1]
    assert same_bytes([program.module()(x, cos, sin)], right)


def test_the_operator_keeps_the_rules_of_operators(rng):
    x, cos, sin, _ = arrays(LAYOUTS["half"], "bfloat16", rng)
    operator = torch.ops.rope_torch.rotate.default
    tests = "test_schema", "test_faketensor", "test_aot_dispatch_dynamic"
    torch.library.opcheck(
        operator, (x, cos[:, None], sin[:, None], 0, 1, 1, False), test_utils=tests
    )


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_traced(rng):
    """A traced program holds the formula, which can be loaded without rope_torch."""
    x, cos, sin, _ = arrays(LAYOUTS["half"], "bfloat16", rng)
    rotate = lambda x, cos, sin: rope_torch.rotate(LAYOUTS["half"], x, cos, sin)
    program = torch.jit.trace(rotate, (x, cos, sin))
    assert "aten::mul" in str(program.graph) and same_bytes(
        [program(x, cos, sin)], [rotate(x, cos, sin)]
    )


def test_shapes_that_do_not_fit():
    x, table = torch.ones(2, 3, 4, 64, device=DEVICE), torch.ones(2, 1, 3, 32, device=DEVICE)
    with pytest.raises((ValueError, RuntimeError), match="rope_torch::rotate|broadcast"):
        torch.ops.rope_torch.rotate(x, table, table, 0, 1, 1, False)


def test_another_dtype_is_left_to_the_formula():
    x = torch.ones(1, 1, 1, 64, device=DEVICE)
    assert gpu.supports(x, x, x)
    for dtypes in ((64, 32, 32), (32, 64, 32), (32, 32, 64)):
        assert not gpu.supports(*(x.to(getattr(torch, f"float{bits}")) for bits in dtypes))
