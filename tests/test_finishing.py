"""What follows the last training is done by one of many."""

from lumbar_jax import finishing
from lumbar_jax.runs import locked


def mine(folder, *, shared: bool = True) -> bool:
  with finishing.turn(folder, shared) as found:
    return found


def test_one_of_many_goes_on(tmp_path):
  assert mine(tmp_path)
  with locked(tmp_path):  # as another process does while it evaluates
    assert not mine(tmp_path)
  assert mine(tmp_path)  # the other was killed before its report
  (tmp_path / "report.html").touch()
  assert not mine(tmp_path)


def test_who_trains_all_folds_always_goes_on(tmp_path):
  (tmp_path / "report.html").touch()
  assert mine(tmp_path, shared=False)
