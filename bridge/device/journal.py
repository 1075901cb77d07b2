"""A small file that keeps an outbox over a restart of the process, or of the machine.

Lines (`bridge.device.journal_lines`) are appended until most of the file is of no use any more;
then it is written anew and put in its place.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from bridge.device import journal_lines
from bridge.device.kept import Restored, SealedReport, WaitingPatch
from bridge.errors import JournalError

REWRITE_BYTES = 256 * 1024
"""Bytes beyond twice what is still waiting, at which the file is written anew: small enough for
any flash, large enough that it is seldom."""

_logger = logging.getLogger("syncbridge.device")


class FileJournal:
    """An outbox's journal in one file, which one process holds at a time.

    Beside it there are a `.lock` and, for moments, a `.new`.

    Args:
        path: The file; it is made if it does not exist.
        topic: The topic of the reports that it keeps.

    Attributes:
        restored: What waited when it was opened.

    Raises:
        JournalError: It cannot be opened, another process holds it, or it is not of this topic.
    """

    def __init__(self, path: Path, topic: str) -> None:
        self._path = path
        self._topic = topic
        self._damaged = False
        self._failure_logged = False
        self._lock = _lock(path)
        try:
            self.restored = _replay(path, topic)
            self._file = self._replace(self.restored)
        except BaseException as error:
            self._lock.close()
            if isinstance(error, OSError):
                raise _unusable(path, error) from error
            raise

    def accepted(self, waiting: WaitingPatch) -> None:
        """Keep a patch, durably on return.

        Raises:
            JournalError: It could not be written.
        """
        try:
            self._append(journal_lines.accepted_line(waiting), durable=True)
        except OSError as error:
            raise _unusable(self._path, error) from error

    def sealed(self, reports: Sequence[tuple[SealedReport, int]]) -> None:
        """Keep sealed reports, durably on return; a failure is only logged.

        Then the file still has their patches, which are sent again, as new, after a restart. That
        is better than a device that falls silent because its disk is full.
        """
        lines = b"".join(journal_lines.sealed_line(report, covers) for report, covers in reports)
        self._append_or_log(lines, durable=True)

    def settled(self, report: SealedReport) -> None:
        """Forget a report. Not durable: if it is lost, the report is sent again, as a repeat."""
        self._append_or_log(journal_lines.settled_line(report), durable=False)

    def wants_rewrite(self) -> bool:
        """Tell whether a line could not be written, or most of the file is of no use any more."""
        return self._damaged or self._size_bytes > 2 * self._live_bytes + REWRITE_BYTES

    def rewrite(self, kept: Restored) -> bool:
        """Replace the file by one that holds only what is still waiting.

        Returns:
            False if it could not be; then the file is as it was.
        """
        try:
            file = self._replace(kept)
        except OSError as error:
            self._note_failure(error)
            return False
        self._file.close()
        self._file = file
        return True

    def close(self) -> None:
        """Release the file; idempotent. What it holds is there for the next start."""
        self._file.close()
        self._lock.close()

    def _append_or_log(self, lines: bytes, *, durable: bool) -> None:
        try:
            self._append(lines, durable=durable)
        except OSError as error:
            self._note_failure(error)

    def _append(self, lines: bytes, *, durable: bool) -> None:
        """Append lines; where that fails, the next rewrite repairs what is left of them."""
        try:
            _write_all(self._file, lines)
            if durable:
                os.fsync(self._file.fileno())
        except OSError:
            self._damaged = True
            raise
        self._size_bytes += len(lines)

    def _replace(self, kept: Restored) -> FileIO:
        """Write a new file beside the old one, make it durable, and put it in its place."""
        lines = [journal_lines.header_line(self._topic)]
        lines += [journal_lines.sealed_line(report, 0) for report in kept.sealed]
        lines += [journal_lines.accepted_line(waiting) for waiting in kept.pending]
        content = b"".join(lines)
        new_path = self._path.with_name(self._path.name + ".new")
        file = FileIO(new_path, "w")
        try:
            _write_all(file, content)
            os.fsync(file.fileno())
            new_path.replace(self._path)
            _sync_directory(self._path.parent)
        except BaseException:
            file.close()
            raise
        self._damaged = self._failure_logged = False
        self._size_bytes = self._live_bytes = len(content)
        return file

    def _note_failure(self, error: OSError) -> None:
        if not self._failure_logged:
            _logger.error("%s", _unusable(self._path, error))
        self._failure_logged = True


def _lock(path: Path) -> BinaryIO:
    lock_path = path.with_name(path.name + ".lock")
    try:
        file = lock_path.open("ab")
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise JournalError(
            f"outbox {path}: another process holds it",
            hint="give each device a file of its own",
        ) from error
    return file


def _replay(path: Path, topic: str) -> Restored:
    """Read what still waits; lines that a crash or a disk has damaged are passed over."""
    content = path.read_bytes() if path.exists() else b""
    if not content:
        return Restored()
    header, restored, damaged, lines = journal_lines.read(content)
    _check_header(path, header, topic)
    if damaged:
        _logger.warning(
            "outbox %s: passed over %d damaged line(s) of %d; the first is line %d",
            path,
            len(damaged),
            lines,
            damaged[0],
        )
    return restored


def _check_header(path: Path, header: journal_lines.Header | None, topic: str) -> None:
    if header is None:
        raise JournalError(
            f"outbox {path}: it was not written by this library",
            hint="name another file, or delete this one",
        )
    if header.format != journal_lines.FORMAT:
        raise JournalError(
            f"outbox {path}: its format is {header.format}, and {journal_lines.FORMAT} is known",
            hint="use the version of syncbridge that wrote it",
        )
    if header.topic != topic:
        raise JournalError(
            f"outbox {path}: it keeps reports for {header.topic!r}, not for {topic!r}",
            hint="give each device a file of its own",
        )


def _write_all(file: FileIO, content: bytes) -> None:
    if file.write(content) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sync_directory(directory: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"outbox {path}: {error.strerror or error}",
        hint="the directory must exist, be writable and have room",
        recoverable=True,
    )
