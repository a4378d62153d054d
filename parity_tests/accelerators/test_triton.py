"""The Triton kernel: what it is compiled to for three generations of GPUs, and its values."""

import os
import re
import subprocess
import sys
from math import gcd
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import rope_torch
from rope_parity.constructed import LAYOUTS
from rope_parity.measure import DTYPES
from rope_spec import Pairs, RopeSpec
from rope_torch import gpu

from . import wheel

triton = wheel("triton")
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import driver  # noqa: E402

from rope_torch.triton_kernel import rotate_kernel  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
GENERATIONS = {"A100": 80, "H100": 90, "B200": 100}
THREADS = 32 * gpu.WARPS
MODELS = {
    "Llama": RopeSpec(head_dim=128, theta=5e5, pairs=Pairs.single(rotary_dim=128)),
    "Cohere": RopeSpec(
        head_dim=128, theta=1e4, pairs=Pairs.single(rotary_dim=128), read="interleaved"
    ),
    "DeepSeek": RopeSpec(
        head_dim=64, theta=1e4, pairs=Pairs.single(rotary_dim=64), read="interleaved", write="half"
    ),
    "Phi-4-mini": RopeSpec(head_dim=128, theta=1e4, pairs=Pairs.single(rotary_dim=96)),
    "Phi-2": RopeSpec(head_dim=80, theta=1e4, pairs=Pairs.single(rotary_dim=32)),
    "Gemma": RopeSpec(head_dim=256, theta=1e4, pairs=Pairs.single(rotary_dim=256)),
    "half per axis of 128": RopeSpec(
        head_dim=128, theta=1e4, pairs=Pairs.axial(rotary_dim=128), read="half_per_axis"
    ),
}
EACH_GENERATION = pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)
EACH_SPEC = pytest.mark.parametrize("spec", (LAYOUTS | MODELS).values(), ids=LAYOUTS | MODELS)
EACH_MODEL = pytest.mark.parametrize("spec", MODELS.values(), ids=MODELS)
ACCESS = r"{}\.global(?:\.v(\d))?\.b(\d+)"
SETS_CONSTANT = r"mov\.b\d+\s+(%\w+), -?(?:0x)?[\dA-F]+;"


class Compiler:
    """In the place of a GPU's driver: `launch` compiles for it, and runs nothing."""

    def __init__(self, generation: int):
        self.generation = generation

    def get_current_target(self):
        return GPUTarget("cuda", self.generation, 32)

    def get_current_device(self):
        return self.generation

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def compiled(monkeypatch):
    """The kernel that `launch` compiles for a generation; with other options, if a test says so."""
    run = type(rotate_kernel).run

    def compiles(generation, spec, dtype, round_each=False, **options):
        kernels = []

        def compile_only(self, *arguments, grid, warmup, **keywords):
            kernels.append(run(self, *arguments, grid=grid, warmup=True, **keywords | options))

        monkeypatch.setattr(type(rotate_kernel), "run", compile_only)
        monkeypatch.setattr(driver, "_active", Compiler(generation))
        x = torch.zeros(1, 2, 3, spec.head_dim, dtype=getattr(torch, dtype))
        table, channels = torch.zeros(1, 1, 3, len(spec.pairs)), spec.channels
        gpu.launch(
            x, table, table, channels.start, channels.read_blocks, channels.write_blocks, round_each
        )
        return kernels.pop()

    return compiles


def contracted(ptx: str) -> list[str]:
    """The fused multiply-adds of three numbers.

    One with a constant rounds as a product or a sum does: `a * b + -0`, and `a * 1 + b`, by which
    an A100 multiplies and adds bfloat16.
    """
    constants = set(re.findall(SETS_CONSTANT, ptx))
    fused = re.findall(r"fma\.rn\S+\s+([^;]+);", ptx)
    return [line for line in fused if not constants & set(line.split(", "))]


