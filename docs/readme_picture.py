"""The picture of the README: the error of cos over position, by who computes the angles.

python docs/readme_picture.py docs/error_over_position.svg
"""

import sys
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from rope_parity.atlas import error_over_position
from rope_parity.cases import CONFIGS, cases_of

MODEL, CONTEXT = "llama-3.1-8b", 131072
LINES = {  # method: its name in the picture, colour, where the name stands
    "bfloat16 inv_freq": ("inv_freq in bfloat16", "#d1495b", (1.6e0, 5e-1)),
    "float32 angles": ("angles in float32", "#c77d0a", (1.6e3, 4e-6)),
    "exact": ("rope-parity: phase from integers", "#2e6f9e", (6e3, 6e-8)),
}


def draw(path: Path) -> dict[str, list[float]]:
    """Write the picture; return the curves that it shows."""
    curves = error_over_position(
        cases_of(MODEL, CONFIGS / f"{MODEL}.json")[0], count=65
    )
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    axis = figure.subplots()
    for method, (name, colour, place) in LINES.items():
        axis.plot(curves["position"][1:], curves[method][1:], color=colour, lw=2)
        axis.text(*place, name, color=colour, weight="bold")
    axis.axvline(CONTEXT, color="#8a8a8a", lw=1, ls=":")
    axis.text(CONTEXT * 1.15, 1.5e-6, "its context", color="#6a6a6a")
    axis.set(
        xscale="log", yscale="log", xlim=(1, 1e8), ylim=(1e-8, 5), xlabel="position"
    )
    axis.set_title(f"Largest error of cos, {MODEL}", loc="left", fontsize=11)
    axis.spines[["top", "right"]].set_visible(False)
    with matplotlib.rc_context({"svg.hashsalt": "rope-parity"}):
        figure.savefig(path, format="svg", metadata={"Date": None})
    return curves


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
