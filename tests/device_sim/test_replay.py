"""Recorded documents, published as a device would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.device import JsonObject
from bridge.errors import ConnectRefused, NotAnswered
from device_sim import Broker
from device_sim import replay as module
from device_sim.cli import ExitStatus, main
from device_sim.payload import decode
from device_sim.replay import read_documents, replay
from tests.device_sim.recorder import Recorder
from tests.device_sim.responder import Responder
from tests.device_sim.waiting import wait_until
from tests.support.mosquitto import Mosquitto, free_port

_MORNING: JsonObject = {"cct:0": {"output": False, "tag": None}, "ble": {}, "eth": {"ip": None}}
_NOON: JsonObject = {"cct:0": {"output": True, "tag": "x"}, "ble": {}, "temperature:0": {"tC": 1.0}}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("one.json", '{"a": 1}', [{"a": 1}]),
        ("many.jsonl", '{"a": 1}\n\n{"a": 0.0}\n', [{"a": 1}, {"a": 0.0}]),
    ],
)
def test_a_file_is_one_document_or_one_a_line(
    tmp_path: Path, name: str, text: str, expected: list[JsonObject]
) -> None:
    """Its name tells which."""
    path = tmp_path / name
    path.write_text(text)
    assert read_documents(path) == expected


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("x.json", "{", "x.json is not JSON"),
        ("x.json", "[1]", "a device reports an object"),
        ("x.jsonl", '{"a":1}\n{', "x.jsonl:2 is not JSON"),
        ("x.json", '{"a": {"$t": 1}}', r"reserved, such as '\$t'"),
    ],
)
def test_what_is_no_document_is_named_with_its_place(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    """File and line."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_documents(path)


async def test_the_first_goes_whole_and_the_next_as_what_changed(mosquitto: Mosquitto) -> None:
    """Nulls are said in the whole document; what is gone is removed in the patch."""
    with Responder(mosquitto.port), Recorder(mosquitto.port, "sync/+/report") as recorder:
        result = await replay(
            [_MORNING, _NOON, _NOON], "plug:7", broker=Broker(port=mosquitto.port)
        )
        await wait_until(lambda: len(recorder.messages) == 2)
    assert result.ok
    assert (result.documents, result.reports, result.acknowledged) == (3, 2, 2)
    first, second = (decode(payload) or {} for _, payload, _ in recorder.messages)
    assert isinstance(first["$"], dict)
    assert first["$"]["full"] is True
    assert {key: value for key, value in first.items() if key != "$"} == _MORNING
    assert {key: value for key, value in second.items() if key != "$"} == {
        "cct:0": {"output": True, "tag": "x"},
        "temperature:0": {"tC": 1.0},
    }


async def test_a_bridge_that_asks_for_everything_gets_it(mosquitto: Mosquitto) -> None:
    """It counts among the reports; the twin is the last document all the same."""
    with Responder(mosquitto.port) as bridge:
        bridge.resyncs = 1
        result = await replay([_MORNING, _NOON], "plug-7", broker=Broker(port=mosquitto.port))
    assert result.ok
    assert (result.documents, result.reports, result.acknowledged) == (2, 3, 3)


async def test_a_twin_with_another_type_is_a_difference(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 is not 0.0."""
    with Responder(mosquitto.port, tamper=lambda _, __: {"a": 0}):
        result = await replay([{"a": 0.0}], "plug-7", broker=Broker(port=mosquitto.port))
    assert [tuple(each) for each in result.differences] == [("plug-7", "reported", "a", 0.0, 0)]


def test_the_command_tells_by_its_status(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 where the twin is the last document, 1 with the difference where it is not."""
    for name, document in (("morning", _MORNING), ("noon", _NOON)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    files = [str(tmp_path / "morning.json"), str(tmp_path / "noon.json")]
    arguments = ["replay", *files, "--as", "plug-7", "--broker", f"127.0.0.1:{mosquitto.port}"]
    with Responder(mosquitto.port):
        assert main(arguments) == ExitStatus.OK
        assert capsys.readouterr().out == (
            "plug-7: 2 documents in 2 reports, version 2; "
            "the twin is the last document less its nulls\n"
        )
        assert main([*arguments, "--json"]) == ExitStatus.OK
        assert json.loads(capsys.readouterr().out) == {
            "ok": True,
            "device": "plug-7",
            "documents": 2,
            "reports": 2,
            "acknowledged": 2,
            "version": 4,
            "differences": [],
        }
    with Responder(mosquitto.port, tamper=lambda _, reported: reported | {"ble": 1}):
        assert main(arguments) == ExitStatus.DIFFERENT
        assert "plug-7 reported.ble: expected {}, the twin has 1" in capsys.readouterr().out


def test_a_device_id_that_no_bridge_takes_is_wrong_usage(
    mosquitto: Mosquitto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is a document with an integer that nothing holds."""
    path = tmp_path / "x.json"
    path.write_text('{"a": 123456789012345678901234567890}')
    with Responder(mosquitto.port):
        for device, says in (("a/b", "device id"), ("plug-7", "64 bits")):
            arguments = ["replay", str(path), "--as", device]
            arguments += ["--broker", f"127.0.0.1:{mosquitto.port}"]
            assert main(arguments) == ExitStatus.USAGE
            assert says in capsys.readouterr().err


async def test_without_documents_there_is_nothing_to_replay() -> None:
    """An empty recording is a mistake."""
    with pytest.raises(ValueError, match="no documents"):
        await replay([], "plug-7", broker=Broker(port=1))


async def test_without_a_bridge_or_a_broker_it_says_so(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    with pytest.raises(NotAnswered, match="no bridge"):
        await replay([_NOON], "plug-7", broker=Broker(port=mosquitto.port))
    with pytest.raises(ConnectRefused, match="no broker"):
        await replay([_NOON], "plug-7", broker=Broker(port=free_port()))
