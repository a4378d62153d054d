"""From a `config.json` to the specs of its layers: strict, as a wrong one gives no error.

Three stages, each a pure function: `towers` finds the parts of the model, `facts` reads what each
says into one typed form, `build` makes the RopeSpec. `families.toml` has what a config.json leaves
out.
"""

from .specs import (
    context_length as context_length,
    layer_labels as layer_labels,
    reference_arithmetic as reference_arithmetic,
    spec_from_config as spec_from_config,
    specs_from_config as specs_from_config,
)
from .timm import spec_from_timm as spec_from_timm
from .towers import Config as Config, read_config as read_config
