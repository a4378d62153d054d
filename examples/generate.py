"""Greedy generation: one compilation for each length of a padded prompt, and one for decoding."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from .layers import Cache, Decoder

BUCKETS = tuple(2**n for n in range(4, 14))

# Of a model that was split once: nnx.jit would split it for each token
update = partial(jax.jit, static_argnums=0, donate_argnames="cache")  # the cache is not copied


@update
def prefill(graph, weights, tokens: jax.Array, count: jax.Array, cache: Cache, *images: Any):
    """Scores after the last of `count` tokens `(1, bucket)`, and the cache with these."""
    model = nnx.merge(graph, weights)
    hidden, cache = model(tokens, cache, count, *images)
    last = jax.lax.dynamic_index_in_dim(hidden, count - 1, axis=1, keepdims=False)
    return model.logits(last), cache


@update
def decode(graph, weights, token: jax.Array, cache: Cache):
    """Scores after one more token `(1,)`, and the cache with it."""
    model = nnx.merge(graph, weights)
    hidden, cache = model(token[:, None], cache)
    return model.logits(hidden[:, 0]), cache


def padded(tokens: Sequence[int]) -> np.ndarray:
    """Tokens `(1, bucket)`, with zeros up to the next bucket."""
    bucket = next(bucket for bucket in BUCKETS if bucket >= len(tokens))
    return np.pad(np.asarray(tokens, np.int32), (0, bucket - len(tokens)))[None]


def generate(
    model: Decoder,
    prompt: Sequence[int],
    count: int,
    *images: Any,
    capacity: int = 512,
    before_token: Callable[[Cache, int], Cache] = lambda cache, length: cache,
) -> Iterator[int]:
    """The `count` most likely next tokens, one at a time.

    Args:
        model: one of these examples.
        prompt: its tokens.
        count: how many tokens follow.
        images: what the prompt shows, as the model takes it.
        capacity: positions in the cache.
        before_token: what happens to the cache before the token that makes the text `length` long.
    """
    split, cache, length = nnx.split(model), model.empty_cache(1, capacity), len(prompt)
    scores, cache = prefill(*split, padded(prompt), np.int32(length), cache, *images)
    for _ in range(count):
        token = scores.argmax(-1)
        yield int(token[0])
        length += 1
        scores, cache = decode(*split, token, before_token(cache, length))
