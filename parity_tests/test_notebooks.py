"""Every notebook runs, and every figure that is no time comes out as it stands there."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def texts(notebook):
    """What each cell printed, but for the cells of times."""
    cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "times" not in cell.metadata.get("tags", [])
    ]
    return [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
        for cell in cells
    ]


@pytest.mark.filterwarnings("default")  # of the machinery around the kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_comes_out_the_same(path):
    committed, fresh = (nbformat.read(path, as_version=4) for _ in range(2))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(fresh, timeout=300, kernel_name="python3", resources=resources).execute()
    assert texts(fresh) == texts(committed)


def test_all_are_there():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]
