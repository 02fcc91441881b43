"""From a run's folder and a path to segmentations."""

import contextlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import files, records, runs, space
from lumbar_jax.data.prepare import prepare_in_memory
from lumbar_jax.data.studies import Study
from lumbar_jax.environment import record_environment
from lumbar_jax.errors import InputError, explain
from lumbar_jax.evaluation.labelling import label, write_thresholds
from lumbar_jax.evaluation.reconstruction import study_scores
from lumbar_jax.evaluation.scorers import fold_scorers
from lumbar_jax.files import write_json
from lumbar_jax.inference import claims, jobs, outputs, targets
from lumbar_jax.inference import predict as predict_lib
from lumbar_jax.inference import segment as segment_lib
from lumbar_jax.inference.predict import (
  check_failures,
  predict,
  predict_studies,
  save_labels,
)
from lumbar_jax.inference.segment import load_scorer, segment
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.networks import abstract_variables, build_network

PATCH = 32


def make_config(**data):
  """Returns the config of a small one-channel run."""
  config = config_lib.default()
  with config.unlocked():
    config.data.update(scheme="spider", channels=("T2w",), num_folds=2)
    config.data.update(patch_size=PATCH, patch_stride=24, **data)
    config.model.update(width=4)
    config.evaluation.update(batch_size=3)
  return config


def write_fold(run, fold):
  """Saves an untrained network as a fold's best checkpoint."""
  rng = np.random.default_rng(fold)

  def fill(path, leaf):
    name = path[-1].key
    if name != "kernel":
      return jnp.full(leaf.shape, float(name in ("scale", "var")))
    scale = np.sqrt(2 / np.prod(leaf.shape[:-1]))
    return jnp.asarray(rng.normal(0, scale, leaf.shape), leaf.dtype)

  # Not net.init, whose compilation takes longer than all tests of this file.
  data = run.config.data
  shapes = abstract_variables(
    build_network(run), data.patch_size, len(data.channels)
  )
  variables = jax.tree_util.tree_map_with_path(fill, shapes)
  checkpoints = Checkpoints(run.fold_folder(fold) / "checkpoints")
  checkpoints.save_best(0, variables, {"epoch": 0})
  checkpoints.close()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """A run of two folds with untrained weights."""
  run = runs.open_run(tmp_path_factory.mktemp("run"), make_config())
  for fold in run.folds:
    write_fold(run, fold)
    limits = np.array([0, 0.3, 0.3, 0.2 + 0.1 * fold], np.float32)
    write_thresholds(run.thresholds_path(fold), run.scheme, limits)
  limits = np.array([0, 0.25, 0.25, 0.25], np.float32)
  write_thresholds(run.thresholds_path(), run.scheme, limits)
  return run


@pytest.fixture(scope="module")
def fold_models(trained):
  """The folds' scorers, compiled once for all tests."""
  return fold_scorers(trained)


@pytest.fixture
def use_fold_models(fold_models, monkeypatch):
  """Lets runs find those scorers."""

  def pick(run, folds=None, *, together=False):
    del together
    return [fold_models[f] for f in (run.folds if folds is None else folds)]

  monkeypatch.setattr(segment_lib, "fold_scorers", pick)


def write_volume(path, seed=0, shape=(3, 40, 37), axes="RAS", tilt=0.0):
  """Writes an image of two intensities, and returns where it is bright."""
  rng = np.random.default_rng(seed)
  bright = rng.random(shape) < 0.3
  unit = nib.orientations.inv_ornt_aff(
    nib.orientations.axcodes2ornt(axes), shape
  )[:3, :3]
  cos, sin = np.cos(tilt), np.sin(tilt)
  affine = np.eye(4)
  affine[:3, :3] = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ unit
  affine[:3, 3] = 5, -6, 7
  path.parent.mkdir(parents=True, exist_ok=True)
  image = nib.Nifti1Image(np.where(bright, 900, 100).astype(np.int16), affine)
  image.set_sform(affine, 1)
  image.set_qform(affine, 2)
  nib.save(image, path)
  return bright


