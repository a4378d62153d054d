"""A spec for each rule, layout and axis map, by name; many are in no published configuration."""

from __future__ import annotations

from rope_spec import (
    DynamicNTK,
    Explicit,
    Linear,
    Llama3,
    LongRope,
    Pairs,
    PerAxis,
    Proportional,
    RopeSpec,
    Yarn,
)

P64 = Pairs.single(rotary_dim=64)
FACTORS = tuple(1.0 + k / 4 for k in range(32))

RULES = {
    "default": None,
    "linear": Linear(4.0),
    "dynamic": DynamicNTK(4.0, 2048),
    "yarn": Yarn(40.0, 4096, mscale=1.0, mscale_all_dim=1.0, scales_softmax=True),
    "yarn, two mscales": Yarn(40.0, 4096, mscale=1.0, mscale_all_dim=0.7),
    "yarn, not truncated": Yarn(32.0, 4096, truncate=False),
    "yarn, own attention factor": Yarn(
        8.0, 2048, beta_fast=24.0, beta_slow=2.0, attention_factor=0.9
    ),
    "longrope": LongRope(FACTORS, tuple(2 * f for f in FACTORS), 4096, 32.0),
    "llama3": Llama3(8.0, 1.0, 4.0, 8192),
    "llama3, a step": Llama3(16.0, 1.0, 1.0, 8192),
    "proportional": Proportional(8, 8.0),
    "explicit": Explicit(tuple(0.9**k for k in range(32)), 1.3),
}

LAYOUTS = {
    "half": RopeSpec(head_dim=64, theta=10000.0, pairs=P64),
    "interleaved": RopeSpec(head_dim=64, theta=10000.0, pairs=P64, read="interleaved"),
    "de-interleave": RopeSpec(
        head_dim=64, theta=10000.0, pairs=P64, read="interleaved", write="half"
    ),
    "interleave": RopeSpec(head_dim=64, theta=10000.0, pairs=P64, read="half", write="interleaved"),
    "first quarter": RopeSpec(head_dim=80, theta=10000.0, pairs=Pairs.single(rotary_dim=20)),
    "three quarters": RopeSpec(head_dim=64, theta=10000.0, pairs=Pairs.single(rotary_dim=48)),
    "last half, interleaved": RopeSpec(
        head_dim=48, theta=100.0, pairs=Pairs.single(rotary_dim=24), read="interleaved", start=24
    ),
    "odd": RopeSpec(head_dim=40, theta=10000.0, pairs=Pairs.single(rotary_dim=25)),
    "negative sign": RopeSpec(head_dim=64, theta=10000.0, pairs=P64, sign=-1),
    "half per axis": RopeSpec(
        head_dim=64, theta=100.0, pairs=Pairs.axial(rotary_dim=64), read="half_per_axis"
    ),
    "sections": RopeSpec(head_dim=64, theta=1e6, pairs=Pairs.sections(mrope_section=(8, 12, 12))),
    "strided": RopeSpec(head_dim=64, theta=5e6, pairs=Pairs.strided((12, 10, 10))),
    "spatial first": RopeSpec(
        head_dim=64, theta=5e5, pairs=Pairs.spatial_first((11, 11, 10)), read="interleaved"
    ),
    "alternating": RopeSpec(head_dim=64, theta=10000.0, pairs=Pairs.alternating(rotary_dim=64)),
    "axial": RopeSpec(head_dim=72, theta=10000.0, pairs=Pairs.axial(rotary_dim=72)),
    "axial, shared ladder": RopeSpec(
        head_dim=64, theta=10000.0, pairs=Pairs.axial_shared(rotary_dim=64)
    ),
    "axial, alternating": RopeSpec(
        head_dim=64, theta=10000.0, pairs=Pairs.axial_alternating(rotary_dim=64), read="interleaved"
    ),
    "video": RopeSpec(head_dim=80, theta=10000.0, pairs=Pairs.axial(rotary_dim=78, axes=3)),
    "axes of several widths": RopeSpec(
        head_dim=128, theta=10000.0, pairs=Pairs.widths((16, 56, 56)), read="interleaved"
    ),
    "a base for each axis": RopeSpec(
        head_dim=128,
        pairs=Pairs.widths((44, 42, 42)),
        rule=PerAxis((26710.3, 10000.0, 5000.0), (1.0, 2.0, 3.0)),
    ),
    "one pair": RopeSpec(head_dim=2, theta=10000.0, pairs=Pairs.single(rotary_dim=2)),
}

SPECS = LAYOUTS | {
    name: RopeSpec(head_dim=64, theta=500000.0, pairs=P64, rule=rule)
    for name, rule in RULES.items()
}
