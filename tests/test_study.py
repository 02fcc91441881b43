"""A whole study on the tiny phantom, and what has to hold of it."""

import csv
import shutil

import jax
import nibabel as nib
import numpy as np
import pytest

from lumbar_jax import combine, modes, study
from lumbar_jax import config as config_lib
from lumbar_jax.ensembles import train as train_lib
from lumbar_jax.ensembles.model import load_model
from lumbar_jax.ensembles.weights import Weights, weights_digest
from lumbar_jax.errors import InputError
from lumbar_jax.files import read_json
from lumbar_jax.runs import load_run
from lumbar_jax.study_plan import planned
from lumbar_jax.training.checkpoints import Checkpoints
from lumbar_jax.training.networks import load_fold
from lumbar_jax.training.writers import read_metrics

# The first test waits for a whole study: many programs are compiled.
pytestmark = pytest.mark.timeout(1800)

NETWORKS = ("U1", "UAD", "UMD", "UQD", "UDD")
ENSEMBLES = ("U1+UMD", "E4")


def tiny_config(root, **chosen):
  """A study that takes seconds, but uses everything."""
  config = config_lib.default()
  config.mode = "study"
  config.data.update(
    source="phantom",
    phantom=dict(preset="tiny", num_patients=8, num_unlabelled=0, seed=0),
    root=str(root),
    registration="none",
    patch_size=32,
    patch_stride=32,
    spacing_mm=5.0,
    num_folds=2,
    num_workers=0,
  )
  config.augmentation.update(
    rotation_deg=5.0, zoom=(0.93, 1.07), shift=0.03, flip=0.0
  )
  config.model.update(width=2, batchnorm_momentum=0.9)
  config.training.update(num_epochs=1, batch_size=8, tensorboard=False)
  config.ensemble.update(num_epochs=2, learning_rate=3e-3)
  config.evaluation.num_bootstrap = 50
  config.study.update(
    networks=NETWORKS,
    ensembles=ENSEMBLES,
    ablation="U1+UMD-NAD",
    baselines=("U1",),
  )
  config.study.update(**chosen)
  return config


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  """Where the phantom's files are."""
  return tmp_path_factory.mktemp("phantom")


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
  """A finished study's folder."""
  folder = tmp_path_factory.mktemp("study")
  modes.run_mode("study", modes.Options(tiny_config(root), folder))
  return folder


def table(path):
  with open(path, newline="", encoding="utf-8") as file:
    return list(csv.DictReader(file))


def head_digest(folder, fold):
  return weights_digest(load_model(load_run(folder)).load_head(fold)[1])


