"""The table of reasons, and the errors that are made of it."""

from __future__ import annotations

import socket

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from bridge.errors import ConnectRefused, LinkLost
from bridge.link import reasons
from bridge.link.reasons import REASONS

_ADDRESS = "broker.example:1883"


def test_every_code_of_connack_and_disconnect_is_in_the_table() -> None:
    """And under the name that MQTT gives it; only a client sends 0x04."""
    for code, names in ReasonCode.names.items():
        for name, packets in names.items():
            if code in (0x00, 0x04) or not {PacketTypes.CONNACK, PacketTypes.DISCONNECT} & {
                *packets
            }:
                continue
            assert REASONS[code].name.lower() == name.lower()


@pytest.mark.parametrize("code", list(REASONS))
def test_every_reason_says_what_to_do(code: int) -> None:
    """An error without a hint is half an error."""
    assert REASONS[code].hint


def test_the_link_gives_up_only_where_a_person_must_act() -> None:
    """The list is short, and each of it would come again at every attempt."""
    hopeless = {reason.name for reason in REASONS.values() if not reason.recoverable}

    assert hopeless == {
        "client identifier not valid",
        "bad user name or password",
        "not authorized",
        "banned",
        "bad authentication method",
        "session taken over",
        "topic filter invalid",
        "retain not supported",
        "QoS not supported",
        "server moved",
        "shared subscription not supported",
        "subscription identifiers not supported",
        "wildcard subscription not supported",
    }


def test_a_refusal_names_address_and_reason() -> None:
    """In one line, with what to do."""
    error = reasons.refused(_ADDRESS, 0x86)

    assert isinstance(error, ConnectRefused)
    assert str(error) == (
        "the broker at broker.example:1883 refused the connection: bad user name or password "
        "(check broker.username and the password, and that the broker knows this user)"
    )


def test_an_unknown_code_is_a_number_and_tried_again() -> None:
    """A newer broker may have codes that we do not know."""
    error = reasons.ended_by_broker(_ADDRESS, 0xEE)

    assert isinstance(error, LinkLost)
    assert error.message.endswith("reason code 0xee")
    assert error.recoverable
    assert error.hint


def test_the_brokers_words_are_bounded_and_escaped() -> None:
    """They go to the log, and to whoever reads it."""
    error = reasons.refused(_ADDRESS, 0x88, "\x1b[31m" + "x" * 70_000)

    assert "\x1b" not in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "does not resolve"),
        (ConnectionRefusedError(111, "Connection refused"), "nothing listens at"),
        (TimeoutError(), "timed out"),
        (OSError(101, "Network is unreachable"), "Network is unreachable"),
        (OSError("broker.example has no address"), "has no address"),
    ],
)
def test_each_trouble_of_the_network_has_its_words(error: OSError, words: str) -> None:
    """Each may pass by itself, and each says where to look."""
    shown = reasons.unreachable(_ADDRESS, error)

    assert words in shown.message
    assert _ADDRESS in shown.message
    assert shown.hint
    assert shown.recoverable
