"""What amqtt is given: a configuration with logins and topics, and a file of passwords."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from bridge.broker import shipped_configuration
from bridge.cli.narrowed import narrowed_lines
from bridge.cli.text import printable
from bridge.core.broker_rights import Narrowed
from bridge.core.topic_rights import TopicRight

PASSWORDS: Final = "/etc/syncbridge/broker-passwords"

_LOGINS: Final = "amqtt.plugins.authentication.FileAuthPlugin"
_TOPICS: Final = "bridge.broker_login.TopicRights"
_HASH: Final = (
    "import getpass, pwdlib.hashers.argon2 as argon2; "
    "print(argon2.Argon2Hasher().hash(getpass.getpass()))"
)


def amqtt_lines(
    rights: Mapping[str, Iterable[TopicRight]],
    narrowed: tuple[Narrowed, ...],
    prefix: str,
    bridge_login: str,
    path: Path | None = None,
) -> Iterator[str]:
    """Yield the lines of a `broker.yaml`: the one that comes with the bridge, with other plugins.

    Args:
        rights: What each login may, by its name; without denials.
        narrowed: The rules that are left to the bridge.
        prefix: What all topics begin with.
        bridge_login: Who may do everything.
        path: Where the permissions stand, for those who read the list.
    """
    publish = {bridge_login: [f"{prefix}/#"]}
    subscribe = {bridge_login: [f"{prefix}/#"]}
    for login, of_login in rights.items():
        of_login = list(of_login)
        publish[login] = _topics(of_login, "write", prefix)
        subscribe[login] = _topics(of_login, "read", prefix)
    content: dict[str, Any] = yaml.safe_load(shipped_configuration().read_text(encoding="utf-8"))
    content["plugins"] = {
        _LOGINS: {"password_file": PASSWORDS},
        _TOPICS: {"publish_acl": publish, "acl": subscribe},
    }
    yield f"# Made by syncbridge acl amqtt from {printable(str(path))}."
    yield "# For the setting embedded.configuration. A login that is not named here may do nothing."
    yield ""
    yield yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=200).rstrip("\n")
    if narrowed:
        yield ""
    yield from narrowed_lines(narrowed, "amqtt")


def _topics(rights: Iterable[TopicRight], kind: str, prefix: str) -> list[str]:
    return ["/".join((prefix, *right.levels)) for right in rights if right.kind == kind]


def login_lines(logins: Iterable[str]) -> Iterator[str]:
    """Yield the commands that make the file of passwords; each asks for one.

    Args:
        logins: The bridge's, those of the principals, and the devices'.
    """
    yield f"touch {PASSWORDS}"
    yield f"chmod 600 {PASSWORDS}"
    for login in logins:
        make = f'"$(python3 -c {shlex.quote(_HASH)})"'
        yield f"printf '%s:%s\\n' {shlex.quote(login)} {make} >> {PASSWORDS}"