def bright_is_disc(images):
  """Scores class 2 where the normalised intensity is above the mean."""
  scores = np.full((*images.shape[:3], 4), 0.02, np.float32)
  bright = images[..., 0] > 0
  scores[..., 2] = np.where(bright, 0.94, 0.02)
  scores[..., 0] = np.where(bright, 0.02, 0.94)
  return scores


def statuses(results):
  return {result.name: result.status for result in results}


@pytest.mark.parametrize(
  ("axes", "shape", "tilt"),
  [
    ("RAS", (3, 40, 37), 0.0),
    ("LPI", (2, 70, 50), 0.0),
    ("ASR", (33, 90, 3), 0.3),
    ("IPL", (20, 9, 4), -0.2),  # smaller than a patch
    ("SPR", (41, 57, 1), 0.0),
  ],
)
def test_labels_go_to_the_voxels_they_were_made_from(
  trained, tmp_path, axes, shape, tilt
):
  path = tmp_path / "in" / "x.nii.gz"
  bright = write_volume(path, shape=shape, axes=axes, tilt=tilt)
  (result,) = predict_studies(
    trained,
    [Study("x", "", {"T2w": path})],
    tmp_path / "out",
    scorer=bright_is_disc,
    overlays=False,
  )
  mask, image = nib.load(result.path), nib.load(path)
  np.testing.assert_array_equal(np.asarray(mask.dataobj), 2 * bright)
  np.testing.assert_array_equal(mask.affine, image.affine)
  for field in ("sform_code", "qform_code"):
    assert mask.header[field] == image.header[field]


def test_no_orientation_is_refused_unless_it_is_given(trained, tmp_path):
  path = tmp_path / "in" / "x.nii.gz"
  bright = write_volume(path, axes="PIR", shape=(20, 30, 3))
  image = nib.load(path)
  for form in ("sform_code", "qform_code"):
    image.header[form] = 0
  nib.save(nib.Nifti1Image(image.get_fdata(), None, image.header), path)
  options = {"scorer": bright_is_disc, "overlays": False}
  (result,) = predict(trained.folder, path, tmp_path / "out", **options)
  assert result.status == "failed"
  assert "sform_code and qform_code are 0" in result.error
  assert "--assume_orientation=" in result.error
  digests = []
  for letters in ("PIR", "AIR"):
    out = tmp_path / letters
    options["assume_orientation"] = letters
    (result,) = predict(trained.folder, path, out, **options)
    assert f"its axes are taken as {letters}" in result.flags[0]
    mask = nib.load(result.path)
    np.testing.assert_array_equal(np.asarray(mask.dataobj), 2 * bright)
    assert mask.header["sform_code"] == mask.header["qform_code"] == 0
    sidecar = json.loads((out / "x_dseg.json").read_text())
    assert sidecar["AssumedOrientation"] == letters
    assert sidecar["Flags"] == list(result.flags)
    digests.append(sidecar["InputDigest"])
  assert len(set(digests)) == 2
  with pytest.raises(InputError, match="--assume_orientation is 'XYZ'"):
    predict(trained.folder, path, tmp_path / "out", assume_orientation="XYZ")


def test_reduced_spacing_still_gives_the_native_grid(tmp_path):
  run = runs.open_run(tmp_path / "run", make_config(spacing_mm=2.0))
  write_volume(tmp_path / "x.nii.gz", shape=(2, 80, 64))
  image = nib.load(tmp_path / "x.nii.gz")
  block = np.zeros(image.shape, np.int16)
  block[:, 21:60, 11:40] = 500
  header = image.header
  nib.save(nib.Nifti1Image(block, None, header), tmp_path / "x.nii.gz")
  shapes = []

  def scorer(images):
    shapes.append(images.shape)
    return bright_is_disc(images)

  (result,) = predict_studies(
    run,
    [Study("x", "", {"T2w": tmp_path / "x.nii.gz"})],
    tmp_path / "out",
    labelling="MAP",
    scorer=scorer,
  )
  assert set(shapes) == {(3, PATCH, PATCH, 1)}  # a network compiles once
  assert sum(shape[0] for shape in shapes) == 6  # 2 slices of 2 x 1 patches
  found = np.asarray(nib.load(result.path).dataobj) == 2
  truth = block > 0
  assert found.shape == block.shape
  assert (found & truth).sum() / (found | truth).sum() > 0.93
  edges = found.any(0).nonzero()
  extent = [(axis.min(), axis.max()) for axis in edges]
  np.testing.assert_allclose(extent, [(21, 59), (11, 39)], atol=1)


