"""The shapes of real models that both frameworks are timed on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rope_spec import Pairs, RopeSpec

P128 = Pairs.single(rotary_dim=128)
LAYOUTS = {
    "half": RopeSpec(head_dim=128, theta=5e5, pairs=P128),
    "interleaved": RopeSpec(head_dim=128, theta=5e5, pairs=P128, read="interleaved"),
    "de-interleave": RopeSpec(
        head_dim=128, theta=5e5, pairs=P128, read="interleaved", write="half"
    ),
    "half per axis": RopeSpec(
        head_dim=128, theta=1e4, pairs=Pairs.axial(rotary_dim=128), read="half_per_axis"
    ),
    "first quarter": RopeSpec(head_dim=128, theta=1e4, pairs=Pairs.single(rotary_dim=32)),
    "three quarters": RopeSpec(
        head_dim=128, theta=1e4, pairs=Pairs.single(rotary_dim=96)
    ),  # as Phi-4-mini has it
}
DEEPSEEK = RopeSpec(
    head_dim=64, theta=1e4, pairs=Pairs.single(rotary_dim=64), read="interleaved", write="half"
)
M_ROPE = RopeSpec(head_dim=128, theta=1e6, pairs=Pairs.sections(mrope_section=(16, 24, 24)))


@dataclass(frozen=True)
class Shape:
    """Batch, sequence and heads of q and k, and where the sequence stands."""

    name: str
    batch: int
    length: int
    heads: tuple[int, int]
    spec: RopeSpec
    layout: str
    first: int = 0

    def positions(self) -> np.ndarray:
        """int32 `(B, S)`, or `(B, S, A)`; near `first` in a decoding batch."""
        starts = self.first + np.random.default_rng(0).integers(0, 1000, (self.batch, 1)) * (
            self.first > 0
        )
        positions = (starts + np.arange(self.length)).astype(np.int32)
        axes = self.spec.pairs.axes
        return (
            positions
            if axes == 1
            else np.stack([positions // (axis + 1) for axis in range(axes)], axis=-1)
        )

    def arrays(self, dtype: np.dtype, order: str, seed: int) -> list[np.ndarray]:
        """q and k, `(B, S, N, H)` or `(B, N, S, H)`."""
        rng = np.random.default_rng(seed)
        sizes = [
            {"B": self.batch, "S": self.length, "N": heads, "H": self.spec.head_dim}
            for heads in self.heads
        ]
        return [
            rng.standard_normal([size[axis] for axis in order], np.float32).astype(dtype)
            for size in sizes
        ]


def prefill(length: int, layout: str = "half") -> Shape:
    return Shape(
        f"prefill {length}, 32 + 8 heads of 128", 1, length, (32, 8), LAYOUTS[layout], layout
    )


DECODE = Shape(
    "decode 64 near position 100000, 32 + 8 heads of 128",
    64,
    1,
    (32, 8),
    LAYOUTS["half"],
    "half",
    first=100_000,
)
MLA = Shape(
    "prefill 2048, DeepSeek-V3, 128 + 1 heads of 64", 1, 2048, (128, 1), DEEPSEEK, "de-interleave"
)
VISION = Shape(
    "prefill 2048, Qwen2-VL, 28 + 4 heads of 128", 1, 2048, (28, 4), M_ROPE, "half, sections"
)
