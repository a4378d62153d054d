"""Our cos and sin inside transformers models of several families: the same outputs, and loud where it cannot be."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rope_spec import Arithmetic
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
MLA = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 16, "qk_rope_head_dim": 8, "head_dim": 8, "v_head_dim": 16}
MODELS = {
    "llama, llama3": ("llama", {"rope_parameters": LLAMA3, "max_position_embeddings": 512}),
    "cohere, neighbours in the table": ("cohere", {}),
    "glm, neighbours in x alone": ("glm", {"partial_rotary_factor": 0.5}),
    "deepseek_v3, de-interleave": ("deepseek_v3", MLA | {"first_k_dense_replace": 2, "num_key_value_heads": 4}),
    "gemma3_text, two kinds of layers": ("gemma3_text", {"layer_types": ["sliding_attention", "full_attention"]}),
    "gpt_neox, a quarter": ("gpt_neox", {}),
}


@pytest.fixture(params=MODELS.values(), ids=MODELS)
def model(request):
    model_type, options = request.param
    torch.manual_seed(0)
    sizes = (
        SIZES if model_type != "gpt_neox" else {k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
    )
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **sizes | options)).eval()


def test_outputs_stay_and_come_back(model):
    """float32 angles from frequencies that are within an ULP: the outputs move by no more than float32 does."""
    tokens = torch.arange(48)[None] % 64
    with torch.inference_mode():
        before = model(tokens).logits
        undo = swap_rotary(model, Arithmetic(angles="float32"))
        assert any(isinstance(module, FullTables) for module in model.modules())
        assert torch.allclose(model(tokens).logits, before, rtol=0, atol=1e-4 * float(before.abs().max()))
        undo()
        assert not any(isinstance(module, FullTables) for module in model.modules())
        assert torch.equal(model(tokens).logits, before)


def test_tables_of_another_form_are_refused():
    """Qwen2-VL has a table for each axis."""
    from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLTextConfig
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLTextModel

    parameters = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    model = Qwen2VLTextModel(Qwen2VLTextConfig(**SIZES, rope_parameters=parameters))
    with pytest.raises(ValueError, match="swap_rotary: got rotary_emb, a Qwen2VLRotaryEmbedding: .* Expected one that takes"):
        swap_rotary(model)


def _faster(model):
    model.model.rotary_emb.inv_freq *= 1.5


@pytest.mark.parametrize("fault", [_faster, lambda model: model.model.rotary_emb.bfloat16()], ids=["faster", "bfloat16"])
def test_a_fault_in_the_frequencies_is_taken_away(fault):
    """Planted, swapped: the outputs are again those of the model without it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **SIZES)).eval()
    tokens = torch.arange(1000)[None] % 64
    with torch.inference_mode():
        right = model(tokens).logits
        fault(model)
        error = (model(tokens).logits - right).abs().max()
        swap_rotary(model, Arithmetic(angles="float32"))
        assert (model(tokens).logits - right).abs().max() < error / 100