@pytest.mark.usefixtures("use_fold_models")
def test_folds_are_averaged_and_take_the_runs_thresholds(
  trained, fold_models, tmp_path
):
  path = tmp_path / "in" / "a.nii.gz"
  write_volume(path)
  study = Study("a", "", {"T2w": path})
  prepared = prepare_in_memory(study, trained.config.data, trained.scheme)
  scores = [
    study_scores(scorer, prepared.image, PATCH, 24, 3) for scorer in fold_models
  ]
  assert np.abs(scores[0] - scores[1]).max() > 1e-3
  run_limits = np.array([0, 0.25, 0.25, 0.25], np.float32)
  fold_limits = np.array([0, 0.3, 0.3, 0.3], np.float32)
  for fold, kind, wanted in (
    (None, "TH", label((scores[0] + scores[1]) / 2, "TH", run_limits)),
    (None, "MAP", label((scores[0] + scores[1]) / 2, "MAP", None)),
    (1, "TH", label(scores[1], "TH", fold_limits)),
  ):
    output = tmp_path / f"{fold}-{kind}"
    (result,) = predict(
      *(trained.folder, path, output),
      fold=fold,
      labelling=kind,
      overlays=False,
    )
    stored = np.asarray(nib.load(result.path).dataobj)
    ours = stored[:, ::-1, ::-1].swapaxes(1, 2)  # RAS to slices, rows, columns
    assert (ours != wanted).mean() < 1e-3
    sidecar = json.loads((output / "a_dseg.json").read_text())
    assert sidecar["Folds"] == ([0, 1] if fold is None else [1])
    assert sidecar["Labelling"] == kind
    if kind == "TH":
      limit = 0.25 if fold is None else 0.3
      assert sidecar["Thresholds"]["Canal"] == limit
    assert sidecar["Sources"] == [str(path)]


def test_what_a_run_was_begun_with_tells_its_predictions_apart(trained):
  """Older versions' digests hold the batch size of config.json (3 here)."""
  run = runs.load_run(trained.folder)
  run.config.evaluation.update(batch_size=1, num_bootstrap=9)
  found = jobs.describe(run, None, "MAP", None)["ConfigDigest"]
  begun = json.loads((trained.folder / "config.json").read_text())
  flat = config_lib.flatten(begun)
  kept = ("model.remat", "evaluation.batch_size", "evaluation.num_bootstrap")
  old = {
    name: value
    for name, value in flat.items()
    if (name not in config_lib.FREE_FIELDS or name in kept)
    and not name.startswith(config_lib.FREE_SECTIONS)
  }
  assert old["evaluation.batch_size"] == 3
  assert found == files.digest(old)


