"""Every class of transformers that is about rotary embeddings: described, or refused by name.

What there is comes from the source of transformers' modules: nothing here lists the classes.
"""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import transformers

from rope_spec import specs_from_config
from rope_spec.config.families import data, families, refusals

NAME = re.compile("Rotary|R(oPE|ope)[A-Z]")
TYPE = re.compile(r'^    model_type = "(.+)"', re.MULTILINE)
FOLDER = Path(transformers.__file__).parent / "models"


def census() -> dict[str, set[str]]:
    """The classes of the modeling files with such a name, and the model types that have them."""
    found = {}
    for file in sorted(FOLDER.glob("*/modeling_*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        for name in filter(NAME.search, names):
            module = import_module(f"transformers.models.{file.parent.name}.{file.stem}")
            types = types_of(getattr(module, name)) or types_in(file.parent)
            found[name] = set().union(*map(parts, types))
    return found


def types_of(rotary: type) -> list[str]:
    """The model types of the configurations that its constructor names."""
    module = inspect.getmodule(rotary)
    named = [parameter.annotation for parameter in inspect.signature(rotary).parameters.values()]
    kinds = [getattr(module, kind, None) if isinstance(kind, str) else kind for kind in named]
    return [kind.model_type for kind in kinds if getattr(kind, "model_type", "")]


def types_in(folder: Path) -> list[str]:
    """The model types of the configurations of a folder."""
    files = folder.glob("configuration_*.py")
    return [name for file in files for name in TYPE.findall(file.read_text(encoding="utf-8"))]


def parts(model_type: str) -> set[str]:
    """The model type itself, and those of its parts."""
    inner = data()["outer"].get(model_type, {}).values()
    return {model_type}.union(*map(parts, inner))


CENSUS = census()
REFUSED = [name for name, types in CENSUS.items() if not types & families().keys()]


def test_every_class_is_described_or_refused():
    """225 in transformers 5.23, where they were counted by hand; a new one has to be looked at."""
    assert len([name for name in CENSUS if "Rotary" in name]) >= 225
    known = families().keys() | refusals().keys()
    assert [name for name, types in CENSUS.items() if not types & known] == []


def test_nine_of_ten_are_described():
    """`test_families.py` compares these with their class; the others are refused with a reason."""
    assert len(REFUSED) < len(CENSUS) / 10, REFUSED
    for model_type in set().union(*(CENSUS[name] for name in REFUSED)) & refusals().keys():
        with pytest.raises(ValueError, match=re.escape(refusals()[model_type])):
            specs_from_config({"model_type": model_type})
