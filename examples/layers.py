"""What the examples share: a decoder around an attention of any kind, its cache, weights by name.

Modules have the names that they have in transformers, so that weights are copied by name. Letters:
B batch, S sequence, C capacity of the cache, D width, N heads, K heads of keys and values,
H head_dim, V vocabulary.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int32

Kept = tuple[Float[Array, "B C ..."], Float[Array, "B C ..."]]  # such as rotated keys, and values


class Cache(NamedTuple):
    """What each layer keeps of all positions so far: a value, which functions return anew."""

    layers: list[Kept]
    length: Int32[Array, ""]  # positions in use; the next token is written here


def append(
    kept: Float[Array, "B C *shape"], new: Float[Array, "B S *shape"], start: Int32[Array, ""]
) -> Float[Array, "B C *shape"]:
    """What is kept, with that of new tokens from position `start` on."""
    return jax.lax.dynamic_update_slice_in_dim(kept, new, start, axis=1)


def visible(
    capacity: int, count: int, start: Int32[Array, ""], window: int | None = None
) -> Bool[Array, "1 1 S C"]:
    """The positions that each of `count` new tokens sees: at most `window` of them, itself too."""
    key, query = jnp.arange(capacity), start + jnp.arange(count)[:, None]
    is_seen = key <= query if window is None else (key <= query) & (key > query - window)
    return is_seen[None, None]


def linear(inputs: int, outputs: int, rngs: nnx.Rngs, bias: bool = False) -> nnx.Linear:
    """A linear layer, without a bias if not asked for."""
    return nnx.Linear(inputs, outputs, use_bias=bias, rngs=rngs)


class MLP(nnx.Module):
    """SwiGLU, or with another activation."""

    def __init__(self, config: Any, rngs: nnx.Rngs, act: Callable[[Array], Array] = nnx.silu):
        self.act, width, hidden = act, config.hidden_size, config.intermediate_size
        self.gate_proj, self.up_proj = linear(width, hidden, rngs), linear(width, hidden, rngs)
        self.down_proj = linear(hidden, width, rngs)

    def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))


def norm(width: int, config: Any, rngs: nnx.Rngs) -> nnx.RMSNorm:
    """RMSNorm with the epsilon of a configuration."""
    return nnx.RMSNorm(width, epsilon=config.rms_norm_eps, rngs=rngs)


class Block(nnx.Module):
    """Attention and MLP, each after a norm and beside a residual."""

    def __init__(self, attention: nnx.Module, mlp: nnx.Module, config: Any, rngs: nnx.Rngs):
        self.self_attn, self.mlp = attention, mlp
        self.input_layernorm = norm(config.hidden_size, config, rngs)
        self.post_attention_layernorm = norm(config.hidden_size, config, rngs)

    def __call__(self, x: Float[Array, "B S D"], table, kept: Kept, start: Int32[Array, ""]):
        attended, kept = self.self_attn(self.input_layernorm(x), table, kept, start)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), kept


class Decoder(nnx.Module):
    """Tokens and a cache to hidden states, and the cache with these tokens."""

    def __init__(self, config: Any, layers: Sequence[nnx.Module], rngs: nnx.Rngs):
        self.embed_tokens = nnx.Embed(config.vocab_size, config.hidden_size, rngs=rngs)
        self.layers: Any = nnx.List(layers)
        self.norm = norm(config.hidden_size, config, rngs)

    def tables(self, positions: Int32[Array, "B S"], length: Int32[Array, ""]) -> Sequence[Any]:
        """cos and sin for each layer, of new tokens that make the text `length` tokens long."""
        raise NotImplementedError

    def embed(self, tokens: Int32[Array, "B S"]) -> Float[Array, "B S D"]:
        """What enters the first layer."""
        return self.embed_tokens(tokens)

    def __call__(
        self, tokens: Int32[Array, "B S"], cache: Cache, count: Int32[Array, ""] | None = None
    ) -> tuple[Float[Array, "B S D"], Cache]:
        """The first `count` tokens are real, all if None; what pads them is never seen."""
        end = cache.length + (tokens.shape[1] if count is None else count)
        positions = cache.length + jnp.arange(tokens.shape[1])[None]
        return self.run(self.embed(tokens), self.tables(positions, end), cache, end)

    def run(
        self, x: Float[Array, "B S D"], tables: Sequence[Any], cache: Any, end: Int32[Array, ""]
    ) -> tuple[Float[Array, "B S D"], Any]:
        """All layers, and the last norm; the cache is a `Cache`, or has more fields."""
        layers = []
        for layer, table, kept in zip(self.layers, tables, cache.layers, strict=True):
            x, kept = layer(x, table, kept, cache.length)
            layers.append(kept)
        return self.norm(x), cache._replace(layers=layers, length=end)

    def empty_cache(self, batch: int, capacity: int) -> Cache:
        """A cache without tokens, for `capacity` positions."""
        empty = lambda shape: jnp.zeros((batch, capacity, *shape))
        kept: Any = [tuple(map(empty, layer.self_attn.kept_shapes)) for layer in self.layers]
        return Cache(kept, jnp.array(0, jnp.int32))

    def logits(self, hidden: Float[Array, "*batch D"]) -> Float[Array, "*batch V"]:
        """Scores of the next token; the embedding is tied."""
        return self.embed_tokens.attend(hidden)


def copy_weights(model: nnx.Module, tensors: Mapping[str, np.ndarray]) -> None:
    """Give each parameter the tensor that has its name in transformers.

    Raises:
        ValueError: a tensor is missing, or left over.
    """
    state = nnx.state(model, nnx.Param)
    flat = {_name(path): (path, parameter) for path, parameter in nnx.to_flat_state(state)}
    if flat.keys() != tensors.keys():
        raise ValueError(
            f"copy_weights: got other names than the model has: {flat.keys() ^ tensors.keys()}. "
            "Name the modules as transformers does."
        )
    for name, (path, parameter) in flat.items():
        tensor = tensors[name]
        array = tensor.reshape(len(tensor), -1).T if path[-1] == "kernel" else tensor
        parameter.set_value(jnp.asarray(array).reshape(parameter.shape))
    nnx.update(model, state)


def _name(path: tuple[Any, ...]) -> str:
    *modules, parameter = map(str, path)
    return ".".join([*modules, "bias" if parameter == "bias" else "weight"])
