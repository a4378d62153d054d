"""Every notebook runs, every figure that is no time comes out as it stands there, and the lesson's
questions are answered one by one.
"""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
ids = [path.stem for path in NOTEBOOKS]
COLUMNS = 88  # of a code cell on a page of the site

# The exercise sheet of lesson 4.1.3: 4 theory exercises, 4 code tasks, 3 quiz questions, 1 more
QUESTIONS = [
    *(f"Theory exercise {number}" for number in (1, 2, 3, 4)),
    *(f"Code task {number}" for number in (1, 2, 3, 4)),
    *(f"Quiz {number}" for number in (1, 2, 3)),
    "Advanced task",
]


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
@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_notebook_comes_out_the_same(path):
    committed, fresh = (nbformat.read(path, as_version=4) for _ in range(2))
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(fresh, timeout=300, kernel_name="python3", resources=resources).execute()
    assert texts(fresh) == texts(committed)


def test_all_are_there():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_code_fits_the_page(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    lines = [line for cell in cells for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=ids)
def test_a_picture_carries_the_idea(path):
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def test_every_question_of_the_lesson_is_answered_before_the_evidence():
    """A heading of its own; then, before the first cell of code, one sentence."""
    cells = nbformat.read(NOTEBOOKS[0], as_version=4).cells
    text = "\n\n".join("```" if c.cell_type == "code" else c.source for c in cells)
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    for question in QUESTIONS:
        [section] = [s for s in sections if s.startswith(f"{question}:")]
        parts = re.split(r"^### ", section, flags=re.MULTILINE)
        for part in parts[1:] if "```" not in parts[0] else parts:
            assert "**Answer" in part.split("```")[0], part.splitlines()[0]
