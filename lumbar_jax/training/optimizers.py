"""The optimizers of Table 3 with Keras' constants."""

import optax

from lumbar_jax.choices import check_choice

# Keras adds Adam's epsilon to the uncorrected root of the second moment, optax
# to the corrected one: a difference below 1e-6 of a step that we accept.
OPTIMIZERS = {
  "adam": lambda rate: optax.adam(rate, b1=0.9, b2=0.999, eps=1e-7),
  "rmsprop": lambda rate: optax.rmsprop(
    rate, decay=0.9, eps=1e-7, eps_in_sqrt=False
  ),
  "adadelta": lambda rate: optax.adadelta(rate, rho=0.95, eps=1e-7),
}


def make_optimizer(name: str, rate: float) -> optax.GradientTransformation:
  """Returns an optimizer by its name.

  Raises:
    InputError: no such name.
  """
  check_choice("optimizer", name, OPTIMIZERS)
  return OPTIMIZERS[name](rate)
