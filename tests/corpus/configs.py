"""Misspelt and contradictory values of a config or a flag."""

from corpus.entry import Family, read_or, refused, told

CONFIGS = Family("config", commands=("doctor", "training"))
FLAGS = Family("flag", commands=("predict",))


def _field(name, value, **others):
  def make(w):
    w.fields.update({name: value})
    w.fields.update({k.replace("__", "."): v for k, v in others.items()})
    w.culprit = None

  return make


for _name, _value, _word in (
  ("data.source", "manifst", "manifest"),
  ("data.normalisation", "volumes", "volume"),
  ("data.registration", "afine", "affine"),
  ("data.scheme", "spidr", "spider"),
  ("data.channels", ("T2W",), "T2w"),
  ("data.channels", (), "channels"),
  ("data.channels", ("T2w", "T2w"), "T2w"),
  ("data.spacing_mm", -1.0, "spacing_mm"),
  ("data.num_folds", 9, "num_folds"),
  ("data.test_fraction", 1.5, "test_fraction"),
  ("data.patch_size", 50, "patch_size"),
  ("data.patch_stride", 100, "patch_stride"),
  ("data.remap", {"Vertebrae": "Vertebra"}, "Vertebra"),
  ("data.remap", {"Vertebra": "Bone"}, "Vertebra"),
  ("data.assume_orientation", "RAX", "RAX"),
  ("data.assume_orientation", "RRS", "RRS"),
  ("data.columns", ("patient",), "columns"),
  ("model.name", "UDM", "UMD"),
  ("model.activation", "rellu", "relu"),
  ("model.width", 0, "width"),
  ("training.optimizer", "adamw", "adam"),
  ("training.best_by", "dice", "iou"),
  ("training.dtype", "float16", "bfloat16"),
  ("training.class_weights", (1.0, 2.0), "class_weights"),
  ("training.class_weights", (1.0, 1.0, -1.0, 1.0), "class_weights"),
  ("training.init_from", "nowhere", "nowhere"),
  ("evaluation.batch_size", 0, "batch_size"),
):
  _shown = f"{_name.split('.')[1]}={_value!r}"
  CONFIGS.add(
    _shown,
    f"config.{_name}={_value!r}",
    _field(_name, _value),
    refused(_word),
    **({"doctor": None} if _name.endswith("init_from") else {}),
  )
CONFIGS.add(
  "validation_fraction=0",
  "one fold and nobody to validate on",
  _field("data.validation_fraction", 0.0, data__num_folds=1),
  refused("validation_fraction"),
)
CONFIGS.add(
  "whole_slice with PSANet",
  "slices in one pass by a network of a fixed size",
  _field("evaluation.whole_slice", True, model__name="PSANet"),
  refused("whole_slice"),
)
CONFIGS.add(
  "stratify_by",
  "config.data.stratify_by names no column",
  _field("data.stratify_by", ("sexx",)),
  read_or(told("sexx")),
)


def _remapped(w):
  _field("data.remap", {"Disc": "Vertebra"})(w)
  w.labels[w.labels == 2] = 1


CONFIGS.add(
  "remap", "a remap of one class onto another", _remapped, told("Disc")
)


def _option(**options):
  def make(w):
    w.options.update(options)
    w.culprit, w.whole = None, True

  return make


FLAGS.add(
  "labelling", "--labelling=THR", _option(labelling="THR"), refused("TH")
)
FLAGS.add(
  "fold", "--fold=7 of a run of two folds", _option(fold=7), refused("fold")
)
FLAGS.add("fold_negative", "--fold=-1", _option(fold=-1), refused("fold"))
