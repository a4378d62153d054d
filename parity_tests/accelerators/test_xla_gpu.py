"""What XLA's compiler for an H100 makes of the rotation: kernels, temporaries, loads and stores."""

import jax
import jax.numpy as jnp
import pytest

from rope_spec import Pairs, RopeSpec

from . import wheel

wheel("jax_plugins.xla_cuda12")
wheel("nvidia.cuda_nvcc")
from .programs import derivative, forward, shapes  # noqa: E402
from .xla_gpu import program  # noqa: E402

TOKENS = 2048
DTYPES = ["float32", "bfloat16", "float16"]
LAYOUTS = {
    "half": RopeSpec(head_dim=128),
    "half of 80": RopeSpec(head_dim=80),
    "first quarter": RopeSpec(head_dim=128, pairs=Pairs.single(rotary_dim=32)),
    "three quarters": RopeSpec(head_dim=128, pairs=Pairs.single(rotary_dim=96)),
    "half per axis": RopeSpec(
        head_dim=128, pairs=Pairs.axial(rotary_dim=128), read="half_per_axis"
    ),
    "interleaved": RopeSpec(head_dim=128, read="interleaved"),
    "de-interleave": RopeSpec(head_dim=128, read="interleaved", write="half"),
}
# Loads of x or of cos and sin one number at a time; all else moves two or four at once
SCALAR_LOADS = {
    ("half", "derivative", 2): 4,
    ("half per axis", "derivative", 2): 8,
    ("first quarter", "derivative", 2): 12,
    ("interleaved", "forward", 2): 4,
    ("interleaved", "forward", 4): 4,
    ("interleaved", "derivative", 2): 4,
    ("interleaved", "derivative", 4): 4,
    ("de-interleave", "derivative", 2): 8,
    ("de-interleave", "derivative", 4): 8,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("direction", [forward, derivative], ids=["forward", "derivative"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_one_kernel_for_each_of_q_and_k(name, direction, dtype):
    """Without temporaries and contracted products, in vectors but where the table says so."""
    spec = LAYOUTS[name]
    made = program(direction(spec), *shapes(spec, dtype, TOKENS))
    assert (made.kernels, made.temporaries, made.instructions["fma"]) == (2, 0, 0)
    key = name, direction.__name__, jnp.dtype(dtype).itemsize
    assert made.instructions["ld.global"] == SCALAR_LOADS.get(key, 0)
    assert made.instructions["st.global"] == 0


def test_the_reader_sees_what_it_looks_for():
    """exp is a polynomial of fused multiply-adds; a transposed copy moves single numbers."""
    x = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
    assert program(jnp.exp, x).instructions["fma"] > 0
    two = program(lambda x: (jnp.sort(x.T + 1, axis=0) * 2).T, x)
    assert two.kernels > 1 and two.temporaries > 0
    single = program(lambda x: x[:, ::3] + 1, x)
    assert single.instructions["ld.global"] > 0