def test_a_study_is_predicted_once(trained, tmp_path, monkeypatch):
  folder, output = tmp_path / "in", tmp_path / "out"
  for number, name in enumerate("ab"):
    write_volume(folder / f"{name}.nii.gz", seed=number)
  calls = []

  def counting(run, fold):
    calls.append(fold)
    return bright_is_disc

  monkeypatch.setattr(predict_lib, "load_scorer", counting)
  first = predict(trained.folder, folder, output, overlays=False)
  assert statuses(first) == {"a": "done", "b": "done"}
  second = predict(trained.folder, folder, output, overlays=False)
  assert statuses(second) == {"a": "skipped", "b": "skipped"}
  assert [r.path for r in first] == [r.path for r in second]
  moved = shutil.copytree(trained.folder, tmp_path / "moved")
  third = predict(moved, folder, output, overlays=False)
  assert statuses(third) == {"a": "skipped", "b": "skipped"}
  assert calls == [None]  # once for both studies; not at all where all is done
  bright = write_volume(folder / "b.nii.gz", seed=7)  # another image, same name
  again = predict(trained.folder, folder, output, overlays=False)
  assert statuses(again) == {"a": "skipped", "b": "done"}
  stored = np.asarray(nib.load(again[1].path).dataobj)
  np.testing.assert_array_equal(stored, 2 * bright)
  # Probabilities were not there yet.
  more = predict(
    trained.folder, folder, output, overlays=False, probabilities=True
  )
  assert statuses(more) == {"a": "done", "b": "done"}
  with pytest.raises(InputError, match=r"Labelling 'TH'.*--overwrite"):
    predict(trained.folder, folder, output, labelling="MAP")
  info = moved / "fold_0" / "checkpoints" / "best" / "9999" / "info"
  write_json(info / "metadata", {"checksum": {"content": "trained anew"}})
  with pytest.raises(InputError, match="WeightsDigest"):
    predict(moved, folder, output)
  shutil.rmtree(info.parent)
  assert statuses(predict(moved, folder, output)) == statuses(third)
  record_environment(runs.load_run(moved), {"another": "study"})
  with pytest.raises(InputError, match="TrainingDataDigest"):
    predict(moved, folder, output)
  redone = predict(
    trained.folder, folder, output, overlays=False, overwrite=True
  )
  assert statuses(redone) == {"a": "done", "b": "done"}


