"""Three good patients on a disk, and what entries do to the second one."""

import functools
import gzip
import shutil
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from lumbar_jax import config as config_lib
from lumbar_jax import runs
from lumbar_jax.evaluation.labelling import write_thresholds
from lumbar_jax.files import write_json

PATIENTS = ("p1", "p2", "p3")
TARGET = "p2"
SHAPE = (8, 40, 40)  # right, anterior, superior
SPACING_MM = (4.0, 1.0, 1.0)
DSEG = "index\tname\n0\tBackground\n1\tVertebra\n2\tDisc\n3\tCanal\n"
CLASSES = ("Background", "Vertebra", "Disc", "Canal")
_TEMPLATES: dict = {}  # what is made once


def picture(seed: int, shape=SHAPE) -> np.ndarray:
  """Returns [x y z] int16, unlike its mirror images."""
  rng = np.random.default_rng(seed)
  x, y, z = np.indices(shape)
  waves = 200 * np.sin(z / 5) * np.cos(y / 7) + 40 * np.cos(x) + y
  noise = rng.normal(0, 30, shape)
  return (400 + waves + noise).clip(1).astype(np.int16)


def drawing(shape=SHAPE) -> np.ndarray:
  """Returns [x y z] uint8 labels 0, 1, 2, 3."""
  labels = np.zeros(shape, np.uint8)
  labels[:, 12:24, 4:34] = 1
  labels[:, 12:24, 8:34:8] = 2
  labels[:, 6:10, 4:34] = 3
  return labels


def affine_of(spacing_mm=SPACING_MM) -> np.ndarray:
  """Returns [4 4], x to the right, y to the front, z up."""
  affine = np.diag([*spacing_mm, 1.0])
  affine[:3, 3] = -12.0, 20.0, -31.0
  return affine


def transform_to(axes: str) -> np.ndarray:
  """Returns nibabel's transform from (x, y, z) to stored axes."""
  return nib.orientations.ornt_transform(
    nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(axes)
  )


def stored(array, axes="RAS", affine=None):
  """Returns an array and its affine in the order of other axes."""
  affine = affine_of() if affine is None else affine
  transform = transform_to(axes)
  back = nib.orientations.inv_ornt_aff(transform, array.shape[:3])
  return nib.orientations.apply_orientation(array, transform), affine @ back


def image_of(array, affine, cls=nib.Nifti1Image, dtype=None, header=None):
  """Returns an image with both forms set, in millimetres."""
  if dtype is not None:
    array = array.astype(dtype)
  image = cls(array, affine, header, dtype=array.dtype)
  image.set_sform(affine, 1)
  image.set_qform(affine, 1)
  image.header.set_xyzt_units("mm")
  return image


def write_image(path, array, affine, edit=None, raw=(), **options):
  """Writes an image.

  Args:
    path: the file; packed if it ends in .gz.
    array: in the order of storage.
    affine: likewise.
    edit: called with the nibabel image before it is written.
    raw: {field: value} or {(field, place): value} of the header, written as
      they are: nibabel would correct some.
    **options: of `image_of`.
  """
  image = image_of(array, affine, **options)
  if edit is not None:
    edit(image)
  content = bytearray(image.to_bytes())
  dtype = image.header.structarr.dtype
  header = np.frombuffer(content, dtype, count=1)
  for field, value in dict(raw).items():
    name, place = field if isinstance(field, tuple) else (field, ...)
    header[name][0 if place is ... else (0, place)] = value
  packed = path.suffix.lower() == ".gz"
  path.write_bytes(gzip.compress(content, 1) if packed else content)


