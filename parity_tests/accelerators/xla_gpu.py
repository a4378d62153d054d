"""Compiling for an H100 on a machine that has none, and reading the PTX that XLA makes.

The plugin `jax-cuda12-pjrt` holds XLA's compiler for NVIDIA GPUs, and `nvidia-cuda-nvcc-cu12` the
functions that it links. The chip is described in h100.txtpb.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jax
import numpy as np

from . import aot as aot  # which keeps JAX from looking for devices

INSTRUCTIONS = re.compile(r"\b(fma|ld\.global|st\.global)(?:\.nc)?(\.v\d)?")


class Program(NamedTuple):
    """What XLA made of a function."""

    kernels: int
    temporaries: int  # bytes
    instructions: Counter[str]  # how many of "fma", "ld.global", "st.global.v4" and the like


@cache
def place() -> jax.sharding.NamedSharding:
    """One H100."""
    from jax.experimental import topologies

    chip = Path(__file__).with_name("h100.txtpb").read_text()
    described = topologies.get_topology_desc("", "cuda", target_config=chip, topology="1x1x1")
    mesh = jax.sharding.Mesh(np.array(described.devices[:1]), ("chip",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def program(f: Callable, *shapes: jax.ShapeDtypeStruct) -> Program:
    """What the compiler makes of `f`; forms are not tried out, as there is no device."""
    import nvidia.cuda_nvcc as library

    placed = [jax.ShapeDtypeStruct(t.shape, t.dtype, sharding=place()) for t in shapes]
    with TemporaryDirectory() as folder:
        options = {
            "xla_gpu_autotune_level": 0,
            "xla_gpu_cuda_data_dir": library.__path__[0],
            "xla_dump_to": folder,
        }
        compiled = jax.jit(f).lower(*placed).compile(compiler_options=options)
        ptx = "".join(path.read_text() for path in Path(folder).glob("*.ptx"))
    kinds = Counter(name + vector for name, vector in INSTRUCTIONS.findall(ptx))
    temporaries = compiled.memory_analysis().temp_size_in_bytes
    return Program(len(re.findall(r"\.entry\b", ptx)), temporaries, kinds)