def test_bad_studies_are_reported_and_the_others_done(
  trained, tmp_path, monkeypatch
):
  folder, output = tmp_path / "in", tmp_path / "out"
  monkeypatch.setattr(predict_lib, "load_scorer", lambda *_: bright_is_disc)
  for name in ("a", "d"):
    write_volume(folder / f"{name}.nii.gz")
  (folder / "b.nii.gz").write_bytes(b"this is no NIfTI file")
  whole = (folder / "a.nii.gz").read_bytes()
  (folder / "c.nii.gz").write_bytes(whole[: len(whole) // 2])
  (folder / "d_T2w.nii").write_bytes(b"d.nii.gz is there already")
  seen = []
  results = predict(
    trained.folder, folder, output, overlays=False, on_study=seen.append
  )
  assert results[1:] == seen  # the twin of d did not become a study
  assert [(r.name, r.status) for r in results] == [
    ("d", "failed"),
    ("a", "done"),
    ("b", "failed"),
    ("c", "failed"),
    ("d", "done"),
  ]
  with pytest.raises(InputError, match=r"3 of 5 studies failed.*same command"):
    check_failures(results, output)
  rows = (output / "failed.tsv").read_text().splitlines()
  assert rows[0] == "study\tproblem"
  assert [row.split("\t")[0] for row in rows[1:]] == ["d", "b", "c"]
  assert str(folder / "b.nii.gz") in rows[2]
  for name in ("b.nii.gz", "c.nii.gz", "d_T2w.nii"):
    (folder / name).unlink()
  results = predict(trained.folder, folder, output, overlays=False)
  assert statuses(results) == {"a": "skipped", "d": "skipped"}
  assert not (output / "failed.tsv").exists()
  check_failures(results, output)


def test_predictions_of_a_run_that_is_trained_on_say_so(
  trained, tmp_path, monkeypatch
):
  run = runs.load_run(shutil.copytree(trained.folder, tmp_path / "run"))
  with records.evaluating(run.folder, records.reader(run)):
    pass
  write_volume(tmp_path / "a.nii.gz")
  monkeypatch.setattr(predict_lib, "load_scorer", lambda *_: bright_is_disc)

  def flags(name, **options):
    source, output = tmp_path / "a.nii.gz", tmp_path / name
    predict(run.folder, source, output, overlays=False, **options)
    found = json.loads((output / "a_dseg.json").read_text())["Flags"]
    return [flag for flag in found if not flag.startswith("T2w: ")]

  assert flags("before") == []
  files.write_text(run.fold_folder(0) / "metrics.jsonl", '{"epoch": 3}\n')
  info = run.fold_folder(0) / "checkpoints" / "best" / "9999" / "info"
  write_json(info / "metadata", {"checksum": {"content": "trained on"}})
  length, tuned = flags("after")
  assert "of 300 epochs fold 0 has 4" in length
  assert "after its thresholds were tuned" in tuned
  assert flags("map", labelling="MAP") == [length]
  assert flags("fold_1", fold=1) == []
  assert flags("fold_0", fold=0) == [length, tuned]


def test_an_unforeseen_error_does_not_end_the_batch(trained, tmp_path, caplog):
  studies = []
  for name in "ab":
    write_volume(tmp_path / f"{name}.nii.gz", shape=(1, 20, 20))
    studies.append(Study(name, "", {"T2w": tmp_path / f"{name}.nii.gz"}))
  broken = iter([True, False])

  def scorer(images):
    if next(broken):
      raise ZeroDivisionError("out of luck")
    return bright_is_disc(images)

  results = predict_studies(
    trained, studies, tmp_path / "out", scorer=scorer, overlays=False
  )
  assert statuses(results) == {"a": "failed", "b": "done"}
  assert "ZeroDivisionError: out of luck" in results[0].error
  assert "Traceback" not in caplog.text
  (log,) = (tmp_path / "out").glob("crash-*.log")
  assert str(log) in results[0].error
  assert "in scorer" in log.read_text()


def fail_with(error):
  def fail(*args, **options):
    raise error

  return fail


NO_SPACE = OSError(28, "No space left on device")


@pytest.mark.parametrize(
  ("place", "name", "error", "words"),
  [
    (jobs.Job, "is_done", MemoryError("3 GiB"), "memory is full"),
    (jobs.Job, "target_name", ValueError("odd"), "ValueError: odd"),
    (claims.Claims, "hold", NO_SPACE, "no space is left"),
    (jobs, "read_volume", MemoryError(), "memory is full"),
    (outputs, "write_overlay", RecursionError("deep"), "RecursionError"),
    (outputs, "write_volume", OSError(36, "File name too long"), "shorter"),
    (files.os, "replace", NO_SPACE, "free some space"),
  ],
)
def test_whatever_fails_in_a_study_ends_that_study_alone(
  trained, tmp_path, monkeypatch, place, name, error, words
):
  studies = []
  for study in "ab":
    write_volume(tmp_path / f"{study}.nii.gz", shape=(1, 20, 20))
    studies.append(Study(study, "", {"T2w": tmp_path / f"{study}.nii.gz"}))
  predict_studies(
    *(trained, studies[1:], tmp_path / "out"), scorer=bright_is_disc
  )
  whole = getattr(place, name)
  monkeypatch.setattr(outputs, "open_folder", lambda *_, **__: None)
  monkeypatch.setattr(place, name, fail_with(error))

  def mend(result):
    monkeypatch.setattr(place, name, whole)

  results = predict_studies(
    *(trained, studies, tmp_path / "out"),
    scorer=bright_is_disc,
    on_study=mend,
  )
  assert statuses(results) == {"a": "failed", "b": "skipped"}
  assert words in results[0].error
  assert (tmp_path / "out" / "failed.tsv").is_file()


def test_a_network_that_cannot_be_loaded_is_the_end(
  trained, tmp_path, monkeypatch
):
  for name in "ab":
    write_volume(tmp_path / "in" / f"{name}.nii.gz", shape=(1, 20, 20))
  asked = []

  def damaged(*_):
    asked.append(1)
    raise InputError("this checkpoint is damaged", "restore it")

  monkeypatch.setattr(predict_lib, "load_scorer", damaged)
  with pytest.raises(InputError, match="checkpoint is damaged"):
    predict(trained.folder, tmp_path / "in", tmp_path / "out")
  assert asked == [1]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"null", b""])
