"""How what happens is counted and measured."""

from __future__ import annotations

from bridge import metrics


def test_an_observation_falls_into_the_first_bucket_that_holds_it() -> None:
    """A bound belongs to its bucket; what is beyond the last one is counted too."""
    histogram = metrics.Histogram((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 6, 1000):
        histogram.observe(value)
    assert histogram.counts == (2, 2, 1, 2)
    assert histogram.total == 1015.5


def test_the_bounds_rise() -> None:
    """Else a bucket would never be hit."""
    for bounds in (metrics.STAGE_BOUNDS_S, metrics.SIZE_BOUNDS):
        assert list(bounds) == sorted(set(bounds))


class Noted:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def stage(self, name: str, began: float, ended: float) -> None:
        """Note a stage."""
        self.told.append(("stage", name, began, ended))

    def work(self, name: str, began: float, ended: float, size: int) -> None:
        """Note work."""
        self.told.append(("work", name, began, ended, size))

    def alone(self, name: str, began: float, ended: float) -> None:
        """Note a stage that stands alone."""
        self.told.append(("alone", name, began, ended))


def test_stages_are_measured_and_told() -> None:
    """The end of one is where the next may begin."""
    times = iter((1.0, 3.0, 7.0, 8.0, 9.0))
    stages = metrics.Stages(lambda: next(times))
    stages.trace = trace = Noted()
    at = stages.since(metrics.RECONCILE, stages.clock())
    stages.since(metrics.ENCODE, at)
    stages.done(metrics.BATCH, 1.0, 4)
    stages.alone(metrics.PUBLISH, 3.0)
    assert stages.histograms[metrics.RECONCILE].total == 2
    assert stages.histograms[metrics.ENCODE].total == 4
    assert stages.histograms[metrics.BATCH].total == 7
    assert stages.histograms[metrics.PUBLISH].total == 6
    assert trace.told == [
        ("stage", "reconcile", 1.0, 3.0),
        ("stage", "encode", 3.0, 7.0),
        ("work", "batch", 1.0, 8.0, 4),
        ("alone", "publish", 3.0, 9.0),
    ]
