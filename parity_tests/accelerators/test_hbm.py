"""The counter of bytes, on programs whose traffic is known."""

import jax
import jax.numpy as jnp
import pytest

from . import hbm, wheel

wheel("libtpu")
from .aot import compiled  # noqa: E402

LARGE = jax.ShapeDtypeStruct((16384, 16384), jnp.float32)  # 1 GiB: VMEM holds none of it
GIB = 2**30


def test_one_operation_reads_and_writes():
    program = compiled("v5e", lambda x: x + 1, LARGE)
    assert hbm.moved(program) == hbm.required(program) == 2 * GIB
    assert not hbm.rearranged(program, 0)


def test_two_operands():
    program = compiled("v5e", lambda x, y: x * y + x, LARGE, LARGE)
    assert hbm.moved(program) == hbm.required(program) == 3 * GIB


def test_a_sum_reads_twice():
    """x has to be read once more when the sum of all of it is known."""
    program = compiled("v5e", lambda x: x / jnp.sum(x), LARGE)
    assert 0 <= hbm.moved(program) - 3 * GIB < 2**20 and hbm.required(program) == 2 * GIB


def test_a_transpose_is_seen():
    program = compiled("v5e", lambda x: x.T, LARGE)
    assert hbm.moved(program) == 2 * GIB and len(hbm.rearranged(program, GIB)) == 1
    assert not hbm.rearranged(program, GIB + 1)


def test_a_slice_reads_what_it_writes():
    program = compiled("v5e", lambda x: x[:8192], LARGE)
    assert hbm.moved(program) == GIB


def test_a_loop_is_refused():
    loop = lambda x: jax.lax.fori_loop(0, 9, lambda i, t: jnp.sin(t) * t.T, x)
    with pytest.raises(ValueError, match="while: its bytes are in another computation"):
        hbm.moved(compiled("v5e", loop, LARGE))


@pytest.mark.parametrize(
    "array, expected",
    [
        ("f32[8,128]{1,0:T(8,128)}", 4096),
        ("f32[8,2]{1,0:T(8,128)}", 4096),  # lanes are padded to 128
        ("f32[8,2]{0,1:T(8,128)}", 4096),
        ("bf16[3,16,64]{1,2,0:T(8,128)(2,1)}", 3 * 64 * 128 * 2),
        ("bf16[3,16,64]{2,1,0:T(8,128)(2,1)S(1)}", 0),  # in VMEM
        ("u32[]{:S(2)}", 0),
        ("pred[5]", 5),
    ],
)
def test_the_size_of_an_array(array, expected):
    assert hbm.size(array) == expected
