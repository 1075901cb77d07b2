"""Spans for OpenTelemetry, made of what the stages tell.

They are made when a batch is done, with the times that were taken anyway: where nobody wants
traces, nothing is imported and nothing is called.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bridge import __version__
from bridge.config import TracingConfig
from bridge.errors import ConfigError
from bridge.metrics import Stages

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

SERVICE: Final = "syncbridge"
"""Name under which a trace shows the bridge, unless OTEL_SERVICE_NAME says another one."""

STAGES_KEPT: Final = 1000
"""Stages of one batch that are kept for its spans: one that is halved has some for each part."""

EXPORT_TIMEOUT_S: Final = 2
"""How long a collector may take; the end of the bridge waits for it that long."""

_NS_PER_S: Final = 1_000_000_000


class Spans:
    """Makes spans; see `bridge.metrics.Trace`.

    Args:
        tracer: Where they go.
        clock: The clock of the stages, in s.
    """

    def __init__(self, tracer: Tracer, clock: float) -> None:
        self._tracer = tracer
        self._epoch_ns = time.time_ns() - int(clock * _NS_PER_S)
        self._stages: list[tuple[str, float, float]] = []

    def stage(self, name: str, began: float, ended: float) -> None:
        """Keep a stage of the batch or the orders in hand."""
        if len(self._stages) < STAGES_KEPT:
            self._stages.append((name, began, ended))

    def work(self, name: str, began: float, ended: float, size: int) -> None:
        """Make a span of what was in hand, with one for each stage inside."""
        from opentelemetry.trace import set_span_in_context

        stages, self._stages = self._stages, []
        span = self._tracer.start_span(
            name, start_time=self._ns(began), attributes={f"{SERVICE}.size": size}
        )
        if span.is_recording():
            inside = set_span_in_context(span)
            for stage, stage_began, stage_ended in stages:
                self._tracer.start_span(
                    stage, context=inside, start_time=self._ns(stage_began)
                ).end(self._ns(stage_ended))
        span.end(self._ns(ended))

    def alone(self, name: str, began: float, ended: float) -> None:
        """Make a span that stands by itself."""
        self._tracer.start_span(name, start_time=self._ns(began)).end(self._ns(ended))

    def _ns(self, at: float) -> int:
        return self._epoch_ns + int(at * _NS_PER_S)


@contextlib.contextmanager
def tracing(config: TracingConfig, stages: Stages) -> Iterator[None]:
    """Send spans until the end of the block, if the settings say where to.

    Raises:
        ConfigError: OpenTelemetry is not installed.
    """
    if config.endpoint is None:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise ConfigError(
            f"traces cannot be sent: {error}",
            field="tracing.endpoint",
            hint="pip install 'syncbridge[tracing]', or leave tracing.endpoint out",
        ) from error
    resource = Resource.create({SERVICE_NAME: SERVICE, SERVICE_VERSION: __version__})
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(config.sample_ratio), resource=resource
    )
    exporter = OTLPSpanExporter(config.endpoint, timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    stages.trace = Spans(provider.get_tracer(SERVICE, __version__), stages.clock())
    try:
        yield
    finally:
        stages.trace = None
        provider.shutdown()
