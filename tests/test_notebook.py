"""The notebook is stored without outputs, and its cells run in order."""

import contextlib
import io
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).resolve().parents[1] / "experiments" / "blocks.ipynb"


@pytest.fixture(scope="module")
def notebook():
  return json.loads(PATH.read_text(encoding="utf-8"))


def test_nothing_is_stored_with_the_code(notebook):
  assert notebook["nbformat"] == 4
  for cell in notebook["cells"]:
    if cell["cell_type"] == "code":
      assert cell["outputs"] == []
      assert cell["execution_count"] is None


def _run(notebook, monkeypatch):
  """Runs the code in one namespace; IPython's display keeps the pictures."""
  pictures, said = [], io.StringIO()
  ipython = types.ModuleType("IPython.display")
  ipython.Image, ipython.display = bytes, pictures.append
  package = types.ModuleType("IPython")
  package.version_info = (9, 0)  # matplotlib asks
  monkeypatch.setitem(sys.modules, "IPython", package)
  monkeypatch.setitem(sys.modules, "IPython.display", ipython)
  namespace = {"__name__": "__main__"}
  with contextlib.redirect_stdout(said):
    for cell in notebook["cells"]:
      if cell["cell_type"] == "code":
        code = compile("".join(cell["source"]), cell["id"], "exec")
        exec(code, namespace)
  return namespace, pictures, said.getvalue()


def test_its_cells_run_and_show_every_block(notebook, monkeypatch):
  namespace, pictures, said = _run(notebook, monkeypatch)
  assert len(pictures) == 4
  assert all(picture[:4] == b"\x89PNG" for picture in pictures)
  blocks = {row.block for row in namespace["summary"].rows}
  assert set(namespace["maps"]) == blocks - {"ds2"}
  for row in namespace["summary"].rows:
    if row.block != "ds2":
      values = namespace["maps"][row.block]
      assert values.shape == row.shapes[0]
      assert np.isfinite(values).all()
      assert values.std() > 0
  assert namespace["summary"].rows[0].block in said
  assert np.unique(namespace["truth"]).size > 5


def test_it_says_what_its_pictures_are(notebook):
  opening = "".join(notebook["cells"][0]["source"])
  assert "synthetic phantom" in opening
  assert "weights are random" in opening
