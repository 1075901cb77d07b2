"""Bytes to updates, and back: encodings, wrappers and the limits on what arrives.

Nothing here raises for what a device sent; it answers with a `bridge.core.refusal.Refusal`.
"""