def widths(ptx: str, instruction: str) -> list[int]:
    """How many bytes each load or store of a thread moves."""
    found = re.findall(ACCESS.format(instruction), ptx)
    return [int(count or 1) * int(bits) // 8 for count, bits in found]


@EACH_GENERATION
@EACH_DTYPE
@EACH_SPEC
def test_no_product_is_contracted(spec, dtype, generation, compiled):
    for round_each in (False, True):
        assert not contracted(compiled(generation, spec, dtype, round_each).asm["ptx"])


@EACH_GENERATION
@EACH_DTYPE
@EACH_MODEL
def test_the_check_of_contraction_can_fail(spec, dtype, generation, compiled):
    kernel = compiled(generation, spec, dtype, enable_fp_fusion=True)
    assert contracted(kernel.asm["ptx"])


@EACH_MODEL
def test_ptxas_contracts_nothing_either(spec, compiled):
    """In the machine code of an H100."""
    multiplies = r"\bFFMA\b"
    assert not re.search(multiplies, compiled(90, spec, "float32").asm["sass"])
    assert re.search(multiplies, compiled(90, spec, "float32", enable_fp_fusion=True).asm["sass"])


def per_thread(spec) -> tuple[int, int]:
    """How many pairs of a tile a thread rotates, and how many of the other channels it copies."""
    pairs, rest = len(spec.pairs), spec.head_dim - 2 * len(spec.pairs)
    rows = max(1, gpu.TILE // gpu._power_of_2(pairs))
    copied = max(1, rows * gpu._power_of_2(rest) // THREADS) if rest else 0
    return rows * gpu._power_of_2(pairs) // THREADS, copied


@EACH_GENERATION
@EACH_DTYPE
@EACH_SPEC
def test_x_is_read_once_and_y_written_once(spec, dtype, generation, compiled):
    """The bytes of a tile of x, and of cos and sin."""
    ptx, (pairs, copied) = compiled(generation, spec, dtype).asm["ptx"], per_thread(spec)
    tile = (2 * pairs + copied) * DTYPES[dtype].itemsize
    assert sum(widths(ptx, "st")) == tile
    assert sum(widths(ptx, "ld")) == tile + 2 * pairs * 4


@EACH_GENERATION
@EACH_DTYPE
@EACH_SPEC
def test_channels_that_lie_together_move_as_vectors(spec, dtype, generation, compiled):
    """Of 16 bytes, or of what divides the channels that lie together, or of what a thread has."""
    ptx, channels, pairs = (
        compiled(generation, spec, dtype).asm["ptx"],
        spec.channels,
        len(spec.pairs),
    )
    runs = [
        2 * n if n == pairs else pairs // n for n in (channels.read_blocks, channels.write_blocks)
    ]
    aligned = gcd(8, spec.head_dim, channels.start, 2 * pairs, *runs, *per_thread(spec))
    of_x, of_table = aligned * DTYPES[dtype].itemsize, gcd(4, pairs) * 4
    assert min(widths(ptx, "st")) >= min(16, of_x)
    assert min(widths(ptx, "ld")) >= min(16, of_x, of_table)


def test_tensors_on_a_gpu_take_the_kernel():
    """Without one, by their shapes alone; y lies in memory as x does."""
    with FakeTensorMode():
        x = torch.empty(2, 5, 3, 64, device="cuda").transpose(1, 2)
        table = torch.empty(1, 5, 32, device="cuda")
        y = rope_torch.rotate(LAYOUTS["half"], x, table, table)
        assert gpu.supports(x, table, table) and not gpu.supports(x.cpu(), table.cpu(), table.cpu())
        assert not gpu.supports(x, table, table.cpu()) and not gpu.supports(
            x.double(), table, table
        )
    assert (y.shape, y.stride(), y.device) == (x.shape, x.stride(), x.device)


def test_values():
    """In a process of its own: once Triton is imported, it compiles or it interprets."""
    file = Path(__file__).with_name("triton_values.py")
    settings = {"JAXTYPING_DISABLE": "1"}  # torch compiles no checks of signatures
    settings |= {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
