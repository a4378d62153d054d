"""What is shipped: the four packages, the same in the wheel and the sdist, and nothing else."""

import tarfile
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from rope_parity.__main__ import main

ROOT = Path(__file__).parent.parent
PACKAGES = ("rope_spec", "rope_jax", "rope_torch", "rope_parity")
FILES = {
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}


def wheel(source, folder):
    """The content of each file of a wheel that is built from a tree."""
    (path,) = WheelBuilder(str(source)).build(directory=str(folder))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def from_tree(tmp_path_factory):
    return wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The folder that comes out of the sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    (path,) = SdistBuilder(str(ROOT)).build(directory=str(folder))
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (path for path in folder.iterdir() if path.is_dir())
    return source


def test_the_wheel_holds_the_packages(from_tree):
    shipped = {name for name in from_tree if ".dist-info/" not in name}
    assert shipped == FILES
    assert all(f"{package}/py.typed" in shipped for package in PACKAGES)
    assert {"rope_spec/config/families.toml", "rope_parity/templates/page.html"} <= shipped
    assert "rope_parity/configs/llama-3.1-8b.json" in shipped
    assert not [name for name in shipped if Path(name).name.startswith(("test_", "conftest"))]


def test_the_sdist_holds_the_packages_and_what_building_needs(sdist):
    found = {path.relative_to(sdist).as_posix() for path in sdist.rglob("*") if path.is_file()}
    assert found == FILES | {"pyproject.toml", "README.md", "LICENSE", "PKG-INFO", ".gitignore"}


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_tree(from_tree, sdist, tmp_path):
    assert wheel(sdist, tmp_path) == from_tree


def test_the_wheel_brings_the_command(from_tree):
    (path,) = (name for name in from_tree if name.endswith("/entry_points.txt"))
    group, line = from_tree[path].decode().splitlines()
    name, value = line.split(" = ")
    assert (group, name) == ("[console_scripts]", "rope-parity")
    assert EntryPoint(name, value, "console_scripts").load() is main
