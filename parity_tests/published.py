"""Facts about published models: keys of their config.json, and the rotary embedding meant.

`published.json` holds, for each model, the keys about widths, layers and positions as its file has
them, and what its own code and transformers make of them: `specs`, by label, null for a label that
does not rotate, and how many layers have each label. A long list that repeats itself is written
`{"repeat": [...], "length": n}`.
"""

import json
from pathlib import Path
from typing import Any

import rope_spec
from rope_spec import Pairs, RopeSpec

PATH = Path(__file__).parent / "published.json"


def published_models() -> list[dict[str, Any]]:
    """`name`, `config`, `specs`, and `layers` where they are known, of each model."""
    return json.loads(PATH.read_text(), object_hook=_expanded)


def expected_specs(model: dict[str, Any]) -> dict[str, RopeSpec | None]:
    """The specs of a model, from its facts alone."""
    scaling = model["config"].get("rope_scaling") or {}
    return {label: facts and _spec(facts, scaling) for label, facts in model["specs"].items()}


def _expanded(value: dict[str, Any]) -> Any:
    if value.keys() != {"repeat", "length"}:
        return value
    period = value["repeat"]
    return [period[i % len(period)] for i in range(value["length"])]


def _spec(facts: dict[str, Any], scaling: dict[str, Any]) -> RopeSpec:
    """`rotated` channels at the front (absent: all), or another kind of `Pairs` by its name."""
    head_dim, theta = facts["head_dim"], facts["theta"]
    if "alpha" in facts:  # Hunyuan stretches theta once and for all
        theta *= facts["alpha"] ** (head_dim / (head_dim - 2))
    kinds = {"rotated": Pairs.single, "axial": Pairs.axial, "axial_shared": Pairs.axial_shared}
    kinds |= {"sections": lambda s: Pairs.sections(mrope_section=s), "strided": Pairs.strided}
    kind = next((name for name in kinds if name in facts), "rotated")
    arguments = facts.get(kind, head_dim)
    is_list = isinstance(arguments, list)
    pairs = kinds[kind](tuple(arguments)) if is_list else kinds[kind](rotary_dim=arguments)
    rule = _rule(facts["rule"], scaling) if "rule" in facts else None
    layout = {key: facts[key] for key in ("read", "write") if key in facts}
    return RopeSpec(head_dim=head_dim, theta=theta, pairs=pairs, rule=rule, **layout)


def _rule(facts: dict[str, Any], scaling: dict[str, Any]) -> Any:
    """A rule by its name and fields; a string is a key of the config's own rope_scaling."""
    values = {
        key: scaling[value] if isinstance(value, str) else value
        for key, value in facts.items()
        if key != "rule"
    }
    values = {
        key: tuple(map(float, value)) if isinstance(value, list) else value
        for key, value in values.items()
    }
    return getattr(rope_spec, facts["rule"])(**values)
