"""Eager = jit in JAX, as three programs: the formula, and the forms for a CPU and for a TPU."""

import os
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest

import rope_jax
from parity_tests.same import same_bytes
from rope_jax import rotation, tpu
from rope_jax.rotation import rotate_pairs
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES
from rope_spec import Arithmetic, Pairs, RopeSpec
from rope_spec.channels import HALVES

part = partial(RopeSpec, theta=1e4)
interleaved = partial(part, read="interleaved")
PARTS = {  # rotated widths that do not divide the head
    "64 of 80": part(head_dim=80, pairs=Pairs.single(rotary_dim=64)),
    "64 of 80 from 16": part(head_dim=80, pairs=Pairs.single(rotary_dim=64), start=16),
    "32 of 80": part(head_dim=80, pairs=Pairs.single(rotary_dim=32)),
    "6 of 40 from 1": part(head_dim=40, pairs=Pairs.single(rotary_dim=6), start=1),
    "interleaved, 20 of 64 from 2": interleaved(
        head_dim=64, pairs=Pairs.single(rotary_dim=20), start=2
    ),
    "24 of 40 from 16": interleaved(
        head_dim=40, pairs=Pairs.single(rotary_dim=24), start=16, write="half"
    ),
    "half per axis, 16 of 40": part(
        head_dim=40, pairs=Pairs.axial(rotary_dim=16), read="half_per_axis"
    ),
}
WIDE = {"interleaved, 256": interleaved(head_dim=256)}
SPECS = LAYOUTS | PARTS | WIDE
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan]
CPU = jax.devices("cpu")[0]
FORMS = [
    jax.jit(form.rotate_pairs, static_argnames=("channels", "rotate_in"))
    for form in (rotation, tpu)
]


def three(rotate, x, dx, ct):
    """The rotation of x, its derivative along dx, and its transpose applied to ct."""
    y, dy = jax.jvp(rotate, (x,), (dx,))
    return y, dy, *jax.linear_transpose(rotate, x)(ct)


@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_formula_and_the_form_for_a_tpu_have_the_bits_of_the_form_for_a_cpu(
    spec, dtype, rotate_in, rng
):
    """Eager, and compiled by itself: forward, forward mode and transpose, with +-0, inf and NaN."""
    positions = rng.integers(-5000, 5000, (2, 7, spec.pairs.axes)) * (np.arange(7)[:, None] > 0)
    cos, sin = rope_jax.cos_sin(spec, positions if spec.pairs.axes > 1 else positions[..., 0])
    values = rng.standard_normal((3, 2, 7, 3, spec.head_dim))
    values = np.where(rng.random(values.shape) < 0.1, rng.choice(SPECIAL, values.shape), values)
    x, dx, ct = jax.device_put(tuple(values.astype(DTYPES[dtype])), CPU)

    arithmetic = Arithmetic(rotate_in=rotate_in)
    rotate = lambda x: rope_jax.rotate(spec, x, cos, sin, arithmetic=arithmetic)
    expected = jax.jit(partial(three, rotate))(x, dx, ct)
    with jax.disable_jit():
        assert same_bytes(three(rotate, x, dx, ct), expected)

    cos, sin = cos[:, :, None], spec.sign * sin[:, :, None]
    options = {"channels": spec.channels, "rotate_in": rotate_in}
    for form in FORMS:
        y, dy = (form(t, cos, sin, **options) for t in (x, dx))
        back = form(ct, cos, -sin, channels=spec.channels.inverse, rotate_in=rotate_in)
        assert same_bytes((y, dy, back), expected)


@pytest.mark.parametrize("rotate_in", ["float32", "input"])
@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_numbers_of_8_bits(dtype, rotate_in, rng):
    """They have no NaN to spare for a guard."""
    spec, arithmetic = LAYOUTS["half"], Arithmetic(rotate_in=rotate_in)
    cos, sin = rope_jax.cos_sin(spec, np.arange(7)[None])
    x = jax.device_put(rng.standard_normal((1, 7, 3, 64)).astype(dtype), CPU)
    rotate = lambda x: rope_jax.rotate(spec, x, cos, sin, arithmetic=arithmetic)
    expected = jax.jit(rotate)(x)
    with jax.disable_jit():
        assert same_bytes([rotate(x)], [expected])
    cos, sin = cos[:, :, None], sin[:, :, None]
    for form in FORMS:
        y = form(x, cos, sin, channels=HALVES, rotate_in=rotate_in)
        assert same_bytes([y], [expected])


def test_without_its_guard_the_compiled_formula_has_other_bits(monkeypatch, rng):
    """What `test_bits` shows of the form for a CPU."""
    arrays = (rng.standard_normal((9, width)).astype(np.float32) for width in (64, 32, 32))
    arrays = jax.device_put(tuple(arrays), CPU)
    rotate = partial(rotate_pairs, channels=HALVES, rotate_in="float32")
    compiled = lambda: jax.jit(lambda *operands: rotate(*operands))(*arrays)
    guarded = compiled()
    monkeypatch.setattr("rope_jax.rotation.keep_rounding", lambda x: x)
    assert not same_bytes([compiled()], [guarded])


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from functools import partial
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from rope_jax import rotation, tpu
from rope_jax import rotation, tpu
from rope_spec.channels import Channels

x, cos, sin = (
    np.random.default_rng(0).standard_normal((2, 8, heads, width)).astype(np.float32)
    for heads, width in ((4, 64), (1, 16), (1, 16))
)
for form in (rotation, tpu):
    for layout in ((0, 1, 1), (32, 16, 16), (3, 16, 1), (0, 2, 2)):
        options = {"channels": Channels(*layout), "rotate_in": "float32"}
        rotate = jax.jit(partial(form.rotate_pairs, **options))
        expected = np.asarray(rotate(x, cos, sin))
        for kind in (AxisType.Auto, AxisType.Explicit):
            mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
            with jax.set_mesh(mesh):
                sharded = [jax.device_put(t, NamedSharding(mesh, P("data"))) for t in (x, cos, sin)]
                program = rotate.lower(*sharded).compile()
                y = program(*sharded)
            assert (np.asarray(y) == expected).all()
            assert y.sharding.is_equivalent_to(sharded[0].sharding, 4)
            assert not [word for word in ("all-", "collective") if word in program.as_text()]
print("equal")
"""


def test_the_forms_are_sharded_as_x_is():
    """Over the batch, on two devices: no collectives, whether the mesh is explicit or not."""
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SHARDED]
    out = subprocess.run(command, capture_output=True, text=True, env=os.environ | devices)
    assert out.stdout == "equal\n", out.stderr
