"""Good inputs: whatever the corpus says rests on these being read right."""

from corpus.entry import Family, read

ENTRIES = Family("good")
for kind in ("table", "tree", "folder"):
  commands = {} if kind != "folder" else dict(doctor=None, training=None)
  ENTRIES.add(
    kind,
    f"nothing wrong, as a {kind}",
    lambda w: None,
    read,
    kind=kind,
    **commands,
  )
