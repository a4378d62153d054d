"""Run: `python -m examples.others.check`. Their logits with their rotation, and with ours."""

from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rope_jax import cos_sin, rotate
from rope_parity import check_rope
from rope_spec import spec_from_config

from . import SIZES

LIBRARIES = (
    "tunix",
    "keras_llama",
    "levanter_llama",
    "levanter_yarn",
    "easydel_llama",
    "gemma",
    "penzai_neox",
)
LENGTH, CONTEXT, VISIBLE = 256, 16384, 0.01


def label_of(library: Any) -> str | None:
    """Which of its rotary embeddings is judged, where a model has several."""
    return getattr(library, "LABEL", None)


def with_both(library: Any) -> tuple[np.ndarray, np.ndarray]:
    """Logits of the same network with its rotation, and with ours in its place."""
    tokens = jnp.asarray(np.random.default_rng(0).integers(3, SIZES["vocabulary"], (1, LENGTH)))
    logits = library.network()
    theirs = np.asarray(logits(tokens))
    jax.clear_caches()  # a model that compiles itself would keep its rotation
    with library.SWAPPED:
        return theirs, np.asarray(logits(tokens))


def from_published(library: Any) -> np.ndarray:
    """At each position, how far a rotated vector of ones is from that of the published model."""
    spec = spec_from_config(library.PUBLISHED, label_of(library))
    positions = jnp.arange(CONTEXT)[None]
    x = jnp.ones((1, CONTEXT, 1, spec.head_dim))
    published = rotate(spec, x, *cos_sin(spec, positions))
    return np.abs(np.asarray(library.their_rope(x, positions) - published))[0, :, 0].max(-1)


def report(name: str, library: Any) -> None:
    """Print the figures, and what `check_rope` says."""
    theirs, ours = with_both(library)
    difference, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
    print(f"{name}: |logit difference| {difference:.1e}, of logits up to {largest:.1f}")
    off = from_published(library)
    first = np.argmax(off > VISIBLE) if (off > VISIBLE).any() else None
    since = "nowhere" if first is None else f"from position {first} on"
    print(f"a vector of ones is off by more than {VISIBLE} {since}, at most {off.max():.1e}")
    verdict = check_rope(
        library.their_rope, library.PUBLISHED, label=label_of(library), framework="jax"
    )
    print(verdict.text, end="\n\n")


def main() -> None:
    """Report on each library that is installed, and name those that are not."""
    for name in LIBRARIES:
        try:
            library = import_module(f"examples.others.{name}")
        except ModuleNotFoundError as error:
            print(f"{name}: skipped, {error}", end="\n\n")
        else:
            report(name, library)


if __name__ == "__main__":
    main()
