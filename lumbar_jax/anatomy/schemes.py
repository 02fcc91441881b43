"""The label schemes: every number that a class has.

The sources of names and numbers are papers 000 (Table 6) and 002 (Table 2 and
its data set's own list); the colours are ours.
"""

from lumbar_jax.anatomy.scheme import Scheme, Structure

LEVELS = ("L1", "L2", "L3", "L4", "L5")
UPPER_LEVELS = ("T9", "T10", "T11", "T12")
DISCS = (
  *("T9-T10", "T10-T11", "T11-T12", "T12-L1"),
  *("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"),
)

# Paper 000, Table 6.
_TISSUES = (
  Structure("Spinal-Cavity", "#4aa8ff", ("Canal",)),
  Structure("SCT", "#e8d9a0"),
  Structure("Epi-Fat", "#ff8c1a"),
  Structure("IM-Fat", "#b35900"),
  Structure("Rper-Fat", "#c9c13a"),
  Structure("Nerve-Root", "#fff200"),
  Structure("Blood-Vessels", "#ff1f3d"),
  Structure("Muscle", "#b05a6e"),
)
_BACKGROUND = Structure("Background", "#000000")
_VERTEBRA_NAMES = (*UPPER_LEVELS, *LEVELS, "L6")
MIDAS12 = Scheme(
  "midas12",
  (
    _BACKGROUND,
    Structure("Vert", "#7fd36b", ("Vertebra", *_VERTEBRA_NAMES)),
    Structure("Sacrum", "#2e8b57", ("S", "S1")),
    Structure("Int-Disc", "#a05fe0", ("Disc", *DISCS)),
    *_TISSUES,
  ),
)
SPIDER = Scheme(
  "spider",
  (
    _BACKGROUND,
    Structure("Vertebra", "#e6194b", ("Vert", *_VERTEBRA_NAMES)),
    Structure("Disc", "#4363d8", ("Int-Disc", *DISCS)),
    Structure("Canal", "#3cb44b", ("Spinal-Cavity",)),
  ),
)
# Paper 002: the MRSpineSeg challenge's numbers, from the sacrum upwards. It
# writes S, L5/S and L4/L5; all that is neither bone nor disc is background.
# Levels that are taken for each other should be seen: a hue each, discs dark.
_UPWARDS = (*UPPER_LEVELS, *LEVELS)[::-1]
_HUES = (
  *("#e6194b", "#f58231", "#ffe119", "#bfef45", "#42d4f4"),
  *("#4363d8", "#b34fd6", "#f032e6", "#fabed4"),
)
_DARK_HUES = (
  *("#800000", "#9a6324", "#808000", "#5f7a12", "#1f7a8c"),
  *("#1b2a80", "#55106b", "#8f1a88", "#c98aa0"),
)
MRSPINESEG = Scheme(
  "mrspineseg",
  (
    Structure(
      "Background",
      "#000000",
      tuple(n for s in _TISSUES for n in (s.name, *s.includes)),
    ),
    Structure("Sacrum", "#469990", ("S", "S1")),
    *map(Structure, _UPWARDS, _HUES),
    *(
      Structure(name, color, (name.replace("S1", "S").replace("-", "/"),))
      for name, color in zip(DISCS[::-1], _DARK_HUES, strict=True)
    ),
  ),
)
# What the phantom stores: every level by itself, so that coarser schemes
# (and level-wise ones) are all mappings of it.
PHANTOM = Scheme(
  "phantom",
  (
    _BACKGROUND,
    *map(
      Structure,
      (*UPPER_LEVELS[::-1], *LEVELS),
      (
        *("#5b8f4d", "#6aa35b", "#79b769", "#88cb77"),
        *("#7fd36b", "#9be08a", "#63bf4f", "#b6ecaa", "#4fa63c"),
      ),
    ),
    Structure("Sacrum", "#2e8b57"),
    *map(
      Structure,
      DISCS,
      (
        *("#5a2d91", "#6c3aa8", "#7e48be", "#9158d0"),
        *("#a05fe0", "#b781ec", "#8a44d1", "#cfa6f5", "#6f2fb5"),
      ),
    ),
    *_TISSUES,
  ),
)
SCHEMES = {s.name: s for s in (MIDAS12, SPIDER, MRSPINESEG, PHANTOM)}
