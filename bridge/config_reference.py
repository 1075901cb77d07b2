"""The tables of `docs/configuration.md`, made from the declarations.

`python -m bridge.config_reference docs/configuration.md` brings the file up to date; a test fails
while it is not.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel

from bridge.config_models import Config
from bridge.config_settings import SECTIONS, SETTINGS, TABLES, Setting

BEGIN = "<!-- generated from bridge/config_models.py: do not edit below -->\n"
END = "<!-- end of what is generated -->\n"

_DAY_S = 86_400


def markdown() -> str:
    """Return one table for each section, with a heading."""
    everything = [*SETTINGS.values(), *TABLES.values()]
    general = [s for s in everything if "." not in s.name]
    parts = [_table("general", "What concerns everything.", general)]
    for name, field in Config.model_fields.items():
        if name in SECTIONS:
            model = field.annotation
            assert isinstance(model, type)  # noqa: S101  sections are models
            assert issubclass(model, BaseModel)  # noqa: S101
            inside = [s for s in everything if s.name.startswith(f"{name}.")]
            parts.append(_table(name, model.__doc__ or "", inside))
    return "\n".join(parts)


def updated(document: str) -> str:
    """Return a document with what stands between the two markers made anew.

    Raises:
        ValueError: A marker is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the lines {BEGIN.strip()!r} and {END.strip()!r} are expected")
    return f"{before}{BEGIN}\n{markdown()}\n{END}{after}"


def _table(name: str, about: str, settings: Iterable[Setting]) -> str:
    lines = [
        f"### {name}",
        "",
        about,
        "",
        "| setting | default | allowed | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| `{s.name}` | {_default(s)} | {s.allowed} | {s.description} |" for s in settings]
    return "\n".join(lines) + "\n"


def _default(setting: Setting) -> str:
    if not setting.default:
        return "not set"
    return f"`{setting.default}`{_readable(setting)}"


def _readable(setting: Setting) -> str:
    """Return a large default again in a unit that people think in."""
    if setting.name.endswith("_bytes"):
        size = int(setting.default)
        for unit, factor in (("MiB", 1024 * 1024), ("KiB", 1024)):
            if size % factor == 0:
                return f" ({size // factor} {unit})"
    if setting.name.endswith("_s"):
        days, rest_s = divmod(float(setting.default), _DAY_S)
        if days and not rest_s:
            return f" ({int(days)} days)"
    return ""


def main(arguments: list[str]) -> None:
    """Bring the files up to date."""
    for name in arguments:
        path = Path(name)
        path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
