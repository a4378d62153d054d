"""Real coordinates: the same bytes in NumPy, JAX and torch for every float32, and the bound of the
integers; mpmath and `Fraction` are the references.
"""

from fractions import Fraction
from functools import partial
from math import floor

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import rope_jax
import rope_spec
import rope_torch
from parity_tests.same import same_bytes
from rope_parity import oracle
from rope_spec import (
    Arithmetic,
    DynamicNTK,
    Explicit,
    Linear,
    Pairs,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)
from rope_spec.phase import phase_cos_sin

BOUND = 3.2e-8  # rope_spec/phase.py
U = 2.0**-24
FLOAT32 = Arithmetic(angles="float32")
SPECS = {
    "DINOv3: a turn for each unit": RopeSpec(head_dim=8, theta=100.0, real=True, unit="turn"),
    "radians": RopeSpec(head_dim=8, real=True),
    "a divisor": RopeSpec(head_dim=8, theta=20.0, rule=Linear(0.3), real=True),
    "rising, backwards, beyond 32 bits": RopeSpec(
        head_dim=10,
        rule=Explicit((0.25, 2.0**30, -3.7, 2.0**-33, -(2.0**-34)), 1.3),
        real=True,
        unit="turn",
    ),
}
EACH = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def floats(rng: np.random.Generator, count: int) -> np.ndarray:
    """float32 of every bit pattern: of every exponent, zeros, subnormals, infinities and NaN."""
    bits = rng.integers(0, 2**32, count, dtype=np.uint32)
    exponents = np.arange(512, dtype=np.uint32) << 23
    ends = np.concatenate([exponents, exponents + 1, exponents - 1])
    bits[: len(ends)] = ends
    return bits.view(np.float32)


def below_the_end(x: np.ndarray) -> np.ndarray:
    return x[np.abs(x) < 2**31]


@EACH
def test_every_framework_has_the_same_bytes(spec, rng):
    """100,000 float32 of every exponent, by every road but `torch.compile`."""
    x = floats(rng, 100_000)
    tables = rope_spec.cos_sin(spec, x)
    assert np.isnan(tables[0]).any(axis=-1).tolist() == (~(np.abs(x) < 2**31)).tolist()
    cos_sin = partial(rope_jax.cos_sin, spec)
    with jax.disable_jit():
        eager = cos_sin(x[::10])
    one_by_one = jax.vmap(lambda one: [part[0] for part in cos_sin(one[None])])
    backwards = torch.vmap(lambda row: rope_torch.cos_sin(spec, row))
    roads = {
        "eager": (eager, 10),
        "JAX": (cos_sin(x), 1),
        "jit": (jax.jit(cos_sin)(x), 1),
        "vmap": (one_by_one(jnp.asarray(x)), 1),
        "torch": (rope_torch.cos_sin(spec, torch.from_numpy(x)), 1),
        "torch.vmap": ([t.flatten(0, 1) for t in backwards(torch.from_numpy(x[:, None]))], 1),
    }
    for name, (road, step) in roads.items():
        for ours, trunk in zip(road, tables, strict=True):
            assert same_bytes(np.asarray(ours), trunk[::step]), name


@pytest.mark.compiled
@EACH
def test_compiled_by_torch_they_have_the_same_bytes(spec, rng):
    x = floats(rng, 100_000)
    compiled = torch.compile(partial(rope_torch.cos_sin, spec), fullgraph=True)
    for ours, trunk in zip(compiled(torch.from_numpy(x)), rope_spec.cos_sin(spec, x), strict=True):
        assert same_bytes(ours.numpy(), trunk)


@EACH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_phase_is_the_rounded_exact_one(spec, dtype, rng):
    """`floor(x turns + 1 / 2)` in units of 2 ** -32 turns, in fractions."""
    x = below_the_end(floats(rng, 4000))[:2000].astype(dtype)
    x = x + (np.abs(x) * 1e-9).astype(dtype) if dtype == np.float64 else x
    frequencies = inverse_frequencies(spec)
    turns = [Fraction(int(t), 2**64) for t in frequencies.all_turns]
    half = Fraction(1, 2)
    phase = [[floor(Fraction(float(v)) * t * 2**32 + half) % 2**32 for t in turns] for v in x]
    expected = phase_cos_sin(np.array(phase), frequencies.attention_factor)
    assert all(map(same_bytes, rope_spec.cos_sin(spec, x), expected))


