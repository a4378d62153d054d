"""Which label each layer of a model has."""

from typing import Any

from .family import Layers
from .keys import LIST, Keys, shown
from .towers import Tower

MAX_LAYERS = 2**16  # more would only fill the memory


def labels_of(tower: Tower) -> list[str]:
    """The label of each layer: from a list in the config, or by the period of the model type."""
    keys, family = tower.keys, tower.family
    count = _layer_count(keys, ("num_hidden_layers",) if family is None else family.layer_count)
    if family is None or family.layers is None:
        return [tower.name] * count
    layers, types = family.layers, keys.get("layer_types", LIST)
    if types is not None:
        types = [
            layers.names.get(label, label) if isinstance(label, str) else label for label in types
        ]
        types = without_prediction_layers(keys, types, count)
    flags = keys.get(layers.flags, LIST)
    if flags is not None and not (layers.empty_flags and flags == []):
        types = [layers.others if flag else layers.one for flag in flags]
    types = _periodic(keys, layers, count) if types is None else types
    if len(types) != count or not all(
        isinstance(label, str) and label in family.labels for label in types
    ):
        raise ValueError(
            f"{keys.name}: got layers {shown(sorted(set(map(shown, types))))}, {len(types)} of "
            f"them, expected {count} of {', '.join(family.labels)}. Give one for each layer."
        )
    return list(types)


def _layer_count(keys: Keys, paths: tuple[str, ...]) -> int:
    """The number of layers, from the first of the paths that is there."""
    counts = {path: count for path in paths if (count := keys.computed(path, int)) is not None}
    key, count = next(iter(counts.items()), (paths[0], None))
    if count is None:
        count = keys.need(key, int, "it is the number of labels")
    if not 1 <= count <= MAX_LAYERS:
        raise ValueError(
            f"{keys.name}: got {key}={shown(count)}, expected 1 to {MAX_LAYERS}. Correct the value."
        )
    return count


def check_period(keys: Keys, layers: Layers) -> None:
    """Raise ValueError for a period below 1. A string there is a pattern, and is not checked."""
    if not isinstance(keys.values.get(layers.period_key or ""), str):
        period = keys.get(layers.period_key, int)
        if period is not None and period < 1:
            raise ValueError(
                f"{keys.name}: got {layers.period_key}={shown(period)}, expected 1 or more. "
                "Correct the value."
            )


def without_prediction_layers(keys: Keys, values: list[Any], count: int) -> list[Any]:
    """A list with an entry for each layer: without the multi-token-prediction layers at its end."""
    more = keys.get("num_nextn_predict_layers", int, 0)
    return values[:count] if more > 0 and len(values) == count + more else values


def _periodic(keys: Keys, layers: Layers, count: int) -> list[str]:
    """Labels by index: every period-th layer is `one`, the other layers are `others`."""
    period = keys.get(layers.period_key, int, layers.period)
    if not period:
        raise ValueError(
            f"{keys.name}: got no layer_types, expected the type of each of the {count} layers. "
            "Add the list."
        )
    offset = (period - count if layers.from_end else 0) + layers.offset
    is_one = {index for index in range(count) if (index + offset) % period == 0}
    is_one |= {*range(layers.first)} | ({count - 1} if layers.last else set[int]())
    return [layers.one if index in is_one else layers.others for index in range(count)]
