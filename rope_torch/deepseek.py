"""The lesson's DeepSeek-V3 rotary embedding, faults included: a table that grows when needed.

The lesson is `notebooks/01_lesson.ipynb`.

Its faults, which `RotaryEmbedding` does not have: the table takes the dtype of the call that grew
it, so that one float16 call leaves float16 values to every later float32 call; `.half()` casts
`inv_freq` and the table; angles are float32 products.
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn


class DeepseekV3RotaryEmbedding(nn.Module):
    """Full-width cos and sin tables with lazy growth, `cat(angles, angles)` wide.

    Args:
        dim: H, the rotated width.
        max_position_embeddings: rows of the first table.
        base: theta.
        device: where the first table is built.
    """

    inv_freq: Float[Tensor, " P"]
    cos_cached: Float[Tensor, "L H"]  # L is max_seq_len_cached
    sin_cached: Float[Tensor, "L H"]

    def __init__(
        self,
        dim: int,
        max_position_embeddings: int = 2048,
        base: float = 10000,
        device: torch.device | str | int | None = None,
    ) -> None:
        super().__init__()
        self.dim, self.max_position_embeddings, self.base = dim, max_position_embeddings, base
        exponent = torch.arange(0, dim, 2).float().to(device) / dim
        self.register_buffer("inv_freq", 1.0 / base**exponent, persistent=False)
        self._set_cos_sin_cache(
            max_position_embeddings, self.inv_freq.device, torch.get_default_dtype()
        )

    def _set_cos_sin_cache(self, seq_len: int, device: torch.device, dtype: torch.dtype) -> None:
        self.max_seq_len_cached = seq_len
        positions = torch.arange(seq_len, device=device, dtype=self.inv_freq.dtype)
        angles = torch.outer(positions, self.inv_freq.to(device))
        angles = torch.cat((angles, angles), dim=-1)
        self.register_buffer("cos_cached", angles.cos().to(dtype), persistent=False)
        self.register_buffer("sin_cached", angles.sin().to(dtype), persistent=False)

    def forward(
        self,
        x: Float[Tensor, "... S H"],
        seq_len: int | None = None,
        position_ids: Integer[Tensor, "..."] | None = None,
    ) -> tuple[Float[Tensor, "L H"], Float[Tensor, "L H"]]:
        """The first rows of the tables, in the dtype of x; grows them when they are too short.

        Args:
            x: its dtype is that of the result; its values are not read.
            seq_len: L, the number of rows.
            position_ids: without `seq_len`, `max + 1` is the number of rows, and without both it is
                S. The caller gathers: `cos[position_ids]`.

        Returns:
            cos and sin, `(L, H)`.
        """
        if seq_len is None:
            seq_len = x.shape[-2] if position_ids is None else int(position_ids.max()) + 1
        if seq_len > self.max_seq_len_cached:
            self._set_cos_sin_cache(seq_len, x.device, x.dtype)
        return self.cos_cached[:seq_len].to(x.dtype), self.sin_cached[:seq_len].to(x.dtype)
