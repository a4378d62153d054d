"""Other people's models in JAX, with our rotary embedding in the place of theirs."""

SIZES = {"vocabulary": 256, "width": 256, "hidden": 512, "heads": 4, "kv_heads": 2, "head_dim": 64}

# Llama-3.2-1B, as published
LLAMA = {
    "model_type": "llama",
    "hidden_size": 2048,
    "num_attention_heads": 32,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "factor": 32.0,
        "high_freq_factor": 4.0,
        "low_freq_factor": 1.0,
        "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}
