"""What happens when training goes wrong: nothing is lost."""

import resource
import signal

import jax
import numpy as np
import pytest
from flax import linen as nn

from lumbar_jax import anatomy
from lumbar_jax import config as config_lib
from lumbar_jax.data.pipeline import PatchSource
from lumbar_jax.data.prepare import PreparedStudy
from lumbar_jax.errors import InputError
from lumbar_jax.models.unet import Outputs
from lumbar_jax.training.checkpoints import Checkpoints, load_best
from lumbar_jax.training.engine import make_engine
from lumbar_jax.training.loop import FoldTrainer
from lumbar_jax.training.optimizers import make_optimizer
from lumbar_jax.training.position import EpochSums, Position
from lumbar_jax.training.writers import MetricWriter, read_metrics

SCHEME = anatomy.SPIDER


class Tiny(nn.Module):
  """One convolution: enough to learn intensity -> class."""

  @nn.compact
  def __call__(self, images, train=False):
    return Outputs(nn.Conv(SCHEME.num_classes, (3, 3))(images))


def study(name: str, bad: bool = False) -> PreparedStudy:
  rng = np.random.default_rng(sum(map(ord, name)))
  mask = rng.integers(0, 4, (4, 16, 16)).astype(np.uint8)
  image = mask[..., None] + rng.normal(0, 0.1, (4, 16, 16, 1))
  image = image.astype(np.float32)
  if bad:
    image[2] = np.inf
  return PreparedStudy(
    *(name, name, "", image, mask, mask, (16, 16), (1.0, 1.0, 1.0)),
    info={"training_spacing_mm": [1.0, 2.0]},
  )


def trainer(
  folder, *, bad=False, augment=None, fold=0, **training
) -> FoldTrainer:
  config = config_lib.default()
  config.data.update(channels=("T2w",), num_workers=0)
  config.augmentation.update(
    **{"rotation_deg": 0.0, "zoom": (1.0, 1.0), "shift": 0.0, "flip": 0.0},
    **(augment or {}),
  )
  config.training.update(
    **{"batch_size": 4, "tensorboard": False, "num_epochs": 2, **training}
  )
  train = [study("sub-a"), study("sub-b", bad)]
  sources = PatchSource(train, 16, 16), PatchSource([study("sub-c")], 16, 16)
  config.data.patch_size = 16
  engine = make_engine(Tiny(), make_optimizer("adam", 0.1), config)
  return FoldTrainer(engine, config, SCHEME, sources, folder, fold)


def test_training_learns_and_records_each_epoch(tmp_path):
  position = trainer(tmp_path).run()
  lines = read_metrics(tmp_path)
  assert [line["epoch"] for line in lines] == [0, 1]
  assert lines[1]["train/loss"] < lines[0]["train/loss"]
  names = {f"{p}/iou/{n}" for p in ("train", "val") for n in SCHEME.names}
  assert names <= set(lines[0])
  best = max(line["val/accuracy"] for line in lines)
  assert position.best_score == best


def test_the_best_checkpoint_holds_the_weights_of_the_best_epoch(tmp_path):
  work = trainer(tmp_path, num_epochs=1)  # the only epoch is the best one
  position = work.run()
  target = {"params": work.state.params}
  variables, info = load_best(tmp_path / "checkpoints", target)
  assert info["epoch"] == position.best_epoch == 0
  with pytest.raises(InputError, match="of fold 0, not 1"):
    trainer(tmp_path, fold=1)  # else it would see whom it is validated on
  kernel = variables["params"]["Conv_0"]["kernel"]
  np.testing.assert_array_equal(kernel, work.state.params["Conv_0"]["kernel"])


def test_more_epochs_end_as_if_they_had_been_planned(tmp_path):
  """In the same weights bit for bit, the same best epoch, the same lines."""
  folder, whole = tmp_path / "more", tmp_path / "whole"
  trainer(folder, num_epochs=2).run()
  more = trainer(folder, num_epochs=5)
  assert more.position.epoch == 2
  planned = trainer(whole, num_epochs=5)
  assert more.run().to_json() == planned.run().to_json()
  for ours, theirs in zip(
    jax.tree.leaves((more.state.params, more.state.opt_state)),
    jax.tree.leaves((planned.state.params, planned.state.opt_state)),
    strict=True,
  ):
    np.testing.assert_array_equal(ours, theirs)
  lines = [read_metrics(place) for place in (folder, whole)]
  for line in (*lines[0], *lines[1]):
    line.pop("time_s")
  assert lines[0] == lines[1]
  assert len(lines[0]) == 5
  target = {"params": more.state.params}
  best = [load_best(p / "checkpoints", target)[0] for p in (folder, whole)]
  jax.tree.map(np.testing.assert_array_equal, *best)


