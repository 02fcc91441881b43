"""Names of files in messages."""

from lumbar_jax.errors import InputError, listed, printable


def test_names_that_are_no_text_can_be_written():
  name = "M\udcfcller\n\t\x1b.nii"
  assert printable(name) == r"M\udcfcller\n\t\x1b.nii"
  error = InputError(f"no {name[:6]!s}", path=name)
  assert str(error).encode("utf-8").startswith(rb"M\udcfcller\n\t")
  assert printable("Müller 脚.nii") == "Müller 脚.nii"


def test_lists_are_cut():
  assert listed(["b", "a"]) == "a, b"
  names = [f"p{n:02d}" for n in range(47)]
  assert listed(names, 3) == "p00, p01, p02 and 44 more"
  assert listed(["10", "9"], by_name=False) == "10, 9"
