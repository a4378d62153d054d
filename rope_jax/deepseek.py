"""The lesson's DeepSeek-V3 rotary embedding as functions: the mirror of `rope_torch.deepseek`.

The lesson is `notebooks/01_lesson.ipynb`.

The state that PyTorch mutates is returned here: `(cos, sin), state = forward(state, x)`. Under
`jit` the length has to be known while tracing, from a shape or a static `seq_len`. A call that
grows the table returns a larger state, and the next call with that state is compiled anew. The
faults of the lesson's class are kept: the table takes the dtype of the call that grew it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Float32, Integer

from rope_spec import Pairs, RopeSpec, inverse_frequencies


class DeepseekState(NamedTuple):
    """What the lesson's module keeps in its buffers."""

    inv_freq: Float32[Array, " P"]
    cos_cached: Float[Array, "L H"]  # L is max_seq_len_cached
    sin_cached: Float[Array, "L H"]

    @property
    def max_seq_len_cached(self) -> int:
        """The number of rows in the tables."""
        return self.cos_cached.shape[0]


def init(dim: int, max_position_embeddings: int = 2048, base: float = 10000) -> DeepseekState:
    """The state with its first tables, float32.

    Args:
        dim: H, the rotated width.
        max_position_embeddings: rows of the first table.
        base: theta.
    """
    spec = RopeSpec(head_dim=dim, theta=base, pairs=Pairs.single(rotary_dim=dim))
    inv_freq = jnp.asarray(inverse_frequencies(spec).inv_freq_float32)
    return _tables(inv_freq, max_position_embeddings, jnp.dtype(jnp.float32))


def forward(
    state: DeepseekState,
    x: Float[Array, "... S H"],
    seq_len: int | None = None,
    position_ids: Integer[Array | np.ndarray, "..."] | None = None,
) -> tuple[tuple[Float[Array, "L H"], Float[Array, "L H"]], DeepseekState]:
    """The first rows of the tables, in the dtype of x, and the state, which may have grown.

    Args:
        state: from `init` or an earlier call.
        x: its dtype is that of the result; its values are not read.
        seq_len: the number of rows that are returned.
        position_ids: without `seq_len`, `max + 1` is the number of rows, and without both it is S.
            The caller gathers: `cos[position_ids]`.

    Returns:
        `((cos, sin), state)`, cos and sin of shape `(L, H)`.

    Raises:
        ValueError: the length would depend on traced values.
    """
    if seq_len is None:
        seq_len = x.shape[-2] if position_ids is None else _length(position_ids)
    if seq_len > state.max_seq_len_cached:
        state = _tables(state.inv_freq, seq_len, x.dtype)
    cos, sin = state.cos_cached[:seq_len], state.sin_cached[:seq_len]
    return (cos.astype(x.dtype), sin.astype(x.dtype)), state


def _tables(inv_freq: Float32[Array, " P"], seq_len: int, dtype: jnp.dtype) -> DeepseekState:
    angles = jnp.outer(jnp.arange(seq_len, dtype=inv_freq.dtype), inv_freq)
    angles = jnp.concatenate((angles, angles), axis=-1)
    return DeepseekState(inv_freq, jnp.cos(angles).astype(dtype), jnp.sin(angles).astype(dtype))


def _length(position_ids: Integer[Array | np.ndarray, "..."]) -> int:
    if isinstance(position_ids, Tracer):
        raise ValueError(
            "deepseek.forward: got traced position_ids, expected values that are known while "
            "tracing: the length max + 1 is a shape. Pass seq_len, a Python int that covers them, "
            "or call outside jit; rope_jax.cos_sin needs no length."
        )
    return int(position_ids.max()) + 1
