"""From a raw `config.json` to the specs of its layers: strict, since a wrong rotation trains happily."""

from .facts import (
    context_length as context_length,
    layer_labels as layer_labels,
    read_config as read_config,
    reference_arithmetic as reference_arithmetic,
    spec_from_config as spec_from_config,
    specs_from_config as specs_from_config,
)
