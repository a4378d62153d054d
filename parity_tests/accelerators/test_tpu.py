"""What XLA's compiler for a TPU makes of the rotation: bytes to and from HBM, and copies."""

import re

import jax
import jax.numpy as jnp
import pytest

from rope_jax import rotation
from rope_spec import Pairs, RopeSpec

from . import hbm, wheel

wheel("libtpu")
from .aot import compiled  # noqa: E402
from .programs import KEYS, derivative, forward, shapes  # noqa: E402

TOKENS = 65536  # q is larger than the 128 MiB of VMEM
MOST = {"v5e": 1.25, "v6e": 1.25, "v5p": 1.45}  # of the bytes of x, y, cos and sin
CHIPS = [("v5e", 64), ("v5e", 128), ("v6e", 128)]
COLLECTIVE = "all-|collective-|reduce-scatter"
EACH_DTYPE = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
LAYOUTS = {
    "half": lambda width: RopeSpec(head_dim=width),
    "interleaved": lambda width: RopeSpec(head_dim=width, read="interleaved"),
    "three quarters": lambda width: RopeSpec(
        head_dim=width, pairs=Pairs.single(rotary_dim=width * 3 // 4)
    ),
    "half per axis": lambda width: RopeSpec(
        head_dim=width, pairs=Pairs.axial(rotary_dim=width), read="half_per_axis"
    ),
}


def assert_one_pass(program, spec, dtype, most):
    """Few bytes more than have to be moved, and no copy of q or k."""
    k = TOKENS * KEYS * spec.head_dim * jnp.dtype(dtype).itemsize
    assert not hbm.rearranged(program, k)
    assert hbm.moved(program) <= most * hbm.required(program)


@pytest.mark.parametrize("chip, width", CHIPS)
@pytest.mark.parametrize("direction", [forward, derivative])
@EACH_DTYPE
@pytest.mark.parametrize("layout", LAYOUTS)
def test_x_is_read_once_and_y_is_written_once(layout, dtype, direction, chip, width):
    spec = LAYOUTS[layout](width)
    program = compiled(chip, direction(spec), *shapes(spec, dtype, TOKENS))
    assert_one_pass(program, spec, dtype, MOST[chip])


@pytest.mark.parametrize("chip, width", [("v5e", 256), ("v5p", 128)])
def test_where_cos_and_sin_cost_most(chip, width):
    """Of the layouts, widths and chips that were compiled, 16 bits of interleaved channels."""
    spec = LAYOUTS["interleaved"](width)
    program = compiled(chip, forward(spec), *shapes(spec, "bfloat16", TOKENS))
    assert_one_pass(program, spec, "bfloat16", MOST[chip])


def split(x, cos, sin):
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def rotate_half(x, cos, sin):
    a, b = jnp.split(x, 2, axis=-1)
    cos, sin = (jnp.concatenate([t, t], axis=-1) for t in (cos, sin))
    return x * cos + jnp.concatenate([-b, a], axis=-1) * sin


@EACH_DTYPE
@pytest.mark.parametrize("usual", [split, rotate_half])
def test_no_worse_than_a_concatenation(usual, dtype):
    """As most implementations write the rotation of halves."""

    def rotate(x, cos, sin):
        return usual(x.astype(jnp.float32), cos[..., None, :], sin[..., None, :]).astype(x.dtype)

    spec = LAYOUTS["half"](128)
    theirs = lambda q, k, cos, sin: (rotate(q, cos, sin), rotate(k, cos, sin))
    ours, theirs = (
        compiled("v5e", f, *shapes(spec, dtype, TOKENS)) for f in (forward(spec), theirs)
    )
    assert hbm.moved(ours) <= hbm.moved(theirs)


def test_a_form_that_copies_x_is_seen():
    """The formula of interleaved pairs: a last axis of 2 has to be laid out anew."""
    spec = LAYOUTS["interleaved"](128)
    options = {"channels": spec.channels, "rotate_in": "float32"}
    rotate = lambda x, cos, sin: rotation.rotate_pairs(
        x, cos[..., None, :], sin[..., None, :], **options
    )
    planted = lambda q, k, cos, sin: (rotate(q, cos, sin), rotate(k, cos, sin))
    program = compiled("v5e", planted, *shapes(spec, "bfloat16", TOKENS))
    assert hbm.moved(program) > 2 * hbm.required(program)
    with pytest.raises(AssertionError, match="rearranged"):
        assert_one_pass(program, spec, "bfloat16", MOST["v5e"])


def collectives_of(axes):
    """Those of a program whose q and k, and cos and sin as they, are sharded over two chips."""
    spec = LAYOUTS["half"](128)
    q, k, table, _ = (
        jax.ShapeDtypeStruct((2, *t.shape[1:]), t.dtype) for t in shapes(spec, "bfloat16", 4096)
    )
    shard = [axes, axes, axes[:2], axes[:2]]
    program = compiled("v5e", forward(spec), q, k, table, table, shard=shard)
    return [o.opcode for o in hbm.operations(program) if re.match(COLLECTIVE, o.opcode)]


@pytest.mark.parametrize("axis", range(3), ids=["batch", "tokens", "heads"])
def test_sharded_x_needs_no_collectives(axis):
    assert not collectives_of((None,) * axis + ("a",))


def test_sharded_channels_do():
    """The two channels of a pair are on two chips."""
    assert collectives_of((None, None, None, "a"))
