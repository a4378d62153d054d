"""The referee: measures RoPE implementations against each other, transformers and exact arithmetic."""
