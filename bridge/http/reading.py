"""Reading twins for a principal: only what it may read, and only what is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeAlias

import orjson

from bridge.api.problems import RequestProblem, RequestRefused
from bridge.core.access import Access, readable
from bridge.core.limits import Limits
from bridge.core.paths import Parts, PathError, parse_pattern
from bridge.core.pattern import WILDCARD, level_matches
from bridge.core.refusal import Refusal
from bridge.core.section import JsonObject
from bridge.core.topics import TwinKey
from bridge.core.update import SECTIONS, SectionName
from bridge.http.backend import Backend
from bridge.http.shelf import View, view_of

SELECTED_PATHS: Final = 64
"""Paths in one `select`."""

Answer: TypeAlias = Mapping[str, object]

_EXPLAIN: Final = "`syncbridge permissions explain` says why"


class Selection:
    """Which parts of twins are wanted.

    Args:
        text: Dotted paths with wildcards, separated by commas: `reported.temp,desired`.
        limits: Bounds on paths.

    Raises:
        RequestProblem: It cannot be read.
    """

    def __init__(self, text: str, limits: Limits) -> None:
        self._paths: dict[str, list[tuple[Parts, ...]]] = {}
        texts = text.split(",")
        if len(texts) > SELECTED_PATHS:
            raise _bad_selection(f"it has more than {SELECTED_PATHS} paths")
        for one in texts:
            try:
                first, *levels = parse_pattern(one.strip(), WILDCARD)
            except PathError as error:
                raise _bad_selection(str(error)) from error
            if first not in (("reported",), ("desired",)):
                raise _bad_selection("a path begins with reported or desired")
            if len(levels) > limits.depth:
                raise _bad_selection(f"a path has at most {limits.depth} levels")
            self._paths.setdefault(first[0], []).append(tuple(levels))

    def of(self, section: SectionName, value: JsonObject) -> JsonObject | None:
        """Return what is wanted of a section; None where nothing is."""
        paths = self._paths.get(section)
        if paths is None:
            return None
        return _selected(value, paths)

    def applied(self, document: JsonObject) -> JsonObject:
        """Return a twin's document with what is wanted of it."""
        shown = {name: v for name, v in document.items() if name not in SECTIONS}
        for section in SECTIONS:
            value = document.get(section)
            part = self.of(section, value) if isinstance(value, dict) else None
            if part is not None:
                shown[section] = part
        return shown


def _selected(value: JsonObject, paths: list[tuple[Parts, ...]]) -> JsonObject:
    if any(not path for path in paths):
        return value
    shown: JsonObject = {}
    for name, member in value.items():
        below = [path[1:] for path in paths if level_matches(path[0], name)]
        if not below:
            continue
        if any(not path for path in below):
            shown[name] = member
        elif isinstance(member, dict) and (inner := _selected(member, below)):
            shown[name] = inner
    return shown


def _bad_selection(why: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.BAD_REQUEST, f"`select`: {why}")


def access_of(backend: Backend, principal: str, key: TwinKey) -> Access | None:
    """Return what a principal may do with a twin; None where everyone may do everything."""
    permissions = backend.permissions
    return None if permissions is None else permissions.access(principal, key)


def forbid(principal: str, what: str) -> RequestRefused:
    """Return the refusal of what a principal may not do."""
    return RequestRefused(Refusal(403, "forbidden", f"{principal} may not {what}: {_EXPLAIN}"))


def require_reading(access: Access | None, principal: str, key: TwinKey, *, all_of: bool) -> None:
    """Refuse who may read nothing of a twin, or not all of it.

    Raises:
        RequestRefused: So it is.
    """
    if access is None or (access.reads_all if all_of else access.reads_some):
        return
    raise forbid(principal, f"read {'all' if all_of else 'anything'} of {key}")


async def load_view(backend: Backend, key: TwinKey) -> View:
    """Return a twin as it is on the disk, from memory where it is there."""
    shelf = backend.hub.shelf
    view = shelf.get(key)
    if view is not None:
        return view
    stored = await backend.run_store(lambda store: store.load([key]).get(key))
    if stored is None:
        # Not kept: whoever asks can invent names.
        return View(0, False, b"")
    # A commit that came after the load is told of after it, too, and then finds the view here.
    state = stored.state if stored.exists else b""
    return shelf.put(key, view_of(key, stored.version, state))


def missing(key: TwinKey) -> RequestProblem:
    """Return the problem of a twin that is not there."""
    return RequestProblem(HTTPStatus.NOT_FOUND, f"there is no twin {key}")


def shown(view: View, access: Access | None, selection: Selection | None) -> bytes:
    """Return JSON of what may be read, and is wanted, of a twin that exists."""
    if selection is None and (access is None or access.reads_all):
        return view.document
    return orjson.dumps(shown_object(orjson.loads(view.document), access, selection))


def shown_object(
    document: JsonObject, access: Access | None, selection: Selection | None
) -> JsonObject:
    """Return what may be read, and is wanted, of a twin's document."""
    if access is not None and not access.reads_all:
        document = dict(document)
        for section in SECTIONS:
            value = document.get(section)
            if isinstance(value, dict):
                document[section] = readable(access.grant(section, "read"), value)
    return document if selection is None else selection.applied(document)