def test_a_damaged_sidecar_is_named_and_the_study_done_again(
  trained, tmp_path, content, caplog
):
  write_volume(tmp_path / "a.nii.gz", shape=(1, 20, 20))
  study = Study("a", "", {"T2w": tmp_path / "a.nii.gz"})

  def again():
    (result,) = predict_studies(
      *(trained, [study], tmp_path / "out"),
      scorer=bright_is_disc,
      overlays=False,
    )
    return result.status

  assert again() == "done"
  (tmp_path / "out" / "a_dseg.json").write_bytes(content)
  assert again() == "done"
  assert "predicted again" in caplog.text
  assert "a_dseg.json" in caplog.text
  assert again() == "skipped"
  mask = tmp_path / "out" / "a_dseg.nii.gz"
  mask.write_bytes(mask.read_bytes()[: -1 - len(content)])
  assert again() == "done"
  assert "a_dseg.nii.gz is damaged" in caplog.text
  assert again() == "skipped"
  (tmp_path / "out" / "dataset_description.json").write_bytes(content)
  with pytest.raises(InputError, match=r"dataset_description\.json"):
    again()


def test_scores_of_an_older_network_do_not_stay_beside_a_new_mask(
  trained, tmp_path
):
  write_volume(tmp_path / "a.nii.gz", shape=(1, 20, 20))
  study = Study("a", "", {"T2w": tmp_path / "a.nii.gz"})
  for options in ({"probabilities": True}, {"labelling": "MAP"}):
    predict_studies(
      *(trained, [study], tmp_path / "out"),
      scorer=bright_is_disc,
      overlays="probabilities" in options,
      overwrite=True,
      **options,
    )
  names = {path.name for path in (tmp_path / "out").glob("a_*")}
  assert names == {"a_dseg.nii.gz", "a_dseg.json"}


def test_nothing_is_computed_where_nothing_can_be_written(
  trained, tmp_path, monkeypatch
):
  write_volume(tmp_path / "in" / "a.nii.gz", shape=(1, 20, 20))
  monkeypatch.setattr(
    predict_lib, "load_scorer", fail_with(AssertionError("too late"))
  )
  (tmp_path / "file").touch()
  with pytest.raises(OSError, match="file"):
    predict(trained.folder, tmp_path / "in", tmp_path / "file" / "out")
  monkeypatch.setattr(
    space.tempfile, "TemporaryFile", fail_with(OSError(30, "Read-only"))
  )
  with pytest.raises(OSError, match="out") as caught:
    predict(trained.folder, tmp_path / "in", tmp_path / "out")
  assert "read-only" in explain(caught.value)[0]


def test_a_study_that_finds_no_room_is_not_computed(
  trained, tmp_path, monkeypatch, caplog
):
  write_volume(tmp_path / "in" / "a.nii.gz", shape=(1, 20, 20))
  monkeypatch.setattr(
    predict_lib, "load_scorer", fail_with(AssertionError("too late"))
  )
  usage = lambda _: SimpleNamespace(total=10**9, free=5000)  # noqa: E731
  monkeypatch.setattr(space.shutil, "disk_usage", usage)
  (result,) = predict(trained.folder, tmp_path / "in", tmp_path / "out")
  assert "only 5 KB are free" in result.error
  usage = lambda _: SimpleNamespace(total=10**9, free=86_000)  # noqa: E731
  monkeypatch.setattr(space.shutil, "disk_usage", usage)
  job = SimpleNamespace(
    run=trained, output=tmp_path, overlays=True, probabilities=False
  )
  study = Study("a", "", {"T2w": tmp_path / "a.nii.gz"})
  targets.check_space(job, study)  # small slices may just fit
  job.overlays, job.probabilities = False, True
  write_volume(study.images["T2w"], shape=(4, 200, 200))
  with pytest.raises(InputError, match="only 86 KB are free"):
    targets.check_space(job, study)
  assert "1 studies will take about" in caplog.text


@pytest.mark.parametrize(
  ("stem", "words"),
  [
    ("x" * 250, "too long"),
    ("a\nb", "no text"),
    (b"M\xfcller".decode("utf-8", "surrogateescape"), "no text"),
    ("..", "no file's name"),
  ],
)
def test_names_that_no_disk_takes_are_refused_alone(
  trained, tmp_path, monkeypatch, stem, words
):
  image = tmp_path / "a.nii.gz"
  write_volume(image, shape=(1, 20, 20))
  studies = [Study(name, "", {"T2w": image}) for name in ("good", "odd")]
  monkeypatch.setattr(
    jobs.outputs,
    "place",
    lambda study, _: (Path(), stem if study.patient == "odd" else "good"),
  )
  results = predict_studies(
    *(trained, studies, tmp_path / "out"),
    scorer=bright_is_disc,
    overlays=False,
  )
  assert statuses(results) == {"good": "done", "odd": "failed"}
  assert words in results[1].error
  results[1].error.encode("utf-8")


