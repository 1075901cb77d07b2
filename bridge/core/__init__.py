"""The pure heart of the bridge: no input or output, no clock, no randomness.

Time is an argument, and what should happen is a return value. Imports only the standard library
(a test enforces both).
"""