def test_a_study_writes_the_papers_tables_and_figures(done):
  for number in (6, 7, 8):
    assert len(table(done / "tables" / f"table{number}.csv")) == 14
    tex = (done / "tables" / f"table{number}.tex").read_text()
    assert "phantom" in tex
  for number in (7, 8, 9):
    picture = (done / "figures" / f"figure{number}.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
  assert "synthetic phantom" in (done / "report.html").read_text()


def test_every_model_is_evaluated_by_both_labellings(done):
  rows = table(done / "tables" / "models.csv")
  assert len(rows) == 2 * (5 + 2 * 4 + 2)
  titles = {row["model"] for row in rows}
  assert {"U1", "E4-NAD", "E4-TCD", "U1+UMD-geometric"} <= titles
  assert all(0 <= float(row["iou"]) <= 1 for row in rows)


def test_all_networks_share_one_division_of_the_patients(done):
  wanted = read_json(done / "splits.json")
  for folder in [*(done / "runs").iterdir(), *(done / "ensembles").iterdir()]:
    assert read_json(folder / "splits.json") == wanted


def test_a_finished_study_does_nothing_again(done, root, monkeypatch):
  def never(*_, **__):
    raise AssertionError("this was done already")

  monkeypatch.setattr(study.stages, "train_fold", never)
  monkeypatch.setattr(combine, "train_heads", never)
  monkeypatch.setattr(study.assess, "make_pool", never)
  monkeypatch.setattr(study.tuning, "make_pool", never)
  before = (done / "tables" / "models.csv").read_bytes()
  modes.run_mode("study", modes.Options(tiny_config(root), done))
  assert (done / "tables" / "models.csv").read_bytes() == before


def test_the_test_patients_files_shape_nothing_learnt(done, root, tmp_path):
  """Garbage in their place: the same weights, thresholds and stackers."""
  other = tmp_path / "data"
  shutil.copytree(root, other)
  patients = read_json(done / "splits.json")["test"]
  rng = np.random.default_rng(0)
  changed = 0
  for path in other.rglob("*.nii.gz"):
    if any(patient in path.name for patient in patients):
      image = nib.load(path)
      noise = rng.integers(0, 2, image.shape).astype(image.get_data_dtype())
      nib.save(nib.Nifti1Image(noise, image.affine, image.header), path)
      changed += 1
  assert changed >= 3 * len(patients)
  folder = tmp_path / "study"
  folder.mkdir()
  shutil.copy(done / "splits.json", folder)
  fewer = tiny_config(
    other, networks=("U1", "UMD"), ensembles=("U1+UMD",), ablation=""
  )
  for stage in ("train", "stack", "tune"):
    modes.run_mode("study", modes.Options(fewer, folder, stage=stage))
  for fold in (0, 1):
    for name in ("U1", "UMD"):
      ours, theirs = (
        weights_digest(load_fold(load_run(f / "runs" / name), fold)[1])
        for f in (folder, done)
      )
      assert ours == theirs
    for method in ("NAD", "TCD"):  # trained beside others there, not here
      place = f"ensembles/U1+UMD-{method}"
      assert head_digest(folder / place, fold) == head_digest(
        done / place, fold
      )
  for path in folder.rglob("thresholds.json"):
    assert read_json(path) == read_json(done / path.relative_to(folder))


def test_a_meta_learner_sees_its_own_fold_alone(done, tmp_path, monkeypatch):
  model, _ = make(done, tmp_path / "e", method="NAD", num_epochs=1)
  data = combine_data(model)
  loaded, given, load = {}, {}, Weights.load
  trainer = train_lib.FoldTrainer

  def spy(self, member, fold):
    loaded.setdefault(fold, set()).add(member.name)
    return load(self, member, fold)

  def watched(engine, config, scheme, sources, folder, fold, **options):
    given[fold] = [{s.patient for s in part.studies} for part in sources]
    assert loaded == {fold: {"U1", "UMD"}}
    loaded.clear()
    return trainer(engine, config, scheme, sources, folder, fold, **options)

  monkeypatch.setattr(Weights, "load", spy)
  monkeypatch.setattr(train_lib, "FoldTrainer", watched)
  train_head(model, data)
  splits = data.splits
  assert given == {
    fold: [set(splits.train(fold)), set(splits.validation(fold))]
    for fold in (0, 1)
  }
  assert not given[0][1] & given[1][1]


def make(done, folder, **chosen):
  """An ensemble of two of the study's networks, opened."""
  config = config_lib.default()
  config.mode = "ensemble"
  members = tuple(str(done / "runs" / name) for name in ("U1", "UMD"))
  config.ensemble.update(members=members, num_epochs=2, learning_rate=3e-3)
  config.ensemble.update(**chosen)
  return combine.open_ensemble(folder, config), config


@pytest.mark.parametrize("method", ["NAD", "TCD"])
def test_interrupted_heads_end_like_those_of_the_study(
  method, done, tmp_path, monkeypatch
):
  """Killed after some batches, alone: bit for bit what was learnt together."""
  folder = tmp_path / method
  model, _ = make(done, folder, method=method)
  data = combine_data(model)
  steps, calls = train_lib.FoldTrainer.steps, []

  def stopping(self):
    for number, _ in enumerate(steps(self)):
      if number == 3:
        calls.append(number)
        raise KeyboardInterrupt
      yield

  model.run.config.training.checkpoint_every_steps = 2
  with monkeypatch.context() as patch:
    patch.setattr(train_lib.FoldTrainer, "steps", stopping)
    with pytest.raises(KeyboardInterrupt):
      train_head(model, data)
  assert calls
  train_head(model, data)
  for fold in (0, 1):
    place = done / "ensembles" / f"U1+UMD-{method}"
    assert head_digest(folder, fold) == head_digest(place, fold)
    assert [
      line["epoch"] for line in read_metrics(model.run.fold_folder(fold))
    ] == [0, 1]


def combine_data(model):
  from lumbar_jax import stages

  return stages.material(model.run)


def train_head(model, data):
  from lumbar_jax import stages

  combine.train_all_heads(
    [model],
    model.run.config,
    lambda fold: stages.patch_sources(model.run, data, fold),
    Weights(),
  )


def test_the_cache_is_training_without_augmentation(done, tmp_path):
  heads = []
  for cached in (False, True):
    model, _ = make(done, tmp_path / str(cached), method="NAD", cached=cached)
    model.run.config.augmentation.update(
      rotation_deg=0.0, zoom=(1.0, 1.0), shift=0.0
    )
    train_head(model, combine_data(model))
    loaded = load_model(load_run(model.run.folder))
    heads.append([loaded.load_head(fold)[1] for fold in (0, 1)])
    assert not list(model.run.folder.rglob("cache_*.npy"))
  # Two programs: the members' outputs are rounded apart in the last bits.
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6), *heads
  )


