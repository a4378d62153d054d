"""Draws `which_rope_is_which.png`: axis and frequency of each pair, for one rope of each kind.

Run it from the root of the checkout: `python docs/which_rope_is_which.py`.
"""

from pathlib import Path

import matplotlib
import numpy as np
from rope_spec import (
    Pairs,
    RopeSpec,
    inverse_frequencies,
    spec_from_config,
    spec_from_timm,
)

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
)  # Okabe and Ito's, told apart by everybody
KINDS = {
    "single\nLlama": RopeSpec(head_dim=128, theta=500000.0),
    "sections: one list, cut\nM-RoPE of Qwen2-VL": RopeSpec(
        head_dim=128, theta=1e6, pairs=Pairs.sections(mrope_section=(16, 24, 24))
    ),
    "strided: one list, in turns\nQwen3-VL": RopeSpec(
        head_dim=128, theta=5e6, pairs=Pairs.strided((24, 20, 20))
    ),
    "axial: all for each axis\nQwen2-VL's vision tower": RopeSpec(
        head_dim=80, pairs=Pairs.axial(rotary_dim=80)
    ),
    "axial_shared: one list, dealt out\nPixtral": RopeSpec(
        head_dim=64, pairs=Pairs.axial_shared(rotary_dim=64)
    ),
    "axial_alternating\nKimi's vision tower": RopeSpec(
        head_dim=64, pairs=Pairs.axial_alternating(rotary_dim=64)
    ),
    "widths (16, 56, 56)\nFlux": spec_from_config(
        {"_class_name": "FluxTransformer2DModel"}
    ),
    "widths (44, 42, 42), PerAxis\nCosmos": spec_from_config(
        {"_class_name": "CosmosTransformer3DModel"}
    ),
    "unit turn, coordinates from -1 to 1\nDINOv3": spec_from_timm(
        "dinov3", dim=64, num_heads=1
    ),
    "Explicit, rising\ntimm, pixels": spec_from_timm("cat", dim=64, num_heads=1),
}


def draw(axes: plt.Axes, title: str, spec: RopeSpec) -> None:
    """Turns for each unit of position, pair by pair, in the colour of the axis."""
    turns = inverse_frequencies(spec).inv_freq / (2 * np.pi)
    axis = np.array(spec.pairs.axis)
    for a in range(spec.pairs.axes):
        pairs = np.flatnonzero(axis == a)
        axes.semilogy(pairs, turns[pairs], ".", color=COLOURS[a], label=f"axis {a}")
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.legend(fontsize=6, loc="best", frameon=False)


def main() -> None:
    """Write the picture beside this file."""
    figure, grid = plt.subplots(2, 5, figsize=(15, 5.6), layout="constrained")
    for axes, (title, spec) in zip(grid.flat, KINDS.items(), strict=True):
        draw(axes, title, spec)
    figure.supxlabel("pair", fontsize=9)
    figure.supylabel("turns for each unit of position", fontsize=9)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110)


if __name__ == "__main__":
    main()
