"""Kills a restore at every single step that it takes on files, and looks at what is left.

Run as a program by `test_restore_crash`: `python -m tests.store.crash_restore DIRECTORY`, where
the directory holds `store.db` and `backup`. Prints how many steps a restore takes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bridge.store.base import StoreLimits
from bridge.store.restore import restore
from bridge.store.sqlite import SqliteStore

STEPS_MAX = 1000
"""More than a restore has: beyond that something is wrong with this program."""

# What Python announces before it is done; `sqlite3.connect` among them.
_STEPS = frozenset({"open", "os.link", "os.remove", "os.rename", "sqlite3.connect"})


def main(directory: Path) -> None:
    """Kill a restore at its first step, the next one at its second, until one comes through."""
    for step in range(STEPS_MAX):
        place = directory / f"step-{step}"
        place.mkdir()
        for suffix in ("", "-wal"):
            shutil.copy(directory / f"store.db{suffix}", place / f"store.db{suffix}")
        killed = _die_in_child(lambda place=place, step=step: _restore(directory, place, step))
        _verify(place)
        if not killed:
            print(step)  # noqa: T201 - the answer to the test
            return
        # Once more after the crash: nothing is in its way.
        before = _versions(place)
        _restore(directory, place, STEPS_MAX)
        assert _versions(place) == {_RAISED if before == {_NEWER} else 2 * _STEP + 1}, place
    raise AssertionError("a restore never came to its end")


_STEP = 2**20
_RAISED = 1 + _STEP
_NEWER = 2


def _restore(directory: Path, place: Path, step: int) -> None:
    _kill_at(step)
    restore(directory / "backup", place / "store.db", raise_internals=lambda data, _: data)


_steps_left = STEPS_MAX


def _kill_at(step: int) -> None:
    global _steps_left
    _steps_left = step


def _count_step(event: str, _arguments: tuple[object, ...]) -> None:
    global _steps_left
    if event not in _STEPS or _steps_left == STEPS_MAX:
        return
    if _steps_left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    _steps_left -= 1


def _die_in_child(function: Callable[[], None]) -> bool:
    """Run a function in a child; tell whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the restore failed"
    return False


def _verify(place: Path) -> None:
    """Either the old store or the restored one is there, whole."""
    assert _versions(place) in ({_NEWER}, {_RAISED}), place
    kept = [p for p in place.glob("store.db.before-restore-*") if p.suffix != ".lock"]
    if _versions(place) == {_RAISED}:
        [old] = kept
        with closing(SqliteStore.open(old, limits=StoreLimits())) as store:
            assert store.check() == []


def _versions(place: Path) -> set[int]:
    # A copy, so that looking does not repair what the next step is to find.
    look = place / "look"
    look.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        (look / f"store.db{suffix}").unlink(missing_ok=True)
        if (place / f"store.db{suffix}").exists():
            shutil.copy(place / f"store.db{suffix}", look / f"store.db{suffix}")
    with closing(SqliteStore.open(look / "store.db", limits=StoreLimits())) as store:
        assert store.check() == [], place
        return {t.version for t in store.changed_since(0, None, 1000)}


if __name__ == "__main__":
    sys.addaudithook(_count_step)
    main(Path(sys.argv[1]))
