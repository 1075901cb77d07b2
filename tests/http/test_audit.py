"""What clients of the HTTP API do that the audit trail tells of."""

from __future__ import annotations

from bridge.store.audit import AuditFilter, AuditRow
from tests.http.served import Served
from tests.http.test_tokens import run


def acts(served: Served, target: str) -> list[AuditRow]:
    """What was done to something, the oldest first."""
    wanted = AuditFilter(target=target)
    return served.store(lambda store: store.audit(100, None, wanted))[::-1]


def test_deletions_and_rollbacks_are_written(served: Served) -> None:
    """With the principal, and what came of it; what was refused too."""
    path = "/v1/twins/audited-1"
    for number in (1, 2):
        served.ask("PATCH", f"{path}/desired", json={"a": number})
    assert served.ask("POST", f"{path}/rollback", json={"to": 1}).status_code == 200
    assert served.ask("DELETE", path).status_code == 200
    assert served.ask("DELETE", path).status_code == 404
    found = acts(served, "audited-1")
    assert [(row.via, row.who, row.act, row.outcome) for row in found] == [
        ("http", "http", "twin.rollback", "done"),
        ("http", "http", "twin.delete", "done"),
        ("http", "http", "twin.delete", "refused 404 no_such_twin"),
    ]


def test_clients_do_not_see_the_trail(served: Served) -> None:
    """It is on the administration socket only."""
    assert served.ask("GET", "/v1/audit").status_code == 404
    assert "twin.delete" in run(served, "audit", "--on", "audited-1")
