"""The clock: what the kernel was told about it by whoever keeps it right, whichever program that is.

Source: adjtimex(2); systemd's `NTPSynchronized` is the same (its `ntp_synced` leaves the flag STA_UNSYNC aside too, as
some set it so that the kernel does not write the hardware's clock).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import Final

from agents.doctor.finding import Finding, doubtful, fine
from agents.observing import Place

_UNKNOWN_US: Final = 16_000_000
"""The error that the kernel states for a clock that nobody has set for a long time; it grows until then."""


class _Timex(ctypes.Structure):
    """`struct timex`; with `modes` 0 it is only read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


async def clock(_place: Place) -> Sequence[Finding]:
    """Votes and proposals end by the clock: it should be kept by a time service."""
    try:
        error_us = _error_us()
    except (OSError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else "this system has no adjtimex"
        return [
            doubtful(
                f"it is not known whether the clock is right: {why}", "on the host: timedatectl, or chronyc tracking"
            )
        ]
    return [judged(error_us)]


def judged(error_us: int) -> Finding:
    """What is to be said of a clock that is off by as much at most."""
    if error_us >= _UNKNOWN_US:
        return doubtful(
            "it is not known whether the clock is right: no time service has told this kernel; votes end by it",
            "timedatectl set-ntp true; where the hypervisor or another machine keeps it, ask there",
        )
    return fine(f"the clock is kept by a time service, and off by {error_us / 1000:,.0f} ms at most")


def _error_us() -> int:
    """By how much the clock may be off, as the kernel knows it.

    Raises:
        OSError: this process may not ask. AttributeError: there is nobody to ask.
    """
    found = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found.maxerror)