@pytest.mark.parametrize("as_one", [False, True])
def test_names_that_differ_in_case_or_accents_only_are_what_the_disk_says(
  trained, tmp_path, monkeypatch, caplog, as_one
):
  image, output = tmp_path / "a.nii.gz", tmp_path / "out"
  write_volume(image, shape=(1, 20, 20))
  names = ("M\u00fcller", "mu\u0308LLER", "other")
  if as_one:
    monkeypatch.setattr(
      targets, "_seen_by_disk", lambda _, files: dict.fromkeys(files, "0")
    )
  elif not tells_apart(tmp_path, *names[:2]):
    pytest.skip("this disk does not tell them apart")
  results = predict_studies(
    *(trained, [Study(name, "", {"T2w": image}) for name in names], output),
    scorer=bright_is_disc,
    overlays=False,
  )
  wanted = ["failed"] * 2 if as_one else ["done"] * 2
  assert [r.status for r in results] == [*wanted, "done"]
  assert ("differ in case" in caplog.text) != as_one
  assert not list(output.glob(".names-*"))
  if as_one:
    assert f"{names[0]} and {names[1]} would both" in results[0].error
  else:
    assert len({r.path.read_bytes() for r in results}) == 1
    assert len(list(output.rglob("*_dseg.nii.gz"))) == 3


def tells_apart(folder, first, second):
  (folder / first).touch()
  return not (folder / second).exists()


def test_a_disk_that_takes_two_names_for_one_is_noticed(tmp_path, monkeypatch):
  """A link plays it: B is b there, and c is another one."""
  (tmp_path / "try" / "s").mkdir(parents=True)
  (tmp_path / "try" / "s" / "B").symlink_to("b")
  monkeypatch.setattr(
    targets.tempfile,
    "TemporaryDirectory",
    lambda **_: contextlib.nullcontext(str(tmp_path / "try")),
  )
  out = tmp_path / "out"
  files = [out / "s" / name for name in ("B", "b", "c")]
  seen = targets._seen_by_disk(out, files)
  assert seen[files[0]] == seen[files[1]] != seen[files[2]]
  monkeypatch.undo()
  assert targets._seen_by_disk(out, files) == {}  # which is not there


@pytest.mark.usefixtures("use_fold_models")
def test_probabilities_sum_to_one_and_explain_the_labels(trained, tmp_path):
  path = tmp_path / "in" / "a.nii.gz"
  write_volume(path)
  (result,) = predict(
    *(trained.folder, path, tmp_path / "out"),
    labelling="MAP",
    probabilities=True,
  )
  folder = result.path.parent
  scores = np.asarray(nib.load(folder / "a_probseg.nii.gz").dataobj)
  np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
  labels = np.asarray(nib.load(result.path).dataobj)
  np.testing.assert_array_equal(scores.argmax(-1), labels)
  assert (folder / "a_overlay.png").stat().st_size > 5000


def test_a_tree_is_mirrored_and_two_targets_are_never_one(trained, tmp_path):
  anat = tmp_path / "tree/sub-1/ses-2/anat"
  path = anat / "sub-1_ses-2_T2w.nii.gz"
  write_volume(path, shape=(1, 20, 20))
  (result,) = predict_studies(
    trained,
    [Study("sub-1", "ses-2", {"T2w": path}, mask=tmp_path / "never read")],
    tmp_path / "out",
    scorer=bright_is_disc,
    overlays=False,
  )
  mirrored = "sub-1/ses-2/anat/sub-1_ses-2_dseg.nii.gz"
  assert result.path == tmp_path / "out" / mirrored
  twins = [Study("sub-1", session, {"T2w": path}) for session in "ab"]
  other = Study("p", "", {"T2w": path})
  results = predict_studies(
    *(trained, [*twins, other], tmp_path / "other"),
    scorer=bright_is_disc,
    overlays=False,
  )
  assert [r.status for r in results] == ["failed", "failed", "done"]
  for result in results[:2]:  # neither hides the other, nor the third
    assert "sub-1_a and sub-1_b would both" in result.error


