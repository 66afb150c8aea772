"""Which user of the machine PostgreSQL runs as, and what that user needs to reach its files."""

import os
import pwd
import re
import stat
from pathlib import Path
from typing import Final

import msgspec

from infra.postgres.child import CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, NO_CAPABILITY
from infra.postgres.unusable import DatabaseUnusable

_ROOT: Final = 0


class OsAccount(msgspec.Struct, frozen=True, kw_only=True):
    uid: int
    gid: int
    capability: int = NO_CAPABILITY
    """Carried into the server when it could not otherwise walk to its files; -1 for none."""


class Unreachable(DatabaseUnusable):
    """The account cannot get to a folder it needs."""


def account_for(cluster: Path, needed: tuple[Path, ...]) -> OsAccount:
    """The owner of an existing `cluster`, else ourselves, else (we are root, which PostgreSQL refuses) a lesser user.

    A clone below a folder that only root may enter, such as /root, is reached with one capability that lets the
    server walk through closed folders. Raises Unreachable when this process has none to give.
    """
    if os.geteuid() != _ROOT:
        return OsAccount(uid=os.geteuid(), gid=os.getegid())
    uid, gid = _lesser_user(cluster)
    closed = [folder for path in needed for folder in (*path.parents, path) if not _may_enter(folder, uid, gid)]
    return OsAccount(uid=uid, gid=gid, capability=_capability_to_enter(closed[0]) if closed else NO_CAPABILITY)


def _lesser_user(cluster: Path) -> tuple[int, int]:
    if cluster.is_dir() and (owner := cluster.stat()).st_uid != _ROOT:
        return owner.st_uid, owner.st_gid
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return user.pw_uid, user.pw_gid
    raise Unreachable("PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody.")


def _may_enter(folder: Path, uid: int, gid: int) -> bool:
    if not folder.is_dir():
        return True
    info = folder.stat()
    if info.st_uid == uid:
        return bool(info.st_mode & stat.S_IXUSR)
    if info.st_gid == gid:
        return bool(info.st_mode & stat.S_IXGRP)
    return bool(info.st_mode & stat.S_IXOTH)


def _capability_to_enter(closed: Path) -> int:
    """The weaker one (read and search) before the one that containers usually have (override)."""
    held = _effective_capabilities()
    for capability in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE):
        if held & (1 << capability):
            return capability
    raise Unreachable(
        f"PostgreSQL cannot run as root, and no other user may enter {closed}: "
        "move the folder, open it with chmod o+x, or set database.url."
    )


def _effective_capabilities() -> int:
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1], 16) if found else 0
