"""SmolLM2-135M-Instruct in Flax NNX, with its real weights."""
