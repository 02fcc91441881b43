"""What an ensemble's config says of its data, and what its members say."""

import pytest

from lumbar_jax import anatomy, combine
from lumbar_jax import config as config_lib
from lumbar_jax.ensembles import folder as folder_lib
from lumbar_jax.ensembles.folder import Member
from lumbar_jax.runs import Run

THEIRS = {
  "root": "/members",
  "manifest": "/members/list.tsv",
  "columns": ("patient=ID",),
  "cache": "/members/cache",
  "assume_orientation": "LPI",
}
GIVEN = {
  "root": "/moved",
  "manifest": "/moved/list.csv",
  "columns": ("patient=Name", "T2w=sag"),
  "cache": "/moved/cache",
  "assume_orientation": "RAS",
}


def settings(**data):
  config = config_lib.default()
  config.data.update(source="manifest", **data)
  return config


@pytest.mark.parametrize("field", folder_lib.WHERE)
def test_what_is_given_counts_and_the_rest_is_the_members(
  tmp_path, monkeypatch, field
):
  members = tuple(
    Member(name, Run(tmp_path / name, settings(**THEIRS), anatomy.MIDAS12))
    for name in ("U1", "UMD")
  )
  monkeypatch.setattr(combine, "open_members", lambda folders: members)
  monkeypatch.setattr(
    combine, "make_ensemble", lambda folder, ensemble, of, config, _: config
  )
  config = settings(**{field: GIVEN[field]})
  config.ensemble.update(members=("U1", "UMD"), method="arithmetic")
  made = combine._make(tmp_path, config)
  wanted = THEIRS | {field: GIVEN[field]}
  assert {name: made.data[name] for name in THEIRS} == wanted
  # A folder that was begun with the members' own is opened with them.
  begun = Run(tmp_path, settings(**THEIRS), anatomy.MIDAS12)
  opened = folder_lib._with_free_fields(begun, made)
  assert {name: opened.config.data[name] for name in THEIRS} == wanted
