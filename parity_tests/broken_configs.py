"""Published configurations, broken in every way that we could think of, and how they are read.

`python -W error -m parity_tests.broken_configs 20000 7` writes the failures of 20,000 of them, by
seed 7, as JSON. A failure is another exception than ValueError and TypeError, one that does not say
what, got, expected and the next step, more than two seconds or 4 GiB, another spec for a key that
is not about positions, and a spec where a key about the rotation was renamed.
"""

import copy
import json
import random
import re
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rope_spec
from parity_tests.published import published_models

SECONDS, MEMORY = 2.0, 4 * 2**30  # of the processor; of address space, of which NumPy takes 1 GiB
ROPE_LIKE = re.compile("rope|rotary|yarn|ntk")
OTHER_KEYS = ["vocab_size", "torch_dtype", "architectures", "rms_norm_eps", "quantization_config"]
KEYS = """
    rope_theta rope_scaling rope_parameters partial_rotary_factor rotary_dim rotary_pct head_dim
    hidden_size num_attention_heads num_hidden_layers max_position_embeddings layer_types
    sliding_window text_config vision_config model_type rope_interleave
    original_max_position_embeddings no_rope_layers no_rope_layer_interval use_rope
    sliding_window_pattern rope_local_base_freq qk_rope_head_dim ro\u0440e rope_\u03b8
"""
SCALING_KEYS = """
    rope_type type factor rope_theta low_freq_factor high_freq_factor beta_fast beta_slow mscale
    mscale_all_dim attention_factor truncate mrope_section alpha original_max_position_embeddings
    short_factor long_factor partial_rotary_factor full_attention sliding_attention
    mrope_interleaved
"""
RULES = "default linear dynamic yarn llama3 longrope su mrope proportional ntk"
KEYS, SCALING_KEYS, RULES = [*KEYS.split(), ""], SCALING_KEYS.split(), RULES.split()
VALUES = [
    *(None, True, False, "", "8", "8.0", "None", "\u0664", "rope", *RULES, "\0", "\n"),
    *(0, 1, -1, 2, 3, 7, 64, 10**9, -(10**9), 10**18, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, 1.5, -2.0, 1e-308, 5e-324, 1e308, -1e308, 1e18),
    *(float("nan"), float("inf"), float("-inf")),
    *([], [1], [None], ["x"], [[]], [1.0] * 64, [0, 0, 0], [16, 24, 24], [1] * 10**6),
    *({}, {"rope_type": "yarn"}, {"type": []}, {"rope_theta": 7.0}),
]
KINDS = ["drop", "rename", "set", "set", "set", "list", "text", "object", "copy", "deep"]


def deep(levels: int) -> dict[str, Any]:
    """An object within an object within an object."""
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"rope": value}
    return value


