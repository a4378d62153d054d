"""Run: `python -m examples.check`. Each model beside transformers: scores, tokens, compilations."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from rich.console import Console
from rich.table import Table

from . import generate, reference
from .deepseek import DeepSeek
from .gemma3 import Gemma3
from .layers import Cache, copy_weights
from .phi3 import Phi3, lengthened
from .qwen2_vl import Qwen2VL, images
from .smollm3 import SmolLM3

MODELS = {"smollm3": SmolLM3, "gemma3": Gemma3, "deepseek": DeepSeek, "phi3": Phi3}
MODELS |= {"qwen2_vl": Qwen2VL}
LENGTH, PROMPT, NEW = 256, 100, 64  # tokens of the text, of the prompt, and those that follow
GRIDS = [(1, 8, 12), (1, 6, 4)]  # of the images: frames, rows and columns of patches


class Text(NamedTuple):
    """Tokens, and the images among them as either side takes them."""

    tokens: list[int]
    ours: tuple[Any, ...] = ()
    theirs: dict[str, Any] = {}


class Result(NamedTuple):
    """What `measure` finds."""

    difference: float  # the largest |logit difference| over the text
    same_tokens: int  # of NEW, before the first that differs
    gap: float  # between the two best scores of transformers there, 0 if none differs
    prefills: int  # compilations
    decodes: int


def load(name: str, config: Any = None) -> tuple[Any, Any]:
    """The model in Flax and in transformers, with the same weights."""
    config = config or reference.CONFIGS[name]()
    theirs = reference.load(name, config)
    ours, tensors = MODELS[name](config, nnx.Rngs(0)), reference.tensors(theirs)
    copy_weights(ours, ours.renamed(tensors) if isinstance(ours, Gemma3) else tensors)
    return ours, theirs


def text(name: str, length: int) -> Text:
    """Random tokens; for `qwen2_vl` with two images among them."""
    rng = np.random.default_rng(0)
    words = lambda count: rng.integers(3, reference.IMAGE, count).tolist()
    if name != "qwen2_vl":
        return Text(words(length))
    shown = [[reference.IMAGE] * (rows * columns // 4) for _, rows, columns in GRIDS]
    last = length - 50 - sum(map(len, shown))
    tokens = words(20) + shown[0] + words(30) + shown[1] + words(last)
    pixels = rng.standard_normal((sum(r * c for _, r, c in GRIDS), 3 * 2 * 4 * 4), np.float32)
    bucket = generate.padded(tokens).shape[1]
    ours = images(pixels, [20, GRIDS[0], 30, GRIDS[1], last], bucket)
    theirs = {
        "pixel_values": torch.tensor(pixels),
        "image_grid_thw": torch.tensor(GRIDS),
        "mm_token_type_ids": torch.tensor([[int(t == reference.IMAGE) for t in tokens]]),
    }
    return Text(tokens, (ours,), theirs)


@nnx.jit
def all_logits(model: Any, tokens: jax.Array, *shown: Any) -> jax.Array:
    """Scores after each token, `(S, V)` for tokens `(1, S)`."""
    hidden, _ = model(tokens, model.empty_cache(1, tokens.shape[1]), None, *shown)
    return model.logits(hidden)[0]


def difference(name: str, ours: Any, theirs: Any) -> float:
    """The largest |logit difference| over a text."""
    tokens, shown, their_images = text(name, LENGTH)
    found = all_logits(ours, jnp.array([tokens], jnp.int32), *shown)
    expected = reference.logits(theirs, tokens, **their_images)
    return float(np.abs(np.asarray(found) - expected).max())


def at_length(ours: Any) -> Callable[[Cache, int], Cache]:
    """What the model does to its cache before the token that makes the text so long."""
    if not isinstance(ours, Phi3):
        return lambda cache, length: cache
    first = ours.rope.original_length
    return lambda c, length: lengthened(ours.rope, c) if length - 1 == first else c


def compilations() -> tuple[int, int]:
    """So far, of the two functions that generate."""
    jitted: tuple[Any, Any] = generate.prefill, generate.decode
    return jitted[0]._cache_size(), jitted[1]._cache_size()


def measure(name: str) -> Result:
    """One model, beside transformers."""
    ours, theirs = load(name)
    tokens, shown, their_images = text(name, PROMPT)
    before = compilations()
    found = list(generate.generate(ours, tokens, NEW, *shown, before_token=at_length(ours)))
    after = compilations()
    expected = reference.generate(theirs, tokens, NEW, **their_images)
    same = next((i for i in range(NEW) if found[i] != expected[i]), NEW)
    best = [0.0, 0.0]
    if same < NEW:
        best = np.sort(reference.logits(theirs, tokens + expected[:same], **their_images)[-1])
    compiled = (b - a for a, b in zip(before, after, strict=True))
    return Result(difference(name, ours, theirs), same, float(best[-1] - best[-2]), *compiled)


class Switch(NamedTuple):
    """Scores of the first token beyond LongRoPE's first context, against computing all anew."""

    rotated_anew: float  # the keys in the cache are rotated by the long factors
    left_alone: float  # they stay rotated by the short ones


def switch(layers: int) -> Switch:
    """The largest |logit difference| at the token where the frequencies change."""
    ours, _ = load("phi3", reference.phi3(layers))
    first = ours.rope.original_length
    tokens = text("phi3", first + 1).tokens
    expected = all_logits(ours, jnp.array([tokens], jnp.int32))[-1]
    cache = ours(jnp.array([tokens[:-1]]), ours.empty_cache(1, first + 1))[1]
    last = lambda cache: ours.logits(ours(jnp.array([tokens[-1:]]), cache)[0])[0, 0]
    scores = last(lengthened(ours.rope, cache)), last(cache)
    return Switch(*(float(jnp.abs(s - expected).max()) for s in scores))


def main() -> None:
    """Print every figure."""
    table = Table("model", "|logit difference|", "tokens the same", "compilations")
    for name in MODELS:
        result = measure(name)
        tie = "" if result.same_tokens == NEW else f", then a tie within {result.gap:.1e}"
        compiled = f"{result.prefills} prefill, {result.decodes} decode"
        same = f"{result.same_tokens} of {NEW}{tie}"
        table.add_row(name, f"{result.difference:.1e}", same, compiled)
    console = Console(highlight=False)
    console.print(table)
    for layers in (1, 2):
        found = switch(layers)
        console.print(
            f"phi3, {layers} layer{'s'[: layers > 1]}, the token where the factors change, against "
            f"computing everything anew: {found.rotated_anew:.1e} with the keys rotated anew, "
            f"{found.left_alone:.1e} with the keys left alone."
        )


if __name__ == "__main__":
    main()
