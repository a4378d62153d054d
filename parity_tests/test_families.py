"""Every family of families.toml against transformers' own class: raw keys, sizes of our own."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import CONFIG_MAPPING

import rope_torch
from rope_parity import bounds
from rope_parity.backends import Torch
from rope_parity.cases import Case
from rope_parity.measure import DTYPES, compare
from rope_parity.reference import Reference
from rope_spec import inverse_frequencies, reference_arithmetic, specs_from_config
from rope_spec.config.families import families

UNREFERENCED = {  # model types that transformers gives nothing to compare with, or no default
    "llama4_vision_model": "its table comes from no positions",
    **dict.fromkeys(
        ("dinov3_vit", "eomt_dinov3", "sapiens2"), "its table comes from an image: test_vision.py"
    ),
    "sam3_vit_model": "its function takes tables without an axis for heads: test_vision.py",
    **dict.fromkeys(("pe_video_encoder", "cohere_compass_text"), "its default raises"),
    "roformer": "no class of its own makes its table",
    **dict.fromkeys(
        ("wav2vec2-bert", "wav2vec2-conformer", "seamless_m4t"),
        "rotates within its attention class",
    ),
    **dict.fromkeys(
        ("evolla_saprot", "nemotron-nas", "qwen3_omni_moe_code2wav", "stablelm_epoch"),
        "no model_type of transformers",
    ),
}
ALSO = {  # keys that the configuration classes check against each other
    "bamba": {"hidden_size": 4096, "num_attention_heads": 32},
    "granitemoehybrid": {"hidden_size": 4096, "num_attention_heads": 32},
    "gradium_phonon_tts": {"hidden_size": 768, "num_attention_heads": 6},
    "pocket_tts": {"hidden_size": 1024, "num_attention_heads": 8},
    "dots3_note_audio_encoder": {"hidden_size": 1280, "num_attention_heads": 20},
    "dots3_note_vision_encoder": {"adapter_in_dim": 480},
    "beam": {"num_key_value_heads": 2},
    "zamba2": {
        "attention_head_dim": 80,
        "hidden_size": 240,
        "layers_block_type": ["linear_attention", "hybrid"] * 4,
    },
    "zaya": {"sliding_window": 64},
    "neomme": {"num_key_value_heads": 2},
    "dots3_note_text": {"num_key_value_heads": 6},
}
ZEROS = (
    "pe_audio_encoder",
    "pe_audio_video_encoder",
    "pe_video_encoder",
)  # their matrix product makes +0 of -0


def raw_config(model_type: str) -> dict:
    """A config.json with sizes of our own for the keys that families.toml names."""
    family = families()[model_type]
    share = 1.0 if family.partial is None else family.partial_default
    head_dim = round(2 * sum(family.sections) / share) if family.sections else 80
    config: dict = {"model_type": model_type, "hidden_size": 6 * head_dim, "num_attention_heads": 6}
    whole, *parts = max((path.split("/") for path in family.head_dim), key=len)
    config |= {whole: 6 * head_dim, parts[0]: 6} if parts else {whole: head_dim}
    if family.theta and not family.by_label and not family.labels and not family.rope:
        config[family.theta[0]] = 12345.0
    if family.rotates_if:
        config[family.rotates_if.key] = family.rotates_if.equals
    if family.layers and family.layers.period in (None, 1):  # else no layer may be of some kind
        config["layer_types"] = [list(family.labels)[i % len(family.labels)] for i in range(8)]
    config |= {} if family.tower == "vision" else {family.length[0]: 4096, "num_hidden_layers": 8}
    return config | ALSO.get(model_type, {})


@pytest.mark.parametrize("model_type", [name for name in families() if name not in UNREFERENCED])
def test_a_family_is_what_transformers_does(model_type):
    """Frequencies within the bound of their rule; given their cos and sin, every byte."""
    config = raw_config(model_type)
    specs = specs_from_config(config)
    assert any(spec is not None for spec in specs.values())
    for label, spec in specs.items():
        if spec is not None:
            case = Case(model_type, spec, 512, config, label)
            reference, positions = Reference(config, spec, label), case.positions()
            theirs, exact = (
                reference.inv_freq(positions),
                inverse_frequencies(spec, case.seq_len).inv_freq,
            )
            if theirs is not None:
                bound = bounds.float32_ladder(spec, case.seq_len)
                assert compare(theirs, exact, np.abs(exact), bound).ok
            for dtype in ("float32", "bfloat16"):
                x = case.x(DTYPES[dtype])[: 1 if model_type in ZEROS else 2]
                table = reference.cos_sin(positions, x.dtype)
                y = Torch().rotate(x, table, spec, reference_arithmetic(config, label))
                assert compare(y, reference.rotate(x, positions), 1.0, 0.0).ok, (label, dtype)


@pytest.mark.parametrize(
    "model_type, name",
    [
        ("axk2", "AXK2Indexer"),
        ("deepseek_v32", "DeepseekV32Indexer"),
        ("glm_moe_dsa", "GlmMoeDsaIndexer"),
        ("hy_v4", "HYV4Indexer"),
    ],
)
def test_an_indexer_rotates_its_keys_as_transformers_does(model_type, name):
    """Its own class, with random weights, hands its rotated keys to the cache: every byte."""
    config = CONFIG_MAPPING[model_type](hidden_size=16, q_lora_rank=8, index_n_heads=2)
    module = import_module(type(config).__module__.replace("configuration_", "modeling_"))
    indexer, held = getattr(module, name)(config, 0), []
    cache = SimpleNamespace(update_indexer=lambda keys, layer: held.append(keys) or keys)
    spec, positions = specs_from_config(config.to_dict())["indexer"], torch.arange(5)[None]
    assert spec is not None
    table = rope_torch.cos_sin(spec, positions)
    x, full = torch.randn(1, 5, 16), [torch.cat([t, t], -1) for t in table]
    indexer(x, torch.randn(1, 5, 8), full, torch.zeros(1, 5, 5), positions, cache)
    keys = indexer.k_norm(indexer.wk(x))
    assert torch.equal(held[0], rope_torch.rotate(spec, keys, *table, heads_axis=None))


def test_the_exceptions_are_still_needed():
    assert set(UNREFERENCED) | set(ALSO) | set(ZEROS) <= set(families())
