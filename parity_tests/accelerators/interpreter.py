"""Triton's interpreter runs the kernel on CPU tensors, as `launch` gives it to a GPU.

Set TRITON_INTERPRET=1 before Triton is imported, then call `use_interpreter`. Triton's interpreter is no public
module: where it moves, look for what narrows float32 to bfloat16, and drop the patch once it rounds.
"""

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from rope_torch import gpu


def use_interpreter() -> None:
    """From now on rope_torch takes CPU tensors for GPU tensors."""
    builder = interpreter.InterpreterBuilder
    builder.cast_impl = rounding(builder.cast_impl)
    builder.create_fp_trunc = lambda self, source, dtype: self.cast_impl(source, dtype)
    torch.library.impl(gpu.OPERATOR, "CPU", gpu.launch)
    gpu.takes = lambda x, cos: {x.dtype, cos.dtype} <= set(gpu.DTYPES)


def rounding(cast):
    """The interpreter's conversions, except that float32 to bfloat16 rounds, where it truncates."""

    def rounds(self, source, dtype):
        if (source.dtype.scalar, dtype.scalar) != (tl.float32, tl.bfloat16):
            return cast(self, source, dtype)
        narrow = torch.from_numpy(np.array(source.data)).bfloat16().view(torch.uint16).numpy()
        return interpreter.TensorHandle(narrow, dtype.scalar)

    return rounds
