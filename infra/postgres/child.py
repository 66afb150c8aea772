"""Run as a script, between the fork and PostgreSQL: gives up root, asks to die with its parent, becomes the program.

    python -I -S child.py PARENT_PID UID GID CAPABILITY PROGRAM ARGUMENTS…

It is a program of its own because these calls belong into the child, and code between fork and exec is only safe
where no other thread can hold a lock. The death signal is asked for last, since a change of user clears it.
"""

import ctypes
import os
import signal
import sys
from typing import Final

NO_CAPABILITY: Final = -1
CAP_DAC_OVERRIDE: Final = 1
CAP_DAC_READ_SEARCH: Final = 2

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_KEEPCAPS: Final = 8
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_CAPABILITY_VERSION_3: Final = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def become(argv: list[str]) -> None:
    """Never returns: it ends as the program, or as a failed process when the parent is gone already."""
    parent, uid, gid, capability = (int(number) for number in argv[:4])
    if uid != os.geteuid():
        _give_up_root(uid, gid, capability)
    _call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent ended before its child began")
    os.execv(argv[4], argv[4:])  # noqa: S606 no shell is wanted


def _give_up_root(uid: int, gid: int, capability: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    if capability == NO_CAPABILITY:
        os.setresuid(uid, uid, uid)
        return
    _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setresuid(uid, uid, uid)
    _keep_only(capability)
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _keep_only(capability: int) -> None:
    """Effective, permitted and inheritable hold this one; only what is in all of them may become ambient."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _call("capset", header, data)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    become(sys.argv[1:])
