"""Dimension legend and the array aliases made of it.

  b  batch of patches        n  slices of a study (left to right)
  h  rows, superior to inferior         w  columns, anterior to posterior
  c  channels (c=0 is the reference, T2w in the paper)
  k  classes of the label scheme        m  feature maps
  r  members of an ensemble             f  folds

Lengths carry their unit in the name: `_mm`, `_px`, `_s`.
"""

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

Images = Float[jax.Array, "b h w c"]
Logits = Float32[jax.Array, "b h w k"]
Scores = Float32[jax.Array, "b h w k"]
Labels = Int[jax.Array, "b h w"]
Confusion = Int[jax.Array, "k k"]

StudyImages = Float32[np.ndarray, "n h w c"]
StudyLabels = UInt8[np.ndarray, "n h w"]
StudyScores = Float32[np.ndarray, "n h w k"]
SliceScores = Float32[np.ndarray, "h w k"]
SliceLabels = UInt8[np.ndarray, "h w"]
Counts = Int[np.ndarray, "k k"]
Field = Bool[np.ndarray, "n h w"]
