"""The pictures of the site, drawn from the library when the site is built: a hook of MkDocs.

Each is drawn from a `RopeSpec` by what the library computes from it, so that no picture can say
something else than the code.
"""

import io
from dataclasses import replace

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from mkdocs.structure.files import File
from rope_spec import (
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    Proportional,
    RopeSpec,
    Yarn,
    inverse_frequencies,
)

RED, BLUE, GREEN, GREY = "#d1495b", "#2e6f9e", "#3c8d5a", "#8a8a8a"
AXES = (RED, BLUE, GREEN)
HAND = {"arrowstyle": "->", "color": RED, "lw": 1.8, "shrinkA": 0, "shrinkB": 0}

HEAD = RopeSpec(head_dim=16)
LAYOUTS = {
    "half": HEAD,
    "interleaved": replace(HEAD, read="interleaved"),
    "half_per_axis": replace(
        HEAD, pairs=Pairs.axial(rotary_dim=16), read="half_per_axis"
    ),
    "interleaved-to-half": replace(HEAD, read="interleaved", write="half"),
    "part": replace(HEAD, pairs=Pairs.single(rotary_dim=8), start=8),
}
FACTORS = tuple(1.0 + (k / 16) ** 2 for k in range(32))
RULES = {
    "none": None,
    "linear": Linear(4.0),
    "dynamic_ntk": DynamicNTK(4.0, 2048),
    "yarn": Yarn(4.0, 2048),
    "longrope": LongRope((1.0,) * 32, FACTORS, 2048, 4.0),
    "llama3": Llama3(4.0, 1.0, 4.0, 2048),
    "proportional": Proportional(8),
    "explicit": Explicit(tuple(0.8**k for k in range(32))),
}
MAPS = {
    "single": Pairs.single(rotary_dim=48),
    "sections": Pairs.sections(mrope_section=(8, 8, 8)),
    "widths": Pairs.widths((16, 16, 16)),
    "strided": Pairs.strided((10, 7, 7)),
    "spatial_first": Pairs.spatial_first((8, 8, 8)),
    "alternating": Pairs.alternating(rotary_dim=48),
    "axial": Pairs.axial(rotary_dim=48),
    "axial_shared": Pairs.axial_shared(rotary_dim=48),
    "axial_alternating": Pairs.axial_alternating(rotary_dim=48),
}


def svg(figure):
    """The bytes of a picture on white, the same in each build."""
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({"svg.hashsalt": "rope-parity"}):
        figure.savefig(out := io.BytesIO(), format="svg", metadata={"Date": None})
    return out.getvalue()


def empty(width, height):
    """A figure without axes, in units of boxes."""
    figure = Figure(
        figsize=(width / 2.6, height / 2.6), layout="constrained", facecolor="white"
    )
    axis = figure.add_subplot()
    axis.set(xlim=(-0.1, width), ylim=(0, height), aspect="equal")
    axis.axis("off")
    return figure, axis


def box(axis, x, y, colour, text):
    axis.add_patch(Rectangle((x, y), 0.92, 0.92, facecolor=colour, edgecolor="none"))
    axis.text(
        x + 0.46, y + 0.43, text, ha="center", va="center", color="white", fontsize=9
    )


def channels_of(spec, blocks):
    """`(2, P)`: the two channels of each pair, as `Channels` says."""
    channels = spec.channels.start + np.arange(spec.rotary_dim)
    return channels.reshape(blocks, 2, -1).swapaxes(0, 1).reshape(2, -1)


def row_of_channels(axis, y, spec, blocks):
    """One box for each channel: `a3` is the first channel of pair 3; a grey one passes through."""
    for channel in range(spec.head_dim):
        box(axis, channel, y, GREY, "")
    for half, colour, channels in zip(
        "ab", (RED, BLUE), channels_of(spec, blocks), strict=True
    ):
        for pair, channel in enumerate(channels):
            box(axis, channel, y, colour, f"{half}{pair}")


