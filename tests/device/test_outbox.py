from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.limits import Limits
from bridge.device import JsonObject
from bridge.device import outbox as outbox_module
from bridge.device.kept import Restored, SealedReport, WaitingPatch
from bridge.device.outbox import Outbox
from bridge.device.payload import METADATA_KEY, Encoding, decode
from bridge.errors import OutboxFull
from tests.device.memory_journal import MemoryJournal
from tests.device.merge_patch import apply_patch
from tests.device.strategies import patches


def _outbox(
    *,
    window: int = 2,
    capacity: int = 10,
    limits: Limits = Limits(),  # noqa: B008
    restored: Restored = Restored(),  # noqa: B008
    encoding: Encoding = "json",
) -> Outbox:
    return Outbox(
        "b1",
        window=window,
        capacity=capacity,
        encoding=encoding,
        limits=limits,
        restored=restored,
    )


def _payloads(outbox: Outbox) -> list[JsonObject]:
    return [decode(entry.report.payload) for entry in outbox.in_flight()]


def test_a_report_carries_its_id_boot_and_seq() -> None:
    """The bytes are those of the protocol's documentation."""
    outbox = _outbox()
    outbox.add({"on": True}, 0.0, full=False)
    outbox.seal(0.0)
    assert [entry.report.payload for entry in outbox.in_flight()] == [
        b'{"on":true,"$":{"id":"b1.1","boot":"b1","seq":1}}'
    ]


def test_what_is_unsent_is_one_report_and_what_is_sent_never_changes() -> None:
    """Composition ends where a report has got its seq."""
    outbox = _outbox()
    assert outbox.add({"on": True}, 0.0, full=False) == 0
    outbox.seal(0.0)
    assert outbox.add({"level": 1}, 0.0, full=False) == 1
    assert outbox.add({"level": 2}, 0.0, full=False) == 2
    assert len(outbox) == 2
    outbox.seal(0.0)
    first, second = outbox.in_flight()
    assert decode(first.report.payload)["on"] is True
    assert decode(second.report.payload)["level"] == 2
    assert (first.calls, second.calls) == (range(1), range(1, 3))


def test_the_window_bounds_what_is_in_flight() -> None:
    """What has no room waits, and follows when something was answered."""
    outbox = _outbox(window=2)
    for level in range(3):
        outbox.add({"a": level}, 0.0, full=False)
        outbox.add({"a": {"b": level}}, 0.0, full=False)
    outbox.seal(0.0)
    assert [entry.report.seq for entry in outbox.in_flight()] == [1, 2]
    outbox.settle("b1.1")
    outbox.seal(0.0)
    assert [entry.report.seq for entry in outbox.in_flight()] == [2, 3]


def test_a_full_report_takes_the_place_of_all_that_is_unsent() -> None:
    """It says everything, so what waited before it need not be said; its calls are answered."""
    outbox = _outbox(window=1, capacity=3)
    for patch in ({"a": 1}, {"a": {"b": 1}}, {"a": None}):
        outbox.add(patch, 0.0, full=False)
        outbox.seal(0.0)
    assert outbox.add({"only": 1}, 0.0, full=True) == 3
    assert outbox.add({"this": 2}, 0.0, full=False) == 4
    outbox.settle("b1.1")
    outbox.seal(0.0)
    (entry,) = outbox.in_flight()
    document = decode(entry.report.payload)
    assert document.pop(METADATA_KEY) == {"id": "b1.2", "boot": "b1", "seq": 2, "full": True}
    assert document == {"only": 1, "this": 2}
    assert entry.calls == range(1, 5)
    assert len(outbox) == 1


def test_a_full_outbox_takes_nothing_and_names_its_limit() -> None:
    """Nothing of the refused patch is kept, and what fits still fits."""
    outbox = _outbox(window=1, capacity=2)
    outbox.add({"a": 1}, 0.0, full=False)
    outbox.seal(0.0)
    outbox.add({"a": 2}, 0.0, full=False)
    with pytest.raises(OutboxFull, match="capacity is 2"):
        outbox.add({"a": {"b": 1}}, 0.0, full=False)
    outbox.add({"c": 3}, 0.0, full=False)
    outbox.settle("b1.1")
    outbox.seal(0.0)
    assert _payloads(outbox)[0].items() >= {"a": 2, "c": 3}.items()


def test_an_outbox_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few but large reports do not take the machine's memory."""
    monkeypatch.setattr(outbox_module, "OUTBOX_BYTES", 2500)
    outbox = _outbox(window=1, capacity=100)
    outbox.add({"a": "x" * 1000}, 0.0, full=False)
    outbox.seal(0.0)
    outbox.add({"a": "x" * 1000}, 0.0, full=False)
    with pytest.raises(OutboxFull, match="OUTBOX_BYTES is 2500"):
        outbox.add({"a": {"b": "x" * 1000}}, 0.0, full=False)
    outbox.settle("b1.1")
    outbox.add({"a": {"b": "x" * 1000}}, 0.0, full=False)


