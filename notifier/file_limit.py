"""The limit of open files, which counts sockets too."""

from __future__ import annotations

import contextlib
import resource

# More than the process ever needs. Much higher limits make some libraries slow.
WANTED_FILES = 65536


def raise_file_limit() -> int:
    """Raises the soft limit towards the hard one, and returns the limit that now applies."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
