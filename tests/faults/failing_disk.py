"""The command line on a disk whose fsync fails."""

from __future__ import annotations

import errno
import os
from typing import NoReturn


def _failing(fd: object) -> NoReturn:
    raise OSError(errno.EIO, "planted: input/output error")


if __name__ == "__main__":
    os.fdatasync = _failing
    from agents.cli.app import main

    main()
