"""Sources: from files as they lie on a disk to a list of studies.

One file a source, each with a function that returns a `Found`:

  mids        a MIDS or BIDS tree (mids.py)
  manifest    a table with one row a study (manifest.py)
  phantom     synthetic patients, made on first use (phantom.py)
  mrspineseg  the data set of paper 002 as it is downloaded (mrspineseg.py)

A further data set is one more file here and one more line in `scan`.
"""

import dataclasses
from pathlib import Path

from absl import logging

from lumbar_jax.config import SOURCES
from lumbar_jax.data.sources import (
  alike,
  manifest,
  mids,
  mrspineseg,
  phantom,
)
from lumbar_jax.data.sources.found import ERROR, Finding, Found
from lumbar_jax.errors import InputError

__all__ = ["Finding", "Found", "find_studies", "scan"]


def scan(
  data_config, workdir: str | Path | None = None, *, make: bool = False
) -> Found:
  """Looks for studies and lists what is wrong instead of raising it.

  Args:
    data_config: the `data` part of a config.
    workdir: the run's folder, where a phantom is made that has no root.
    make: whether a phantom that is not there may be written.

  Returns:
    Studies sorted by name; those with an error in their listing are left out.

  Raises:
    InputError: the data set as a whole cannot be read: no root, no manifest.
  """
  if data_config.source == "manifest":
    found = manifest.find(data_config)
  elif data_config.source == "phantom":
    found = phantom.find(data_config, workdir, make=make)
  elif data_config.source == "mids":
    found = mids.find(data_config)
  elif data_config.source == "mrspineseg":
    found = mrspineseg.find(data_config)
  else:
    raise InputError(
      f"config.data.source is {data_config.source!r}",
      f"allowed: {', '.join(map(repr, SOURCES))}",
    )
  studies = tuple(sorted(found.studies, key=lambda study: study.name))
  findings = (*found.findings, *alike.check(studies))
  return dataclasses.replace(found, studies=studies, findings=findings)


def find_studies(data_config, workdir: str | Path | None = None) -> Found:
  """Finds the studies of the configured data set.

  A study may lack a channel or a mask: whoever needs them says so. Masks come
  from the one configured place only, never from other derivatives.

  Args:
    data_config: the `data` part of a config.
    workdir: the run's folder, where a phantom is made that has no root.

  Returns:
    At least one study, sorted by name. Warnings are logged.

  Raises:
    InputError: the first error of the listing, or no study at all.
  """
  found = scan(data_config, workdir, make=True)
  errors = [f for f in found.findings if f.severity == ERROR]
  for finding in errors[1:]:
    logging.error("%s", finding)
  if errors:
    raise errors[0].error
  further = *alike.without_mask(found.studies), *alike.copies(found.studies)
  for finding in (*found.findings, *further):
    level = logging.WARNING if finding.severity == "warning" else logging.INFO
    logging.log(level, "%s", finding)
  return found
