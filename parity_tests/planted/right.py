"""Right rotary embeddings of every kind, at random: what a referee must not call wrong."""

from collections.abc import Callable

import numpy as np

from . import coordinates, in_numpy
from .case import Case
from .model import Model, cohere, glm4, gpt_neox, gptj, llama_like, nanochat, phi
from .scaled import deepseek, dynamic, gemma3, gemma4, linear, llama3, longrope, yarn
from .steps import Steps

Random = np.random.Generator


def width(random: Random) -> int:
    return int(random.choice([32, 48, 64, 72, 80, 96, 112, 128, 160, 192, 256]))


def theta(random: Random) -> float:
    """As often a round number as any other."""
    known = [1e4, 1e5, 1.5e5, 2.5e5, 5e5, 1e6, 5e6, 8e6, 1e7]
    any_other = float(np.round(np.exp(random.uniform(np.log(5e3), np.log(1e7))), 1))
    return float(random.choice(known)) if random.random() < 0.5 else any_other


def context(random: Random) -> int:
    return int(2 ** random.integers(11, 18))


def factor(random: Random) -> float:
    return float(random.choice([2.0, 2.5, 4.0, 8.0, 16.0, 32.0, 40.0]))


def times(random: Random) -> tuple[float, int, int]:
    """A factor, an original context, and the context of both."""
    stretch, original = int(random.choice([2, 4, 8, 16, 32])), int(random.choice([2048, 4096]))
    return float(stretch), original, stretch * original


def random_mrope(random: Random) -> Model:
    first, second = (int(length) for length in random.integers(8, 25, 2))
    return coordinates.mrope(theta(random), (first, second, 64 - first - second), 32768)


def random_llama3(random: Random) -> Model:
    low, high = float(random.choice([1.0, 1.5, 2.0])), float(random.choice([3.0, 4.0, 8.0]))
    original = int(random.choice([4096, 8192]))
    return llama3(width(random), theta(random), factor(random), low, high, original, 131072)


def random_yarn(random: Random) -> Model:
    return yarn(width(random), theta(random), *times(random), truncate=random.random() < 0.5)


def random_gemma3(random: Random) -> Model:
    label = str(random.choice(["full_attention", "sliding_attention"]))
    return gemma3(label, theta(random), theta(random), factor(random), context(random))


def random_plain(random: Random) -> Model:
    kind = str(random.choice(["llama", "qwen2", "mistral", "olmo2"]))
    return llama_like(kind, width(random), theta(random), context(random))


KINDS: tuple[Callable[[Random], Model], ...] = (
    random_plain,
    random_plain,
    lambda random: cohere(theta(random), context(random)),
    lambda random: gptj(256, int(random.choice([32, 64, 128])), 2048),
    lambda random: glm4(theta(random), context(random)),
    lambda random: phi(
        80, float(random.choice([0.3375, 0.4, 0.5])), theta(random), context(random)
    ),
    lambda random: gpt_neox(128, float(random.choice([0.25, 0.5, 1.0])), context(random)),
    lambda random: linear(width(random), theta(random), factor(random), context(random)),
    lambda random: dynamic(width(random), theta(random), *times(random)),
    random_llama3,
    random_llama3,
    random_yarn,
    random_yarn,
    lambda random: deepseek(factor(random), 1.0, float(random.choice([0.5, 1.0])), 131072),
    lambda random: longrope(96, 1.0, float(random.uniform(2, 64)), 131072),
    lambda random: longrope(128, 0.75, float(random.uniform(2, 64)), 131072),
    random_gemma3,
    lambda random: gemma4(int(random.choice([256, 512])), 131072),
    random_mrope,
    lambda random: coordinates.interleaved_mrope(theta(random), context(random)),
    lambda random: coordinates.height_and_width_first(theta(random), context(random)),
    lambda random: coordinates.vision(int(random.choice([64, 72, 80, 128])), 1024),
    lambda random: coordinates.llama4_vision(int(random.choice([64, 88, 128])), 512),
    lambda random: coordinates.kimi_vision(int(random.choice([64, 72, 80])), 512),
    lambda random: coordinates.gemma4_vision(1024),
    lambda random: coordinates.video(int(random.choice([72, 80, 96])), 256),
    lambda random: coordinates.pixtral(theta(random), 1024),
    lambda random: nanochat(width(random), context(random)),
)


def right(seed: int) -> Case:
    """One right function of NumPy: every kind in turn, float32 or exact angles, any dtype of x.

    In half precision it rotates in float32 and casts once, or rounds each step to the dtype of x
    as most models do.
    """
    random = np.random.default_rng(seed)
    model = KINDS[seed % len(KINDS)](random)
    dtype = ("float32", "bfloat16", "float16")[int(random.integers(3))]
    layout = ("BSNH", "BNSH")[int(random.integers(2))]
    number = (np.float32, np.float64)[int(random.integers(2))]
    in_dtype = dtype != "float32" and random.random() < 0.5
    steps = Steps(layout, products=dtype if in_dtype else "")
    factory = lambda: in_numpy.by_index(model.rope, steps, number)
    return Case(
        name=f"right {seed}: {model.config['model_type']}, {number.__name__} angles, {dtype}",
        framework="numpy",
        layout=layout,
        factory=factory,
        config=model.config,
        label=model.label,
        head_dim=model.rope.head_dim,
        context=model.context,
        dtype=dtype,
        faults=(),
        hidden=frozenset(),
        how="each product is rounded to the dtype of x" if in_dtype else "",
        parts=(),
        faults_of_parts=(),
        sound=factory,
        way="numpy",
        rope=model.rope,
    )
