"""Real models that import rope_jax."""
