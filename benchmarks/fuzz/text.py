"""Targets that read text: topics, queries, the configuration and the permissions."""

from __future__ import annotations

from benchmarks.fuzz.scratch import scratch_file
from benchmarks.fuzz.target import Run, Target, require
from bridge.config import load
from bridge.config_permissions import read_permissions
from bridge.core.limits import Limits
from bridge.core.topics import InboundTopic, TopicGrammar, TwinKey
from bridge.errors import ConfigError, QueryError
from bridge.query.language import parse_field, parse_where
from bridge.query.matching import matches, read_field

_TWIN = {
    "version": 7,
    "at": 1_795_389_192_794_000,
    "online": True,
    "reported": {"on": True, "color": {"r": 255}, "name": "Öl", "list": [1, 2]},
    "desired": {"on": False, "level": 0.5},
}


def _topics() -> Run:
    grammars = (TopicGrammar("sync"), TopicGrammar("plant/7/sync"))

    def run(data: bytes) -> None:
        # As a link makes text of what arrives.
        text = data.decode(errors="replace")
        for grammar in grammars:
            found = grammar.parse(text)
            if isinstance(found, InboundTopic):
                sender = "" if found.verb in ("report", "presence") else found.sender
                built = grammar.topic(found.key, found.verb, sender)
                require(built == text, "a topic that is taken apart can be put together again")

    return run


def _query() -> Run:
    def run(data: bytes) -> None:
        text = data.decode(errors="surrogateescape")
        try:
            term = parse_where(text)
        except QueryError:
            pass
        else:
            matches(term, "lamp-1", "", _TWIN)
        try:
            read_field(parse_field(text), _TWIN)
        except QueryError:
            return

    return run


def _configuration() -> Run:
    path = scratch_file("input.yaml")

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            loaded = load({}, {}, path)
        except ConfigError as error:
            str(error)
        else:
            for name in loaded.origins:
                loaded.value(name)

    return run


def _permissions() -> Run:
    path = scratch_file("input.yaml")
    limits = Limits()

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            permissions = read_permissions(path, limits)
        except ConfigError as error:
            str(error)
            return
        access = permissions.access("anna", TwinKey("lamp-1"))
        if access is not None:
            access.grant("reported", "read")
            access.grant("desired", "write")

    return run


_YAML = (
    b": ", b"\n", b"\n  ", b"- ", b"[", b"]", b"{", b"}", b'"', b"'", b"&a ", b"*a", b"!!binary ",
    b"|\n", b">\n", b"# ", b"---\n", b"...\n", b"<<: ", b"? ", b"~", b"\t", b"\xff\xfe", b"\x85",
)  # fmt: skip

TARGETS = (
    Target(
        "topics",
        _topics,
        1_600_000,
        (b"sync/", b"plant/7/sync/", b"/report", b"/desire/", b"/get/", b"/delete/", b"/presence",
         b"/state", b"$bridge", b"+", b"#", b"\x00", b"//", b"\xef\xbf\xbd"),
        length_max=400,
    ),
    Target(
        "query",
        _query,
        50_000,
        (b" AND ", b" OR ", b"NOT ", b" IN (", b" BETWEEN ", b" LIKE ", b" GLOB ", b" IS NULL",
         b"reported.", b"desired.", b"device", b"version", b"'%a%'", b"(", b")", b"--", b"/*", b";",
         b"SELECT ", b"x'00'", b"1e999", b"\xed\xa0\x80", b"!=", b"<=", b"||", b"?", b":a", b"@a"),
        length_max=300,
    ),
    Target(
        "configuration",
        _configuration,
        50_000,
        (*_YAML, b"prefix", b"store", b"limits", b"policies", b"broker", b"url",
         b"reported.**: sum", b"payload_bytes", b"encoding", b"mqtt://", b"http", b"permissions",
         b"inf", b"nan", b"1_0"),
    ),
    Target(
        "permissions",
        _permissions,
        50_000,
        (*_YAML, b"default: deny", b"principals", b"groups", b"rules", b"anna", b"self",
         b"everyone", b"reported.**", b"desired.*", b"read write", b"deny write", b'"*/setup"',
         b"lamp-*"),
    ),
)  # fmt: skip
