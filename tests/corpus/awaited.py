"""Entries that are not yet what they must be: to be emptied."""

AWAITED = frozenset(
  """
config/class_weights=(1.0, 1.0, -1.0, 1.0)
config/class_weights=(1.0, 2.0)
config/patch_stride=100
config/validation_fraction=0
config/whole_slice with PSANet
""".strip().splitlines()
)