class World:
  """Good data in a folder, to be spoilt by an entry.

  Attributes:
    folder: everything lies below it.
    kind: "table" (a manifest), "tree" (BIDS) or "folder" (of images).
    image, mask: the second patient's files.
    table, dseg: the manifest (or participants.tsv) and the masks' dseg.tsv.
    culprit: file that a refusal must name; None: none.
    array, labels: [x y z] what was stored of the second patient.
    axes: in which order that is stored.
    spacing_mm: what its reader must find.
    patients: whom prediction must find, the target among them.
    fields: {config field: value} beside the usual ones.
    options: of prediction.
    run_folder, workdir, output: of prediction, training, prediction.
    compare: whether results are compared with `array` and `labels`.
    others: patients that must be predicted whatever becomes of the target.
    whole: whether a refusal may leave those others unpredicted.
    then: called with the run after training's or prediction's work.
    around: context managers that spoil the running of a command.
    checks: called when a command is done; each returns what is wrong, or "".
    process: runs the command as a process instead.
    real_weights: whether prediction loads the run's own weights.
  """

  def __init__(self, folder: Path, kind: str):
    """Writes the good data."""
    self.folder, self.kind = Path(folder), kind
    self.data = self.folder / "data"
    self.run_folder = self.folder / "run"
    self.workdir, self.output = self.folder / "wd", self.folder / "out"
    self.array, self.labels = picture(2), drawing()
    self.axes, self.spacing_mm, self.compare = "RAS", SPACING_MM, True
    self.patients, self.fields, self.options = list(PATIENTS), {}, {}
    self.target, self.around, self.real_weights = TARGET, [], False
    self.others = [p for p in PATIENTS if p != TARGET]
    self.whole, self.then, self.process = False, [], None
    self.checks = []
    self.input: Path = self.data
    for number, patient in enumerate(PATIENTS, start=1):
      _put(self.image_path(patient), _good_image(number))
      if kind != "folder":
        _put(self.mask_path(patient), _good_image(0))
    self.image, self.mask = self.image_path(TARGET), self.mask_path(TARGET)
    self.culprit: Path | None = self.image
    if kind == "tree":
      self.table = self.data / "participants.tsv"
      self.dseg = self.data / "derivatives/manual_masks/dseg.tsv"
      rows = [
        f"{self.name(p)}\t{s}" for p, s in zip(PATIENTS, "FMF", strict=True)
      ]
      self.table.write_text("\n".join(["participant_id\tsex", *rows, ""]))
    else:
      self.table, self.dseg = self.data / "s.tsv", self.data / "dseg.tsv"
    if kind == "table":
      self.input = self.table
      self.write_table(self.rows())
    if kind != "folder":
      self.dseg.write_text(DSEG)
    if not _TEMPLATES:  # validating a config takes longer than all else
      _TEMPLATES["run"] = self._template()
    shutil.copytree(_TEMPLATES["run"], self.run_folder)

  def _template(self) -> Path:
    self.make_run()
    place = tempfile.TemporaryDirectory(prefix="corpus_")
    _TEMPLATES["place"] = place  # kept until the process ends
    return Path(shutil.move(self.run_folder, place.name + "/run"))

  def name(self, patient: str) -> str:
    """Returns a patient's id in the data."""
    return f"sub-{patient}" if self.kind == "tree" else patient

  def image_path(self, patient: str) -> Path:
    """Returns where a patient's image lies."""
    if self.kind == "tree":
      return self.data / f"sub-{patient}/anat/sub-{patient}_T2w.nii.gz"
    return self.data / f"{patient}_T2w.nii.gz"

  def mask_path(self, patient: str) -> Path:
    """Returns where a patient's mask lies."""
    if self.kind == "tree":
      folder = self.data / f"derivatives/manual_masks/sub-{patient}/anat"
      return folder / f"sub-{patient}_dseg.nii.gz"
    return self.data / f"{patient}_mask.nii.gz"

  def rows(self) -> list[list[str]]:
    """Returns the manifest's cells, the header first."""
    header = ["patient", "T2w", "mask"]
    paths = [
      [p, self.image_path(p).name, self.mask_path(p).name] for p in PATIENTS
    ]
    return [header, *paths]

  def write_table(self, rows, delimiter="\t", newline="\n", encoding="utf-8"):
    """Writes the manifest."""
    text = newline.join(delimiter.join(row) for row in rows) + newline
    self.table.write_bytes(text.encode(encoding))

  def save(self, array=None, axes="RAS", affine=None, **options):
    """Stores the target's image anew.

    Args:
      array: [x y z]; None: as it was.
      axes: order of storage.
      affine: of (x, y, z).
      **options: of `write_image` and `image_of`.
    """
    self.array = self.array if array is None else array
    self.axes = axes
    if affine is not None:
      lengths = np.linalg.norm(affine[:3, :3], axis=0)
      self.spacing_mm = tuple(lengths.tolist())
    write_image(self.image, *stored(self.array, axes, affine), **options)

  def save_mask(self, labels=None, axes="RAS", affine=None, **options):
    """Stores the target's mask anew; `labels` [x y z] may be of any type."""
    given = self.labels if labels is None else labels
    write_image(self.mask, *stored(given, axes, affine), **options)
    self.culprit = self.mask

  def header_bytes(self, offset: int, content: bytes, path=None) -> None:
    """Overwrites bytes of an image's header, packed or not."""
    path = path or self.image
    packed = path.suffix == ".gz"
    raw = path.read_bytes()
    raw = bytearray(gzip.decompress(raw) if packed else raw)
    raw[offset : offset + len(content)] = content
    path.write_bytes(gzip.compress(bytes(raw)) if packed else bytes(raw))

  def rename_image(self, name: str) -> Path:
    """Moves the target's image to another name in its folder."""
    self.image = self.image.rename(self.image.with_name(name))
    self.culprit = self.image
    if self.kind == "table":
      rows = self.rows()
      rows[2][1] = name
      self.write_table(rows)
    return self.image

  def config(self):
    """Returns the configuration of training (and of the run)."""
    config = config_lib.default()
    with config.unlocked():
      config.data.update(
        source="mids" if self.kind == "tree" else "manifest",
        root=str(self.data),
        scheme="spider",
        channels=("T2w",),
        registration="none",
        test_fraction=0.0,
        stratify_by=(),
        num_folds=2,
        patch_size=64,
        patch_stride=60,
      )
      config.data.manifest = str(self.table) if self.kind == "table" else ""
      config.model.update(width=4)
      config.evaluation.update(whole_slice=True, batch_size=4)
      for name, value in self.fields.items():
        section, field = name.split(".", 1)
        config[section][field] = value
    return config

  def make_run(self) -> None:
    """Makes the folder of a finished run (all but its weights)."""
    shutil.rmtree(self.run_folder, ignore_errors=True)
    run = runs.open_run(self.run_folder, self.config())
    limits = np.full(run.scheme.num_classes, 0.25, np.float32)
    for fold in (None, *run.folds):
      write_thresholds(run.thresholds_path(fold), run.scheme, limits)
    studies = {self.name(p): "0" * 16 for p in PATIENTS}
    write_json(run.folder / "environment.json", {"studies": studies})


def _put(path: Path, content: bytes) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content)


@functools.cache
def _good_image(number: int) -> bytes:
  """Returns the file of a patient's image; of the mask for number 0."""
  array = picture(number) if number else drawing()
  image = image_of(array, affine_of())
  return gzip.compress(image.to_bytes(), 1)
