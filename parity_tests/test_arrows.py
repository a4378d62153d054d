"""Who may import whom: every import of the repository follows one table of arrows."""

import ast
import json
import re
import sys
import tomllib
from importlib.util import resolve_name
from pathlib import Path

import pytest

from rope_parity.__main__ import EXTRA

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRA_OF = {
    "rope_jax": "jax",
    "rope_torch": "torch",
    "rope_parity": "parity",
    "examples": "examples",
}
MODULES = {"ipython": "IPython", "orbax-checkpoint": "orbax"}  # distributions of another name
REQUIREMENT = re.compile(r"^([\w-]+)(?:\[(.*?)\])?", re.MULTILINE)


def declared(extra=None):
    """The modules that rope-parity brings, with an extra and the extras that it names in turn."""
    requirements = PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(extra, [])
    found = REQUIREMENT.findall("\n".join(requirements))
    named = [declared(each) for name, extras in found if extras for each in extras.split(",")]
    return {MODULES.get(name, name.replace("-", "_")) for name, _ in found}.union(*named)


SPEC = {"jaxtyping", "numpy"}
BRANCHES = SPEC | {"rope_spec"}
REFEREE = BRANCHES | {"jax", "rope_jax", "torch", "rope_torch"}
TOOLS = {"jinja2", "matplotlib", "ml_dtypes", "mpmath", "rich", "typer"}
CHECKOUT = declared("dev") | {"rope_spec", "rope_jax", "rope_torch", "rope_parity"}
ARROWS = {  # what each room may import, beside itself and the standard library
    "rope_spec": SPEC,
    "rope_jax": BRANCHES | {"jax"},
    "rope_torch": BRANCHES | {"torch"},
    "rope_parity": REFEREE | TOOLS,
    "benchmarks": CHECKOUT,
    "examples": CHECKOUT,
    "notebooks": CHECKOUT | {"examples"},
    "parity_tests": CHECKOUT | {"benchmarks", "examples"},
}
ALONE = {  # nowhere else in their room
    "rope_jax/nnx.py": {"flax"},
    "rope_jax/linen.py": {"flax"},
    "rope_torch/triton_kernel.py": {"triton"},
    "parity_tests/accelerators/test_triton.py": {"triton"},
    "parity_tests/accelerators/interpreter.py": {"triton"},
    "parity_tests/accelerators/xla_gpu.py": {"nvidia"},
    "examples/others/tunix.py": {"tunix"},
    "examples/others/keras_llama.py": {"keras", "keras_hub"},
    "examples/others/levanter_llama.py": {"levanter", "haliax"},
    "examples/others/levanter_yarn.py": {"levanter"},
    "examples/others/easydel_llama.py": {"easydel"},
    "examples/others/gemma.py": {"gemma"},
    "examples/others/penzai_neox.py": {"penzai"},
    "examples/others/metatron.py": {"nanoguard"},
    "parity_tests/broken_ropes.py": {"diffusers"},
    "parity_tests/diffusers_ropes.py": {"diffusers"},
}
LAZILY = {"rope_parity/reference.py": {"transformers"}}  # and inside a function alone


def source(path):
    """The code of a file, or of the cells of a notebook."""
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def imports(path, root):
    """Each module that a file imports, in full, and whether it does so inside a function."""
    nodes = list(ast.walk(ast.parse(source(path))))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {node for function in functions for node in ast.walk(function)}
    package = ".".join(path.relative_to(root).parent.parts)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield from ((f"{module}.{alias.name}", node in inside) for alias in node.names)


def top(module):
    return module.split(".")[0]


def forbidden(root):
    """What is imported against the arrows: `(file, module)`."""
    paths = (path for room in ARROWS for path in (root / room).rglob("*"))
    for path in (path for path in paths if path.suffix in (".py", ".ipynb")):
        name, room = path.relative_to(root).as_posix(), path.relative_to(root).parts[0]
        allowed = ARROWS[room] | ALONE.get(name, set()) | sys.stdlib_module_names | {room}
        for module, lazily in imports(path, root):
            if top(module) not in allowed | (LAZILY.get(name, set()) if lazily else set()):
                yield name, top(module)


def test_every_import_follows_the_arrows():
    assert list(forbidden(ROOT)) == []


def test_every_package_has_its_arrows():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == ARROWS.keys() - {"notebooks"}


CELL = {"cell_type": "code", "source": ["import numpy\n", "from parity_tests import x"]}
PLANTED = [  # a file, a line of it, and what is wrong with it
    ("rope_spec/spec.py", "import jax.numpy as jnp", "jax"),
    ("rope_spec/spec.py", "from rope_jax import rotate", "rope_jax"),
    ("rope_jax/cache.py", "from rope_torch import rotate", "rope_torch"),
    ("rope_jax/cache.py", "from flax import nnx", "flax"),
    ("rope_torch/cache.py", "def f():\n    import rope_jax.cache", "rope_jax"),
    ("rope_torch/gpu.py", "import triton.language as tl", "triton"),
    ("rope_torch/swap.py", "def f():\n    from transformers import AutoModel", "transformers"),
    ("rope_parity/command.py", "from benchmarks.__main__ import bench", "benchmarks"),
    (
        "rope_parity/report.py",
        "class A:\n    def f(self):\n        import parity_tests.x",
        "parity_tests",
    ),
    ("rope_parity/cases.py", "def f():\n    from transformers import AutoConfig", "transformers"),
    ("rope_parity/reference.py", "import transformers", "transformers"),
    ("benchmarks/run.py", "from parity_tests import conftest", "parity_tests"),
    ("examples/smollm2/model.py", "from benchmarks import shapes", "benchmarks"),
    ("notebooks/01.ipynb", json.dumps({"cells": [CELL]}), "parity_tests"),
    ("parity_tests/test_x.py", "import undeclared", "undeclared"),
]


@pytest.mark.parametrize("name, text, module", PLANTED)
def test_the_arrows_bite(name, text, module, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert list(forbidden(tmp_path)) == [(name, module)]


RELATIVE = {
    "from . import model": "examples.smollm2.model",
    "from .model import Config": "examples.smollm2.model.Config",
    "from ..other.model import Config": "examples.other.model.Config",
}


@pytest.mark.parametrize("line, module", RELATIVE.items())
def test_a_relative_import_is_resolved(line, module, tmp_path):
    path = tmp_path / "examples" / "smollm2" / "check.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert list(imports(path, tmp_path)) == [(module, False)]


def of_others(room):
    """What the files of a room import that is neither ours nor of the standard library."""
    paths = (ROOT / room).rglob("*.py")
    modules = {top(module) for path in paths for module, _ in imports(path, ROOT)}
    return modules - sys.stdlib_module_names - ARROWS.keys()


@pytest.mark.parametrize("room", ["rope_spec", *EXTRA_OF])
def test_what_a_package_imports_is_declared(room):
    optional = {"triton"}  # which torch for CUDA brings
    scripts = [name for name in ALONE if name.startswith("examples/others/")]
    by_hand = {module for name in scripts for module in ALONE[name]}  # their README names them
    assert of_others(room) <= declared(EXTRA_OF.get(room)) | optional | by_hand


def test_the_command_knows_every_module_that_may_be_missing():
    assert of_others("rope_parity") - declared() == EXTRA


def test_the_oracle_knows_only_the_description():
    modules = {module for module, _ in imports(ROOT / "rope_parity" / "oracle.py", ROOT)}
    assert {module for module in modules if module.startswith("rope_")} == {"rope_spec.RopeSpec"}
