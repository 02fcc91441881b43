"""Multiply-accumulates and windows of the operations that networks are of.

An exact rewrite of a layer (`layers.transposed_conv` ...) is a jitted function,
one equation of a traced network, and counts as the plain layer that it
computes.
"""

import math
from typing import Any

from lumbar_jax.models.receptive_field import Field, Window, join

# Equations that see, for each pixel, that pixel alone.
_POINTWISE = (
  *("abs", "exp", "expm1", "erf", "integer_pow", "log", "log1p", "logistic"),
  *("neg", "rsqrt", "sign", "sqrt", "square", "stop_gradient", "tanh"),
  *("add", "add_any", "div", "max", "min", "mul", "pow", "sub", "select_n"),
  *("and", "eq", "ge", "gt", "le", "lt", "ne", "not", "or"),
  *("convert_element_type", "copy"),
)


def _max_pool(kernel) -> Window:
  del kernel
  return Window(2, stride=2)


def _upsample(kernel) -> Window:
  del kernel
  return Window(2, pad=1, upsampling=2)


def _pointwise_conv(kernel) -> Window:
  del kernel
  return Window(1)


def _same_conv(kernel) -> Window:
  return Window(kernel[0], pad=kernel[0] // 2)


def _transposed_conv(kernel) -> Window:
  return Window(kernel[0], pad=kernel[0] - 1, upsampling=2)


def _upsampling_conv(kernel) -> Window:
  factor = kernel[0] // 2
  return Window(kernel[0], pad=kernel[0] - 1 - factor // 2, upsampling=factor)


def _unknown(kernel) -> None:
  del kernel


# Name of a jitted function (map[, kernel]) -> the window of its kernel's shape.
LAYERS = {
  "max_pool": _max_pool,
  "upsample": _upsample,
  "pointwise_conv": _pointwise_conv,
  "transposed_conv": _transposed_conv,
  "row_filtered_conv": _same_conv,
  "unfolded_conv": _same_conv,
  "upsampling_conv": _upsampling_conv,
  "winograd_conv": _same_conv,
  "adaptive_avg_pool": _unknown,
  "resize_bilinear": _unknown,
}


def layer_name(equation) -> str | None:
  """Returns which of `LAYERS` an equation is, if it is one."""
  name = equation.params.get("name")
  return name if "jaxpr" in equation.params and name in LAYERS else None


def _shapes(equation) -> list[tuple[int, ...]]:
  return [variable.aval.shape for variable in equation.invars]


def _conv_parts(equation) -> dict[str, Any]:
  """Returns a convolution's channels and, along the rows, its window."""
  params = equation.params
  layout = params["dimension_numbers"]
  kernel = _shapes(equation)[1]
  rows = layout.rhs_spec[2]
  return {
    "taps": math.prod(kernel[axis] for axis in layout.rhs_spec[2:]),
    "per_group": kernel[layout.rhs_spec[1]],
    "features": kernel[layout.rhs_spec[0]],
    "strided": any(factor > 1 for factor in params["lhs_dilation"]),
    "window": Window(
      (kernel[rows] - 1) * params["rhs_dilation"][0] + 1,
      params["window_strides"][0],
      params["padding"][0][0],
      params["lhs_dilation"][0],
    ),
  }


def macs(equation) -> int:
  """Returns an equation's multiply-accumulates, on the plain form of a layer.

  A convolution: one for each output, tap and input channel (of its group); a
  strided transposed convolution: one for each input, tap and output channel; a
  matrix product: one for each product. Nothing else counts.
  """
  shapes = _shapes(equation)
  if layer_name(equation):
    if len(shapes) == 1:  # no kernel, no products
      return 0
    rows, columns, _, features = shapes[1]
    return math.prod(shapes[0]) * rows * columns * features
  size = math.prod(equation.outvars[0].aval.shape)
  if equation.primitive.name == "dot_general":
    (contracted, _), _ = equation.params["dimension_numbers"]
    return size * math.prod(shapes[0][axis] for axis in contracted)
  if equation.primitive.name != "conv_general_dilated":
    return 0
  parts = _conv_parts(equation)
  if parts["strided"]:
    groups = equation.params["feature_group_count"]
    return math.prod(shapes[0]) * parts["taps"] * parts["features"] // groups
  return size * parts["taps"] * parts["per_group"]


def field(equation, fields: list[Field | None]) -> Field | None:
  """Returns the field of an equation's output; None where no rule holds.

  Args:
    equation: one of a network with maps [b h w c].
    fields: of its operands that depend on the image.
  """
  seen = join(fields)
  if seen is None:
    return None
  shapes, name = _shapes(equation), equation.primitive.name
  if layer_name(equation):
    kernel = shapes[1] if len(shapes) > 1 else None
    window = LAYERS[layer_name(equation)](kernel)
    return seen.through(window) if window else None
  if name == "conv_general_dilated":
    return seen.through(_conv_parts(equation)["window"])
  if name == "concatenate":
    return seen if equation.params["dimension"] == 3 else None
  if name == "pad" and not any(map(any, equation.params["padding_config"][:3])):
    return seen
  if name == "slice" and set(equation.params["strides"] or [1]) == {1}:
    return seen.shifted(equation.params["start_indices"][1])
  same = equation.outvars[0].aval.shape in shapes
  return seen if name in _POINTWISE and same else None
