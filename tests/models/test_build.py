"""Building networks: overrides, errors, sizes, gradients, dropout, remat."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lumbar_jax import models
from lumbar_jax.errors import InputError
from lumbar_jax.models.unet import UNet

KEY = jax.random.key(0)


def _images(*shape, seed=0):
  rng = np.random.default_rng(seed)
  return rng.standard_normal(shape).astype(np.float32)


def _abstract(net, *shape):
  image = jax.ShapeDtypeStruct(shape, jnp.float32)
  return jax.eval_shape(net.init_with_output, KEY, image)


def test_an_unknown_network_is_named_with_the_nearest():
  with pytest.raises(InputError, match=r"'UMMD'.*did you mean UM") as caught:
    models.build("UMMD", 3)
  for name in models.names():
    assert name in str(caught.value)


def test_an_unknown_override_is_named_with_the_nearest():
  with pytest.raises(InputError, match=r"'up_kernal' of network U1.*up_kernel"):
    models.build("U1", 3, up_kernal=2)


@pytest.mark.parametrize(
  ("size", "nearest"),
  [
    ((250, 256), "256 x 256"),
    ((33, 70), "32 x 64"),
    ((8, 32), "16 x 32"),
    ((1, 1), "16 x 16"),
  ],
)
def test_a_size_that_does_not_divide_names_the_nearest(size, nearest):
  net = models.build("U1", 3, width=2)
  with pytest.raises(InputError, match=f"{size[0]} x {size[1]}.*{nearest}"):
    _abstract(net, 1, *size, 2)
  height, width = map(int, nearest.split(" x "))
  outputs, _ = _abstract(net, 1, height, width, 2)  # the advice is sound
  assert outputs.logits.shape == (1, height, width, 3)


U_NETS = [n for n in models.names() if models.module(n) is UNet]


@pytest.mark.parametrize("name", U_NETS)
def test_features_have_m_channels_at_full_size(name):
  net = models.build(name, 5, width=6)
  outputs, variables = _abstract(net, 3, 16, 48, 1)
  assert outputs.logits.shape == (3, 16, 48, 5)
  assert outputs.features.shape == (3, 16, 48, 6)
  assert outputs.auxiliary == {}
  assert variables["params"]["classify"]["kernel"].shape == (1, 1, 6, 5)


def _variables(net, *shape):
  """Random variables; not `init`, whose compilation takes far longer."""
  rng = np.random.default_rng(3)

  def fill(path, leaf):
    values = rng.standard_normal(leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
    ones = path[-1].key in ("scale", "var")
    return (1 + 0.1 * values if ones else values).astype(np.float32)

  return jax.tree_util.tree_map_with_path(fill, dict(_abstract(net, *shape)[1]))


def test_an_odd_batch_is_that_many_images():
  """In evaluation an image's logits do not depend on the others.

  And they are the classification of the features.
  """
  net = models.build("U1", 3, width=2)
  images = _images(3, 16, 32, 2)
  variables = _variables(net, *images.shape)
  apply = jax.jit(net.apply)
  outputs = apply(variables, images)
  assert outputs.logits.shape == (3, 16, 32, 3)
  others = np.stack([images[2], images[1], -images[0]])
  changed = apply(variables, others)
  np.testing.assert_array_equal(outputs.logits[1], changed.logits[1])
  np.testing.assert_array_equal(outputs.logits[2], changed.logits[0])
  assert not np.allclose(outputs.logits[0], changed.logits[2], atol=1e-3)
  classify = variables["params"]["classify"]
  expected = np.asarray(outputs.features) @ classify["kernel"][0, 0]
  np.testing.assert_allclose(
    outputs.logits, expected + classify["bias"], rtol=1e-4, atol=1e-5
  )


def _gradients(net, variables, images):
  target = _images(*images.shape[:3], 3, seed=1)

  def objective(params):
    outputs, _ = net.apply(
      {**variables, "params": params},
      images,
      train=True,
      mutable=["batch_stats"],
    )
    return jnp.square(outputs.logits - target).mean()

  return jax.jit(jax.value_and_grad(objective))(variables["params"])


@pytest.fixture(scope="module")
def plain():
  """UMD's images, variables, loss and gradients."""
  net = models.build("UMD", 3, width=2)
  images = _images(2, 32, 32, 2)
  variables = _variables(net, *images.shape)
  return images, variables, *_gradients(net, variables, images)


