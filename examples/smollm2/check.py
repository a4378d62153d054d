"""Run: `python -m examples.smollm2.check`. Flax on rope_jax against transformers: logits, tokens, a
shifted cache.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from rope_spec import Arithmetic
from rope_torch import swap_rotary

from . import reference
from .generate import generate, prefill, shift
from .model import KVCache, Llama, empty_cache

TEXT = Path(__file__).parents[2] / "LICENSE"
PROMPTS = (
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):",
    "The three laws of thermodynamics are",
    "Dear Professor, I am writing to you because",
    "In 1969 the first people landed on the moon.",
    "A recipe for apple pie: take six apples,",
    "To be, or not to be, that is the question:",
    "The difference between a list and a tuple in Python is",
    "Rotary position embeddings turn each pair of channels",
)


@nnx.jit
def all_logits(model: Llama, tokens: jax.Array) -> jax.Array:
    """Scores after each token, `(S, V)` for tokens `(1, S)`."""
    hidden, _ = model(tokens, empty_cache(model.config, 1, tokens.shape[1]))
    return model.logits(hidden)[0]


def their_logits(model: Any, tokens: Sequence[int]) -> np.ndarray:
    """The same by transformers."""
    with torch.inference_mode():
        return model(torch.tensor([list(tokens)])).logits[0].float().numpy()


def perplexity(logits: np.ndarray, tokens: Sequence[int]) -> float:
    """Of each token after the first, by the scores before it."""
    scores = logits[:-1].astype(np.float64)
    scores -= scores.max(-1, keepdims=True)
    of_next = np.take_along_axis(scores, np.asarray(tokens)[1:, None], axis=-1)[:, 0]
    return float(np.exp(np.mean(np.log(np.exp(scores).sum(-1)) - of_next)))


def first_difference(
    model: Llama, theirs: Any, prompt: Sequence[int], count: int
) -> tuple[int, float]:
    """How many tokens are the same; the gap between the two best scores of transformers where the
    next one is not.
    """
    ours, expected = list(generate(model, prompt, count)), reference.generate(theirs, prompt, count)
    same = next((i for i, (a, b) in enumerate(zip(ours, expected, strict=True)) if a != b), count)
    if same == count:
        return same, 0.0
    best = np.sort(their_logits(theirs, [*prompt, *expected[:same]])[-1])
    return same, float(best[-1] - best[-2])


def swapped_difference(theirs: Any, tokens: Sequence[int], arithmetic: Arithmetic) -> np.ndarray:
    """The largest |logit difference| at each position, after our cos and sin have taken the place
    of transformers' own.
    """
    before, undo = their_logits(theirs, tokens), swap_rotary(theirs, arithmetic)
    try:
        return np.abs(their_logits(theirs, tokens) - before).max(-1)
    finally:
        undo()


def after_a_shift(model: Llama, tokens: Sequence[int], dropped: int, rest: int) -> dict[str, float]:
    """Perplexity of the last `rest` tokens: on a cache that was shifted, on a fresh prefill, and
    with nothing dropped.
    """
    following, kept = tokens[len(tokens) - rest - 1 :], tokens[: len(tokens) - rest - 1]
    step = nnx.jit(lambda model, tokens, cache: model.logits(model(tokens, cache)[0])[0])

    def of_rest(cache: KVCache) -> float:
        return perplexity(
            np.asarray(step(model, jnp.array([following], jnp.int32), cache)), following
        )

    def filled(part: Sequence[int]) -> KVCache:
        cache = empty_cache(model.config, 1, len(tokens))
        return prefill(*nnx.split(model), np.array([part], np.int32), np.int32(len(part)), cache)[1]

    return {
        "shifted": of_rest(shift(model, filled(kept), dropped)),
        "fresh prefill": of_rest(filled(kept[dropped:])),
        "nothing dropped": of_rest(filled(kept)),
    }


def main() -> None:
    """Print every figure."""
    from . import weights

    model, theirs, words = weights.load(), reference.load(), reference.tokenizer()
    tokens = words(TEXT.read_text(encoding="utf-8"))["input_ids"][:512]
    ours, expected = (
        np.asarray(all_logits(model, jnp.array([tokens]))),
        their_logits(theirs, tokens),
    )
    print(f"512 tokens of text: largest |logit difference| {np.abs(ours - expected).max():.2e}")
    print(
        f"perplexity: {perplexity(ours, tokens):.8f} here, "
        f"{perplexity(expected, tokens):.8f} in transformers"
    )
    for angles in ("float32", "exact"):
        difference = swapped_difference(theirs, tokens, Arithmetic(angles=angles))
        by_position = ", ".join(
            f"{difference[end - 64 : end].max():.1e}" for end in range(64, 513, 64)
        )
        print(
            f"transformers with our cos and sin, {angles} angles: {by_position} over eighths of "
            "the text"
        )
    print(
        "perplexity after a shift:",
        {name: round(value, 4) for name, value in after_a_shift(model, tokens, 128, 128).items()},
    )
    for prompt in PROMPTS:
        ids = words(prompt)["input_ids"]
        same, gap = first_difference(model, theirs, ids, 200)
        tie = "" if same == 200 else f", then a tie within {gap:.1e}"
        print(f"{same} of 200 tokens the same{tie}: {prompt}", flush=True)
    speed(model, theirs, words(PROMPTS[0])["input_ids"])


def speed(model: Llama, theirs: Any, prompt: Sequence[int], count: int = 64) -> None:
    """Tokens per second of either side, after a first run."""
    for name, run in (
        ("Flax", lambda: list(generate(model, prompt, count))),
        ("transformers", lambda: reference.generate(theirs, prompt, count)),
    ):
        run()
        start = time.perf_counter()
        run()
        print(f"{count / (time.perf_counter() - start):.1f} tokens per second: {name}")


if __name__ == "__main__":
    main()
