"""What protects the payloads themselves: sealed frames, and the keys that they are sealed with.

Nothing here raises for what arrived; it answers with a `bridge.core.refusal.Refusal`.
"""