def test_an_ensembles_folder_predicts_like_a_runs(done, root, tmp_path):
  _, config = make(done, tmp_path / "pair", method="geometric")
  modes.run_mode("ensemble", modes.Options(config, tmp_path / "pair"))
  image = next(root.rglob("*T2w.nii.gz")).parent
  modes.run_mode(
    "predict",
    modes.Options(
      None, tmp_path / "pair", input=image, output=tmp_path / "out"
    ),
  )
  found = list((tmp_path / "out").rglob("*_dseg.nii.gz"))
  assert len(found) == 1
  sidecar = read_json(next((tmp_path / "out").rglob("*_dseg.json")))
  assert sidecar["Network"] == "U1+UMD-geometric"


def test_members_that_do_not_fit_are_refused(done, tmp_path):
  other = tmp_path / "U1"
  shutil.copytree(done / "runs" / "U1", other)
  path = other / "config.json"
  path.write_text(
    path.read_text().replace('"spacing_mm": 5.0', '"spacing_mm": 4.0')
  )
  members = (str(done / "runs" / "UMD"), str(other))
  with pytest.raises(InputError, match=r"UMD and U1 differ in .*spacing_mm: 5"):
    make(done, tmp_path / "e", members=members)


def test_an_ensemble_of_table_4_takes_its_networks_by_name(done, tmp_path):
  runs = [str(done / "runs" / name) for name in NETWORKS]
  model, _ = make(done, tmp_path / "e4", members=tuple(runs), name="E4")
  assert model.title == "E4-arithmetic"
  assert [m.name for m in model.members] == ["UAD", "UMD", "UQD", "UDD"]
  with pytest.raises(InputError, match="E4 needs UDD"):
    make(done, tmp_path / "e", members=tuple(runs[:4]), name="E4")


def test_a_runs_folder_is_not_made_an_ensembles(done, tmp_path):
  other = tmp_path / "U1"
  shutil.copytree(done / "runs" / "U1", other)
  before = (other / "splits.json").read_bytes()
  with pytest.raises(InputError, match="a run's or a study's"):
    make(done, other)
  assert (other / "splits.json").read_bytes() == before
  assert not (other / "ensemble.json").exists()


def test_an_ensemble_that_was_killed_half_made_is_made_by_the_same_command(
  done, tmp_path
):
  names = ("config.json", "dseg.tsv", "environment.json", "splits.json")
  for count in (1, len(names)):  # as far as it had come
    folder = tmp_path / str(count)
    model, config = make(done, folder)
    whole = {name: (folder / name).read_bytes() for name in names}
    for name in names[:count]:
      (folder / name).unlink()
    again = combine.open_ensemble(folder, config)
    assert {name: (folder / name).read_bytes() for name in names} == whole
    assert again.run.config.to_dict() == model.run.config.to_dict()


def test_meta_learners_go_on_for_more_epochs(done, tmp_path):
  """They end bit for bit like the study's, which were begun with two."""
  folder, place = tmp_path / "e", done / "ensembles" / "U1+UMD-NAD"
  for num_epochs in (1, 2):
    model, _ = make(done, folder, method="NAD", num_epochs=num_epochs)
    train_head(model, combine_data(model))
  for fold in (0, 1):
    assert head_digest(folder, fold) == head_digest(place, fold)
    metrics = read_metrics(model.run.fold_folder(fold))
    assert [line["epoch"] for line in metrics] == [0, 1]
  for change in ({"num_epochs": 1}, {"num_epochs": 4, "hidden": 8}):
    with pytest.raises(InputError, match="was begun with settings"):
      make(done, folder, method="NAD", **change)


def test_weights_stay_with_their_members(done, tmp_path):
  names = ("UDD", "UAD", "UMD", "UQD")
  model, _ = make(
    done,
    tmp_path / "e",
    members=tuple(str(done / "runs" / name) for name in names),
    name="E4",
    weights=(4.0, 1.0, 2.0, 3.0),
  )
  found = dict(zip(model.ensemble.members, model.ensemble.weights, strict=True))
  assert found == {"UDD": 4, "UAD": 1, "UMD": 2, "UQD": 3}


