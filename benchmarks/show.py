"""Tables and the picture of what was timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from .timing import RULER, Record

PANELS = {  # of the picture: which framework and phase
    "JAX, jitted: from cos and sin": ("jax", "BSNH", "forward"),
    "JAX, jitted: from positions": ("jax", "BSNH", "from positions"),
    "PyTorch, eager: from cos and sin": ("torch", "BNSH", "forward"),
    "PyTorch, compiled: from cos and sin": ("torch.compile", "BNSH", "forward"),
}


def _table_of(record: Record) -> tuple[str, str, str, str]:
    return record.framework, record.shape, record.order, record.phase


def tables(records: Sequence[Record]) -> Iterator[Table]:
    """A table for each framework, shape, order and phase: milliseconds, and the ratio under either
    allocator.
    """
    key = lambda r: (*_table_of(r), r.layout, r.dtype, r.arithmetic, r.road)
    default = {key(r): r for r in records if r.allocator == "default"}
    for name, group in groupby(
        sorted((r for r in records if r.allocator == "warm"), key=_table_of), _table_of
    ):
        table = Table(
            "layout, dtype, inside",
            "road",
            title="[bold]" + ", ".join(name),
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        for head in ("ms", "quartiles", "ratio", "ratio, default allocator"):
            table.add_column(head, justify="right")
        for r in group:
            case = f"{r.layout}, {r.dtype}, {r.arithmetic}" if r.road == RULER else ""
            quartiles = f"{r.quartiles[0]:.2f} to {r.quartiles[1]:.2f}"
            table.add_row(
                case,
                r.road,
                f"{r.median_ms:.2f}",
                quartiles,
                f"{r.ratio:.2f}",
                f"{default[key(r)].ratio:.2f}",
            )
        yield table


def plot(path: Path, records: Sequence[Record]) -> None:
    """The ratio of each road at prefill 2048 in halves, with float32 inside; a panel for each
    framework and phase.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(12, 6.4))
    for axis, (title, wanted) in zip(axes.flat, PANELS.items(), strict=True):
        chosen = [
            r
            for r in records
            if (r.framework, r.order, r.phase) == wanted
            and r.shape.startswith("prefill 2048, 32")
            and (r.layout, r.arithmetic, r.allocator) == ("half", "float32", "warm")
            and r.road != RULER
        ]
        roads = list(dict.fromkeys(r.road for r in chosen))[::-1]
        for offset, (dtype, marker) in enumerate(
            {"float32": "o", "bfloat16": "s", "float16": "^"}.items()
        ):
            points = [
                (r.ratio, roads.index(r.road) + 0.22 * (1 - offset))
                for r in chosen
                if r.dtype == dtype
            ]
            if points:
                axis.plot(*zip(*points, strict=True), marker, color=f"C{offset}", label=dtype)
        axis.axvline(1, color="0.6", linewidth=1)
        axis.set(
            title=title, xscale="log", xlim=(0.7, 60), yticks=range(len(roads)), yticklabels=roads
        )
        axis.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="0.92")
    for axis in axes[1]:
        axis.set_xlabel("time, as a ratio to x + 1 on the same arrays")
    handles = {h.get_label(): h for axis in axes.flat for h in axis.get_legend_handles_labels()[0]}
    figure.legend(handles.values(), handles.keys(), frameon=False, loc="upper right", ncols=3)
    figure.suptitle(
        "q and k in halves, float32 inside: prefill 2048, 32 + 8 heads of 128", x=0.02, ha="left"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
