"""One rotation through three compilers: `python -m parity_tests.accelerators.three_compilers`.

It prints the table of docs/three_compilers.md, for x `(1, 65536, 32, 128)` in bfloat16.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

import rope_jax
from rope_jax import rotation, tpu
from rope_spec import RopeSpec
from rope_spec.channels import Channels

from . import aot, hbm
from .xla_gpu import program

X = jax.ShapeDtypeStruct((1, 65536, 32, 128), jnp.bfloat16)
TABLE = jax.ShapeDtypeStruct((1, 65536, 1, 64), jnp.float32)
SPECS = {"half": RopeSpec(head_dim=128), "interleaved": RopeSpec(head_dim=128, read="interleaved")}
Form = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def usual(x: jax.Array, cos: jax.Array, sin: jax.Array, channels: Channels) -> jax.Array:
    """As most libraries write it: tables of full width, and the partner of each channel."""
    if channels.read_blocks == 1:
        both = lambda t: jnp.concatenate([t, t], axis=-1)
        a, b = jnp.split(x, 2, axis=-1)
        partner = jnp.concatenate([-b, a], axis=-1)
    else:
        both = lambda t: jnp.repeat(t, 2, axis=-1)
        partner = jnp.stack([-x[..., 1::2], x[..., ::2]], axis=-1).reshape(x.shape)
    with jax.numpy_dtype_promotion("standard"):
        return (x * both(cos) + partner * both(sin)).astype(x.dtype)


def forms(spec: RopeSpec) -> dict[str, Form]:
    """The same rotation, written in four ways."""
    options = {"channels": spec.channels, "rotate_in": "float32"}
    without_heads = lambda x, cos, sin: rope_jax.rotate(spec, x, cos[:, :, 0], sin[:, :, 0])
    return {
        "usual": partial(usual, channels=spec.channels),
        "by pairs": partial(rotation.rotate_pairs, **options),
        "shifted": partial(tpu.rotate_pairs, **options),
        "`rope_jax.rotate`": without_heads,
    }


def on_cpu(form: Form) -> str:
    """Temporary arrays, as multiples of x."""
    compiled = jax.jit(form).lower(X, TABLE, TABLE).compile()
    return f"{compiled.memory_analysis().temp_size_in_bytes / (2 * X.size):.2f}"


def on_tpu(form: Form) -> str:
    """Bytes to and from memory, as multiples of those of the arguments and the result."""
    text = aot.compiled("v5e", form, X, TABLE, TABLE)
    return f"{hbm.moved(text) / hbm.required(text):.2f}"


def on_gpu(form: Form) -> str:
    """Kernels, temporary arrays as multiples of x, and loads of single numbers."""
    made = program(form, X, TABLE, TABLE)
    temporaries = made.temporaries / (2 * X.size)
    return f"{made.kernels}, {temporaries:.2f}, {made.instructions['ld.global']}"


def rows() -> list[str]:
    """The table in Markdown."""
    gpu = "H100: kernels, temporaries, single loads"
    head = f"| layout | form | CPU: temporaries | TPU v5e: memory moved | {gpu} |"
    lines = [head, "|---|---|---|---|---|"]
    for layout, spec in SPECS.items():
        for name, form in forms(spec).items():
            cells = layout, name, on_cpu(form), on_tpu(form), on_gpu(form)
            lines.append("| " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    print("\n".join(rows()))