def objects(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The object and those within it."""
    inner = [value for value in config.values() if isinstance(value, dict)]
    return [config, *(found for value in inner for found in objects(value))]


def mutate(config: dict[str, Any], rng: random.Random) -> tuple[str, str]:
    """Change one key in place; what was done, and the key."""
    target, kind = rng.choice(objects(config)), rng.choice(KINDS)
    known = KEYS if target is config or rng.random() < 0.2 else SCALING_KEYS
    known = OTHER_KEYS if rng.random() < 0.1 else known
    key = rng.choice([*target, rng.choice(known)] if rng.random() < 0.7 else known)
    match kind:
        case "drop":
            target.pop(key, None)
        case "rename":
            target[key + rng.choice(["_", "s", "2", " ", "\u00e9"])] = target.pop(key, 1.5)
        case "set":
            target[key] = copy.deepcopy(rng.choice(VALUES))
        case "list":
            target[key] = [target.get(key)]
        case "text":
            target[key] = str(target.get(key))
        case "object":
            target[key] = {key: target.get(key)}
        case "copy":  # another spelling beside the first, or the key in another object
            rng.choice(objects(config))[rng.choice(known)] = copy.deepcopy(target.get(key))
        case "deep":
            target[key] = deep(10_000)
    return kind, key


def broken(
    config: dict[str, Any], rng: random.Random
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A copy with one to three mutations, and these."""
    config, done = copy.deepcopy(config), []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        done.append(mutate(config, rng))
        if done[-1][0] == "deep":  # copying it would be too deep for Python
            break
    return config, done


@contextmanager
def limit(seconds: float):
    """TimeoutError once what is within has used so much time of the processor."""

    def stop(*_: Any):
        raise TimeoutError(f"longer than {seconds} s")

    signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def read(config: Any) -> dict[str, Any]:
    """The specs, after their frequencies have been computed."""
    specs = rope_spec.specs_from_config(config)
    for spec in filter(None, specs.values()):
        rope_spec.inverse_frequencies(spec)
        rope_spec.inverse_frequencies(spec, spec.effective_length(5000))
    return specs


READERS = {
    "specs_from_config": read,
    "spec_from_config": rope_spec.spec_from_config,
    "layer_labels": rope_spec.layer_labels,
    "context_length": rope_spec.context_length,
    "reference_arithmetic": rope_spec.reference_arithmetic,
}


def complaint(error: BaseException) -> str | None:
    """What is wrong with an error, None for one that says what, got, expected and the next step."""
    name, text = type(error).__name__, str(error)
    if not isinstance(error, (ValueError, TypeError)):
        return name
    if len(text) > 1000:
        return f"{name}: a text of more than 1000 characters"
    if not re.search(r"\bgot\b.*\bexpected\b", text, re.DOTALL):
        return f"{name}: no got and expected"
    if not re.search(r"\bexpected\b.*?[.:;] \S", text, re.DOTALL):
        return f"{name}: no next step"
    return None


def outcome(reader: Callable[[Any], Any], config: Any) -> tuple[Any, str | None, str]:
    """What a reader returns, or None; what is wrong with its error; where that comes from."""
    try:
        with limit(SECONDS):
            return reader(config), None, ""
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "rope_spec" in f.filename]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].name}: " if frames else ""
        return None, complaint(error), where + str(error)[:200]


def failures_of(config: Any, expected: dict[str, Any] | None, hidden: bool) -> list[dict[str, str]]:
    """What the readers do wrong; `expected` specs where nothing that matters has changed."""
    found = []
    for name, reader in READERS.items():
        result, wrong, text = outcome(reader, config)
        if reader is read and result is not None:
            wrong = (
                "another spec"
                if expected not in (None, result)
                else "a hidden key"
                if hidden
                else None
            )
        if wrong:
            found.append({"reader": name, "wrong": wrong, "text": text})
    return found


def trimmed() -> list[dict[str, Any]]:
    """The configurations that the report reads, in the form of those in `published.json`."""
    paths = sorted((Path(__file__).parent.parent / "rope_parity" / "configs").glob("*.json"))
    return [
        {"name": path.stem, "config": json.loads(path.read_text()), "specs": {"": {}}}
        for path in paths
    ]


def hides(model: dict[str, Any], config: dict[str, Any], key: str) -> bool:
    """Whether a key of the text model was renamed, and with it a value about its rotation."""
    before, after = (c.get("text_config", c) for c in (model["config"], config))
    rotates = any(facts is not None for facts in model["specs"].values())
    renamed = before.get(key) is not None and key not in after
    return rotates and renamed and bool(ROPE_LIKE.search(key))


def as_file(config: dict[str, Any], folder: str) -> Any:
    """The path of a config.json, or the configuration itself where JSON cannot hold it."""
    path = Path(folder) / "config.json"
    try:
        path.write_text(json.dumps(config))
    except RecursionError:
        return config
    return path


def run(count: int, seed: int) -> list[dict[str, Any]]:
    """The failures of `count` broken configurations; every eighth is read from a file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    rng, models, found = random.Random(seed), published_models() + trimmed(), []
    original = {model["name"]: outcome(read, model["config"])[0] for model in models}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(count):
            model = rng.choice(models)
            config, done = broken(model["config"], rng)
            expected = (
                original[model["name"]] if all(key in OTHER_KEYS for _, key in done) else None
            )
            hidden = len(done) == 1 and done[0][0] == "rename" and hides(model, config, done[0][1])
            for failure in failures_of(
                as_file(config, folder) if i % 8 == 0 else config, expected, hidden
            ):
                found.append({"model": model["name"], "done": done, "i": i, **failure})
    return found


if __name__ == "__main__":
    json.dump(run(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