def test_the_bound_in_bytes_holds_after_long_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was answered, composed or replaced is counted out as exactly as it was counted in."""
    monkeypatch.setattr(outbox_module, "OUTBOX_BYTES", 2500)
    outbox = _outbox(window=1, capacity=100)
    for seq in range(1, 50):
        outbox.add({"a": "x" * 500}, 0.0, full=False)
        outbox.add({"a": {"b": "x" * 500}}, 0.0, full=False)
        outbox.add({"a": "x" * 2000}, 0.0, full=True)
        outbox.seal(0.0)
        outbox.settle(f"b1.{seq}")
    outbox.add({"a": "x" * 2000}, 0.0, full=False)
    with pytest.raises(OutboxFull, match="OUTBOX_BYTES is 2500"):
        outbox.add({"a": {"b": "x" * 1000}}, 0.0, full=False)


@pytest.mark.parametrize("limits", [Limits(), Limits(keys=10)])
def test_one_value_reported_for_ever_takes_no_more_room(
    monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    """Sizes are bounds between measurements; they must not add up."""
    monkeypatch.setattr(outbox_module, "OUTBOX_BYTES", 20_000)
    outbox = _outbox(limits=limits)
    for level in range(2000):
        outbox.add({"level": level, "text": "x" * 100}, 0.0, full=False)
    assert len(outbox) == 1


def test_a_patch_too_large_is_refused_and_parts_too_large_together_stay_apart() -> None:
    """No payload is larger than a bridge takes."""
    limits = Limits(payload_bytes=1024)
    outbox = _outbox(limits=limits)
    with pytest.raises(ValueError, match="report in parts"):
        outbox.add({"a": "x" * 1024}, 0.0, full=False)
    outbox.add({"a": "x" * 500}, 0.0, full=False)
    outbox.add({"b": "x" * 500}, 0.0, full=False)
    assert len(outbox) == 2
    outbox.seal(0.0)
    assert all(len(entry.report.payload) <= 1024 for entry in outbox.in_flight())


def test_patches_with_too_many_keys_together_stay_apart() -> None:
    """Removed and set fields together may be more than a twin may have."""
    outbox = _outbox(limits=Limits(keys=3))
    outbox.add({"a": 1, "b": 2}, 0.0, full=False)
    outbox.add({"a": None, "b": None}, 0.0, full=False)
    assert len(outbox) == 2
    outbox.add({"c": 1}, 0.0, full=False)
    assert len(outbox) == 2


def test_a_string_without_utf_8_is_refused() -> None:
    """A lone surrogate has no encoding in either format."""
    for encoding in ("json", "msgpack"):
        with pytest.raises(ValueError, match=f"encoded as {encoding}"):
            _outbox(encoding=encoding).add({"a": "\ud800"}, 0.0, full=False)


def test_reports_of_an_older_boot_go_alone_and_unchanged() -> None:
    """The bridge orders boots by arrival: the new one begins when the old one is done."""
    old = [SealedReport("b0", seq, b"{%d}" % seq) for seq in (4, 5)]
    outbox = _outbox(
        restored=Restored(
            old, [WaitingPatch({"a": 1}, full=False), WaitingPatch({"b": 2}, full=False)]
        )
    )
    outbox.add({"c": 3}, 0.0, full=False)
    outbox.seal(0.0)
    assert [entry.report for entry in outbox.in_flight()] == old
    outbox.settle("b0.4")
    outbox.seal(0.0)
    assert [entry.report for entry in outbox.in_flight()] == old[1:]
    outbox.settle("b0.5")
    outbox.seal(0.0)
    (document,) = _payloads(outbox)
    assert document.pop(METADATA_KEY) == {"id": "b1.1", "boot": "b1", "seq": 1}
    assert document == {"a": 1, "b": 2, "c": 3}


def test_a_rewritten_journal_goes_on_with_what_was_kept() -> None:
    """Patches that were composed are one in the new file, and are taken out as one."""
    journal = MemoryJournal(rewrite_bytes=1)
    outbox = Outbox("b1", window=1, capacity=10, encoding="json", limits=Limits(), journal=journal)
    for patch in ({"a": 1}, {"a": 2}, {"a": {"b": 3}}):
        outbox.add(patch, 0.0, full=False)
    journal.rewrite_bytes = 1_000_000
    outbox.seal(0.0)
    assert journal.crash(0) == Restored(
        [outbox.in_flight()[0].report], [WaitingPatch({"a": {"b": 3}}, full=False)]
    )


@given(
    st.lists(st.tuples(patches(), st.booleans(), st.booleans()), max_size=12),
    st.sampled_from(["json", "msgpack"]),
    patches(),
)
def test_reports_sent_are_all_that_was_reported(
    calls: list[tuple[JsonObject, bool, bool]], encoding: Encoding, target: JsonObject
) -> None:
    """However much was composed, and whatever was full: the outcome is as one by one."""
    outbox = _outbox(window=15, capacity=100, encoding=encoding)
    expected: object = target
    for patch, full, seal in calls:
        outbox.add(patch, 0.0, full=full)
        expected = apply_patch({} if full else expected, patch)  # type: ignore[arg-type]
        if seal:
            outbox.seal(0.0)
    outbox.seal(0.0)
    outcome: object = target
    for document in _payloads(outbox):
        metadata = document.pop(METADATA_KEY)
        full = isinstance(metadata, dict) and metadata.get("full") is True
        outcome = apply_patch({} if full else outcome, document)  # type: ignore[arg-type]
    assert outcome == expected
    covered = [call for entry in outbox.in_flight() for call in entry.calls]
    assert covered == list(range(len(calls)))
