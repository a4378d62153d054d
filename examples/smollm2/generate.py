"""Greedy generation: one compilation for each prefill bucket and one for decoding; a full cache
drops its oldest tokens.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rope_jax import rerotate

from .model import KVCache, Llama, empty_cache

BUCKETS = tuple(2**n for n in range(4, 14))


# Of a model that was split once: nnx.jit would split it for each token, which takes longer than
# the step.
update = partial(
    jax.jit, static_argnums=0, donate_argnames="cache"
)  # the cache is updated where it is, not copied


@update
def prefill(
    graph, weights, tokens: jax.Array, count: jax.Array, cache: KVCache
) -> tuple[jax.Array, KVCache]:
    """Scores after the last of `count` tokens `(1, bucket)`; what pads them is never seen, and
    overwritten by what follows.
    """
    model = nnx.merge(graph, weights)
    hidden, after = model(tokens, cache)
    last = jax.lax.dynamic_index_in_dim(hidden, count - 1, axis=1, keepdims=False)
    return model.logits(last), after._replace(length=cache.length + count)


@update
def decode(graph, weights, token: jax.Array, cache: KVCache) -> tuple[jax.Array, KVCache]:
    """Scores after one more token `(1,)`."""
    model = nnx.merge(graph, weights)
    hidden, cache = model(token[:, None], cache)
    return model.logits(hidden[:, 0]), cache


def shift(model: Llama, cache: KVCache, dropped: int, sinks: int = 4) -> KVCache:
    """The cache without its oldest tokens after the first few: the rest moves up, its keys rotated
    to their new positions.

    Every head leans on the first tokens, and is lost without them (arXiv:2309.17453).
    """
    new = jnp.arange(cache.keys[0].shape[1])[None]
    old = jnp.where(new < sinks, new, new + dropped)
    moved = lambda array: jnp.take(
        array, old[0], axis=1, mode="clip"
    )  # the end is overwritten before it is seen
    keys = [rerotate(model.config.rope, moved(key), old, new) for key in cache.keys]
    return KVCache(keys, [moved(value) for value in cache.values], cache.length - dropped)


def generate(
    model: Llama,
    prompt: Sequence[int],
    count: int,
    capacity: int = 1024,
    stop: frozenset[int] = frozenset(),
) -> Iterator[int]:
    """The `count` most likely next tokens, one at a time; of a full cache the older half is
    dropped.

    Raises:
        ValueError: no prompt, or one that does not fit.
    """
    bucket = next((bucket for bucket in BUCKETS if bucket >= len(prompt)), 0)
    if not prompt or bucket > capacity or not bucket:
        raise ValueError(
            f"generate: got {len(prompt)} tokens for a cache of {capacity}, expected 1 to the "
            "capacity."
        )
    tokens = np.zeros((1, bucket), np.int32)
    tokens[0, : len(prompt)] = prompt
    split, cache = nnx.split(model), empty_cache(model.config, 1, capacity)
    scores, cache = prefill(*split, tokens, np.int32(len(prompt)), cache)
    length = len(prompt)
    for _ in range(count):
        token = scores.argmax(-1)
        yield int(token[0])
        if int(token[0]) in stop:
            return
        if length == capacity:
            cache, length = shift(model, cache, capacity // 2), length - capacity // 2
        scores, cache = decode(*split, token, cache)
        length += 1