def test_remat_changes_neither_names_nor_values_nor_gradients(plain):
  images, variables, loss, gradients = plain
  net = models.build("UMD", 3, width=2, remat=True)
  shapes = jax.tree.map(jnp.shape, _abstract(net, *images.shape)[1])
  assert shapes == jax.tree.map(jnp.shape, dict(variables))
  again = _gradients(net, variables, images)
  np.testing.assert_allclose(again[0], loss, rtol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    again[1],
    gradients,
  )


def test_remat_recomputes_the_blocks():
  image = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32)

  def text(remat):
    net = models.build("U1", 2, width=2, remat=remat)
    variables = jax.eval_shape(net.init, KEY, image)

    def loss(variables, image):
      outputs, _ = net.apply(
        variables, image, train=True, mutable=["batch_stats"]
      )
      return outputs.logits.sum()

    return str(jax.make_jaxpr(jax.grad(loss))(variables, image))

  assert "remat" in text(True)
  assert "remat" not in text(False)


def _dropouts(rates, *, train):
  """Shapes that random numbers are drawn for in a forward pass."""
  net = models.build("U1", 2, width=2, dropout=rates)
  image = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  variables = jax.eval_shape(net.init, KEY, image)

  def run(variables, image, key):
    return net.apply(
      variables,
      image,
      train=train,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )

  seen = []

  def walk(jaxpr):
    for equation in jaxpr.eqns:
      if equation.primitive.name == "random_bits":
        seen.append(equation.outvars[0].aval.shape)
      for value in equation.params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
          walk(inner)

  walk(jax.make_jaxpr(run)(variables, image, KEY).jaxpr)
  return sorted(shape[1:] for shape in seen)


# Width 2 at 32 x 32: what comes out of each pooling, and of each
# concatenation of a skip connection with the upsampled map.
POOL_1 = [(16, 16, 2)]
OTHER_POOLS = [(8, 8, 4), (4, 4, 8), (2, 2, 16)]
CONCATENATIONS = [(32, 32, 4), (16, 16, 8), (8, 8, 16), (4, 4, 32)]


@pytest.mark.parametrize(
  ("rates", "places"),
  [
    ((0.25, 0.5, 0.5), POOL_1 + OTHER_POOLS + CONCATENATIONS),
    ((0.25, 0.0, 0.0), POOL_1),
    ((0.0, 0.5, 0.0), OTHER_POOLS),
    ((0.0, 0.0, 0.5), CONCATENATIONS),
    ((0.0, 0.0, 0.0), []),
  ],
)
def test_dropout_pattern(rates, places):
  assert _dropouts(rates, train=True) == sorted(places)
  assert _dropouts(rates, train=False) == []


def test_overrides_reach_topology_style_and_network():
  net = models.build(
    "UVDD",
    3,
    width=5,
    vgg_cap=True,
    batchnorm_momentum=0.5,
    activation="relu",
    dropout=(0.1, 0.2, 0.3),
  )
  assert net.width == 5
  assert net.topology.vgg_cap
  assert net.topology.fusion == "ds1"
  assert net.style.batchnorm_momentum == 0.5
  assert net.style.activation == "relu"
  assert net.dropout == (0.1, 0.2, 0.3)
  plain = models.build("UVDD", 3)
  assert plain.style.activation == "prelu"
  assert not plain.topology.vgg_cap


def test_dense_blocks_scale_with_the_width():
  outputs, variables = _abstract(models.build("UQD", 2, width=7), 1, 16, 16, 1)
  assert outputs.features.shape[-1] == 7
  kernel = variables["params"]["encoder_5"]["conv_3"]["kernel"]
  assert kernel.shape == (1, 1, 3 * 7, 7)
