"""Configurations of diffusers and arguments of timm, broken, against the ropes that these build.

`python -m parity_tests.broken_ropes 20000 7` writes the failures of 20,000 of each, by seed 7,
as JSON. A failure is an error that does not help, more than two seconds, and a spec whose table is
another than theirs: where they build none, nothing is compared.
"""

import copy
import json
import random
import re
import resource
import sys
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, NamedTuple

import diffusers
import numpy as np
import pytest
import torch

from parity_tests.broken_configs import MEMORY, SECONDS, VALUES, limit, outcome
from parity_tests.diffusers_ropes import ROPES, Rope
from parity_tests.float32_angles import allowed
from parity_tests.timm_ropes import COLUMNS, ROWS, TIMM, loaded, tables
from rope_spec import PerAxis, RopeSpec, cos_sin, spec_from_config, spec_from_timm

KEYS = (
    "axes_dims_rope axes_dim_rope axes_dims rope_axes_dim rope_theta rope_scale theta yarn_factor"
)
KEYS = (*KEYS.split(), "rotary_dim", "rope_scaling", "attention_head_dim", "use_layer3d_rope")
OF_ROPE = re.compile("rope|axes|attention_head_dim|^dim$|^hidden_size|heads$|scale|rotary|theta")
OF_AXES = [[16, 56], [56, 16, 56], [32, 48, 48], [8, 28, 28], [64, 64, 0], [44, 42, 42], [2.0] * 3]
WEIGHTS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Conv3d, torch.nn.Embedding)


class Tried(NamedTuple):
    """What was read, and what came of it."""

    name: str
    given: dict[str, Any]
    wrong: str | None
    text: str  # of an error
    compared: bool  # whether there were tables of both


def mutate(config: dict[str, Any], rng: random.Random) -> None:
    """Change one key about the rotation in place."""
    of_rope = [key for key in config if OF_ROPE.search(key)]
    key = rng.choice(of_rope if of_rope and rng.random() < 0.8 else KEYS)
    value = config.get(key)
    match rng.choice(["drop", "rename", "set", "scale", "list", "text", "copy"]):
        case "drop":
            config.pop(key, None)
        case "rename":
            config[key + rng.choice(["_", "s", "2"])] = config.pop(key, 1.5)
        case "set":
            config[key] = copy.deepcopy(rng.choice(VALUES + OF_AXES))
        case "scale":
            config[key] = scaled(value, rng)
        case "list":
            config[key] = [value] if rng.random() < 0.5 else shuffled(value, rng)
        case "text":
            config[key] = str(value)
        case "copy":
            config[rng.choice([*of_rope, *KEYS])] = copy.deepcopy(value)


