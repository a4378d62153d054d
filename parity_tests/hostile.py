"""Arguments that nobody means, the right arguments of every public function, and outcomes."""

import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

import rope_jax
import rope_spec
import rope_torch
from rope_jax.nnx import RotaryEmbedding
from rope_spec import Arithmetic, DynamicNTK, LongRope, RopeSpec

Call = tuple[Callable[..., Any], dict[str, Any]]  # a function and its right arguments

NUMBERS = [
    *(-1, 0, 1, 2, 3, 7, 10**30, -(10**400)),
    *(0.0, -0.5, 2.5, 1e-300, 1e300, math.nan, math.inf, -math.inf, 1j),
    *(True, False, np.bool_(True), np.int8(2), np.int64(3), np.uint8(200), np.float32(2.5)),
    *(np.float64(math.nan), np.float16(math.inf), np.complex64(1)),
]
OTHERS = [
    *(None, "", "x", "8", b"8", "half", "fixed", [], [1], [[1, 2]], [[1], [1, 2]]),
    *((), (1,), (0, 1.5), ("a",), {}, {"factor": 2.0}, set(), range(3), slice(None)),
    *(len, int, object, RopeSpec, Ellipsis),
]
DTYPES = [np.int8, np.int32, np.int64, np.uint64, np.float16, np.float32, np.complex64, bool]
SHAPES = [(), (0,), (1,), (4,), (1, 0), (2, 4), (2, 3, 4), (2, 3, 1, 4), (0, 3, 2, 4)]
ARRAYS = [
    *(np.zeros(shape, dtype) for shape in SHAPES for dtype in DTYPES),
    *(np.array("8"), np.array([None]), np.array(["a", "b"]), np.zeros(3, "M8[s]")),
    *(np.full((2, 4), math.nan, np.float32), np.full((2, 3), -1), np.full(3, 2**31 - 1)),
]
HOSTILE = [*NUMBERS, *OTHERS, *ARRAYS]


@dataclass(frozen=True)
class Outcome:
    """What a call came to: a result, or an error."""

    result: Any = None
    error: Exception | None = None

    @property
    def kind(self) -> str:
        """The same for two calls that came to the same: of an error what it says before numbers."""
        if self.error is None:
            return "a result"
        text = re.sub("ArrayImpl|Array|array|Tensor|tensor|ndarray", "array", str(self.error))
        return f"{type(self.error).__name__}: {re.split('[0-9(]', text)[0]}"

    @property
    def is_meant(self) -> bool:
        """Whether this is a result, or an error that says what was got and what is expected."""
        if self.error is None:
            return True
        says = re.search("got .*expected", str(self.error), re.DOTALL | re.IGNORECASE)
        return isinstance(self.error, ValueError | TypeError | FileNotFoundError) and bool(says)


