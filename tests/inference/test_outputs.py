"""Segmentations as files: grid, numbers, tables, pictures."""

import json
import warnings

import nibabel as nib
import numpy as np
import PIL.Image
import pytest

from lumbar_jax import anatomy
from lumbar_jax.data.studies import Study
from lumbar_jax.data.volumes import read_volume
from lumbar_jax.errors import InputError
from lumbar_jax.inference import colortables, outputs
from lumbar_jax.inference.overlay import choose_slices, write_overlay

SCHEME = anatomy.SPIDER


def rotation(degrees):
  angle = np.deg2rad(degrees)
  cos, sin = np.cos(angle), np.sin(angle)
  about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
  about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
  return about_x @ about_z


def write_image(path, axes, shape, degrees=0.0, codes=(1, 1), zooms=(3, 1, 2)):
  """Writes random voxels stored along `axes`, and returns the image."""
  unit = nib.orientations.inv_ornt_aff(
    nib.orientations.axcodes2ornt(axes), shape
  )[:3, :3]
  affine = np.eye(4)
  affine[:3, :3] = rotation(degrees) @ unit @ np.diag(zooms)
  affine[:3, 3] = -20, 31.5, 7
  rng = np.random.default_rng(0)
  image = nib.Nifti1Image(rng.integers(0, 99, shape, np.int16), None)
  image.set_sform(affine, codes[0])
  image.set_qform(affine, codes[1])
  nib.save(image, path)
  return nib.load(path)


@pytest.mark.parametrize(
  ("axes", "shape", "degrees", "codes"),
  [
    ("RAS", (4, 7, 9), 0, (1, 1)),
    ("LPS", (4, 7, 9), 0, (2, 1)),
    ("PIR", (7, 9, 4), 0, (1, 0)),
    ("AIL", (7, 9, 4), 17, (0, 1)),
    ("IPR", (7, 9, 4), 0, (0, 0)),
    ("SPL", (9, 7, 1), 25, (1, 3)),
  ],
)
def test_voxels_go_back_to_the_inputs_own_grid(
  tmp_path, axes, shape, degrees, codes
):
  image = write_image(tmp_path / "x.nii.gz", axes, shape, degrees, codes)
  assumed = "" if any(codes) else axes
  reference = read_volume(tmp_path / "x.nii.gz", assume_orientation=assumed)
  labels = (reference.array % 4).astype(np.uint8)
  path = outputs.write_segmentation(
    tmp_path / "out", "x", labels, reference, SCHEME, overlay=False
  )
  mask = nib.load(path)
  assert path.name == "x_dseg.nii.gz"
  assert mask.get_data_dtype() == np.uint8
  assert mask.shape == image.shape
  np.testing.assert_array_equal(mask.affine, image.affine)
  for form in ("sform", "qform"):
    assert mask.header[f"{form}_code"] == image.header[f"{form}_code"]
  np.testing.assert_array_equal(
    np.asarray(mask.dataobj), np.asarray(image.dataobj) % 4
  )


def write_one(folder, **options):
  """Writes a segmentation of every class into `folder`."""
  write_image(folder / "in.nii.gz", "RAS", (4, 8, 6))
  reference = read_volume(folder / "in.nii.gz")
  labels = (np.indices(reference.array.shape).sum(0) % 4).astype(np.uint8)
  outputs.write_segmentation(folder, "x", labels, reference, SCHEME, **options)
  return reference, labels


def test_probabilities_are_written_with_their_names(tmp_path):
  rng = np.random.default_rng(1)
  scores = rng.dirichlet(np.ones(4), (4, 6, 8)).astype(np.float32)
  reference, _ = write_one(tmp_path, probabilities=scores)
  written = nib.load(tmp_path / "x_probseg.nii.gz")
  assert written.shape == (4, 8, 6, 4)
  np.testing.assert_array_equal(written.affine, reference.stored_affine)
  # RAS to slices, rows downwards, columns backwards.
  ours = np.asarray(written.dataobj)[:, ::-1, ::-1].swapaxes(1, 2)
  np.testing.assert_array_equal(ours, scores)
  sidecar = json.loads((tmp_path / "x_probseg.json").read_text())
  assert sidecar["LabelMap"] == list(SCHEME.names)


def test_a_scheme_with_gaps_keeps_its_numbers(tmp_path):
  (tmp_path / "dseg.tsv").write_text(
    "index\tname\tcolor\n0\tair\t#000000\n7\tbone\t#010203\n300\tfat\t#ffffff\n"
  )
  scheme = anatomy.read_dseg_tsv(tmp_path / "dseg.tsv")
  write_image(tmp_path / "in.nii.gz", "RAS", (2, 3, 3))
  reference = read_volume(tmp_path / "in.nii.gz")
  labels = np.arange(18).reshape(2, 3, 3).astype(np.uint8) % 3
  path = outputs.write_segmentation(
    tmp_path / "out", "x", labels, reference, scheme, overlay=False
  )
  numbers, counts = np.unique(nib.load(path).dataobj, return_counts=True)
  assert (numbers.tolist(), counts.tolist()) == ([0, 7, 300], [6, 6, 6])
  assert "300 fat 255 255 255 255" in colortables.slicer(scheme)


