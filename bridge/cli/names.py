"""Names of devices, twins and requesters, as they are typed."""

from __future__ import annotations

import getpass
import re

import click

from bridge.core.topics import TwinKey, is_device_id, is_name

_NAME_CHARACTERS = 128
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._:@~-]+")


def twin_key(device: str, name: str) -> TwinKey:
    """Return the key of a twin as it was typed.

    Raises:
        click.UsageError: One of both cannot be.
    """
    if not is_device_id(device):
        raise click.UsageError(
            f"{device!r} cannot be a device: an id is 1 to 128 of A-Z a-z 0-9 . _ : @ ~ - and "
            "does not start with a dot"
        )
    if name:
        check_name(name, "--name")
    return TwinKey(device, name)


def check_name(name: str, option: str) -> str:
    """Return a name that may stand in a topic.

    Raises:
        click.UsageError: It may not.
    """
    if not is_name(name):
        raise click.UsageError(
            f"{option} {name!r}: a name is 1 to 128 of A-Z a-z 0-9 . _ : @ ~ -, does not start "
            "with a dot, and is none of the words that topics use"
        )
    return name


def requester_name(given: str | None, login: str | None) -> str:
    """Return the name under which requests are sent.

    That is what was given; or the broker's login, because brokers can bind it to the topic; or
    `cli-` and the user of this machine.

    Raises:
        click.UsageError: What was given may not stand in a topic.
    """
    if given is not None:
        return check_name(given, "--as")
    if login is not None and is_name(login):
        return login
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):
        # A container's user without a name.
        user = "user"
    return f"cli-{_NOT_IN_A_NAME.sub('-', user)}"[:_NAME_CHARACTERS]
