"""Queries over twins: a `where` in the language of SQL, as a small tree of its own.

Nothing is imported here: terms are used everywhere, and what reads the language, `language`,
takes longer to import than most commands to run.
"""
