"""Memory that a process keeps."""

import resource
import subprocess
import sys

import pytest

from lumbar_jax import allocation

# Takes 64 MiB, writes to each page, frees it, over and over; prints how many
# pages the system had to hand out after the first time.
_PROGRAM = """
import resource, sys
from lumbar_jax import allocation
if sys.argv[1] == "keep":
  print("kept" if allocation.keep_memory() else "cannot")
else:
  print("left")
import numpy as np
def faults():
  return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**26, np.uint8)
before = faults()
for _ in range(4):
  np.ones(2**26, np.uint8)
print(faults() - before)
"""


def _pages(how):
  command = [sys.executable, "-c", _PROGRAM, how]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  said, pages = done.stdout.split()
  return said, int(pages)


def test_kept_memory_is_not_handed_out_again():
  said, kept = _pages("keep")
  if said == "cannot":
    pytest.skip("this system's C library is not glibc")
  assert kept < 64
  # With pages of 4 KiB 65,536; fewer where the system's pages are larger.
  assert _pages("leave")[1] > 4 * max(kept, 8)


_RETURNING = """
keep = [np.ones(2**20, np.uint8) for _ in range(64)]
del keep[::2]  # holes that are too small for anything large
def resident():
  return int(open("/proc/self/statm").read().split()[1])
before = resident()
allocation.return_memory()
print(before - resident())
"""


def test_kept_memory_can_be_returned():
  command = [sys.executable, "-c", _PROGRAM + _RETURNING, "keep"]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  said, _, pages = done.stdout.split()
  if said == "cannot":
    pytest.skip("this system's C library is not glibc")
  assert int(pages) * resource.getpagesize() > 2**24  # of 32 MiB


def test_another_c_library_is_left_alone(monkeypatch):
  monkeypatch.setattr(allocation.ctypes, "CDLL", lambda _: object())
  assert allocation.keep_memory() is False
