"""Reads declarations in YAML, strictly: every member is taken once, and what nobody takes is wrong.

Every error names the file, the line and the member, and the near name where one is likely meant.

    members = Members.of_file(path)
    name = members.text("about")
    members.end()

Unlike YAML 1.1, `on`, `off`, `yes` and `no` are words: only `true` and `false` are booleans.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import yaml

from bridge.device import JsonValue
from bridge.errors import ConfigError

FILE_BYTES = 1024 * 1024
"""Largest file: a thousand times what a real one has."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?\Z", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_KIND_OF_TAG = {
    "tag:yaml.org,2002:bool": "a boolean",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:map": "a mapping",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:seq": "a list",
    "tag:yaml.org,2002:str": "text",
}


def read_duration(text: str) -> float:
    """Return the seconds of a duration such as `500ms`, `30s`, `10m` or `2h`; a bare number is s.

    Raises:
        ValueError: It is not one.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 30s, 10m or 2h")
    return float(match[1]) * _UNIT_S[match[2] or "s"]


def near(unknown: str, known: Iterable[str]) -> str:
    """Return a hint that names what was meant, or everything that there is."""
    names = list(known)
    close = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"there is {', '.join(names)}" if names else ""


class Item:
    """One value of a file, with its place.

    Args:
        node: As parsed.
        file: For messages.
        name: With the names of the mappings that it stands in, dotted; empty for the whole file.
    """

    def __init__(self, node: yaml.Node, file: str, name: str) -> None:
        self.node = node
        self.file = file
        self.name = name

    @property
    def line(self) -> int:
        """Where it stands, from 1."""
        return int(self.node.start_mark.line) + 1

    @property
    def is_scalar(self) -> bool:
        """It is neither a list nor a mapping."""
        return isinstance(self.node, yaml.ScalarNode)

    def fail(self, message: str, hint: str = "") -> NoReturn:
        """Say what is wrong with it.

        Raises:
            ConfigError: Always.
        """
        place = f"{self.file}:{self.line}"
        named = f"{place}: {self.name}" if self.name else place
        raise ConfigError(f"{named}: {message}", field=self.name, source=place, hint=hint)

    def members(self) -> Members:
        """Return what a mapping holds.

        Raises:
            ConfigError: It is none, or a member stands in it twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"a mapping is expected, not {self._what()}")
        return Members(self, self.node)

    def items(self) -> list[Item]:
        """Return what a list holds.

        Raises:
            ConfigError: It is none.
        """
        if not isinstance(self.node, yaml.SequenceNode):
            self.fail(f"a list is expected, not {self._what()}")
        return [
            Item(node, self.file, f"{self.name}[{index}]")
            for index, node in enumerate(self.node.value)
        ]

    def text(self) -> str:
        """Return a text; a number or a word such as `off` is one as it is written.

        Raises:
            ConfigError: It is a list, a mapping or nothing.
        """
        if not isinstance(self.node, yaml.ScalarNode) or self._is_null():
            self.fail(f"text is expected, not {self._what()}")
        return str(self.node.value)

    def name_of(self, known: Iterable[str]) -> str:
        """Return a text that is one of several.

        Raises:
            ConfigError: It is another; the hint has the near one.
        """
        text, names = self.text(), list(known)
        if text not in names:
            self.fail(f"{text!r} is not known here", near(text, names))
        return text

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number within bounds.

        Raises:
            ConfigError: It is something else, or outside.
        """
        value = self.value()
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(f"a number is expected, not {self._what()}")
        if not math.isfinite(value) or not low <= value <= high:
            self.fail(f"{value} is not {_bounds(low, high)}")
        return value

    def integer(self, low: float = -math.inf, high: float = math.inf) -> int:
        """Return a whole number within bounds.

        Raises:
            ConfigError: It is something else, or outside.
        """
        value = self.number(low, high)
        if not isinstance(value, int):
            self.fail(f"a whole number is expected, not {value}")
        return value

    def share(self) -> float:
        """Return a share from 0 to 1, written as such or as `30%`.

        Raises:
            ConfigError: It is something else, or outside.
        """
        if isinstance(self.node, yaml.ScalarNode) and str(self.node.value).endswith("%"):
            try:
                share = float(self.node.value[:-1]) / 100
            except ValueError:
                self.fail(f"{self.node.value!r} is not a share such as 0.3 or 30%")
            if not 0 <= share <= 1:
                self.fail(f"{self.node.value} is not from 0% to 100%")
            return share
        return float(self.number(0, 1))

    def duration_s(self) -> float:
        """Return a duration in seconds.

        Raises:
            ConfigError: It is none.
        """
        try:
            return read_duration(self.text())
        except ValueError as error:
            self.fail(str(error))

    def value(self) -> JsonValue:
        """Return what is written, as JSON would have it.

        Raises:
            ConfigError: JSON has no such thing.
        """
        if isinstance(self.node, yaml.SequenceNode):
            return [item.value() for item in self.items()]
        if isinstance(self.node, yaml.MappingNode):
            members = self.members()
            return {key: members.take(key).value() for key in members.keys()}  # noqa: SIM118
        if self._is_null():
            return None
        text = str(self.node.value)
        kind = _KIND_OF_TAG.get(self.node.tag)
        if kind == "a boolean":
            return {"true": True, "false": False}.get(text.lower(), text)
        if kind == "a number":
            value = yaml.safe_load(text)
            return value if isinstance(value, int | float) else text
        return text

    def _is_null(self) -> bool:
        return bool(self.node.tag == "tag:yaml.org,2002:null")

    def _what(self) -> str:
        return _KIND_OF_TAG.get(self.node.tag, "that")


class Members:
    """What a mapping holds, each member to be taken once.

    Args:
        item: The mapping.
        node: The same, parsed.

    Raises:
        ConfigError: A member stands in it twice, or has no name.
    """

    def __init__(self, item: Item, node: yaml.MappingNode) -> None:
        self.item = item
        self._left: dict[str, Item] = {}
        self._keys: dict[str, Item] = {}
        self._taken: list[str] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                Item(key, item.file, item.name).fail("a name is expected here")
            text = str(key.value)
            name = f"{item.name}.{text}" if item.name else text
            if text in self._left:
                Item(key, item.file, name).fail("it stands there twice")
            self._keys[text] = Item(key, item.file, name)
            self._left[text] = Item(value, item.file, name)

    @classmethod
    def of_file(cls, path: Path) -> Members:
        """Read a file.

        Raises:
            ConfigError: It cannot be read, is too large, or is not a mapping in YAML.
        """
        try:
            with path.open("rb") as file:
                content = file.read(FILE_BYTES + 1)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be read: {error.strerror}", source=str(path)
            ) from error
        if len(content) > FILE_BYTES:
            raise ConfigError(f"{path} is larger than {FILE_BYTES} bytes", source=str(path))
        return cls.of_text(content, str(path))

    @classmethod
    def of_text(cls, content: bytes, file: str) -> Members:
        """Read what a file holds.

        Raises:
            ConfigError: It is not a mapping in YAML.
        """
        try:
            node = yaml.compose(content.decode(), Loader=yaml.CSafeLoader)
        except (UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
            text = " ".join(str(error).split())
            raise ConfigError(f"{file} is not YAML: {text}", source=file) from error
        if node is None:
            raise ConfigError(f"{file} is empty", source=file)
        return Item(node, file, "").members()

    def keys(self) -> list[str]:
        """Return the names of what was not taken yet."""
        return list(self._left)

    def take(self, key: str) -> Item:
        """Take a member that must be there.

        Raises:
            ConfigError: It is not there.
        """
        found = self.take_if(key)
        if found is None:
            self.item.fail(f"{key} is missing", near(key, self._left) if self._is_like(key) else "")
        return found

    def take_if(self, key: str) -> Item | None:
        """Take a member that may be there."""
        self._taken.append(key)
        return self._left.pop(key, None)

    def end(self) -> None:
        """Say that there is nothing more to be taken.

        Raises:
            ConfigError: There is; the hint has the near name of those that might be.
        """
        for key in self._left:
            self._keys[key].fail("this is not known here", near(key, self._taken))

    def each(self) -> Iterator[tuple[str, Item]]:
        """Take every member."""
        for key in self.keys():
            yield key, self.take(key)

    def _is_like(self, key: str) -> bool:
        return bool(difflib.get_close_matches(key, self._left, n=1, cutoff=0.5))


def _bounds(low: float, high: float) -> str:
    if math.isinf(high):
        return f"{low:g} or more"
    return f"{high:g} or less" if math.isinf(low) else f"from {low:g} to {high:g}"
