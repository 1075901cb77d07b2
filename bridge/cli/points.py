"""A version or a time, as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bridge.core.timeline import Point


class PointType(click.ParamType["Point"]):
    """A version such as `14`, or a time such as `2026-11-25T10:00:00Z`, local without a zone."""

    name = "point"

    def convert(
        self, value: str | Point, param: click.Parameter | None, ctx: click.Context | None
    ) -> Point:
        """Return the version or the time."""
        # Only where one was given: with it comes all of the administration.
        from bridge.api.points import parse_point

        if not isinstance(value, str):
            return value
        try:
            return parse_point(value.strip(), local=True)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class TimeType(click.ParamType[int]):
    """A time such as `2026-11-25T10:00:00Z`, local without a zone; in µs since the epoch."""

    name = "time"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Return the time."""
        if isinstance(value, int):
            return value
        point = POINT.convert(value, param, ctx)
        if point.kind != "time":
            self.fail(f"{value!r} is not a time such as 2026-11-25T10:00:00Z", param, ctx)
        return point.number


POINT = PointType()
TIME = TimeType()