@pytest.mark.parametrize("mode", ["crossval", "evaluate", "report"])
def test_a_studys_folder_is_not_taken_for_a_runs(mode, done):
  before = (done / "report.html").read_bytes()
  with pytest.raises(InputError, match="folder of a mode study"):
    modes.run_mode(mode, modes.Options(None, done))
  assert (done / "report.html").read_bytes() == before


def test_a_half_evaluated_model_is_not_reported(done, root, tmp_path):
  folder = tmp_path / "study"
  shutil.copytree(done, folder)
  path = folder / "ensembles" / "E4-NAD" / "evaluation" / "model.json"
  path.write_text(path.read_text().replace("true", "false"))
  options = modes.Options(tiny_config(root), folder, stage="report")
  with pytest.raises(InputError, match="E4-NAD is not evaluated to the end"):
    modes.run_mode("study", options)


def test_a_member_without_a_fold_is_named(done, tmp_path):
  other = tmp_path / "UMD"
  shutil.copytree(done / "runs" / "UMD", other)
  shutil.rmtree(other / "fold_1" / "checkpoints")
  members = (str(done / "runs" / "U1"), str(other))
  with pytest.raises(InputError, match=r"fold 1 .* 0 of 1 epochs") as caught:
    make(done, tmp_path / "e", members=members)
  assert str(other / "fold_1") in str(caught.value)


def test_a_member_trained_anew_is_noticed(done, tmp_path):
  members = []
  for name in ("U1", "UMD"):
    members.append(str(tmp_path / name))
    shutil.copytree(done / "runs" / name, tmp_path / name)
  make(done, tmp_path / "e", members=tuple(members))
  run = load_run(tmp_path / "UMD")
  checkpoints = Checkpoints(run.fold_folder(0) / "checkpoints")
  checkpoints.save_best(9, load_fold(run, 1)[1], {"epoch": 9})
  checkpoints.close()
  with pytest.raises(InputError, match="UMD was trained anew"):
    make(done, tmp_path / "e", members=tuple(members))


def test_thresholds_of_other_weights_are_refused(done, root, tmp_path):
  folder = tmp_path / "study"
  shutil.copytree(done, folder)
  place = folder / "ensembles" / "E4-NAD"
  shutil.rmtree(place / "evaluation")
  shutil.copy(
    folder / "ensembles" / "U1+UMD-NAD" / "fold_0" / "thresholds.json",
    place / "fold_0" / "thresholds.json",
  )
  options = modes.Options(tiny_config(root), folder, stage="evaluate")
  with pytest.raises(InputError, match="scores of other weights"):
    modes.run_mode("study", options)


@pytest.mark.parametrize(
  ("chosen", "words"),
  [
    ({"networks": ("U1", "UMX")}, "UMX"),
    ({"methods": ("NAD", "NAE")}, "NAE"),
    ({"ensembles": ("E44",)}, "E44"),
    ({"networks": ()}, "networks is empty"),
    ({"ensembles": ("E4", "E4")}, "'E4' twice"),
    ({"ensembles": ("U1+UMX",)}, "UMX"),
  ],
)
def test_a_bad_study_is_refused_before_anything_is_done(
  chosen, words, tmp_path
):
  config = tiny_config(tmp_path / "data", **chosen)
  with pytest.raises(InputError, match=words):
    study.open_study(tmp_path / "study", config)
  assert not (tmp_path / "study").exists()


def test_members_whose_names_end_with_plus():
  entries = ("ResUNet+++U1", "X=U-Net+DeepLabv3++ResUNet++", "UD+UMD")
  networks = ("ResUNet++", "U1", "U-Net", "DeepLabv3+", "UD", "UMD")
  config = tiny_config("", ensembles=entries, methods=("NAD",), ablation="")
  members = [e.members for e in planned(config, networks)]
  assert members == [
    ("ResUNet++", "U1"),
    ("U-Net", "DeepLabv3+", "ResUNet++"),
    ("UD", "UMD"),
  ]


def test_fcns_tensors_are_not_averaged():
  config = tiny_config(
    "",
    ensembles=("FCN+U1", "U1+UD", "U1+PSPNet"),
    methods=("TAD", "NAD"),
    ablation="",
  )
  titles = [e.title for e in planned(config, ("FCN", "U1", "UD", "PSPNet"))]
  assert titles == ["FCN+U1-NAD", "U1+UD-TAD", "U1+UD-NAD", "U1+PSPNet-NAD"]
