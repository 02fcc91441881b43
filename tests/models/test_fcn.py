"""FCN8: sizes, upsampling against Flax and by hand, gradients, dropout."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.models import fcn

KEY = jax.random.key(0)


def _normal(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def _abstract(net, *shape):
  image = jax.ShapeDtypeStruct(shape, jnp.float32)
  return jax.eval_shape(net.init_with_output, KEY, image)


def _variables(net, *shape):
  """Random variables in He's size, without compiling an initialisation."""
  rng = np.random.default_rng(3)
  return jax.tree.map(
    lambda x: (
      rng.standard_normal(x.shape) * np.sqrt(2 / max(np.prod(x.shape[:-1]), 1))
    ).astype(np.float32),
    dict(_abstract(net, *shape)[1]),
  )


@pytest.mark.parametrize("size", [(32, 32), (96, 64)])
def test_logits_have_the_size_of_the_image_and_there_are_no_features(size):
  outputs, variables = _abstract(models.build("FCN", 5, width=2), 3, *size, 1)
  assert outputs.logits.shape == (3, *size, 5)
  assert outputs.features is None
  assert outputs.auxiliary == {}
  assert set(variables) == {"params"}


@pytest.mark.parametrize(
  ("size", "nearest"),
  [((250, 256), "256 x 256"), ((48, 70), "64 x 64"), ((16, 40), "32 x 32")],
)
def test_a_size_that_does_not_divide_names_the_nearest(size, nearest):
  net = models.build("FCN", 3, width=2)
  match = f"{size[0]} x {size[1]}.*multiples of 32.*{nearest}"
  with pytest.raises(InputError, match=match):
    _abstract(net, 1, *size, 2)


def test_widths_are_those_of_vgg16():
  _, variables = _abstract(models.build("FCN", 12), 1, 32, 32, 2)
  params = variables["params"]
  shapes = [
    params[f"encoder_{level}"][f"conv_{i}"]["kernel"].shape
    for level, count in enumerate((2, 2, 3, 3, 3), start=1)
    for i in range(1, count + 1)
  ]
  widths = [2, 64, 64, 128, 128, *[256] * 3, *[512] * 6]
  assert shapes == [(3, 3, a, b) for a, b in itertools.pairwise(widths)]
  assert params["fc6"]["kernel"].shape == (7, 7, 512, 4096)
  assert params["fc7"]["kernel"].shape == (1, 1, 4096, 4096)


@pytest.mark.parametrize("factor", [2, 8])
def test_upsampling_is_flax_conv_transpose(factor):
  x, size = _normal(2, 3, 5, 4), 2 * factor
  weight = _normal(2, 3 * factor, 5 * factor, 6, seed=1)
  kernel = _normal(size, size, 4, 6, seed=2)
  plain = nn.ConvTranspose(
    6, (size, size), (factor, factor), padding="SAME", use_bias=False
  )

  def run(upsample):
    def objective(x, kernel):
      y = upsample(x, kernel)
      return (y * weight).sum(), y

    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (_, y), gradients = jax.jit(grad)(x, kernel)
    return y, gradients

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    run(fcn.upsampling_conv),
    run(lambda x, k: plain.apply({"params": {"kernel": k}}, x)),
  )


@pytest.mark.parametrize("factor", [2, 8])
def test_upsampling_starts_as_linear_interpolation(factor):
  """A plane stays a plane, sampled at the small pixels' centres."""
  rows, columns = np.mgrid[:5, :6].astype(np.float32)
  x = np.stack([2 * rows - columns + 3, 0.5 * columns], axis=-1)[None]
  net = fcn.Upsampling(factor)
  y, variables = net.init_with_output(KEY, x)
  assert variables["params"]["kernel"].shape == (*[2 * factor] * 2, 2, 2)
  rows, columns = np.mgrid[: 5 * factor, : 6 * factor]
  rows, columns = ((i + 0.5) / factor - 0.5 for i in (rows, columns))
  expected = np.stack([2 * rows - columns + 3, 0.5 * columns], axis=-1)
  inner = slice(factor, -factor)  # beyond the outer centres x counts as 0
  np.testing.assert_allclose(
    y[0, inner, inner], expected[inner, inner], rtol=1e-5, atol=1e-5
  )