def test_labels_of_an_evaluation_lie_where_predictions_do(trained, tmp_path):
  path = tmp_path / "tree/sub-1/anat/sub-1_T2w.nii.gz"
  bright = write_volume(path, axes="LPI")
  study = Study("sub-1", "", {"T2w": path})
  prepared = prepare_in_memory(study, trained.config.data, trained.scheme)
  maps = {"sub-1": 3 * (prepared.image[..., 0] > 0).astype(np.uint8)}
  output = tmp_path / "out"
  for fold, folds in ((None, [0, 1]), (1, [1])):
    (saved,) = save_labels(
      *(trained, [prepared], maps, output),
      fold_of=None if fold is None else {"sub-1": fold},
      overlays=False,
    )
    stored = np.asarray(nib.load(saved.path).dataobj)
    np.testing.assert_array_equal(stored, 3 * bright)
    sidecar = json.loads(saved.path.with_name("sub-1_dseg.json").read_text())
    assert sidecar["Folds"] == folds
  # That one fold's labels are not what the run predicts.
  (result,) = predict_studies(
    trained, [study], output, scorer=bright_is_disc, overlays=False
  )
  assert (result.status, result.path) == ("done", saved.path)


def test_an_evaluation_looks_at_each_folds_weights_once(
  trained, tmp_path, monkeypatch
):
  asked, real = [], jobs.records.weights_of
  monkeypatch.setattr(
    jobs.records,
    "weights_of",
    lambda run, folds: asked.append(folds) or real(run, folds),
  )
  names, path = ("a", "b", "c"), tmp_path / "a.nii.gz"
  write_volume(path, shape=(1, 20, 20))
  studies = [
    prepare_in_memory(
      Study(name, "", {"T2w": path}), trained.config.data, trained.scheme
    )
    for name in names
  ]
  maps = {s.name: np.zeros(s.image.shape[:3], np.uint8) for s in studies}
  monkeypatch.setattr(
    jobs.outputs, "place", lambda study, _: (Path(), study.patient)
  )
  save_labels(
    *(trained, studies, maps, tmp_path / "out"),
    fold_of={"a": 0, "b": 0, "c": 1},
    overlays=False,
  )
  assert asked == [[0, 1], [0], [1]]


def test_one_study_holds_no_scores_unless_asked(trained, tmp_path):
  write_volume(tmp_path / "a.nii.gz")
  study = Study("a", "", {"T2w": tmp_path / "a.nii.gz"})
  prepared = prepare_in_memory(study, trained.config.data, trained.scheme)
  labels, scores = segment(
    prepared, bright_is_disc, None, "MAP", trained.config
  )
  assert scores is None
  assert labels.dtype == np.uint8
  again, scores = segment(
    prepared, bright_is_disc, None, "MAP", trained.config, probabilities=True
  )
  np.testing.assert_array_equal(again, labels)
  np.testing.assert_array_equal(scores.argmax(-1), labels)


def test_what_is_missing_in_a_run_is_said(tmp_path):
  run = runs.open_run(tmp_path / "run", make_config())
  write_volume(tmp_path / "a.nii.gz", shape=(1, 20, 20))
  args = (run.folder, tmp_path / "a.nii.gz", tmp_path / "out")
  with pytest.raises(InputError, match=r"no thresholds.*--labelling=MAP"):
    predict(*args)
  with pytest.raises(InputError, match=r"--labelling='map'.*MAP, TH"):
    predict(*args, labelling="map")
  with pytest.raises(InputError, match="folds 0 to 1"):
    predict(*args, fold=2)
  write_fold(run, 0)
  with pytest.raises(InputError, match=r"no trained network.*--fold=N"):
    predict(*args, labelling="MAP")
  assert load_scorer(run, 0)(np.zeros((1, PATCH, PATCH, 1))).shape[-1] == 4
  with pytest.raises(InputError, match="not a run's folder"):
    predict(tmp_path, *args[1:])
