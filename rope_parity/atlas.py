"""The atlas of errors: of angles over position, of inverse frequencies, and causes of other bits.

Each cause has its remedy.
"""

import inspect
import json
import textwrap
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rope_spec import cos_sin, inverse_frequencies

from . import oracle
from .cases import CONFIGS, Case, cases_of
from .differences import DIFFERENCES
from .measure import DTYPES

MODELS = ("llama-3.1-8b", "deepseek-v3", "gpt-oss-20b", "smollm2-135m")
METHODS = ("exact", "float32 angles", "bfloat16 inv_freq", "float16 table")


def error_over_position(case: Case, count: int = 33) -> dict[str, list[float]]:
    """Largest error of cos over all pairs, as a fraction of the attention factor.

    The positions go from 0 to 10 ** 8.
    """
    positions = np.unique(
        np.concatenate([[0, 4096, 131072], np.logspace(0, 8, count).astype(np.int64)])
    )
    frequencies = inverse_frequencies(case.spec)
    exact, factor = oracle.cos_sin(case.spec, positions[None])[0][0], frequencies.attention_factor
    inv32 = frequencies.inv_freq_float32
    angles = lambda inv_freq: (
        np.cos(positions[:, None].astype(np.float32) * inv_freq) * np.float32(factor)
    )
    methods = {
        "exact": cos_sin(case.spec, positions[None])[0][0],
        "float32 angles": angles(inv32),
        "bfloat16 inv_freq": angles(inv32.astype(DTYPES["bfloat16"]).astype(np.float32)),
        "float16 table": angles(inv32).astype(np.float16),
    }
    errors = {
        name: (np.abs(cos.astype(np.float64) - exact).max(-1) / factor).tolist()
        for name, cos in methods.items()
    }
    return {"position": positions.tolist(), **errors}


def inverse_frequency_ulps(head_dim: int, theta: float = 10000.0) -> dict[str, int]:
    """By how many ULP `1 / theta ** (2 k / d)` is off in float32, by who computes it."""
    exact = np.array(
        [theta ** (-2 * k / head_dim) for k in range(head_dim // 2)], np.float64
    ).astype(np.float32)
    jaxs = lambda: 1.0 / theta ** (jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    methods = {
        "torch": (1.0 / theta ** (torch.arange(0, head_dim, 2).float() / head_dim)).numpy(),
        "NumPy": 1
        / np.float32(theta) ** (np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)),
        "JAX, eager": np.asarray(jaxs()),
        "JAX, jitted": np.asarray(jax.jit(jaxs)()),
    }
    return {
        name: int(np.abs(inv.view(np.int32).astype(np.int64) - exact.view(np.int32)).max())
        for name, inv in methods.items()
    }


def measure(console: Console) -> dict:
    """Measure everything that the atlas shows, with a progress bar."""
    chapters = [*MODELS, *DIFFERENCES]
    found: dict = {"error_over_position": {}, "inv_freq_ulps": {}, "differences": []}
    for chapter in track(chapters, description="drawing", console=console, transient=True):
        if isinstance(chapter, str):
            case = cases_of(chapter, CONFIGS / f"{chapter}.json")[0]
            found["error_over_position"][chapter] = error_over_position(case)
        else:
            largest, share = chapter.program()
            source = textwrap.dedent(inspect.getsource(chapter.program))
            entry = {"name": chapter.name, "size": largest, "unit": chapter.unit, "share": share}
            found["differences"].append(
                entry | {"program": source, "remedy": " ".join(chapter.remedy.split())}
            )
    found["inv_freq_ulps"] = {
        str(dim): inverse_frequency_ulps(dim) for dim in (64, 80, 96, 128, 256)
    }
    return found


def show(found: dict, console: Console) -> None:
    """Print the errors of cos, the ULP of inverse frequencies, and the causes, a table each."""
    errors = _table(
        "Largest error of cos at a position, as a fraction of the attention factor",
        "model",
        "position",
        *METHODS,
    )
    for model, curve in found["error_over_position"].items():
        for position in (4096, 131072, 10**6, 10**8):
            index = int(np.argmin(np.abs(np.array(curve["position"]) - position)))
            errors.add_row(
                model,
                f"{curve['position'][index]:,}",
                *(f"{curve[method][index]:.1e}" for method in METHODS),
            )
    ulps = _table("ULP by which float32 inv_freq is off", "head_dim", *found["inv_freq_ulps"]["64"])
    for dim, by_whom in found["inv_freq_ulps"].items():
        ulps.add_row(dim, *map(str, by_whom.values()))
    causes = _table(
        "Causes of other bits: the largest difference, and how many elements differ",
        *("cause", "size", "share", "remedy"),
        justify="left",
    )
    for entry in found["differences"]:
        causes.add_row(
            entry["name"],
            f"{entry['size']:.3g} {entry['unit']}",
            f"{entry['share']:.1%}",
            entry["remedy"],
        )
    console.print(errors, ulps, causes, sep="\n")
    console.print(f"\n{meaning(found)}")


def _table(title: str, *columns: str, justify: Literal["left", "right"] = "right") -> Table:
    """At most 80 columns wide."""
    table = Table(
        title=f"\n[bold]{title}", title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0
    )
    for name in columns:
        table.add_column(name, justify=justify, overflow="fold")
    return table


def meaning(found: dict) -> str:
    """What the tables say, in three sentences with their figures."""
    curves = found["error_over_position"].values()
    error = lambda method, position: max(
        curve[method][curve["position"].index(position)] for curve in curves
    )
    near, far = error("float32 angles", 4096), error("float32 angles", 131072)
    exact = max(max(curve["exact"]) for curve in curves)
    ulps = max(max(by_whom.values()) for by_whom in found["inv_freq_ulps"].values())
    return (
        f"The error of float32 angles grows with the position, here from {near:.1e} at 4,096 to "
        f"{far:.1e} at 131,072, and with a bfloat16 inv_freq cos is wrong by "
        f"{error('bfloat16 inv_freq', 4096):.1e} at 4,096 already; phases from integers keep "
        f"{exact:.1e} at every position shown. inv_freq is off by up to {ulps} ULP, depending on "
        "who computes it, and the position multiplies that: compute it once, on the host. Each "
        "cause of other bits has its remedy beside it; with these, rope_jax and rope_torch are "
        "equal byte for byte, subnormals left out."
    )


def write_json(path: Path, environment: dict, found: dict) -> None:
    """An object with `environment`, `error_over_position`, `inv_freq_ulps` and `differences`."""
    path.write_text(
        json.dumps({"environment": environment, **found}, indent=1) + "\n", encoding="utf-8"
    )


def plot(folder: Path, found: dict) -> list[Path]:
    """Error over position, a panel for each model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    curves = found["error_over_position"]
    figure, axes = pyplot.subplots(
        1, len(curves), figsize=(4 * len(curves), 4), sharey=True, layout="constrained"
    )
    for axis, (model, curve) in zip(axes, curves.items(), strict=True):
        for index, method in enumerate(METHODS):
            values = np.maximum(curve[method], 1e-10)
            axis.plot(
                curve["position"],
                values,
                label=method,
                color=f"C{index}",
                linestyle=["-", "--", "-.", ":"][index],
            )
        axis.set(title=model, xlabel="position", xscale="symlog", yscale="log")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("largest error of cos")
    axes[0].legend(frameon=False, loc="lower right", ncols=2, fontsize=8)
    path = folder / "error_over_position.png"
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return [path]