def test_the_best_epoch_by_iou_with_artefacts(tmp_path):
  """The batches bring the spacing that a blur in mm needs."""
  augment = {"noise": 0.1, "blur_mm": 1.0}
  position = trainer(tmp_path, augment=augment, best_by="iou").run()
  scores = [line["val/iou"] for line in read_metrics(tmp_path)]
  assert position.best_score == max(scores)
  assert position.best_epoch == int(np.argmax(scores))


def test_a_position_of_an_older_version_is_taken_up():
  position = Position(3, None, EpochSums.zeros(2), 0.75, 1)
  old = position.to_json()
  old["best_accuracy"] = old.pop("best_score")
  again = Position.from_json(old)
  assert (again.best_score, again.best_epoch, again.epoch) == (0.75, 1, 3)


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path):
  with pytest.raises(InputError, match="sub-b") as caught:
    trainer(tmp_path, bad=True).run()
  text = str(caught.value)
  assert "step" in text
  assert "learning_rate" in text
  assert str(tmp_path) in text
  assert not (tmp_path / "checkpoints" / "best" / "0").exists()


def test_the_last_good_checkpoint_survives_a_loss_that_is_not_finite(tmp_path):
  trainer(tmp_path).run()
  before = Checkpoints(tmp_path / "checkpoints").latest_step()
  work = trainer(tmp_path, bad=True)
  work.position.epoch = 0  # make it run again, on the bad study
  with pytest.raises(InputError, match=f"of step {before}"):
    work.run()
  assert Checkpoints(tmp_path / "checkpoints").latest_step() == before


def test_checkpoints_that_are_gone_are_no_reason_to_begin_anew(tmp_path):
  writer = MetricWriter(tmp_path, first_epoch=0, tensorboard=False)
  writer.write(0, {"val/loss": 1.0})  # a kill may leave this much
  trainer(tmp_path)
  writer.write(1, {"val/loss": 1.0})
  with pytest.raises(InputError, match="2 epochs were run here"):
    trainer(tmp_path)


@pytest.fixture
def full_disk():
  """Returns a function after which no file can grow beyond 64 bytes."""
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))
  resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path, full_disk):
  checkpoints = Checkpoints(tmp_path)
  old = {"w": np.arange(5000, dtype=np.float32)}
  checkpoints.save_latest(1, old, {"epoch": 1})
  full_disk()
  new = {"w": np.random.default_rng(0).normal(size=5000).astype(np.float32)}
  with pytest.raises(InputError, match="free some space") as caught:
    checkpoints.save_latest(2, new, {"epoch": 2})
  assert str(tmp_path) in str(caught.value)
  import jax

  resource.setrlimit(
    resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
  )
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(
      x.shape,
      x.dtype,
      sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]),
    ),
    old,
  )
  state, info = Checkpoints(tmp_path).restore_latest(target)
  assert info == {"epoch": 1}
  np.testing.assert_array_equal(state["w"], old["w"])


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  checkpoints.save_best(0, {"params": {"w": np.zeros((3, 3))}}, {})
  import jax

  for other in ({"w": (3, 4)}, {"v": (3, 3)}):
    target = {
      "params": {
        k: jax.ShapeDtypeStruct(s, np.float64) for k, s in other.items()
      }
    }
    with pytest.raises(InputError, match="another network") as caught:
      load_best(tmp_path, target)
    assert "w" in str(caught.value) or "v" in str(caught.value)
    assert "model.width" in str(caught.value)


def test_nothing_trained_yet_says_how_to_train(tmp_path):
  with pytest.raises(InputError, match="--mode=crossval"):
    load_best(tmp_path, {})


def test_metrics_are_cut_back_to_the_checkpoint(tmp_path):
  writer = MetricWriter(tmp_path, first_epoch=0, tensorboard=True)
  for epoch in range(3):
    writer.write(epoch, {"val/loss": float(epoch)})
  writer.close()
  assert list((tmp_path / "tensorboard").iterdir())
  again = MetricWriter(tmp_path, first_epoch=1, tensorboard=False)
  again.write(1, {"val/loss": 7.0})
  assert [x["val/loss"] for x in read_metrics(tmp_path)] == [0.0, 7.0]


def test_absent_classes_are_null_in_the_file_and_nan_when_read(tmp_path):
  writer = MetricWriter(tmp_path, first_epoch=0, tensorboard=False)
  writer.write(0, {"val/iou/Disc": float("nan"), "val/loss": 1.5})
  text = (tmp_path / "metrics.jsonl").read_text()
  assert text == '{"epoch": 0, "val/iou/Disc": null, "val/loss": 1.5}\n'
  (line,) = read_metrics(tmp_path)
  assert np.isnan(line["val/iou/Disc"])
  assert line["val/loss"] == 1.5
