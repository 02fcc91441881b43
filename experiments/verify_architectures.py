"""Checks every network against golden forward passes of reference networks.

  python experiments/verify_architectures.py [--fingerprints=FILE] [--only=RE]

Prints a line for each entry of the file and `N passed, N failed`; exits 1 if
one failed. An entry that the table below does not know counts as failed.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from lumbar_jax import installed

installed.require()

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


class Entry(NamedTuple):
  """What to build for an entry, and which output to read: a map's name."""

  network: str
  overrides: Mapping[str, Any] = MappingProxyType({})
  output: str = "logits"


_R101 = {"depth": 101}
_SMALL = {"full_size": False}  # the entries are of Inf-Net's own resolution

ENTRIES = {
  **{f"000 {name}": Entry(name) for name in models.names("000")},
  "000 FCN8 m=64": Entry("FCN"),
  "000-alt UMD mk_depth=2": Entry("UMD", {"multi_kernel_depth": 2}),
  "000-alt UVMD vgg_cap": Entry("UVMD", {"vgg_cap": True}),
  "000-alt UVDD vgg_cap": Entry("UVDD", {"vgg_cap": True}),
  "000-alt UD DS.v3 from T5": Entry("UD", {"ds3_from_bottleneck": True}),
  "004 UAD m=16": Entry("UAD", {"width": 16}),
  "004 UVAD m=32": Entry("UVAD", {"width": 32}),
  "004 UAMD m=16": Entry("UAMD", {"width": 16}),
  "004 UVD m=32": Entry("UVD", {"width": 32}),
  "004 UMD m=32": Entry("UMD", {"width": 32}),
  "004 UD m=64": Entry("UD", {"width": 64}),
  "004 U1 m=64": Entry("U1", {"width": 64}),
  "004 FCN8 m=32": Entry("FCN", {"width": 32}),
  "002 U-Net": Entry("U-Net"),
  "002 Attention U-Net": Entry("AttentionU-Net"),
  "002 ResUNet++ (logits)": Entry("ResUNet++"),
  "002 ResUNet++ DebeshJha (logits)": Entry("ResUNet++_official"),
  "002 MiniSeg": Entry("MiniSeg"),
  "002 TransUNet self-attention-cv patch1 img128": Entry("TransUNet"),
  "002 TransUNet official R50-ViT-B_16 img128": Entry("TransUNet_official"),
  "002 PSPNet R34 Lextal (logits)": Entry("PSPNet"),
  "002 PSPNet R101 Lextal (logits)": Entry("PSPNet", _R101),
  "002 DeepLabv3+ R101 os16": Entry("DeepLabv3+"),
  "002 DenseASPP169 os16": Entry("DenseASPP"),
  "002 DANet R101 os32 (fused head)": Entry("DANet"),
  "002 DANet R101 os32 (PAM head)": Entry("DANet", {}, "position"),
  "002 DANet R101 os32 (CAM head)": Entry("DANet", {}, "channel"),
  "002 EMANet R101 os8": Entry("EMANet"),
  "002 Inf-Net official graph os16 n=1 (S3 logits at stride 8)": Entry(
    "Inf-Net", _SMALL
  ),
  "002 Inf-Net official graph os32 n=1 (S3 logits at stride 8)": Entry(
    "Inf-Net_official", _SMALL
  ),
  "002 Inf-Net 20-class recommended os16 (S3 logits at stride 8)": Entry(
    "Inf-Net", _SMALL
  ),
  "002 Inf-Net 20-class recommended os16 odd size 120": Entry(
    "Inf-Net", _SMALL
  ),
  "002 PSPNet-R101 semseg": Entry("PSPNet_official"),
  "002 PSANet-R101 semseg": Entry("PSANet"),
}


def check(name: str, entry: dict, offset: int) -> list[str]:
  """Returns what differs between our network and an entry's; [] if nothing."""
  if name not in ENTRIES:
    return ["no network is known for this entry"]
  network, overrides, output = ENTRIES[name]
  shape = entry["input_shape_nchw"]
  net = models.build(
    network,
    entry["shape"][0],
    shape[-1],
    dropout=(0.0,) * len(models.module(network).dropout),
    **overrides,
  )
  try:
    outputs = fingerprints.forward(net, shape, offset)
  except (ValueError, TypeError) as error:
    return [str(error)]
  maps = {"logits": outputs.logits, **outputs.auxiliary}
  return fingerprints.compare(entry, np.asarray(maps[output]))


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