@EACH
def test_coordinates_keep_the_bound_of_integers(spec, rng):
    x = rng.permutation(below_the_end(floats(rng, 4000)))[:400]
    factor = float(oracle.attention_factor(spec))
    bound = BOUND * factor + (factor * U if factor != 1 else 0)
    for ours, exact in zip(rope_spec.cos_sin(spec, x), oracle.cos_sin(spec, x), strict=True):
        assert np.abs(ours.astype(np.float64) - exact).max() <= bound


@EACH
def test_a_whole_coordinate_gives_the_bytes_of_the_integer(spec, rng):
    whole = np.concatenate([rng.integers(-(2**24), 2**24, 500), 2 ** np.arange(31), np.arange(9)])
    whole = np.concatenate([whole, -whole]).astype(np.int32)
    for cos_sin, array in (
        (rope_spec, np.asarray),
        (rope_jax, jnp.asarray),
        (rope_torch, torch.tensor),
    ):
        tables = (cos_sin.cos_sin(spec, array(whole.astype(d))) for d in (np.int32, np.float32))
        for integer, real in zip(*tables, strict=True):
            assert same_bytes(np.asarray(integer), np.asarray(real))


def test_coordinates_of_several_axes(rng):
    """Each pair has its coordinate, NaN included."""
    spec = RopeSpec(head_dim=8, pairs=Pairs.axial(rotary_dim=8), real=True)
    one = RopeSpec(head_dim=4, real=True)
    x = rng.standard_normal((3, 2)).astype(np.float32)
    x[1, 0] = np.nan
    for cos_sin in (
        rope_spec.cos_sin,
        rope_jax.cos_sin,
        lambda s, x: rope_torch.cos_sin(s, torch.from_numpy(x)),
    ):
        together = cos_sin(spec, x)
        alone = zip(
            *(cos_sin(one, np.ascontiguousarray(x[:, axis])) for axis in (0, 1)), strict=True
        )
        for ours, parts in zip(together, alone, strict=True):
            assert same_bytes(np.asarray(ours), np.concatenate(list(map(np.asarray, parts)), -1))


@EACH
def test_the_derivative_by_the_coordinate(spec, rng):
    """`-inv_freq sin` and `inv_freq cos`: forward, backward, and once more; not 0 in silence."""
    x = rng.standard_normal(50).astype(np.float32)
    cos, sin = rope_spec.cos_sin(spec, x)
    w = inverse_frequencies(spec).inv_freq_float32
    expected = -sin * w, cos * w
    cos_sin = partial(rope_jax.cos_sin, spec)
    _, tangents = jax.jvp(cos_sin, (jnp.asarray(x),), (jnp.ones_like(x),))
    assert all(map(same_bytes, tangents, expected))
    theirs = torch.func.jvp(
        partial(rope_torch.cos_sin, spec), (torch.from_numpy(x),), (torch.ones(50),)
    )[1]
    assert all(same_bytes(t.numpy(), e) for t, e in zip(theirs, expected, strict=True))
    g, h = rng.standard_normal((2, *cos.shape)).astype(np.float32)
    backward = ((g.astype(np.float64) * expected[0] + h * expected[1]).sum(-1)).astype(np.float32)
    bound = 8 * U * (np.abs(g * w) + np.abs(h * w)).sum(-1)  # 4 products and a sum of 5, each u
    mine = jax.vjp(cos_sin, jnp.asarray(x))[1]((jnp.asarray(g), jnp.asarray(h)))[0]
    leaf = torch.from_numpy(x).requires_grad_()
    torch.autograd.backward(rope_torch.cos_sin(spec, leaf), list(map(torch.from_numpy, (g, h))))
    assert leaf.grad is not None
    for found in (np.asarray(mine), leaf.grad.numpy()):
        assert (np.abs(found - backward) <= bound).all()


