"""What each strategy cost along a trace: as tables, JSON, and a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from rich.box import SIMPLE_HEAD
from rich.table import Table


@dataclass
class Account:
    """What one strategy cost along one trace."""

    compilations: int = 0
    cache_compilations: int = 0  # beyond those of `table_free` on the same trace
    # the same where the table is an argument of the jitted step, as most people write it
    cache_compilations_in_step: int = 0
    growths: int = 0
    peak_bytes: int = 0
    final_bytes: int = 0
    first_call_ms: float = 0.0
    steady_call_ms: float = 0.0
    max_position: int = 0
    max_error: float = 0.0  # of cos and sin against the oracle, over the largest positions served
    torch_rebuilds: int = 0
    torch_recompiles: int = 0
    # bytes and compilations after each call
    steps: list[dict[str, int]] = field(default_factory=list)

    def add(self, held: int, replaced: int | None, compilations: int) -> None:
        """One call: bytes of the cache, those of a cache that it replaced, compilations so far."""
        self.growths += replaced is not None
        self.peak_bytes = max(self.peak_bytes, held + (replaced or 0))
        self.steps.append({"bytes": held, "compilations": compilations})
        self.final_bytes, self.compilations = held, compilations


Accounts = Mapping[str, Mapping[str, Account]]  # by trace, then by strategy


def summary(found: Accounts) -> Iterator[Table]:
    """A table for each trace, a column for each strategy."""
    for name, accounts in found.items():
        table = Table(
            "",
            title=f"[bold]{name}",
            title_justify="left",
            box=SIMPLE_HEAD,
            show_edge=False,
            padding=0,
        )
        for strategy in accounts:
            table.add_column(strategy, justify="right")
        for label, text in ROWS.items():
            table.add_row(label, *map(text, accounts.values()))
        yield table


ROWS: dict[str, Callable[[Account], str]] = {
    "growths": lambda a: str(a.growths),
    "compilations of the cache": lambda a: str(a.cache_compilations),
    "... as argument of the step": lambda a: str(a.cache_compilations_in_step),
    "compilations in all": lambda a: str(a.compilations),
    "MiB at the end": lambda a: f"{a.final_bytes / 2**20:.2f}",
    "MiB at the peak": lambda a: f"{a.peak_bytes / 2**20:.2f}",
    "first call, ms": lambda a: f"{a.first_call_ms:.1f}",
    "median call, ms": lambda a: f"{a.steady_call_ms:.2f}",
    "largest position": lambda a: str(a.max_position),
    "largest error": lambda a: f"{a.max_error:.1e}",
    "torch: tables built": lambda a: str(a.torch_rebuilds),
    "torch.compile: recompiles": lambda a: str(a.torch_recompiles),
}


def meaning(found: Accounts) -> str:
    """What the tables say, in three sentences with the figures of the trace that grows most."""
    name, most = max(found.items(), key=lambda item: item[1]["lazy"].growths)
    lazy, doubling, split = most["lazy"], most["doubling"], most["split_table"]
    return (
        "A longer table is another shape, and XLA compiles anew for every shape: in the trace "
        f"{name!r}, lazy grew {lazy.growths} times and cost {lazy.cache_compilations} compilations "
        f"of the cache, doubling {doubling.growths} and {doubling.cache_compilations}. While a "
        "table grows, the old one is still held, which is the peak. table_free has no table, so "
        "nothing grows, is compiled anew or can be left; where a gather is cheaper than making cos "
        f"and sin, split_table never grows either and holds {split.final_bytes / 2**20:.2f} MiB."
    )


def write_json(path: Path, environment: Mapping[str, Any], found: Accounts) -> None:
    """`{"environment": ..., "traces": {trace: {strategy: {...}}}}`."""
    traces = {
        name: {strategy: asdict(a) for strategy, a in accounts.items()}
        for name, accounts in found.items()
    }
    path.write_text(
        json.dumps({"environment": environment, "traces": traces}, indent=1) + "\n",
        encoding="utf-8",
    )


def plot(path: Path | BinaryIO, found: Accounts) -> None:
    """Memory and compilations after each call of each trace, a line for each strategy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    figure, axes = pyplot.subplots(
        2, len(found), figsize=(4.6 * len(found), 6.4), sharex="col", squeeze=False
    )
    for column, (name, accounts) in zip(axes.T, found.items(), strict=True):
        for index, (strategy, account) in enumerate(accounts.items()):
            style: dict = {"color": f"C{index}", "label": strategy, "drawstyle": "steps-post"}
            style["linestyle"] = ["-", "--", "-.", ":", (0, (5, 1))][index]
            column[0].plot([step["bytes"] / 2**20 for step in account.steps], **style)
            column[1].plot([step["compilations"] for step in account.steps], **style)
        column[0].set_title(name)
        column[1].set_xlabel("call")
        column[1].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0, 0].set_ylabel("MiB held")
    axes[1, 0].set_ylabel("compilations so far")
    axes[0, 0].legend(frameon=False)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