def test_scores_of_three_depths_are_added_at_their_scales():
  """Constant maps; one-hot scores; the initial, linear interpolation."""
  maps = [
    np.full((1, 8 >> i, 8 >> i, 1), 10.0**i, np.float32) for i in range(3)
  ]
  net = fcn.FuseScores(2, models.build("FCN", 2).style)
  params = net.init(KEY, *maps)["params"]
  for name in ("score", "score_4", "score_3"):
    params[name]["kernel"] = jnp.array([1.0, -2.0]).reshape(1, 1, 1, 2)
  y = net.apply({"params": params}, *maps)
  assert y.shape == (1, 64, 64, 2)
  middle = y[0, 31:33, 31:33]
  np.testing.assert_allclose(middle[..., 0], 111, rtol=1e-5)
  np.testing.assert_allclose(middle[..., 1], -222, rtol=1e-5)


@pytest.fixture(scope="module")
def narrow():
  """FCN of width 2 and an odd batch; its variables."""
  net = models.build("FCN", 3, width=2, dropout=(0.0, 0.0))
  images = _normal(3, 64, 32, 2)
  return net, images, _variables(net, *images.shape)


def test_an_odd_batch_is_that_many_images(narrow):
  net, images, variables = narrow
  apply = jax.jit(net.apply)
  logits = apply(variables, images).logits
  assert logits.shape == (3, 64, 32, 3)
  others = np.stack([images[2], images[1], -images[0]])
  changed = apply(variables, others).logits
  np.testing.assert_allclose(logits[1], changed[1], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(logits[2], changed[0], rtol=1e-5, atol=1e-6)
  assert not np.allclose(logits[0], changed[2], atol=1e-3)


def _gradients(net, images, variables):
  target = _normal(*images.shape[:3], 3, seed=1)

  def objective(variables):
    return jnp.square(net.apply(variables, images, True).logits - target).mean()

  return jax.jit(jax.grad(objective))(variables)


def test_remat_changes_no_gradient(narrow):
  net, images, variables = narrow
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    _gradients(net.clone(remat=True), images, variables),
    _gradients(net, images, variables),
  )


def test_half_of_both_fully_connected_layers_is_dropped_in_training(narrow):
  _, images, variables = narrow
  net = models.build("FCN", 3, width=2)
  assert net.dropout == (0.5, 0.5)

  def dropped(train):
    _, seen = net.apply(
      variables,
      images,
      train,
      rngs={"dropout": KEY},
      capture_intermediates=lambda module, _: isinstance(module, nn.Dropout),
      mutable=["intermediates"],
    )
    seen = seen["intermediates"]
    return [np.mean(seen[f"Dropout_{i}"]["__call__"][0] == 0) for i in (0, 1)]

  for there, off in zip(dropped(True), dropped(False), strict=True):
    kept = (1 - there) / (1 - off)
    assert 0.4 < kept < 0.6


def _equations(jaxpr):
  """Yields the equations of a jaxpr and of those that it calls."""
  for equation in jaxpr.eqns:
    yield equation
    for name in ("jaxpr", "call_jaxpr"):
      inner = equation.params.get(name)
      if inner is not None:
        yield from _equations(getattr(inner, "jaxpr", inner))


def test_bfloat16_keeps_parameters_and_scores_in_float32():
  net = models.build("FCN", 3, width=2, dtype=jnp.bfloat16)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  outputs, variables = jax.eval_shape(net.init_with_output, KEY, image)
  assert {x.dtype for x in jax.tree.leaves(variables)} == {np.dtype("float32")}
  assert outputs.logits.dtype == jnp.float32
  jaxpr = jax.make_jaxpr(net.apply)(variables, image)
  types = [
    equation.outvars[0].aval.dtype
    for equation in _equations(jaxpr.jaxpr)
    if equation.primitive.name in ("conv_general_dilated", "dot_general")
  ]
  assert types == [jnp.bfloat16] * 15 + [np.dtype("float32")] * 6


def test_overrides_that_fcn_cannot_take_are_refused():
  with pytest.raises(InputError, match=r"'vgg_cap' of network FCN.*there are"):
    models.build("FCN", 3, vgg_cap=True)
  net = models.build("FCN", 3, activation="prelu")
  assert net.style.activation == "prelu"