def layout(spec):
    """The channels of x from left to right, above them their number; y below where it differs."""
    moved = spec.channels.read_blocks != spec.channels.write_blocks
    figure, axis = empty(spec.head_dim + 1.2, 3.9 if moved else 2.1)
    rows = [("x", 2.0 if moved else 0.2, spec.channels.read_blocks)]
    rows += [("y", 0.2, spec.channels.write_blocks)] if moved else []
    for name, y, blocks in rows:
        row_of_channels(axis, y, spec, blocks)
        axis.text(spec.head_dim + 0.3, y + 0.43, name, va="center", fontsize=11)
    for channel in range(spec.head_dim):
        axis.text(
            channel + 0.46,
            rows[0][1] + 1.3,
            channel,
            ha="center",
            color=GREY,
            fontsize=8,
        )
    return figure


def periods(spec, seq_len=None):
    """Tokens for a full turn of each pair; a pair that does not turn is left out."""
    inv_freq = inverse_frequencies(spec, seq_len).inv_freq
    return np.where(
        inv_freq > 0, 2 * np.pi / np.where(inv_freq > 0, inv_freq, 1), np.nan
    )


def rule(spec):
    """Tokens for a full turn, by pair: without the rule, with it, and beyond the context."""
    figure = Figure(figsize=(6.4, 2.8), layout="constrained", facecolor="white")
    axis = figure.add_subplot()
    axis.plot(
        periods(replace(spec, rule=None)), ":", color="black", lw=2, label="no rule"
    )
    beyond = spec.depends_on_length
    label = f"up to {spec.original_length} tokens" if beyond else "with the rule"
    if spec.rule is not None:
        axis.plot(periods(spec), color=BLUE, label=label)
    if beyond:
        axis.plot(
            periods(spec, 4 * spec.original_length), color=RED, label="at 8192 tokens"
        )
    axis.set(
        xlabel="pair", ylabel="tokens for a full turn", yscale="log", ylim=(4, 1e6)
    )
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def axis_map(pairs):
    """A box for each pair: its colour is the axis that moves it, its number the frequency index."""
    figure, axis = empty(len(pairs), 1.3)
    for j, (which, index) in enumerate(
        zip(pairs.axis, pairs.frequency_index, strict=True)
    ):
        box(axis, j, 0.2, AXES[which], str(index))
    return figure


def clocks():
    """Pairs 0 to 3 of a head of 8 channels at positions 0 to 8, each as the hand of a clock."""
    figure, axis = empty(11.2, 5.2)
    inv_freq = inverse_frequencies(RopeSpec(head_dim=8, theta=100.0)).inv_freq
    for j, frequency in enumerate(inv_freq):
        axis.text(0, 3.7 - j, f"pair {j}", va="center", fontsize=10)
        for position in range(9):
            x, y, angle = position + 2.2, 3.7 - j, position * frequency
            axis.plot(*circle(x, y), color=GREY, lw=0.6)
            tip = (x + 0.4 * np.cos(angle), y + 0.4 * np.sin(angle))
            axis.annotate("", tip, (x, y), arrowprops=HAND)
    for position in range(9):
        axis.text(position + 2.2, 4.6, position, ha="center", fontsize=9)
    axis.text(0, 4.6, "position", fontsize=9)
    return figure


def circle(x, y):
    turn = np.linspace(0, 2 * np.pi, 60)
    return x + 0.4 * np.cos(turn), y + 0.4 * np.sin(turn)


def pictures():
    """Every picture by its name."""
    ruled = {name: RopeSpec(head_dim=64, rule=each) for name, each in RULES.items()}
    return (
        {"clocks": clocks()}
        | {f"layout-{name}": layout(spec) for name, spec in LAYOUTS.items()}
        | {f"rule-{name}": rule(spec) for name, spec in ruled.items()}
        | {f"map-{name}": axis_map(pairs) for name, pairs in MAPS.items()}
    )


def on_files(files, config):
    """MkDocs calls this: the pictures become files of the site."""
    for name, figure in pictures().items():
        files.append(
            File.generated(config, f"pictures/{name}.svg", content=svg(figure))
        )
    return files
