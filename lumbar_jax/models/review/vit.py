"""Transformer blocks on tokens [b n d], of the two TransUNets."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from lumbar_jax.models.layers import LayerStyle
from lumbar_jax.models.review.layers import dropout

NUM_HEADS = 12
MLP_RATIO = 4


def dense(
  features: int, style: LayerStyle, *, bias: bool = True, name: str
) -> nn.Dense:
  """Returns a matrix product with every token."""
  return nn.Dense(features, use_bias=bias, dtype=style.dtype, name=name)


def layer_norm(style: LayerStyle, epsilon: float, *, name: str) -> nn.LayerNorm:
  """Returns a layer normalisation with statistics in float32."""
  return nn.LayerNorm(epsilon=epsilon, dtype=style.dtype, name=name)


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """Returns softmax(q k / sqrt(d)) v, the heads one after the other.

  Args:
    query: [b n heads d].
    key: as query.
    value: as query.

  Returns:
    [b n heads*d]; the softmax is computed in float32.
  """
  x = jax.nn.dot_product_attention(query, key, value)
  return x.reshape(*x.shape[:2], -1)


class Attention(nn.Module):
  """Self-attention whose query, key and value are projected by themselves."""

  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    features, style = x.shape[-1], self.style

    def project(name):
      y = dense(features, style, name=name)(x)
      return y.reshape(*y.shape[:2], NUM_HEADS, -1)

    x = attend(project("query"), project("key"), project("value"))
    return dense(features, style, name="out")(x)


class JointAttention(nn.Module):
  """Self-attention with one projection for query, key and value, no bias.

  Its channels run (dimension, query/key/value, head), heads fastest, as in
  github.com/The-AI-Summer/self-attention-cv.
  """

  style: LayerStyle

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    features, style = x.shape[-1], self.style
    joint = dense(3 * features, style, bias=False, name="qkv")(x)
    joint = joint.reshape(*x.shape[:2], -1, 3, NUM_HEADS)
    query, key, value = jnp.moveaxis(joint, (3, 4), (0, 3))
    x = attend(query, key, value)
    return dense(features, style, bias=False, name="out")(x)


class MLP(nn.Module):
  """Four times as many channels, exact GELU, and back."""

  style: LayerStyle
  dropout: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    features = x.shape[-1]
    y = dense(MLP_RATIO * features, self.style, name="fc1")(x)
    y = dropout(self.dropout, nn.gelu(y, approximate=False), train)
    y = dense(features, self.style, name="fc2")(y)
    return dropout(self.dropout, y, train)


class PreNormBlock(nn.Module):
  """x + attention(norm(x)), then x + MLP(norm(x)) (ViT)."""

  style: LayerStyle
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(layer_norm, self.style, 1e-6)
    y = norm(name="norm_1")(x)
    x = x + Attention(self.style, name="attention")(y)
    y = norm(name="norm_2")(x)
    return x + MLP(self.style, self.dropout, name="mlp")(y, train)


class PostNormBlock(nn.Module):
  """norm(x + attention(x)), then norm(x + MLP(x)) (Vaswani et al. 2017)."""

  style: LayerStyle
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    norm = functools.partial(layer_norm, self.style, 1e-5)
    y = JointAttention(self.style, name="attention")(x)
    x = norm(name="norm_1")(x + dropout(self.dropout, y, train))
    y = MLP(self.style, self.dropout, name="mlp")(x, train)
    return norm(name="norm_2")(x + y)
