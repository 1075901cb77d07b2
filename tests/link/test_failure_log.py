"""What an operator reads while the broker is away."""

from __future__ import annotations

from structlog.testing import capture_logs

from bridge.errors import ConnectRefused
from bridge.link.failure_log import REPEAT_INTERVAL_S, FailureLog


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _levels(lines: list[dict[str, object]]) -> list[object]:
    return [line["log_level"] for line in lines]


def test_the_same_again_is_quiet_until_the_interval_is_over() -> None:
    """Shown at once, then once in an interval; the attempts are counted throughout."""
    clock = _Clock()
    log = FailureLog(clock)
    with capture_logs() as lines:
        for _ in range(3):
            log.failed(ConnectRefused("a", hint="b"), 1.0)
            clock.now += REPEAT_INTERVAL_S / 2

    assert _levels(lines) == ["warning", "debug", "warning"]  # type: ignore[arg-type]
    assert [line["attempts"] for line in lines] == [1, 2, 3]
    assert lines[0]["hint"] == "b"


def test_another_trouble_is_shown_at_once() -> None:
    """First the broker is down, then it refuses the login: both are news."""
    log = FailureLog(_Clock())
    with capture_logs() as lines:
        for message in ("a", "b", "b", "a"):
            log.failed(ConnectRefused(message), 1.0)

    assert _levels(lines) == ["warning", "warning", "debug", "warning"]  # type: ignore[arg-type]


def test_the_end_of_a_trouble_says_how_long_it_was() -> None:
    """From its beginning, and only once; the same trouble is news again afterwards."""
    clock = _Clock()
    log = FailureLog(clock)
    assert log.recovered() is None
    with capture_logs() as lines:
        log.failed(ConnectRefused("a"), 1.0)
        clock.now += 5
        log.failed(ConnectRefused("a"), 1.0)
        clock.now += 5
        assert log.recovered() == 10.0
        assert log.recovered() is None
        log.failed(ConnectRefused("a"), 1.0)

    assert _levels(lines) == ["warning", "debug", "warning"]  # type: ignore[arg-type]


def test_giving_up_is_an_error() -> None:
    """Always shown, with what to do."""
    with capture_logs() as lines:
        FailureLog(_Clock()).given_up(ConnectRefused("a", hint="b", recoverable=False))

    assert (lines[0]["log_level"], lines[0]["reason"], lines[0]["hint"]) == ("error", "a", "b")
