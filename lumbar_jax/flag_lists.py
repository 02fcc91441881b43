"""A config's fields on the command line: fields of several values."""

import ast

import ml_collections


def quote_lists(argument: str) -> str:
  """Returns --config.FIELD=a,b=c+ as --config.FIELD=('a', 'b=c+').

  ml_collections reads a value as Python, and stumbles over what is none.
  """
  flag, _, value = argument.partition("=")
  plain = not any(mark in value for mark in "'\"([{")
  if not (flag.startswith("--config.") and plain and "," in value):
    return argument
  try:
    ast.parse(value, mode="eval")
  except SyntaxError:
    return f"{flag}={tuple(part.strip() for part in value.split(','))!r}"
  return argument


def split_lists(config: ml_collections.ConfigDict) -> None:
  """Splits "a,b" in a field of several values, in place.

  The flag --config.study.networks=U1,UMD gives the one value "U1,UMD".
  """
  for name, value in config.items():
    if isinstance(value, ml_collections.ConfigDict):
      split_lists(value)
    elif isinstance(value, tuple) and len(value) == 1 and "," in str(value[0]):
      config[name] = tuple(part.strip() for part in value[0].split(","))