def test_the_second_derivative_by_the_coordinate():
    """`-inv_freq ** 2 cos`, in float32 products: three roundings."""
    spec = RopeSpec(head_dim=2, theta=10000.0, rule=Linear(0.5), real=True)  # one pair, inv_freq 2
    cos = float(rope_spec.cos_sin(spec, np.array([0.7], np.float32))[0][0, 0])
    mine = jax.grad(jax.grad(lambda x: rope_jax.cos_sin(spec, x[None])[0][0, 0]))(jnp.float32(0.7))
    leaf = torch.tensor([0.7], requires_grad=True)
    (first,) = torch.autograd.grad(rope_torch.cos_sin(spec, leaf)[0].sum(), leaf, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), leaf)
    for found in (float(mine), float(second)):
        assert abs(found + 4 * cos) <= 3 * U * 4


@pytest.mark.parametrize("default", [torch.bfloat16, torch.float64])
def test_the_default_dtype_of_torch_changes_no_derivative(default, rng):
    x, gradients = torch.from_numpy(rng.standard_normal(9).astype(np.float32)), []
    for dtype in (torch.float32, default):
        torch.set_default_dtype(dtype)
        try:
            leaf = x.clone().requires_grad_()
            torch.stack(rope_torch.cos_sin(SPECS["radians"], leaf)).sum().backward()
            gradients.append(leaf.grad)
        finally:
            torch.set_default_dtype(torch.float32)
    assert torch.equal(*gradients)


@pytest.mark.compiled
def test_the_derivative_when_compiled(rng):
    spec, x = SPECS["radians"], torch.from_numpy(rng.standard_normal(9).astype(np.float32))
    grads = []
    for transform in (lambda f: f, partial(torch.compile, fullgraph=True)):
        leaf = x.clone().requires_grad_()
        sum(transform(partial(rope_torch.cos_sin, spec))(leaf)).sum().backward()
        grads.append(leaf.grad)
    assert (grads[0] - grads[1]).abs().max() <= 12 * U  # 4 pairs, of |dcos + dsin| <= 2


@EACH
def test_float32_angles_are_one_product(spec, rng):
    x = rng.standard_normal(50).astype(np.float32)
    frequencies = inverse_frequencies(spec)
    angle = torch.from_numpy(x[:, None] * frequencies.inv_freq_float32)
    ours = rope_torch.cos_sin(spec, torch.from_numpy(x), arithmetic=FLOAT32)
    expected = [f(angle) * frequencies.attention_factor for f in (torch.cos, torch.sin)]
    assert all(map(torch.equal, ours, expected))


@pytest.mark.unchecked
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("angles", ["exact", "float32"])
def test_other_dtypes_are_refused(name, angles):
    spec, arithmetic = SPECS["radians"], Arithmetic(angles=angles)
    message = rf"positions: got {name}, expected integers or float32"
    x = np.zeros(3, ml_dtypes.bfloat16 if name == "bfloat16" else name)
    with pytest.raises(TypeError, match=message):
        rope_jax.cos_sin(spec, x, arithmetic=arithmetic)
    with pytest.raises(TypeError, match=message):
        rope_torch.cos_sin(spec, torch.zeros(3, dtype=getattr(torch, name)), arithmetic=arithmetic)
    if name == "float64":
        assert rope_spec.cos_sin(spec, x)[0].dtype == np.float32
        return
    with pytest.raises(
        TypeError, match=message + " or float64. A coordinate of 16 bits is rounded"
    ):
        rope_spec.cos_sin(spec, x)


REFUSED = {
    "a rule for contexts": (
        lambda: RopeSpec(head_dim=8, rule=DynamicNTK(2.0, 64), real=True),
        r"got DynamicNTK with real=True and unit='radian', expected a spec for tokens",
    ),
    "wavelengths of turns": (
        lambda: RopeSpec(head_dim=8, rule=Yarn(4.0, 64), unit="turn"),
        r"got Yarn with real=False and unit='turn', expected a spec for tokens",
    ),
    "a unit": (
        lambda: RopeSpec(head_dim=8, unit="degree"),
        r"unit: got 'degree', expected one of 'radian', 'turn'",
    ),
    "too many turns": (
        lambda: inverse_frequencies(RopeSpec(head_dim=2, rule=Explicit((2e10,)), real=True)),
        r"got 3.18e\+09 turns for a coordinate of 1, expected fewer than 2 \*\* 31",
    ),
}


@pytest.mark.unchecked
@pytest.mark.parametrize("build, message", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
