"""Torture: bridges, brokers and networks that fail all the time, and a checker that looks on.

`python -m benchmarks.torture --seed 1`, or `make torture SEED=1`; see docs/reliability.md.
"""
