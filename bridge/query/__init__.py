"""Queries over twins: a `where` in the language of SQL, as a small tree of its own."""

from bridge.query.language import parse_where

__all__ = ["parse_where"]
