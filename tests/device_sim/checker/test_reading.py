"""Ledgers, exports and topics, as files and on the wire."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from bridge.errors import ConfigError
from device_sim.checker import Ledger, line, read_export, read_ledger
from device_sim.checker.paths import outstanding
from device_sim.checker.topics import TwinTopic, parse_topic
from tests.device_sim.checker.told import REPORT, Told


@pytest.mark.parametrize(
    ("topic", "place"),
    [
        ("sync/lamp-1/report", TwinTopic("lamp-1", "report", "")),
        ("sync/lamp-1/night/state", TwinTopic("lamp-1/night", "state", "")),
        ("sync/lamp-1/reply/app", TwinTopic("lamp-1", "reply", "app")),
        ("sync/lamp-1/night/desire/app", TwinTopic("lamp-1/night", "desire", "app")),
        ("sync/$bridge/status", None),
        ("sync/lamp-1/presence", None),
        ("other/lamp-1/state", None),
        ("sync/lamp-1", None),
        ("sync/state", None),
        ("sync/lamp-1/a/b/state", None),
    ],
)
def test_topics_are_taken_apart(topic: str, place: TwinTopic | None) -> None:
    """With a name and without; what is not of a twin is passed over."""
    assert parse_topic("sync", topic) == place


def test_a_ledger_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Repeats are one message; a last line that was cut short is passed over."""
    message = Told.payload({"on": True}, 1)
    reply = b'{"$":{"id":"b1","ok":true,"version":1,"changed":true}}'
    lines = [line("sent", REPORT, message)] * 2
    lines += [line("accepted", REPORT, message)]
    lines += [line("answered", "sync/lamp-1/reply/lamp-1", reply), b'{"event": "sen']
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(b"".join(lines))
    (update,) = read_ledger([file], "sync").updates()
    assert update.is_accepted
    assert update.is_acknowledged
    assert update.answer is not None
    assert update.answer.version == 1
    assert str(update) == "report boot=b seq=1"


@pytest.mark.parametrize("text", ["[]", '{"event":"came","topic":"a","payload":{}}', "oops"])
def test_what_is_no_entry_is_an_error_with_its_line(tmp_path: Path, text: str) -> None:
    """And says what one looks like."""
    file = tmp_path / "ledger.jsonl"
    file.write_bytes(line("sent", REPORT, b"{}") + text.encode() + b"\n")
    with pytest.raises(ConfigError, match="line 2") as caught:
        read_ledger([file], "sync")
    assert '"event": "sent"' in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ledger([tmp_path / "missing"], "sync")


def test_messages_stand_in_the_order_of_boots_and_numbers() -> None:
    """However they arrived."""
    ledger = Ledger("sync", is_complete=True)
    for boot, seq in (("one", 2), ("two", 1), ("one", 1)):
        ledger.sent(REPORT, Told.payload({"n": seq}, seq, boot))
    (origin,) = ledger.origins()
    assert [(u.boot, u.seq) for u in ledger.of(origin)] == [("one", 1), ("one", 2), ("two", 1)]
    assert len(ledger.unanswered()) == 3


def test_an_export_that_is_cut_short_is_not_taken_for_a_store() -> None:
    """Its last line says `end`."""
    twin = {
        "kind": "twin", "device": "lamp-1", "name": "night", "version": 2, "exists": True,
        "state": {"version": 2}, "delta": None,
    }  # fmt: skip
    lines = [orjson.dumps(record) for record in ({"kind": "header"}, twin, {"kind": "end"})]
    assert read_export(lines)["lamp-1/night"].version == 2
    with pytest.raises(ConfigError, match="cut short"):
        read_export(lines[:-1])
    with pytest.raises(ConfigError, match="line 2"):
        read_export([lines[0], b"{}"])


def test_a_delta_is_what_reported_lacks() -> None:
    """Numbers by value, arrays whole, objects by their fields."""
    desired = {"a": 1, "b": {"c": 2, "d": 3}, "e": [1], "f": {}, "g": True}
    reported = {"a": 1.0, "b": {"c": 2}, "e": [1], "f": 1, "g": 1}
    assert outstanding(desired, reported) == {"b": {"d": 3}, "f": {}, "g": True}  # type: ignore[arg-type]
