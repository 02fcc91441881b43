"""Ranges of acquisition, from sidecars of all kinds."""

import json
from pathlib import Path

import pytest

from lumbar_jax.data import acquisition
from lumbar_jax.data.checks import Grid
from lumbar_jax.data.studies import Study

BIDS = {
  "RepetitionTime": 3.0,
  "EchoTime": 0.1,
  "MagneticFieldStrength": 1.5,
  "Manufacturer": "SIEMENS",
}
KEYWORDS = {"RepetitionTime": ["3000"], "EchoTime": "100", "FlipAngle": True}
DICOM_JSON = {
  "00180080": {"vr": "DS", "Value": [3000]},
  "00180081": {"vr": "DS", "Value": [100.0]},
  "0018,1314": {"vr": "DS", "Value": ["150"]},
  "00080070": {"vr": "LO", "Value": ["Philips"]},
}


@pytest.mark.parametrize("sidecar", [BIDS, KEYWORDS, DICOM_JSON])
def test_times_are_milliseconds_whatever_the_sidecar_holds(sidecar):
  found = acquisition.parameters(sidecar)
  assert found["repetition time"] == pytest.approx([3000])
  assert found["echo time"] == pytest.approx([100])


def test_a_short_repetition_time_goes_by_its_echo_time():
  found = acquisition.parameters({"RepetitionTime": 8.5, "EchoTime": 4.2})
  assert found["repetition time"] == [8.5]


def test_values_of_all_forms():
  found = acquisition.parameters(DICOM_JSON)
  assert (found["flip angle"], found["manufacturer"]) == ([150], ["Philips"])
  found = acquisition.parameters({"EchoTime": "0.01\\0.02"})
  assert found["echo time"] == pytest.approx([10, 20])


@pytest.mark.parametrize(
  "sidecar", [None, [], "text", {"EchoTime": None}, {"EchoTime": "n/a"}]
)
def test_what_tells_nothing_is_left_out(sidecar):
  assert acquisition.parameters(sidecar) == {}


def _study(name, tmp_path, **sidecars):
  paths = {c: Path(tmp_path / f"{name}_{c}.nii.gz") for c in ("T2w", "T1w")}
  return Study(name, "", paths, metadata=sidecars)


def test_the_table_has_ranges_by_channel(tmp_path):
  studies = [
    _study("a", tmp_path, T2w=BIDS),
    _study("b", tmp_path, T2w=BIDS | {"RepetitionTime": 4.25}),
    _study("c", tmp_path),
  ]
  path = tmp_path / "c_T1w.json"  # beside the file; the source read none
  path.write_text(json.dumps(KEYWORDS))
  grid = Grid((320, 300, 15), (0.5, 0.75, 4.4), "PIR")
  grids = {"a": {"T2w": grid, "T1w": None}, "b": {"T2w": grid}}
  rows = dict(acquisition.table(studies, grids, ("T2w", "T1w")))
  assert rows["repetition time (ms)"] == {
    "T2w": "3000 to 4250 (2 of 3 studies)",
    "T1w": "3000 (1 of 3 studies)",
  }
  assert rows["manufacturer"]["T2w"] == "SIEMENS 2 (2 of 3 studies)"
  assert rows["height (px)"] == {"T2w": "300"}
  assert rows["width (px)"] == {"T2w": "320"}
  assert rows["pixel spacing (mm)"] == {"T2w": "0.5 to 0.75"}
  assert rows["distance of slices (mm)"] == {"T2w": "4.4"}
  assert "bandwidth (Hz/px)" not in rows
