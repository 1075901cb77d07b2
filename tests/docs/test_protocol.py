"""What the protocol document says is what the bridge does, byte for byte."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bridge.config import SETTINGS, PublishConfig, ResyncConfig
from bridge.core import limits
from bridge.core.topics import RESERVED_WORDS, VERBS
from bridge.wire.metadata import parse_metadata
from tests.docs.exchange import ELLIPSIS, Reader, connected_reader, differences, parse
from tests.docs.markdown import ROOT, Block, Document, plain
from tests.support.bridge import make_config, running_bridge
from tests.support.mosquitto import Mosquitto
from tests.wire.test_inbound import REFUSED, TAKEN

PROTOCOL = Document("protocol.md")


@pytest.fixture
async def reader(mosquitto: Mosquitto, tmp_path: Path) -> AsyncIterator[Reader]:
    """A client that sees what a fresh bridge publishes."""
    async with running_bridge(make_config(mosquitto, tmp_path)), connected_reader(mosquitto) as it:
        yield it


async def test_every_example_is_what_happens(reader: Reader) -> None:
    """All of them in the order of the document, on one bridge."""
    wrong = []
    for block in PROTOCOL.blocks("exchange"):
        for step in parse(block):
            seen = await reader.send(step.sent)
            found = [f"  {line}" for line in differences(step, seen)]
            if found:
                wrong += [f"{block.heading}: > {step.sent.topic} {step.sent.payload}", *found]
            assert all(message.content_type or not message.payload for message in seen)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("exchange resync", {"resync": ResyncConfig(gap_timeout_s=0.1)}),
        ("exchange events", {"publish": PublishConfig(events=True)}),
    ],
)
async def test_every_example_of_what_comes_unasked_is_what_happens(
    mosquitto: Mosquitto, tmp_path: Path, kind: str, settings: dict[str, Any]
) -> None:
    """With a bridge that does not wait so long, or that tells its events."""
    wrong = []
    config = make_config(mosquitto, tmp_path, **settings)
    async with running_bridge(config), connected_reader(mosquitto) as reader:
        (block,) = PROTOCOL.blocks(kind)
        for step in parse(block):
            seen = await reader.send(step.sent)
            while missing := {line.topic for line in step.expected} - {s.topic for s in seen}:
                seen.append(await reader.next())
                assert seen[-1].topic in missing
            wrong += [f"{step.sent.payload}: {line}" for line in differences(step, seen)]
    assert not wrong, "\n".join(wrong)


async def test_a_wrong_example_would_be_found(reader: Reader) -> None:
    """A byte, a flag, a message too few and one too many; else the test above shows nothing."""
    sent = '> sync/lamp-1/report {"on":true}\n'
    right = "< sync/lamp-1/state [retained] "
    right += f'{{"version":1,"at":{ELLIPSIS},"reported":{{"on":true}},"desired":{{}}}}'
    first, *others = (
        parse(Block("exchange", "", 1, sent + received))[0]
        for received in (
            right,
            right.replace("true", "false"),
            right.replace(" [retained]", ""),
            right.replace("version", "versions"),
            right + "\n< sync/lamp-1/delta [retained] (empty)",
            "",
        )
    )
    seen = await reader.send(first.sent)
    assert list(differences(first, seen)) == []
    for wrong in others:
        assert list(differences(wrong, seen)), wrong


def test_the_examples_use_each_device_in_one_section() -> None:
    """So that a section can be read, and changed, alone."""
    sections: dict[str, set[str]] = {}
    kinds = ("exchange", "exchange resync", "exchange events")
    for block in (block for kind in kinds for block in PROTOCOL.blocks(kind)):
        for step in parse(block):
            sections.setdefault(step.sent.topic.split("/")[1], set()).add(block.heading)
    shared = {device: found for device, found in sections.items() if len(found) > 1}
    assert shared == {"lamp-3": {"msgpack", "Wrappers"}}


def test_every_refused_payload_is_documented_with_its_answer() -> None:
    """The table is that of the tests, neither shorter nor longer."""
    documented = {
        name: (int(code), plain(error))
        for error, code, names in PROTOCOL.table("error | code | payloads")
        for name in names.split("; ")
    }
    assert documented == {name: (code, error) for name, (_, code, error) in REFUSED.items()}


def test_every_payload_that_is_taken_is_documented() -> None:
    """Those of which one might think otherwise."""
    documented = [name for _, names in PROTOCOL.table("taken") for name in names.split("; ")]
    assert sorted(documented) == sorted(TAKEN)


OF_ENROLMENT = {ROOT / "bridge" / package / "enrolment.py" for package in ("security", "service")}
"""Their errors have a page of their own."""


def refusals_in_the_code(
    *, of_sealing: bool = False, of_enrolment: bool = False
) -> set[tuple[str, int]]:
    """Return name and code of every refusal that is made: in `bridge/security`, or elsewhere."""
    found = set()
    for path in (ROOT / "bridge").rglob("*.py"):
        if (path in OF_ENROLMENT) != of_enrolment:
            continue
        if not of_enrolment and path.is_relative_to(ROOT / "bridge" / "security") != of_sealing:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id not in ("Refusal", "Malformed") or len(node.args) < 2:
                continue
            code, name = node.args[:2]
            if isinstance(code, ast.Constant) and isinstance(name, ast.Constant):
                assert isinstance(code.value, int)
                found.add((str(name.value), code.value))
    return found


def test_every_error_is_documented() -> None:
    """With its code; and no error is documented that does not exist."""
    rows = PROTOCOL.table("error | code | what it means")
    documented = {(plain(row[0]), int(row[1])) for row in rows}
    # The bridge says of a frame that is none that it had to be one.
    of_seals = refusals_in_the_code(of_sealing=True) - {("not_sealed", 415)}
    assert documented == refusals_in_the_code(of_sealing=False) | of_seals


def test_every_error_of_sealing_is_documented() -> None:
    """On its own page too, as others than the bridge open frames."""
    rows = Document("sealed-payloads.md").table("code | error | when")
    documented = {(plain(row[1]), int(row[0])) for row in rows}
    assert documented == refusals_in_the_code(of_sealing=True)


def test_every_error_of_enrolment_is_documented() -> None:
    """On its own page."""
    rows = Document("enrolment.md").table("code | error | when")
    documented = {(plain(row[1]), int(row[0])) for row in rows}
    assert documented == refusals_in_the_code(of_enrolment=True)


def test_every_member_of_the_metadata_is_documented() -> None:
    """The parser's own hint names them all."""
    documented = [plain(row[0]) for row in PROTOCOL.table("key | type | meaning")]
    _, refusal = parse_metadata({"": 1})
    assert refusal is not None
    assert refusal.message.partition("known: ")[2].split(", ") == documented


