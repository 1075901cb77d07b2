"""The convergence checker: watches a system from outside, and decides what holds.

It shares no code with the bridge and none with the devices that it watches. As a library::

    ledger = Ledger("sync", is_complete=True)
    watcher = Watcher("sync", ledger, reads_updates=True)
    ...                                  # keep_connected(network, watcher, random), and wait
    verdict = judge(ledger, [watcher.sightings], twins=await export_store(path))
"""

from device_sim.checker.export import StoredTwin, export_store, read_export
from device_sim.checker.ledger import Answer, Ledger, Origin, Update, line, read_ledger
from device_sim.checker.sightings import Sightings
from device_sim.checker.verdict import Verdict, judge
from device_sim.checker.violation import Invariant, Violation
from device_sim.checker.watcher import Watcher, read_retained

__all__ = [
    "Answer",
    "Invariant",
    "Ledger",
    "Origin",
    "Sightings",
    "StoredTwin",
    "Update",
    "Verdict",
    "Violation",
    "Watcher",
    "export_store",
    "judge",
    "line",
    "read_export",
    "read_ledger",
    "read_retained",
]