def outcome(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Outcome:
    """The result of a call, or what it raised; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return Outcome(function(**arguments))
        except Exception as error:  # of any type, as foreign ones are looked for
            return Outcome(error=error)


SPEC, BY_LENGTH = RopeSpec(head_dim=4), RopeSpec(head_dim=4, rule=DynamicNTK(2.0, 8))
CONFIG = {"model_type": "llama", "head_dim": 4, "hidden_size": 8, "num_hidden_layers": 2}
CONFIG["max_position_embeddings"] = 8
READ = {"config": CONFIG, "model_type": None, "ignore": ()}
LABELLED = READ | {"label": None}
SPEC_FIELDS = {
    **{"head_dim": 4, "theta": 1e4, "pairs": SPEC.pairs, "read": "half", "write": None},
    **{"start": 0, "sign": 1, "real": False},
}
YARN = {
    **{"factor": 2.0, "original_max_position_embeddings": 64, "beta_fast": 32.0, "beta_slow": 1.0},
    **{"mscale": None, "mscale_all_dim": None, "attention_factor": None},
    **{"truncate": True, "scales_softmax": False},
}
LONG = {
    **{"short_factor": (1.0, 1.0), "long_factor": (2.0, 2.0), "factor": 2.0},
    **{"original_max_position_embeddings": 64, "attention_factor": None},
}
LLAMA3 = {
    **{"factor": 2.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    "original_max_position_embeddings": 64,
}

IMAGE = {"text_tokens": 2, "rows": 3, "columns": 4}
OF_TIMM = {
    **{"rope_type": "cat", "dim": 8, "num_heads": 1, "temperature": None, "rotate_half": None},
    **{"in_pixels": True, "max_res": 224, "linear_bands": False},
    **{"min_period": None, "max_period": None, "mrope_section": (1, 1, 1)},
}

TRUNK: dict[str, Call] = {
    "RopeSpec": (RopeSpec, SPEC_FIELDS | {"rule": None}),
    "RopeSpec of two sets": (RopeSpec, SPEC_FIELDS | {"rule": LongRope(**LONG)}),
    "Pairs": (rope_spec.Pairs, {"axis": (0, 0), "frequency_index": (0, 1), "frequency_dim": 4}),
    "Pairs.single": (rope_spec.Pairs.single, {"rotary_dim": 4}),
    "Pairs.sections": (rope_spec.Pairs.sections, {"mrope_section": (1, 1, 2)}),
    "Pairs.widths": (rope_spec.Pairs.widths, {"widths": (4, 6)}),
    "Pairs.strided": (rope_spec.Pairs.strided, {"sections": (2, 1, 1), "pairs": None}),
    "Pairs.spatial_first": (rope_spec.Pairs.spatial_first, {"sections": (1, 1, 2)}),
    "Pairs.alternating": (rope_spec.Pairs.alternating, {"rotary_dim": 8, "axes": 2}),
    "Pairs.axial": (rope_spec.Pairs.axial, {"rotary_dim": 8, "axes": 2}),
    "Pairs.axial_shared": (rope_spec.Pairs.axial_shared, {"rotary_dim": 8, "axes": 2}),
    "Pairs.axial_alternating": (rope_spec.Pairs.axial_alternating, {"rotary_dim": 8, "axes": 2}),
    "Linear": (rope_spec.Linear, {"factor": 2.0}),
    "PerAxis": (rope_spec.PerAxis, {"theta": (2.0, 3.0), "divisor": ()}),
    "DynamicNTK": (DynamicNTK, {"factor": 2.0, "max_position_embeddings": 64}),
    "Yarn": (rope_spec.Yarn, YARN),
    "LongRope": (LongRope, LONG),
    "Llama3": (rope_spec.Llama3, LLAMA3),
    "Proportional": (rope_spec.Proportional, {"rotated": 1, "factor": 2.0}),
    "Explicit": (rope_spec.Explicit, {"inv_freq": (1.0, 0.5), "attention_factor": 1.0}),
    "Arithmetic": (Arithmetic, {"angles": "exact", "rotate_in": "float32"}),
    "cos_sin": (rope_spec.cos_sin, {"spec": BY_LENGTH, "positions": np.arange(3), "seq_len": 9}),
    "positions_from_mask": (rope_spec.positions_from_mask, {"mask": np.ones((2, 3), bool)}),
    "positions_from_segments": (
        rope_spec.positions_from_segments,
        {"segment_ids": np.ones((2, 3), int), "padding": 0},
    ),
    "positions_from_cu_seqlens": (
        rope_spec.positions_from_cu_seqlens,
        {"cu_seqlens": np.array([0, 3, 4])},
    ),
    "zigzag_order": (rope_spec.zigzag_order, {"cu_seqlens": 8, "ranks": 2}),
    "striped_order": (rope_spec.striped_order, {"length": 8, "ranks": 2}),
    "inverse_order": (rope_spec.inverse_order, {"order": np.arange(4)}),
    "grid_positions": (rope_spec.grid_positions, {"grid": (1, 2, 2), "merge": 2}),
    "mrope_positions": (
        rope_spec.mrope_positions,
        {"parts": [3, (1, 2, 2)], "merge": 2, "tokens_per_second": 1.0, "second_per_grid": 1.0},
    ),
    "mrope_delta": (rope_spec.mrope_delta, {"positions": np.zeros((4, 3), int)}),
    "centred_coordinates": (rope_spec.centred_coordinates, {"count": 4}),
    "cogvideox_coordinates": (
        rope_spec.cogvideox_coordinates,
        {"frames": 2, "rows": 3, "columns": 4, "trained": (6, 9)},
    ),
    "ltx_coordinates": (
        rope_spec.ltx_coordinates,
        {"frames": 2, "rows": 3, "columns": 4, "fps": 25.0},
    ),
    "flux_positions": (rope_spec.flux_positions, IMAGE),
    "flux2_positions": (rope_spec.flux2_positions, IMAGE),
    "lumina2_positions": (rope_spec.lumina2_positions, IMAGE),
    "qwen_image_positions": (
        rope_spec.qwen_image_positions,
        {"grids": [(1, 2, 3)], "text_tokens": 2},
    ),
    "channel_order": (rope_spec.channel_order, {"spec": SPEC, "to": "interleaved"}),
    "convert_projection": (
        rope_spec.convert_projection,
        {"spec": SPEC, "weight": np.zeros((8, 3)), "to": "interleaved", "axis": 0},
    ),
    "convert_fused_projection": (
        rope_spec.convert_fused_projection,
        {
            **{"spec": SPEC, "weight": np.zeros((16, 3)), "to": "interleaved", "axis": 0},
            **{"heads": 2, "kv_heads": 1, "grouped": False},
        },
    ),
    "spec_from_timm": (rope_spec.spec_from_timm, OF_TIMM),
    "spec_from_config": (rope_spec.spec_from_config, LABELLED),
    "specs_from_config": (rope_spec.specs_from_config, READ),
    "layer_labels": (rope_spec.layer_labels, READ),
    "reference_arithmetic": (rope_spec.reference_arithmetic, LABELLED),
    "context_length": (rope_spec.context_length, {"config": CONFIG, "model_type": None}),
    "read_config": (rope_spec.read_config, {"config": CONFIG}),
}

X, COS = np.ones((2, 3, 1, 4), np.float32), np.ones((2, 3, 2), np.float32)
FULL, POSITIONS = np.ones((2, 3, 4), np.float32), np.arange(6, dtype=np.int32).reshape(2, 3)
EXACT = Arithmetic()


def branch_calls(branch: Any, module: Any) -> dict[str, Call]:
    """The functions of a branch; what is outside of a table gives NaN, as on a device."""
    cache, rotated = branch.init_cache(SPEC, "lazy", 8), {"x": X, "heads_axis": -2}
    grow = lambda length: module(SPEC, strategy="lazy", length=8).grow(length)
    table = {"cache": cache, "positions": POSITIONS, "seq_len": None, "out_of_range": "nan"}
    by_length = table | {"cache": branch.init_cache(BY_LENGTH), "seq_len": 9}
    angles = {"positions": POSITIONS, "arithmetic": EXACT}
    full = {"q": X, "k": X, "cos": FULL, "sin": FULL, "position_ids": None, "unsqueeze_dim": 2}
    moved = {"from_positions": POSITIONS, "to_positions": POSITIONS, "to_spec": None}
    options = {"strategy": "lazy", "length": 8, "arithmetic": EXACT, "out_of_range": "nan"}
    tables = {"spec": SPEC, "strategy": "lazy", "length": 8}
    lengths = {"seq_len": 4, "to_seq_len": None}
    return {
        "cos_sin": (branch.cos_sin, angles | {"spec": SPEC, "seq_len": None}),
        "cos_sin by length": (branch.cos_sin, angles | {"spec": BY_LENGTH, "seq_len": 9}),
        "rotate": (
            branch.rotate,
            rotated | {"spec": SPEC, "cos": COS, "sin": COS, "arithmetic": EXACT},
        ),
        "apply_rotary_pos_emb": (branch.apply_rotary_pos_emb, full),
        "init_cache": (branch.init_cache, tables),
        "init_cache, split": (branch.init_cache, tables | {"strategy": "split_table"}),
        "grow_cache": (branch.grow_cache, {"cache": cache, "length": 9}),
        "lookup": (branch.lookup, table),
        "lookup by length": (branch.lookup, by_length),
        "cached_cos_sin": (branch.cached_cos_sin, table | {"length": 9}),
        "rerotate": (branch.rerotate, rotated | moved | lengths | {"spec": BY_LENGTH}),
        "unrotate": (
            branch.unrotate,
            rotated | {"spec": BY_LENGTH, "positions": POSITIONS, "seq_len": 9},
        ),
        "module": (module, {"spec": SPEC} | options),
        "module, called": (
            module(BY_LENGTH, heads_axis=-2),
            {"x": X, "positions": POSITIONS, "seq_len": 9},
        ),
        "module, grown": (grow, {"length": 9}),
    }


BRANCHES = {
    "rope_jax": (branch_calls(rope_jax, RotaryEmbedding), jnp.asarray),
    "rope_torch": (
        branch_calls(rope_torch, rope_torch.RotaryEmbedding),
        lambda t: torch.from_numpy(t.copy()),
    ),
}
BRANCH_CALLS = BRANCHES["rope_jax"][0]


def in_branch(branch: str, name: str, changes: Mapping[str, Any]) -> Outcome:
    """A function of a branch, called with changes to its right arguments, arrays as its own."""
    calls, put = BRANCHES[branch]
    function, right = calls[name]
    is_numeric = lambda t: isinstance(t, np.ndarray) and t.dtype.kind in "biufc"
    given = {key: put(t) if is_numeric(t) else t for key, t in (right | changes).items()}
    return outcome(function, given)