def test_every_limit_is_documented_with_its_default() -> None:
    """Settings by their default, constants by their value."""
    for what, limit, setting in PROTOCOL.table("what | limit | set by"):
        name = plain(setting)
        if name == "INTEGER_MAX":
            assert (limits.INTEGER_MIN, limits.INTEGER_MAX) == (-(2**63), 2**63 - 1)
            continue
        number = re.match(r"\d+(\.\d+)?", limit)
        assert number, what
        value = SETTINGS[name].default if "." in name else getattr(limits, name)
        assert number[0] == str(value), what


def test_every_limit_on_what_is_sent_is_documented() -> None:
    """Those of the setting's section, batches excepted: a sender does not meet them."""
    documented = {plain(row[2]) for row in PROTOCOL.table("what | limit | set by")}
    of_the_bridge = {"limits.batch_messages", "limits.batch_bytes"}
    settings = {name for name in SETTINGS if name.startswith("limits.")}
    assert settings - of_the_bridge <= documented
    constants = {name for name in vars(limits) if name.isupper()}
    internal = {"KIBIBYTE", "TIME_MAX", "YEAR_2020", "INTEGER_MIN"}
    assert constants - internal <= documented


def test_every_word_that_cannot_be_a_name_is_listed() -> None:
    """Who chooses one would be refused."""
    listed = set(PROTOCOL.code())
    assert listed >= VERBS | RESERVED_WORDS