def test_the_mask_comes_last_and_an_older_one_goes_first(tmp_path, monkeypatch):
  write_one(tmp_path, overlay=False)
  mask = tmp_path / "x_dseg.nii.gz"
  assert mask.is_file()

  def fail(*args, **options):
    raise OSError("disk full")

  monkeypatch.setattr(outputs, "write_overlay", fail)
  with pytest.raises(OSError, match="disk full"):
    write_one(tmp_path)
  assert not mask.exists()


def test_shapes_that_do_not_fit_are_refused(tmp_path):
  write_image(tmp_path / "in.nii.gz", "RAS", (4, 8, 6))
  reference = read_volume(tmp_path / "in.nii.gz")
  labels = np.zeros((4, 6, 8), np.uint8)
  args = (tmp_path, "x")
  with pytest.raises(ValueError, match="labels"):
    outputs.write_segmentation(*args, labels[:3], reference, SCHEME)
  with pytest.raises(ValueError, match="probabilities"):
    outputs.write_segmentation(
      *(*args, labels, reference, SCHEME), probabilities=np.zeros((4, 6, 8, 3))
    )


@pytest.mark.parametrize("scheme", [anatomy.MIDAS12, anatomy.PHANTOM])
def test_tables_parse_back_to_the_scheme(tmp_path, scheme):
  colortables.write_tables(tmp_path, scheme)
  wanted = {
    number: (s.name, s.rgb)
    for number, s in zip(scheme.indices, scheme.structures, strict=True)
  }
  found = {}
  for line in (tmp_path / "itksnap_labels.txt").read_text().splitlines():
    if line.startswith("#"):
      continue
    number, r, g, b, alpha, visible, mesh, name = line.split(maxsplit=7)
    found[int(number)] = (name.strip('"'), (int(r), int(g), int(b)))
    assert {alpha, visible, mesh} == {"0" if number == "0" else "1"}
  assert found == wanted
  found = {}
  for line in (tmp_path / "slicer_colors.ctbl").read_text().splitlines():
    if line.startswith("#"):
      continue
    number, name, *rgb, alpha = line.split()
    found[int(number)] = (name, tuple(map(int, rgb)))
    assert int(alpha) == (0 if number == "0" else 255)
  assert found == wanted
  stored = anatomy.read_dseg_tsv(tmp_path / "dseg.tsv")
  assert stored.names == scheme.names
  np.testing.assert_array_equal(stored.colors, scheme.colors)


@pytest.mark.parametrize(
  ("name", "patient", "expected"),
  [
    (
      "data/sub-1/ses-2/mim-mr/anat/sub-1_ses-2_acq-sag_T2w.nii.gz",
      "sub-1",
      ("sub-1/ses-2/mim-mr/anat", "sub-1_ses-2_acq-sag"),
    ),
    ("sub-1/anat/sub-1_T2w.nii", "sub-1", ("sub-1/anat", "sub-1")),
    ("anat/sub-1_T2w.nii", "sub-1", (".", "sub-1")),
    ("inbox/P7_T2w.nii", "P7", (".", "P7_x")),
    # A manifest may call the patient as it likes.
    ("sub-1/anat/sub-1_T2w.nii", "P7", (".", "P7_x")),
  ],
)
def test_where_a_study_goes(tmp_path, name, patient, expected):
  path = tmp_path / name
  path.parent.mkdir(parents=True)
  path.touch()
  folder, stem = outputs.place(Study(patient, "x", {"T2w": path}), "T2w")
  assert (folder.as_posix(), stem) == expected


def test_an_output_folder_holds_predictions_of_one_kind(tmp_path):
  outputs.open_folder(tmp_path / "out", SCHEME, {"Labelling": "TH"})
  made = json.loads((tmp_path / "out/dataset_description.json").read_text())
  assert made["DatasetType"] == "derivative"
  assert made["GeneratedBy"][0]["Name"] == "lumbar_jax"
  outputs.open_folder(tmp_path / "out", SCHEME, {"Labelling": "TH"})
  with pytest.raises(InputError, match="Labelling 'TH', not 'MAP'"):
    outputs.open_folder(tmp_path / "out", SCHEME, {"Labelling": "MAP"})
  outputs.open_folder(
    tmp_path / "out", SCHEME, {"Labelling": "MAP"}, overwrite=True
  )
  raw = tmp_path / "raw"
  raw.mkdir()
  text = '{"Name": "a hospital", "BIDSVersion": "1.8.0"}'
  (raw / "dataset_description.json").write_text(text)
  with pytest.raises(InputError, match="did not write"):
    outputs.open_folder(raw, SCHEME, {}, overwrite=True)
  assert (raw / "dataset_description.json").read_text() == text


