"""What Mosquitto's dynamic security plugin is given: roles, clients and passwords."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from bridge.cli.mosquitto import CONFIGURATION as WITH_FILES
from bridge.cli.narrowed import narrowed_lines
from bridge.cli.text import printable
from bridge.core.broker_rights import Narrowed
from bridge.core.topic_rights import Kind, TopicRight

Command: TypeAlias = dict[str, object]

REQUEST_CHARACTERS: Final = 60_000
"""A request is an argument of `mosquitto_rr`, and Linux allows 128 KiB for one. From standard input
or a file that of Mosquitto 2.0.11 does not send what it reads."""

ACLS_PER_COMMAND: Final = 200
"""So that one command is not longer than that either."""

CONFIGURATION: Final = WITH_FILES.replace(
    "password_file /etc/mosquitto/passwords\nacl_file /etc/mosquitto/acl\n",
    "# Before the first start: mosquitto_ctrl dynsec init FILE ADMIN\n"
    "plugin /usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so\n"
    "plugin_opt_config_file /var/lib/mosquitto/dynamic-security.json\n",
)
"""The `mosquitto.conf` for password and list in files, with the plugin in their place."""

_TOPIC: Final = "$CONTROL/dynamic-security/v1"
_ACLS: Final[dict[Kind, tuple[str, ...]]] = {
    "read": ("subscribePattern", "publishClientReceive"),
    "write": ("publishClientSend",),
    "deny": ("publishClientSend", "publishClientReceive"),
}
_DENIALS_FIRST: Final = 1
_DEFAULTS: Final = {
    "publishClientSend": False,
    "publishClientReceive": False,
    "subscribe": False,
    "unsubscribe": True,
}


def script_lines(
    rights: Mapping[str, Sequence[TopicRight]],
    narrowed: tuple[Narrowed, ...],
    prefix: str,
    bridge_login: str,
    path: Path | None = None,
) -> Iterator[str]:
    """Yield a shell script that makes a role and a client for each login, or renews them.

    Args:
        rights: What each login may, by its name; the plugin of Mosquitto 2.0 knows no patterns.
        narrowed: The rules that are left to the bridge.
        prefix: What all topics begin with.
        bridge_login: Who may do everything.
        path: Where the permissions stand, for those who read the script.
    """
    yield f"# Made by syncbridge acl mosquitto from {printable(str(path))}."
    yield "# Run it with the options of mosquitto_rr for its administrator: sh FILE -u ADMIN -P …"
    yield "# What is there already is answered with an error, and brought up to date all the same."
    yield from narrowed_lines(narrowed, "Mosquitto")
    acls: dict[str, list[Command]] = {
        bridge_login: [
            {"acltype": acl, "topic": f"{prefix}/#", "priority": 0, "allow": True}
            for acl in (*_ACLS["read"], *_ACLS["write"])
        ]
    }
    acls |= {login: list(_acls(of_login, prefix)) for login, of_login in rights.items()}
    defaults = [{"acltype": acl, "allow": allow} for acl, allow in _DEFAULTS.items()]
    commands: list[Command] = [{"command": "setDefaultACLAccess", "acls": defaults}]
    for login in acls.items():
        commands += _commands(*login)
    yield from _requests(json.dumps(command) for command in commands)


def _acls(rights: Iterable[TopicRight], prefix: str) -> Iterator[Command]:
    for right in rights:
        denies = right.kind == "deny"
        for acl in _ACLS[right.kind]:
            yield {
                "acltype": acl,
                "topic": "/".join((prefix, *right.levels)),
                "priority": _DENIALS_FIRST if denies else 0,
                "allow": not denies,
            }


def _commands(login: str, acls: list[Command]) -> Iterator[Command]:
    role = f"syncbridge-{login}"
    yield {"command": "createRole", "rolename": role}
    yield {"command": "modifyRole", "rolename": role, "acls": acls[:ACLS_PER_COMMAND]}
    for acl in acls[ACLS_PER_COMMAND:]:
        yield {"command": "addRoleACL", "rolename": role, **acl}
    yield {"command": "createClient", "username": login}
    yield {"command": "modifyClient", "username": login, "roles": [{"rolename": role}]}


def _requests(commands: Iterable[str]) -> Iterator[str]:
    waiting: list[str] = []
    for command in commands:
        if sum(map(len, waiting)) > REQUEST_CHARACTERS:
            yield _request(waiting)
            waiting = []
        waiting.append(command)
    yield _request(waiting)


def _request(commands: list[str]) -> str:
    content = f'{{"commands": [{", ".join(commands)}]}}'
    words = f"-q 1 -t '{_TOPIC}' -e '{_TOPIC}/response' -m {shlex.quote(content)}"
    return f'mosquitto_rr "$@" {words} || exit'


def login_lines(logins: Iterable[str]) -> Iterator[str]:
    """Yield the commands that set the passwords; each asks for one.

    Args:
        logins: The bridge's, those of the principals, and the devices'.
    """
    for login in logins:
        yield f'mosquitto_ctrl "$@" dynsec setClientPassword {shlex.quote(login)}'
