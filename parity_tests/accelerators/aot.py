"""Compiling for a TPU on a machine that has none: what of JAX is not settled is in this file.

`jax.experimental.topologies` describes the chips to the compiler of `libtpu`. Where it moves, look
in JAX's guide to ahead-of-time compilation for how a topology is named; `libtpu` reads the
variables below in place of asking a cloud which machine this is.
"""

import os
from collections.abc import Callable, Sequence
from functools import cache

import jax
import numpy as np

os.environ |= {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else one process of a machine, which locks a file
}
jax.config.update("jax_platforms", "cpu")  # JAX would look for a TPU where libtpu is installed
FOUR_CHIPS = {"v5e": "v5e:2x2", "v6e": "v6e:2x2", "v5p": "v5p:2x2x1"}


@cache
def mesh(chip: str) -> jax.sharding.Mesh:
    """Four chips, 2 x 2."""
    from jax.experimental import topologies

    devices = topologies.get_topology_desc(FOUR_CHIPS[chip], platform="tpu").devices
    return jax.sharding.Mesh(np.array(devices[:4]).reshape(2, 2), ("a", "b"))


def compiled(
    chip: str, f: Callable, *shapes: jax.ShapeDtypeStruct, shard: Sequence[tuple] = ()
) -> str:
    """The text of the program for one chip, or for four, with the axes by which each is sharded."""
    chips, axes = mesh(chip), shard or [()] * len(shapes)
    one = jax.sharding.Mesh(chips.devices[:1, :1], chips.axis_names)
    place = lambda names: jax.sharding.NamedSharding(
        chips if shard else one, jax.sharding.PartitionSpec(*names)
    )
    placed = [
        jax.ShapeDtypeStruct(t.shape, t.dtype, sharding=place(names))
        for t, names in zip(shapes, axes, strict=True)
    ]
    return jax.jit(f).lower(*placed).compile().as_text()
