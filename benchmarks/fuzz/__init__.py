"""Fuzzing of everything that reads bytes: any input ends in a value or in the documented error.

`make fuzz` runs it whole, `tests/fuzz` a few seconds of it. docs/security.md has the figures.
"""
