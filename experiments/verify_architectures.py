"""Checks every network against golden forward passes of reference networks.

  python experiments/verify_architectures.py [--fingerprints=FILE] [--only=RE]

Prints a line for each entry of the file and `N passed, N failed`; exits 1 if
one failed. An entry that the table below does not know counts as failed.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np
from absl import app, flags

from lumbar_jax import models
from lumbar_jax.models import fingerprints

_FILE = flags.DEFINE_string(
  "fingerprints",
  str(ROOT / "tests" / "models" / "fingerprints.json"),
  "JSON file of golden forward passes",
)
_ONLY = flags.DEFINE_string("only", "", "regular expression of entries' names")

# Golden passes are without dropout, which is on by default in FCN alone.
_FCN = {"dropout": (0.0, 0.0)}

# Entry -> (network, overrides). The output read is always the logits.
ENTRIES = {
  **{f"000 {name}": (name, {}) for name in models.names()},
  "000 FCN8 m=64": ("FCN", _FCN),
  "000-alt UMD mk_depth=2": ("UMD", {"multi_kernel_depth": 2}),
  "000-alt UVMD vgg_cap": ("UVMD", {"vgg_cap": True}),
  "000-alt UVDD vgg_cap": ("UVDD", {"vgg_cap": True}),
  "000-alt UD DS.v3 from T5": ("UD", {"ds3_from_bottleneck": True}),
  "004 UAD m=16": ("UAD", {"width": 16}),
  "004 UVAD m=32": ("UVAD", {"width": 32}),
  "004 UAMD m=16": ("UAMD", {"width": 16}),
  "004 UVD m=32": ("UVD", {"width": 32}),
  "004 UMD m=32": ("UMD", {"width": 32}),
  "004 UD m=64": ("UD", {"width": 64}),
  "004 U1 m=64": ("U1", {"width": 64}),
  "004 FCN8 m=32": ("FCN", {"width": 32, **_FCN}),
}


def check(name: str, entry: dict, offset: int) -> list[str]:
  """Returns what differs between our network and an entry's; [] if nothing."""
  if name not in ENTRIES:
    return ["no network is known for this entry"]
  network, overrides = ENTRIES[name]
  net = models.build(network, entry["shape"][0], **overrides)
  try:
    outputs = fingerprints.forward(net, entry["input_shape_nchw"], offset)
  except (ValueError, TypeError) as error:
    return [str(error)]
  return fingerprints.compare(entry, np.asarray(outputs.logits))


def main(argv: list[str]) -> None:
  if len(argv) > 1:
    raise app.UsageError(f"unexpected argument {argv[1]!r}")
  path = Path(_FILE.value)
  if not path.is_file():
    raise app.UsageError(f"--fingerprints={path}: no such file")
  entries = json.loads(path.read_text())
  offset = int(entries.pop("_protocol")["hash_offset"], 16)
  passed = failed = 0
  for name, entry in entries.items():
    if not re.search(_ONLY.value, name):
      continue
    wrong = check(name, entry, offset)
    print("FAIL" if wrong else "ok  ", name, "; ".join(wrong[:3]), flush=True)
    passed, failed = passed + (not wrong), failed + bool(wrong)
  print(f"{passed} passed, {failed} failed")
  if not passed + failed:
    print(f"no entry of {path} matches --only={_ONLY.value}", file=sys.stderr)
  sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
  app.run(main)
