"""The page on three compilers has the table that the compilers give."""

from pathlib import Path

from . import wheel

wheel("libtpu")
wheel("jax_plugins.xla_cuda12")
wheel("nvidia.cuda_nvcc")
from .three_compilers import rows  # noqa: E402

PAGE = Path(__file__).parent.parent.parent / "docs" / "three_compilers.md"


def test_the_table_is_what_the_compilers_make():
    assert "\n".join(rows()) in PAGE.read_text()
