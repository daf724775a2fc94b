"""The notebook of the main job, from top to bottom."""

import json
import pathlib
import re

import nbclient
import nbformat
import pytest

# The notebook's own code runs in another process; these would be Jupyter's.
pytestmark = pytest.mark.filterwarnings("ignore")

FILE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "main_job.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(FILE, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=900, resources=resources).execute()
    return notebook, folder


def printed(notebook):
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    return "".join(o.get("text", "") for o in outputs)


def test_runs_from_top_to_bottom(executed):
    notebook, folder = executed
    result = json.loads((folder / "run" / "result.json").read_text())
    text = printed(notebook)
    assert f"{result['error']:.1f} % of the test images are taken" in text
    assert "(1397, 32, 32, 3) uint8" in text
    assert len(re.findall(r"^\d taken for \d, \d+%$", text, re.M)) == 5
    assert (folder / "report.html").stat().st_size > 50_000
    assert not [o for c in notebook.cells for o in c.get("outputs", []) if "ename" in o]


def test_is_kept_without_outputs():
    cells = nbformat.read(FILE, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs")]
