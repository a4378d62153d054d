"""Triton's interpreter runs the kernel on CPU tensors, as `launch` gives it to a GPU.

Set TRITON_INTERPRET=1 before Triton is imported, then call `use_interpreter`. The interpreter is no
public module of Triton: where it moves, look for what converts to bfloat16, and drop the patch once
it rounds.
"""

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from rope_torch import gpu


def use_interpreter() -> None:
    """From now on rope_torch takes CPU tensors for GPU tensors."""
    builder = interpreter.InterpreterBuilder
    builder.cast_impl = as_torch_casts(builder.cast_impl)
    builder.create_fp_trunc = builder.create_fp_ext = lambda *of: builder.cast_impl(*of)
    torch.library.impl(gpu.OPERATOR, "CPU", gpu.launch)
    gpu._is_nvidia = lambda x: True


def as_torch_casts(cast):
    """The interpreter's conversions, but torch's for bfloat16, which it truncates."""

    def convert(self, source, dtype):
        numbers = torch.from_numpy(np.array(source.data))
        match source.dtype.scalar, dtype.scalar:
            case tl.float32, tl.bfloat16:
                converted = numbers.bfloat16().view(torch.uint16)
            case tl.bfloat16, tl.float32:
                converted = numbers.view(torch.bfloat16).float()
            case _:
                return cast(self, source, dtype)
        return interpreter.TensorHandle(converted.numpy(), dtype.scalar)

    return convert
