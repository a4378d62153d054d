"""Which label each layer of a model has."""

from typing import Any

from .family import Layers
from .keys import LIST, Keys, shown
from .towers import Tower

MOST = 2**16  # layers; more would only fill the memory


def labels_of(tower: Tower) -> list[str]:
    """The label of each layer: from a list in the config, or by the period of the model type."""
    text, family = tower.keys, tower.family
    paths = ("num_hidden_layers",) if family is None else family.layer_count
    given = ((path, count) for path in paths if (count := text.amount(path, int)) is not None)
    key, count = next(given, (paths[0], None))
    if count is None:
        count = text.need(key, int, "it is the number of labels")
    if not 1 <= count <= MOST:
        raise ValueError(
            f"{text.name}: got {key}={shown(count)}, expected 1 to {MOST}. Correct the value."
        )
    if family is None or family.layers is None:
        return [tower.name] * count
    layers, types = family.layers, text.get("layer_types", LIST)
    if types is not None:
        types = [
            layers.names.get(label, label) if isinstance(label, str) else label for label in types
        ]
        types = without_prediction_layers(text, types, count)
    flags = text.get(layers.flags, LIST)
    if flags is not None and not (layers.empty_flags and flags == []):
        types = [layers.others if flag else layers.one for flag in flags]
    types = _periodic(text, layers, count) if types is None else types
    if len(types) != count or not all(
        isinstance(label, str) and label in family.labels for label in types
    ):
        raise ValueError(
            f"{text.name}: got layers {shown(sorted(set(map(shown, types))))}, {len(types)} of "
            f"them, expected {count} of {', '.join(family.labels)}. Give one for each layer."
        )
    return list(types)


def check_period(text: Keys, layers: Layers) -> None:
    """Refuse a period below 1, also beside a list of layers; in some files it is a pattern."""
    if not isinstance(text.values.get(layers.period_key or ""), str):
        period = text.get(layers.period_key, int)
        if period is not None and period < 1:
            raise ValueError(
                f"{text.name}: got {layers.period_key}={shown(period)}, expected 1 or more. "
                "Correct the value."
            )


def without_prediction_layers(text: Keys, values: list[Any], count: int) -> list[Any]:
    """A list with an entry for each layer; some files also list multi-token prediction's."""
    more = text.get("num_nextn_predict_layers", int, 0)
    return values[:count] if more > 0 and len(values) == count + more else values


def _periodic(text: Keys, layers: Layers, count: int) -> list[str]:
    """Labels by index: every period-th layer is `one`, the rest are `others`."""
    period = text.get(layers.period_key, int, layers.period)
    if not period:
        raise ValueError(
            f"{text.name}: got no layer_types, expected the type of each of the {count} layers. "
            "Add the list."
        )
    offset = (period - count if layers.from_end else 0) + layers.offset
    ones = {index for index in range(count) if (index + offset) % period == 0}
    ones |= {*range(layers.first)} | ({count - 1} if layers.last else set[int]())
    return [layers.one if index in ones else layers.others for index in range(count)]
