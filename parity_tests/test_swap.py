"""Our cos and sin inside transformers models of several families: the same outputs, and loud where
it cannot be.
"""

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from rope_parity import bounds
from rope_spec import Arithmetic, RopeSpec, inverse_frequencies, spec_from_config
from rope_torch import FullTables, swap_rotary

SIZES = {
    "vocab_size": 64,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA3 |= {"original_max_position_embeddings": 64, "rope_theta": 10000.0}
MLA = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "head_dim": 8,
    "v_head_dim": 16,
}
KINDS = ["sliding_attention", "full_attention"]
MROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
GPTJ = {
    "n_embd": 64,
    "n_head": 4,
    "n_layer": 2,
    "rotary_dim": 8,
    "vocab_size": 64,
    "pad_token_id": 0,
}
MODELS = {
    "llama, llama3": ("llama", SIZES | {"rope_parameters": LLAMA3, "max_position_embeddings": 512}),
    "cohere, neighbours in the table": ("cohere", SIZES),
    "glm, neighbours in x alone": ("glm", SIZES | {"partial_rotary_factor": 0.5}),
    "deepseek_v3, de-interleave": (
        "deepseek_v3",
        SIZES | MLA | {"first_k_dense_replace": 2, "num_key_value_heads": 4},
    ),
    "gemma3_text, two kinds of layers": ("gemma3_text", SIZES | {"layer_types": KINDS}),
    "gemma3_text, one of its kinds alone": ("gemma3_text", SIZES),
    "olmo3, one of its kinds alone": ("olmo3", SIZES | {"num_hidden_layers": 3}),
    "olmo3, two kinds of layers": ("olmo3", SIZES | {"num_hidden_layers": 4}),
    "smollm3, layers without": ("smollm3", SIZES | {"num_hidden_layers": 4}),
    "gpt_neox, a quarter": (
        "gpt_neox",
        {k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")},
    ),
    "gpt_oss, a column for each pair": ("gpt_oss", SIZES | EXPERTS),
    "gptj, sine first": ("gptj", GPTJ),
    "qwen2_vl_text, M-RoPE": ("qwen2_vl_text", SIZES | MROPE),
    "qwen2_5_vl_text, M-RoPE": ("qwen2_5_vl_text", SIZES | MROPE),
    "qwen3_vl_text, M-RoPE": ("qwen3_vl_text", SIZES | MROPE),
}


def built(model_type, sizes, dtype=torch.float32):
    """A model with random weights: of text to logits, or the text model of a larger one."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **sizes)
    of_text = type(config) in AutoModelForCausalLM._model_mapping
    return (AutoModelForCausalLM if of_text else AutoModel).from_config(config, dtype=dtype).eval()


def outputs(model, count=48):
    """What it makes of some tokens; with M-RoPE each axis has positions of its own, as around an
    image.
    """
    tokens, options = torch.arange(count)[None] % 64, {}
    if "mrope_section" in (getattr(model.config, "rope_parameters", None) or {}):
        options["position_ids"] = torch.stack(
            [torch.arange(count), torch.arange(count) // 7, torch.arange(count) % 7]
        )[:, None]
    with torch.inference_mode():
        found = model(tokens, **options)
    return found.logits if "logits" in found else found.last_hidden_state


def swapped(model):
    return [module for module in model.modules() if isinstance(module, FullTables)]


DTYPES = [(name, dtype) for name in MODELS for dtype in (torch.float32, torch.bfloat16)]
DTYPES.remove(
    ("gptj, sine first", torch.bfloat16)
)  # built in bfloat16 its frequencies are bfloat16, which is a fault


@pytest.mark.parametrize("name, dtype", DTYPES)
def test_outputs_stay_to_the_bit_and_come_back(name, dtype):
    """float32 angles from the same frequencies, in the dtype that the model's own tables have."""
    model_type, sizes = MODELS[name]
    model = built(model_type, sizes, dtype)
    before = outputs(model)
    undo = swap_rotary(model, Arithmetic(angles="float32"))
    assert swapped(model) and torch.equal(outputs(model), before)
    undo()
    assert not swapped(model) and torch.equal(outputs(model), before)


def test_a_vision_tower_is_taken_too():
    """Qwen2-VL with both its towers: two rotary modules, and the tables of the second by row and
    column.
    """
    vision = {
        "embed_dim": 32,
        "hidden_size": 64,
        "num_heads": 2,
        "depth": 1,
        "patch_size": 2,
        "spatial_merge_size": 1,
    }
    config = AutoConfig.for_model("qwen2_vl", text_config=SIZES | MROPE, vision_config=vision)
    model = AutoModel.from_config(config).eval()
    grid = torch.tensor([[1, 4, 6]])
    pixels = torch.randn(24, 3 * 2 * 2 * 2, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = model.visual(pixels, grid_thw=grid).last_hidden_state
        swap_rotary(model, Arithmetic(angles="float32"))
        assert len(swapped(model)) == 2 and not before.isnan().any()
        assert torch.equal(model.visual(pixels, grid_thw=grid).last_hidden_state, before)


def test_exact_tables_are_within_the_bound_of_float32_angles():
    """The default arithmetic: not the model's bits, and no further from them than its own
    rounding.
    """
    model = built(*MODELS["llama, llama3"])
    positions, x = torch.arange(512)[None], torch.zeros(1)
    theirs = model.model.rotary_emb(x, positions)
    inv_freq = model.model.rotary_emb.inv_freq.double().numpy()
    swap_rotary(model)
    ours = model.model.rotary_emb(x, positions)
    spec = spec_from_config(model.config)
    error = inv_freq - inverse_frequencies(spec).inv_freq
    bound = bounds.float32_table(
        positions[0, :, None].numpy(), inv_freq, error, 1.0
    ) + bounds.exact_table(1.0)
    for a, b in zip(ours, theirs, strict=True):
        assert (np.abs((a - b)[0].double().numpy()) <= np.tile(bound, 2)).all() and not torch.equal(
            a, b
        )


NOT_TAKEN = {
    "deepseek_v2, complex": (
        "deepseek_v2",
        SIZES | MLA | {"first_k_dense_replace": 2, "num_key_value_heads": 4},
        r"got rotary_emb, a DeepseekV2RotaryEmbedding: its table is one tensor of torch.com",
    ),
    "llama4_text, complex": (
        "llama4_text",
        SIZES | EXPERTS,
        "Llama4TextRotaryEmbedding: its table is one tensor of torch.complex64",
    ),
    "wav2vec2-conformer, no positions": (
        "wav2vec2-conformer",
        {
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": 1,
            "position_embeddings_type": "rotary",
        },
        "Wav2Vec2ConformerRotaryPositionalEmbedding: .* takes 2 positional arguments but 3 were",
    ),
    "gpt2, none": (
        "gpt2",
        {"n_embd": 32, "n_head": 2, "n_layer": 1},
        "GPT2Model, expected a model with modules named",
    ),
}


@pytest.mark.parametrize("model_type, sizes, message", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_what_is_not_taken_says_why(model_type, sizes, message):
    """And nothing is swapped."""
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **sizes))
    with pytest.raises(ValueError, match=message):
        swap_rotary(model)
    assert not swapped(model)


def overwritten(value):
    return lambda rotary: rotary.inv_freq.fill_(value)


FAULTS = {
    "faster": lambda rotary: rotary.inv_freq.mul_(1.5),
    "bfloat16": lambda rotary: rotary.bfloat16(),
    "all alike": overwritten(0.5),
    "zeros": overwritten(0.0),
    "NaN": overwritten(float("nan")),
}


@pytest.mark.parametrize("model_type", ["llama", "cohere"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_the_frequencies_is_taken_away(fault, model_type):
    """Planted, swapped: the outputs are again those of the model without it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **SIZES)).eval()
    tokens = torch.arange(1000)[None] % 64
    with torch.inference_mode():
        right = model(tokens).logits
        fault(model.model.rotary_emb)
        error = (model(tokens).logits - right).abs().max()
        swap_rotary(model, Arithmetic(angles="float32"))
        left = (model(tokens).logits - right).abs().max()
    assert left < error / 100 or error.isnan() and left < 1e-3


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
@pytest.mark.parametrize("length", [8, 9])
def test_the_length_is_one_more_than_the_last_position(length, kind):
    """Of an original context of 8, against transformers' own module: each angle is at most 8."""
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    if kind == "longrope":
        factors = {"short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
        rope |= factors | {"original_max_position_embeddings": 8}
    config = LlamaConfig(
        hidden_size=8, num_attention_heads=1, max_position_embeddings=8, rope_parameters=rope
    )
    at = torch.zeros(1, length, 8), torch.arange(length)[None]
    ours, theirs = (
        FullTables({"text": spec_from_config(config)})(*at),
        LlamaRotaryEmbedding(config)(*at),
    )
    for mine, table in zip(ours, theirs, strict=True):
        assert (mine - table).abs().max() <= 8 * 8 * 2.0**-24  # frequencies to 8 roundings


def test_tables_of_several_kinds_of_layer_ask_for_one():
    tables = FullTables({"full": RopeSpec(head_dim=8), "sliding": RopeSpec(head_dim=8)})
    for layer_type in (None, "chunked"):
        message = f"got layer_type={layer_type!r}, expected one of 'full', 'sliding'"
        with pytest.raises(ValueError, match=message):
            tables(torch.zeros(1), torch.arange(4)[None], layer_type)
