"""Three steps of each optimizer against Keras' rules, written in numpy."""

import jax
import numpy as np
import optax
import pytest

from lumbar_jax.errors import InputError
from lumbar_jax.training.optimizers import make_optimizer

EPS = 1e-7
# Gradients so small that where epsilon stands decides the step, and large.
GRADIENTS = np.array(
  [[1e-8, -1e-7, 3e-4, 2.0], [2e-8, 1e-7, -1e-4, -5.0], [0.0, 4e-7, 2e-4, 0.5]]
)
START = np.array([0.5, -1.0, 2.0, 0.0])


def _adam(rate, eps=EPS):
  """Keras: epsilon is added to the uncorrected root."""
  x, m, v, places = START, 0.0, 0.0, []
  for t, g in enumerate(GRADIENTS, start=1):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    step = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    x = x - step * m / (np.sqrt(v) + eps)
    places.append(x)
  return np.array(places)


def _rmsprop(rate):
  """Keras 2: epsilon outside the root, no momentum."""
  x, v, places = START, 0.0, []
  for g in GRADIENTS:
    v = 0.9 * v + 0.1 * g**2
    x = x - rate * g / (np.sqrt(v) + EPS)
    places.append(x)
  return np.array(places)


def _adadelta(rate):
  """Keras: rho .95, epsilon inside both roots."""
  x, v, d, places = START, 0.0, 0.0, []
  for g in GRADIENTS:
    v = 0.95 * v + 0.05 * g**2
    update = g * np.sqrt(d + EPS) / np.sqrt(v + EPS)
    d = 0.95 * d + 0.05 * update**2
    x = x - rate * update
    places.append(x)
  return np.array(places)


def _ours(name, rate):
  with jax.enable_x64(True):
    optimizer = make_optimizer(name, rate)
    x, places = START, []
    state = optimizer.init(x)
    for g in GRADIENTS:
      updates, state = optimizer.update(g, state, x)
      x = optax.apply_updates(x, updates)
      places.append(np.asarray(x))
  assert places[0].dtype == np.float64
  return np.array(places)


def _moves(places):
  return np.diff(np.vstack([START, places]), axis=0)


@pytest.mark.parametrize(
  ("name", "rule", "rate"),
  [
    ("rmsprop", _rmsprop, 1e-3),
    ("adadelta", _adadelta, 1.0),
    ("adadelta", _adadelta, 0.3),
  ],
)
def test_keras_rule(name, rule, rate):
  np.testing.assert_allclose(
    _moves(_ours(name, rate)), _moves(rule(rate)), rtol=1e-6, atol=1e-14
  )


def test_adam_is_keras_but_for_the_corrected_epsilon():
  """Same where the gradient is not tiny; optax' own rule everywhere."""
  rate = 3.3e-4
  ours, keras = _moves(_ours("adam", rate)), _moves(_adam(rate))
  np.testing.assert_allclose(ours[:, 3], keras[:, 3], rtol=1e-5)
  np.testing.assert_allclose(ours[:, 2], keras[:, 2], rtol=2e-2)
  # Kingma and Ba: epsilon beside the corrected root, 1e-7.
  m = v = 0.0
  for t, g in enumerate(GRADIENTS, start=1):
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
    root = np.sqrt(v / (1 - 0.999**t))
    expected = -rate * m / (1 - 0.9**t) / (root + EPS)
    np.testing.assert_allclose(ours[t - 1], expected, rtol=1e-6, atol=1e-16)


def test_an_unknown_optimizer_is_named_with_the_nearest():
  with pytest.raises(InputError, match=r"'adamm'.*did you mean adam"):
    make_optimizer("adamm", 1.0)
