from __future__ import annotations

import logging
import os
import resource
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.core.limits import Limits
from bridge.device import journal as journal_module
from bridge.device import journal_lines
from bridge.device.journal import FileJournal
from bridge.device.kept import Restored, SealedReport, WaitingPatch
from bridge.device.outbox import Outbox
from bridge.errors import JournalError

TOPIC = "sync/lamp-1/report"
REPORTS = [SealedReport("b0", seq, b'\x81\xa1a%c{"\n' % seq) for seq in (1, 2)]


@contextmanager
def _journal(path: Path) -> Iterator[FileJournal]:
    journal = FileJournal(path, TOPIC)
    try:
        yield journal
    finally:
        journal.close()


def _filled(path: Path) -> None:
    """Leave one sealed report and two patches."""
    with _journal(path) as journal:
        for value in (1, 2, 3):
            journal.accepted(WaitingPatch({"a": value}, full=False, seen=value))
        journal.sealed([(REPORTS[0], 1), (REPORTS[1], 1)])
        journal.accepted(WaitingPatch({"b": 0.0}, full=True))
        journal.settled(REPORTS[0])


LEFT = Restored([REPORTS[1]], [WaitingPatch({"a": 3}, False, 3), WaitingPatch({"b": 0.0}, True)])


def test_a_journal_gives_back_what_waits(tmp_path: Path) -> None:
    """Bytes are bytes, and what was answered is gone; opening twice changes nothing."""
    _filled(tmp_path / "outbox")
    for _ in range(2):
        with _journal(tmp_path / "outbox") as journal:
            assert journal.restored == LEFT


def test_a_file_of_before_seen_is_read(tmp_path: Path) -> None:
    """A device that is given a new library goes on with what it had to say."""
    path = tmp_path / "outbox"
    lines = [
        b'{"kind":"journal","format":1,"topic":"sync/lamp-1/report"}',
        b'{"kind":"accepted","full":false,"patch":{"a":1}}',
        b'{"kind":"accepted","full":true,"patch":{"b":2},"seen":7,"later":"unknown"}',
    ]
    path.write_bytes(b"".join(b"%08x %b\n" % (zlib.crc32(line), line) for line in lines))
    with _journal(path) as journal:
        assert journal.restored.pending == [
            WaitingPatch({"a": 1}, full=False, seen=0),
            WaitingPatch({"b": 2}, full=True, seen=7),
        ]


def test_a_new_or_empty_file_is_an_empty_journal(tmp_path: Path) -> None:
    """A file made by mktemp will do."""
    with _journal(tmp_path / "new") as journal:
        assert journal.restored == Restored()
    (tmp_path / "empty").touch()
    with _journal(tmp_path / "empty") as journal:
        assert journal.restored == Restored()


def test_a_torn_last_line_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever a crash has cut the file, it opens, and everything before the cut is there."""
    path = tmp_path / "outbox"
    _filled(path)
    content = path.read_bytes()
    header_end = content.index(b"\n") + 1
    for end in range(header_end, len(content) + 1):
        path.write_bytes(content[:end])
        caplog.clear()
        with _journal(path) as journal:
            whole = content[:end].count(b"\n") - 1
            complete_without_newline = content[end : end + 1] == b"\n"
            assert (
                len(journal.restored.sealed) + len(journal.restored.pending)
                == ([0, 1, 2, 3, 3, 3, 4, 3][whole + complete_without_newline])
            )
        torn = content[end - 1 : end] != b"\n" and not complete_without_newline
        assert ("damaged line" in caplog.text) == torn


def test_a_damaged_line_is_passed_over_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is of use; the warning says where."""
    path = tmp_path / "outbox"
    _filled(path)
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1].replace(b'"a"', b'"b"')
    lines[-2] = b"4c2f32b8 [1]"
    path.write_bytes(b"\n".join(lines))
    with _journal(path) as journal:
        assert [report.seq for report in journal.restored.sealed] == [1, 2]
    assert "passed over 2 damaged line(s) of 8; the first is line 2" in caplog.text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"precious\n", "not written by this library"),
        (journal_lines.header_line("sync/lamp-2/report"), "for 'sync/lamp-2/report', not for"),
        (b'22855f66 {"kind":"journal","format":9,"topic":"x"}\n', "its format is 9"),
    ],
)
def test_anothers_file_is_refused_and_left_alone(tmp_path: Path, content: bytes, why: str) -> None:
    """A wrong path must not cost what is there."""
    path = tmp_path / "outbox"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(JournalError, match=why):
            FileJournal(path, TOPIC)
    assert path.read_bytes() == content


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    with pytest.raises(JournalError, match=r"none/outbox: No such file .*must exist"):
        FileJournal(tmp_path / "none" / "outbox", TOPIC)


def _outbox(journal: FileJournal, window: int = 1) -> Outbox:
    return Outbox(
        "b1",
        window=window,
        capacity=10,
        encoding="json",
        limits=Limits(),
        journal=journal,
        restored=journal.restored,
    )


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the bridge is away or there: what is of no use any more is written out."""
    monkeypatch.setattr(journal_module, "REWRITE_BYTES", 2000)
    path = tmp_path / "outbox"
    with _journal(path) as journal:
        outbox = _outbox(journal)
        for level in range(300):
            outbox.add({"level": level}, 0.0, full=False)
            assert path.stat().st_size < 4000
        for seq in range(1, 101):
            outbox.add({"level": -seq}, 0.0, full=False)
            outbox.seal(0.0)
            outbox.settle(f"b1.{seq}")
            assert path.stat().st_size < 4000
    with _journal(path) as journal:
        assert journal.restored == Restored([], [])


@contextmanager
def _no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """Have writes fail as on a full disk: part of them is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("seals", [True, False])
def test_a_full_disk_refuses_reports_and_leaves_the_file_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seals: bool
) -> None:
    """Nothing is taken that would not survive, and half a line does not harm the next."""
    caplog.set_level(logging.ERROR)
    path = tmp_path / "outbox"
    with _journal(path) as journal:
        outbox = _outbox(journal, window=2)
        outbox.add({"a": 1}, 0.0, full=False)
        with _no_file_larger_than(path.stat().st_size + 20):
            for _ in range(2):
                with pytest.raises(JournalError, match=r"outbox: .*have room") as caught:
                    outbox.add({"b": 2}, 0.0, full=False)
                assert caught.value.recoverable
            if seals:
                outbox.seal(0.0)
        sealed = [entry.report for entry in outbox.in_flight()]
        assert [report.seq for report in sealed] == ([1] if seals else [])
        outbox.add({"c": 3}, 0.0, full=False)
    with _journal(path) as journal:
        assert journal.restored.sealed == sealed
        assert journal.restored.pending == (
            [WaitingPatch({"c": 3}, full=False)]
            if seals
            else [WaitingPatch({"a": 1}, full=False), WaitingPatch({"c": 3}, full=False)]
        )
    assert ("have room" in caplog.text) == seals


def test_what_is_kept_is_on_disk_before_it_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each patch and each report is flushed; an answer is not, because a repeat is harmless."""
    flushed: list[int] = []
    flush = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(descriptor)
        flush(descriptor)

    with _journal(tmp_path / "outbox") as journal:
        monkeypatch.setattr(os, "fsync", note)
        journal.accepted(WaitingPatch({"a": 1}, full=False))
        assert len(flushed) == 1
        journal.sealed([(REPORTS[0], 1), (REPORTS[1], 0)])
        assert len(flushed) == 2
        journal.settled(REPORTS[0])
        assert len(flushed) == 2
        journal.rewrite(Restored())
        assert len(flushed) == 4
