"""Requests made from the OpenAPI document: no answer is an error of the program, or a surprise."""

from __future__ import annotations

from collections import Counter

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.http.served import Served

EXAMPLES = 6
"""Requests of each operation: some 30 operations."""

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)

# It never ends.
ENDLESS = "/v1/events"


def test_no_request_surprises(served: Served) -> None:
    """Every operation is tried, with what it allows and with what it does not."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    tried: Counter[str] = Counter()
    for result in schema.exclude(path=ENDLESS).get_all_operations():
        operation = result.ok()
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
        odd = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

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
            strategies = [cases] if not operation.path_parameters else [cases, odd]
            case = data.draw(st.one_of(strategies))  # noqa: B023 - called before the next round
            answer = case.call(session=served.session)
            case.validate_response(answer, checks=CHECKS)
            tried[operation.label] += 1  # noqa: B023

        try_one()
    assert len(tried) >= 25
    assert min(tried.values()) >= 1