def test_slices_are_chosen_by_their_content():
  labels = np.zeros((20, 4, 4), np.uint8)
  assert choose_slices(labels) == [3, 9, 16]
  labels[8:17] = 1
  assert choose_slices(labels) == [9, 12, 15]
  labels[:] = 0
  labels[[5, 6, 9], :2] = 1
  assert choose_slices(labels) == [5, 6, 9]
  assert choose_slices(labels[:1]) == [0]
  assert choose_slices(labels[:2]) == [0, 1]


def colored_box(path):
  """Returns the picture's size and the box of pixels near pure red."""
  with PIL.Image.open(path) as picture:
    picture.verify()
  with PIL.Image.open(path) as picture:
    pixels = np.asarray(picture.convert("RGB")).astype(int)
  red = (pixels[..., 0] > 90) & (pixels[..., 1:].max(-1) < 40)
  rows, columns = np.nonzero(red & (np.arange(pixels.shape[1]) < 430))
  box = rows.min(), rows.max(), columns.min(), columns.max()
  return pixels.shape, box


@pytest.mark.parametrize("axes", ["RAS", "LPI"])
def test_an_overlay_shows_superior_on_top_and_anterior_left(tmp_path, axes):
  image = write_image(tmp_path / "x.nii.gz", axes, (1, 40, 20))
  reference = read_volume(tmp_path / "x.nii.gz")
  stored = np.zeros((1, 40, 20), np.uint8)
  # The superior anterior eighth of the field of view, by its world position.
  ends = image.affine[:3, :3] @ [0, 39, 19]
  front = slice(30, 40) if ends[1] > 0 else slice(0, 10)
  top = slice(10, 20) if ends[2] > 0 else slice(0, 10)
  stored[:, front, top] = 1
  nib.save(
    nib.Nifti1Image(stored, image.affine, image.header), tmp_path / "m.nii.gz"
  )
  labels = read_volume(tmp_path / "m.nii.gz").array.astype(np.uint8)
  scheme = anatomy.scheme_from_names(
    "s", ["air", "bone"], ["#000000", "#ff0000"]
  )
  black = np.zeros_like(reference.array)
  black[0, 0, 0] = 1
  volume = type(reference)(**{**vars(reference), "array": black})
  write_overlay(tmp_path / "o.png", volume, labels, scheme, title="x")
  (height, width, _), box = colored_box(tmp_path / "o.png")
  assert 400 < height < 1100
  assert 400 < width < 1100
  # 40 mm wide and 40 mm high: square panels, the lower one starts half way
  # down what is left below the title.
  panel = 3.9 * 110
  below = height - 2 * panel
  np.testing.assert_allclose(
    box, (below + panel, below + 1.5 * panel, 0, panel / 4), atol=12
  )


@pytest.mark.parametrize("shape", [(1, 5, 300), (2, 1, 3), (3, 90, 2)])
def test_odd_volumes_make_a_picture(tmp_path, shape):
  write_image(tmp_path / "x.nii.gz", "RPI", shape)
  reference = read_volume(tmp_path / "x.nii.gz")
  labels = np.ones(reference.array.shape, np.uint8)
  flags = ["T1w: registration refused"] * 9
  write_overlay(
    *(tmp_path / "o.png", reference, labels, anatomy.PHANTOM),
    title="a long name " * 30,
    flags=flags,
  )
  with PIL.Image.open(tmp_path / "o.png") as picture:
    assert min(picture.size) > 300
    assert max(picture.size) < 2000


def test_titles_of_any_text_make_a_picture(tmp_path):
  """A lone $, what TeX would refuse, glyphs the font lacks, no UTF-8."""
  write_image(tmp_path / "x.nii.gz", "RPI", (2, 9, 9))
  reference = read_volume(tmp_path / "x.nii.gz")
  labels = np.ones(reference.array.shape, np.uint8)
  odd = "a $\\frac{ $ _^ \ud83d\ude00 \udce4 <b>\n\x07"
  scheme = anatomy.scheme_from_names("s", ["air", odd], ["#000000"] * 2)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the missing glyph
    write_overlay(
      *(tmp_path / "o.png", reference, labels, scheme), title=odd, flags=[odd]
    )
  with PIL.Image.open(tmp_path / "o.png") as picture:
    assert min(picture.size) > 300
