"""Requests made from the OpenAPI document: no answer is an error of the program, or a surprise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.served import Served

EXAMPLES = 6
"""Requests of each operation: some 30 operations."""

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]

# It never ends.
ENDLESS = "/v1/events"


def test_no_request_surprises(served: Served) -> None:
    """Every operation is tried, with what it allows and with what it does not."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    tried: Counter[str] = Counter()
    for result in schema.exclude(path=ENDLESS).get_all_operations():
        assert isinstance(result, Ok), result
        try_operation(served, result.ok(), tried)
    assert len(tried) >= 25
    assert min(tried.values()) >= 1


def try_operation(
    served: Served, operation: APIOperation[Any, Any, Any, Any], tried: Counter[str]
) -> None:
    """Send some requests of one operation."""
    modes = [schemathesis.GenerationMode.POSITIVE]
    if operation.path_parameters:
        modes.append(schemathesis.GenerationMode.NEGATIVE)
    strategies = [operation.as_strategy(generation_mode=mode) for mode in modes]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def try_one(data: st.DataObject) -> None:
        case = data.draw(st.one_of(strategies))
        answer = case.call(session=served.session)
        case.validate_response(answer, checks=CHECKS)
        tried[operation.label] += 1

    try_one()
