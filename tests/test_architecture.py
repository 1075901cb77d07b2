"""The structure that the documentation draws, as rules that fail.

Who may import whom stands in `MAY_IMPORT`. A package that is not listed there may not exist: say
first what it knows.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.imports import Module, calls, group_of, imported, is_allowed, read_package

ROOT = Path(__file__).resolve().parent.parent

# `a.b` is that module or the package's own names, `a.b.*` also everything below it.
MAY_IMPORT = {
    # The root package holds the version and nothing else.
    "bridge": frozenset[str](),
    "bridge.__main__": frozenset({"bridge.cli"}),
    "bridge.errors": frozenset[str](),
    "bridge.metrics": frozenset[str](),
    "bridge.secret_file": frozenset({"bridge.errors"}),
    # Pure: decides, and does nothing.
    "bridge.core": frozenset({"bridge.core.*"}),
    # Bytes to updates and back.
    "bridge.wire": frozenset({"bridge.core.*", "bridge.wire.*"}),
    # Sealed frames and keys: knows nothing of who sends them.
    "bridge.security": frozenset({"bridge.core.*", "bridge.errors", "bridge.security.*"}),
    # The connection to the broker, and the store: neither knows the other, nor what they carry.
    "bridge.link": frozenset(
        {"bridge.errors", "bridge.link.*", "bridge.logs", "bridge.secret_file"}
    ),
    "bridge.store": frozenset(
        {
            "bridge", "bridge.core.*", "bridge.errors", "bridge.logs", "bridge.query.*",
            "bridge.store.*",
        }
    ),
    # A language, and what it means: knows no database.
    "bridge.query": frozenset({"bridge.errors", "bridge.query.*"}),
    # JSON Schema: what sections have to fit.
    "bridge.schema": frozenset({"bridge.core.*", "bridge.errors", "bridge.schema.*"}),
    # Joins them, and alone knows them all; also offers the administration, which does not know it.
    "bridge.service": frozenset(
        {
            "bridge", "bridge.api.*", "bridge.broker", "bridge.config", "bridge.core.*",
            "bridge.errors", "bridge.http.*", "bridge.link.*", "bridge.logs", "bridge.metrics",
            "bridge.query.*", "bridge.security.*", "bridge.service.*", "bridge.store.*",
            "bridge.wire.*",
            "bridge.log_traces",
            "bridge.schema.*",
        }
    ),
    # The open API: what administration knows, and how payloads are decoded.
    "bridge.http": frozenset(
        {
            "bridge", "bridge.api.*", "bridge.config_http", "bridge.core.*", "bridge.errors",
            "bridge.http.*", "bridge.logs", "bridge.query.*", "bridge.secret_file",
            "bridge.store.*", "bridge.wire.*",
        }
    ),
    # Administration: of a store, by whoever holds it.
    "bridge.api": frozenset(
        {
            "bridge", "bridge.api.*", "bridge.core.*", "bridge.errors", "bridge.logs",
            "bridge.metrics", "bridge.query.*", "bridge.security.*", "bridge.store.*",
            # A dictionary is made of payloads.
            "bridge.wire.dictionaries", "bridge.wire.training",
        }
    ),
    "bridge.config": frozenset(
        {
            "bridge.config_address", "bridge.config_broker", "bridge.config_compression",
            "bridge.config_http",
            "bridge.config_layers", "bridge.config_models", "bridge.config_observation",
            "bridge.config_permissions",
            "bridge.config_policies", "bridge.config_readers",
            "bridge.config_reference", "bridge.config_sealing", "bridge.config_section",
            "bridge.config_settings",
            "bridge.config_watch", "bridge.config_yaml", "bridge.core.compression",
            "bridge.core.limits",
            "bridge.core.permission_rules", "bridge.core.permissions", "bridge.core.policy",
            "bridge.core.readers", "bridge.core.topics", "bridge.errors", "bridge.secret_file",
            "bridge.store.base", "bridge.store.indexed_paths",
            "bridge.config_schemas", "bridge.core.pattern",
            "bridge.core.update",
        }
    ),
    "bridge.logs": frozenset({"bridge.config_models", "bridge.log_traces"}),
    "bridge.log_traces": frozenset({"bridge.errors"}),
    "bridge.broker": frozenset(
        {"bridge.broker_process", "bridge.config_models", "bridge.errors", "bridge.logs"}
    ),
    # In a process of their own, with nothing of the bridge in it.
    "bridge.broker_login": frozenset[str](),
    "bridge.broker_process": frozenset[str](),
    # A library for devices: shares the topics' grammar and the bounds with the bridge.
    # Of the link only the files of TLS, and the words for what goes wrong with it.
    "bridge.device": frozenset(
        {
            # Wrappers are the same on both sides.
            "bridge.wire.compression", "bridge.wire.dictionaries", "bridge.wire.malformed",
            "bridge.wire.wrappers",
            "bridge.core.*", "bridge.device.*", "bridge.errors", "bridge.link.tls",
            "bridge.link.transport_reasons", "bridge.secret_file", "bridge.security.*",
        }
    ),
    # Examines a broker as a client: with the topics' grammar, and the link's words for failures.
    "bridge.doctor": frozenset(
        {"bridge.core.topics", "bridge.doctor.*", "bridge.errors", "bridge.link.reasons"}
    ),
    "bridge.cli": frozenset(
        {
            "bridge", "bridge.api.*", "bridge.broker", "bridge.cli.*", "bridge.config",
            "bridge.config_reference", "bridge.core.*", "bridge.device.*", "bridge.doctor",
            "bridge.errors", "bridge.logs", "bridge.metrics", "bridge.security.*",
            "bridge.schema.*", "bridge.service", "bridge.store.*",
            # Only the words for what goes wrong with a broker, and the files of TLS.
            "bridge.link.reasons", "bridge.link.tls", "bridge.link.transport_reasons",
            "bridge.secret_file",
            # What is sealed is told by its first bytes.
            "bridge.wire.wrappers",
            # The fleet that `syncbridge demo` shows.
            "device_sim",
        }
    ),
    # A program like those of users: the public surface only.
    "device_sim": frozenset(
        {
            "bridge", "bridge.broker", "bridge.device", "bridge.errors", "bridge.secret_file",
            "bridge.link.transport_reasons", "bridge.service", "device_sim.*",
        }
    ),
}  # fmt: skip

# Modules of one subject without a folder have the rules of the first.
_SAME_RULES = re.compile(r"bridge\.config_\w+\Z")

# What the core may take from the standard library: data structures, texts, arithmetic. Not listed
# are clocks, randomness, files, processes, the network, threads and the import system.
CORE_MAY_IMPORT = frozenset(
    {
        "__future__", "abc", "base64", "bisect", "collections", "collections.abc", "copy",
        "dataclasses", "enum", "functools", "hashlib", "heapq", "itertools", "json", "math",
        "operator", "re", "string", "struct", "types", "typing", "unicodedata", "zlib",
    }
)  # fmt: skip
CORE_MAY_NOT_CALL = frozenset(
    {"__import__", "breakpoint", "compile", "eval", "exec", "id", "input", "open", "print"}
)

LINES_IN_A_FILE = 400

# Paths of one person's machine; split here so that this file may hold them.
_MACHINE_PATHS = re.compile("|".join(("/ho" + "me/", "/Us" + "ers/", "/ro" + "ot/", "/wo" + "rk/")))
_TEXT_FILES = ("*.py", "*.md", "*.toml", "*.yaml", "*.yml", "*.cfg", "Makefile", "run", "services")
_NOT_OURS = re.compile(r"(^|/)(\.git|\.venv[^/]*|\.[a-z]+_cache|\.hypothesis|build|dist|mutants)/")

PROJECT = [*read_package(ROOT, "bridge"), *read_package(ROOT, "device_sim")]
KNOWN = frozenset(module.name for module in PROJECT)


def import_violations(module: Module, known: frozenset[str] = KNOWN) -> Iterator[str]:
    """Yield each import that the tables forbid."""
    group = group_of(_SAME_RULES.sub("bridge.config", module.name), MAY_IMPORT)
    if group is None or (group == "bridge" and module.name != "bridge"):
        yield f"{module.name}: no rule says what it may import"
        return
    for line, name in imported(module, known):
        top = name.split(".", 1)[0]
        if not top:
            yield f"{module.name}:{line} imports relatively: {name}"
        elif top in ("bridge", "device_sim"):
            if not is_allowed(name, MAY_IMPORT[group]):
                yield f"{module.name}:{line} imports {name}"
        elif group == "bridge.core" and name not in CORE_MAY_IMPORT:
            yield f"{module.name}:{line} imports {name}, which is not pure"


def core_call_violations(module: Module) -> Iterator[str]:
    """Yield each call by which a module of the core would do something."""
    for line, name in calls(module):
        if name in CORE_MAY_NOT_CALL:
            yield f"{module.name}:{line} calls {name}"


def missing_docstrings(module: Module) -> Iterator[str]:
    """Yield public modules that do not say what they hold."""
    private = any(level.startswith("_") for level in module.name.split("."))
    if not private and not ast.get_docstring(module.tree):
        yield f"{module.name} has no docstring"


def test_every_import_is_allowed() -> None:
    """Each package knows only what the table says."""
    assert [line for module in PROJECT for line in import_violations(module)] == []


def test_only_the_service_knows_both_link_and_store() -> None:
    """The table itself may not be widened into joining them elsewhere."""
    both = {
        group
        for group, allowed in MAY_IMPORT.items()
        if is_allowed("bridge.link.base", allowed) and is_allowed("bridge.store.base", allowed)
    }
    assert both == {"bridge.service"}


def test_the_core_does_nothing() -> None:
    """No file, no output, no code made from text."""
    core = [module for module in PROJECT if module.name.startswith("bridge.core")]
    assert core
    assert [line for module in core for line in core_call_violations(module)] == []


def test_every_public_module_says_what_it_holds() -> None:
    """In its docstring."""
    assert [line for module in PROJECT for line in missing_docstrings(module)] == []


def test_no_file_is_too_long_to_read() -> None:
    """A longer one holds two subjects."""
    assert [m.name for m in PROJECT if m.lines > LINES_IN_A_FILE] == []


def test_nothing_names_a_path_of_one_machine() -> None:
    """What works only where it was written."""
    found = []
    for pattern in _TEXT_FILES:
        for path in ROOT.rglob(pattern):
            name = path.relative_to(ROOT).as_posix()
            if not _NOT_OURS.search(name) and _MACHINE_PATHS.search(path.read_text("utf-8")):
                found.append(name)
    assert found == []


_FAKE_KNOWN = frozenset({"bridge.core.tree", "bridge.link.base", "bridge.store.sqlite"})


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("bridge.core.tree", "import os"),
        ("bridge.core.tree", "from time import monotonic"),
        ("bridge.core.tree", "import random, re"),
        ("bridge.core.tree", "import os.path"),
        ("bridge.core.tree", "import orjson"),
        ("bridge.core.tree", "from bridge.wire import inbound"),
        ("bridge.core.tree", "from bridge import errors"),
        ("bridge.core.tree", "def f():\n    import socket"),
        ("bridge.core.tree", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import io"),
        ("bridge.core.tree", "from . import twin"),
        ("bridge.wire.json_codec", "from bridge.errors import SyncbridgeError"),
        ("bridge.link.broker_link", "from bridge.store.base import Store"),
        ("bridge.link.broker_link", "from bridge.core.topics import TwinKey"),
        ("bridge.store.sqlite", "import bridge.link.base"),
        ("bridge.store.sqlite", "from bridge.link import base"),
        ("bridge.cli.run", "from bridge.link.base import Link"),
        ("bridge.cli.run", "from bridge.service.pipeline import Pipeline"),
        ("bridge.cli.run", "import_module('bridge.link.base')"),
        ("bridge.device.client", "from bridge.service import Bridge"),
        ("bridge.broker_process", "from bridge.logs import configure"),
        ("bridge.doctor.probe", "from bridge.link.base import Link"),
        ("bridge.doctor.run", "from bridge.config import Config"),
        ("bridge.config_layers", "from bridge.store.sqlite import SqliteStore"),
        ("device_sim.fleet", "from bridge.device.session import DeviceSession"),
        ("device_sim.fleet", "from bridge.core.topics import TopicGrammar"),
        ("device_sim.fleet", "import bridge.link.base"),
        ("bridge.newcomer", "import re"),
    ],
)
def test_a_forbidden_import_is_found(name: str, source: str) -> None:
    """In whatever form it is written; else the rules above show nothing."""
    assert list(import_violations(Module.of(name, source), _FAKE_KNOWN))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("bridge.core.tree", "import re\nfrom collections.abc import Mapping"),
        ("bridge.core.twin", "from bridge.core import tree\nfrom bridge.core.tree import merge"),
        ("bridge.service.bridge", "from bridge.link.base import Link\nimport bridge.store.sqlite"),
        ("bridge.config_layers", "from bridge.store.base import StoreLimits"),
        ("device_sim.fleet", "from bridge.device import DeviceSession\nfrom bridge import errors"),
    ],
)
def test_an_allowed_import_is_not_found(name: str, source: str) -> None:
    """The rules do not simply refuse everything."""
    known = _FAKE_KNOWN | {"bridge.errors"}
    assert list(import_violations(Module.of(name, source), known)) == []


@pytest.mark.parametrize("source", ["open('x')", "print(1)", "x = eval('1')"])
def test_a_forbidden_call_is_found(source: str) -> None:
    """Built-in functions need no import."""
    assert list(core_call_violations(Module.of("bridge.core.tree", source)))


def test_a_missing_docstring_is_found() -> None:
    """A comment is none, and private modules need none."""
    assert list(missing_docstrings(Module.of("bridge.core.tree", "# a tree")))
    assert not list(missing_docstrings(Module.of("bridge.core._tree", "")))
