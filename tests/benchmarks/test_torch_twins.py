"""The PyTorch twins compute what our networks compute."""

import jax
import numpy as np
import pytest

from lumbar_jax import config as config_lib
from lumbar_jax import models
from lumbar_jax.benchmarks import forward, subjects, train_step
from lumbar_jax.evaluation.scorers import make_scorer

pytest.importorskip("torch", reason="PyTorch is not installed: no peer")

from lumbar_jax.benchmarks import peer, torch_work
from lumbar_jax.benchmarks.timing import Work


def tiny(name, folder):
  config = config_lib.default()
  config.data.patch_size, config.model.width = 32, 4
  return subjects.make_run(config, folder, name)


@pytest.mark.parametrize(
  "name", ["U1", "UAD", "UMD", "UVDD", "UQD", "UDD2", "FCN"]
)
def test_scores_are_the_same(name, tmp_path):
  run = tiny(name, tmp_path)
  net, variables = subjects.network(run), subjects.random_variables(run)
  assert peer.has_peer(net)
  images = subjects.random_batch(run.config, 12, 2)["images"]
  expected = np.asarray(make_scorer(net, variables)(images))
  assert expected.std() > 1e-2
  ways = torch_work.forward_ways(net, variables, images, "float32", ["eager"])
  found, error = torch_work.usable(ways, [expected], torch_work.scores, 1e-4)
  assert list(found) == ["torch eager"]
  assert error < 1e-4


@pytest.mark.parametrize("name", ["U1", "UAD", "UMD"])  # three optimizers
def test_losses_of_steps_are_the_same(name, tmp_path):
  run = tiny(name, tmp_path)
  variables = subjects.random_variables(run)
  batch = subjects.random_batch(run.config, 12, 2)
  ours = train_step.our_way(run, variables, batch)
  losses = [float(ours()[0]) for _ in range(3)]
  optimizer = train_step.optimizer_settings(run)
  net = subjects.network(run, train=True)
  ways = torch_work.train_ways(
    net, variables, batch, optimizer, "float32", ["eager", "freeze"]
  )
  assert list(ways) == ["torch eager"]
  theirs = [float(ways["torch eager"]()) for _ in range(3)]
  np.testing.assert_allclose(theirs, losses, rtol=1e-4)
  assert losses[0] > losses[2]


def test_another_network_is_noticed_and_a_broken_way_left_out(tmp_path):
  run = tiny("U1", tmp_path)
  images = subjects.random_batch(run.config, 12, 1)["images"]
  ours = forward.our_way(run, subjects.random_variables(run), images)
  expected = [np.asarray(ours())]
  net, other = subjects.network(run), subjects.random_variables(run, seed=1)
  ways = torch_work.forward_ways(net, other, images, "float32", ["eager"])
  with pytest.raises(ValueError, match="torch eager differs from ours by"):
    torch_work.usable(ways, expected, torch_work.scores, 1e-3)

  def broken():
    raise RuntimeError("no compiler")

  ways = {"torch compile": Work(broken, lambda _: None)}
  found = torch_work.usable(ways, expected, torch_work.scores, 1e-3)
  assert found == ({}, 0.0)


def test_dropout_has_no_twin():
  net = models.build("U1", 12, dropout=(0.25, 0.5, 0.5))
  assert not peer.has_peer(net)
  shape = jax.ShapeDtypeStruct((1, 32, 32, 2), np.float32)
  assert "params" in jax.eval_shape(net.init, jax.random.key(0), shape)
