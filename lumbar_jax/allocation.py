"""Memory that is freed and asked for again, step after step.

A step of a network frees what it took, gigabytes of it, and the C library
hands such large pieces back to the system. The next step gets them anew, page
by page, each filled with zeros first: a third of a train step's time where it
was measured (a virtual machine).
"""

import contextlib
import ctypes

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_NEVER = -1


def keep_memory() -> bool:
  """Lets this process keep the memory that it frees, for its next step.

  The process then stays large, but for `return_memory`. Call it before threads
  are started (before JAX computes anything): each may otherwise have a heap of
  its own already, which can hold nothing large.

  Returns:
    Whether the C library can do so (glibc can; others are left as they are).
  """
  try:
    library = ctypes.CDLL(None)
    library.gnu_get_libc_version  # noqa: B018  (other libraries lack it)
    settings = (
      (_M_ARENA_MAX, 1),
      (_M_MMAP_MAX, 0),
      (_M_TRIM_THRESHOLD, _NEVER),
    )
    return all(library.mallopt(*setting) == 1 for setting in settings)
  except (AttributeError, OSError, TypeError):
    return False


def return_memory() -> None:
  """Gives back what is free just now, such as the compiler's leavings.

  Its pages have to be asked for again where they are needed: call it after
  something was compiled, and then seldom. Kept memory wears into pieces; this
  bounds what they take.
  """
  with contextlib.suppress(AttributeError, OSError, TypeError):
    ctypes.CDLL(None).malloc_trim(0)
