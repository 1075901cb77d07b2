"""Keys that look alike: what is taken, what is refused, and what nobody mixes up."""

from __future__ import annotations