def scaled(value: Any, rng: random.Random) -> Any:
    """A number, or the first of a list of numbers, by another factor; anything else is 1."""
    if isinstance(value, list | tuple):
        return [scaled(each, rng) for each in value[:1]] + list(value[1:])
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        rng.choice([2 * value, value // 2, value + 2, value + 1, -value, 1.5, 6])
        if (is_number)
        else 1
    )


def shuffled(value: Any, rng: random.Random) -> Any:
    """A list in another order, shorter or longer."""
    values = list(value) if isinstance(value, list | tuple) else [value, value]
    return rng.choice([values[::-1], values[1:], values[:-1], values + values[-1:], []])


@contextmanager
def without_weights():
    """Models have no memory for their weights; their ropes have none."""

    def without(kind: type[torch.nn.Module]) -> Callable[..., None]:
        make = kind.__init__
        return lambda self, *given, **named: make(self, *given, **(named | {"device": "meta"}))

    with pytest.MonkeyPatch.context() as patch:
        for kind in WEIGHTS:
            patch.setattr(kind, "__init__", without(kind))
        yield


def tables_of(rope: Rope, config: dict[str, Any]) -> Any:
    """What diffusers makes of a configuration; None where it makes nothing."""
    try:
        with limit(SECONDS), without_weights():
            return rope.theirs(getattr(diffusers, rope.kind).from_config(config))
    except Exception:
        return None


def difference(
    spec: RopeSpec, positions: np.ndarray, cos: Any, sin: Any, rule: PerAxis | None = None
) -> str | None:
    """How our table is another than theirs; None if it is the same within float32 angles."""
    if spec.pairs.axes != positions.shape[-1]:
        return f"{spec.pairs.axes} axes for {positions.shape[-1]}"
    spec = replace(spec, rule=rule) if rule else spec
    if not (torch.isfinite(cos).all() and torch.isfinite(sin).all()):
        return None
    bound = allowed(spec, positions)
    if bound.shape != tuple(cos.shape):
        return f"{bound.shape} for {tuple(cos.shape)}"
    errors = (
        np.abs(ours - theirs.numpy()) / bound
        for ours, theirs in zip(cos_sin(spec, positions), (cos, sin), strict=True)
    )
    worst = max(float(error.max()) for error in errors)
    return f"{worst:.3g} times what float32 angles allow" if worst > 1 else None


def of_diffusers(originals: dict[str, Any], rng: random.Random) -> Tried:
    """A broken configuration of diffusers."""
    name = rng.choice(list(ROPES))
    config = copy.deepcopy(originals[name])
    for _ in range(rng.choice([1, 1, 2])):
        mutate(config, rng)
    spec, wrong, text = outcome(spec_from_config, config)
    theirs = None if spec is None else tables_of(ROPES[name], config)
    if spec is not None and theirs is not None:
        wrong = difference(spec, theirs.positions, theirs.cos, theirs.sin, theirs.rule)
    return Tried(name, config, wrong, text, theirs is not None)


RIGHT = {"dim": 128, "num_heads": 2}
VALUES_OF_TIMM = [0, 1, 2, 3, 12, 64, 72, 768, 384, 0.5, 90.0, True, False, *VALUES]
VALUES_OF_TIMM = [value for value in VALUES_OF_TIMM if len(repr(value)) < 500]
OF_TIMM = (
    *("dim", "num_heads", "temperature", "rotate_half", "in_pixels", "max_res", "linear_bands"),
    *("min_period", "max_period", "mrope_section", "rope_type"),
)


def of_timm(timm: Any, rng: random.Random) -> Tried:
    """Broken arguments of timm; None is left out, as it is a default of ours."""
    name = rng.choice(list(TIMM))
    given = RIGHT | TIMM[name][0]
    for _ in range(rng.choice([1, 1, 2])):
        given[rng.choice(OF_TIMM)] = rng.choice(VALUES_OF_TIMM)
    given = {key: value for key, value in given.items() if key in RIGHT or value is not None}
    spec, wrong, text = outcome(lambda given: spec_from_timm(**given), given)
    theirs = None
    if spec is not None:
        with suppress(Exception), limit(SECONDS):
            embed = timm.create_rope_embed(**given).get_embed([ROWS, COLUMNS])
            theirs = tables(embed, spec.read == "half")
    if spec is not None and theirs is not None:
        wrong = difference(spec, coordinates(given), *theirs)
    return Tried(f"timm, {name}", given, wrong, text, theirs is not None)


def coordinates(given: dict[str, Any]) -> np.ndarray:
    """Ours for timm's grid, by its arguments."""
    match given.get("rope_type", "cat"), given.get("in_pixels", True):
        case "dinov3", _:
            return TIMM["DINOv3"][2]
        case "mrope", _:
            return TIMM["M-RoPE"][2]
        case _, True:
            return TIMM["pixels"][2]
        case _:
            return TIMM["EVA, halves"][2]


def run(count: int, seed: int) -> dict[str, Any]:
    """The failures of `count` broken ones of each library, and how many tables were compared."""
    resource.setrlimit(resource.RLIMIT_AS, (2 * MEMORY, 2 * MEMORY))
    warnings.simplefilter("ignore")
    diffusers.logging.set_verbosity_error()
    originals = {name: json.loads(rope.model().to_json_string()) for name, rope in ROPES.items()}
    rng, failures, compared = random.Random(seed), [], 0
    with loaded() as timm:
        for i in range(2 * count):
            tried = of_diffusers(originals, rng) if i % 2 else of_timm(timm, rng)
            compared += tried.compared
            if tried.wrong:
                given = repr(tried.given)[:400]
                failures.append((i, tried.name, given, tried.wrong, tried.text))
    return {"failures": failures, "compared": compared}


if __name__ == "__main__":
    json.dump(run(int(sys.argv[1]), int(sys.argv[2])), sys.stdout)
