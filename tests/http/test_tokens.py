"""Tokens and permissions: who may do what over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.api.tokens import token_hash
from bridge.cli.group import syncbridge
from bridge.config import PermissionsConfig
from bridge.http.authentication import CHECKED_AGAIN_S
from tests.http.served import Served, http_config, serving
from tests.support.mosquitto import Mosquitto

PERMISSIONS = """\
principals: [anna, bert]
rules:
  anna:
    "*":
      reported.**: read write
      desired.**: read write
  bert:
    lamp-1:
      reported.on: read
      desired.on: read write
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bridge with permissions."""
    directory: Path = tmp_path_factory.mktemp("guarded")
    file = directory / "permissions.yaml"
    file.write_text(PERMISSIONS)
    with Mosquitto(directory / "mosquitto") as broker:
        permissions = PermissionsConfig(file=file)
        http = {"metrics": "bert, prometheus"}
        config = http_config(broker, directory, permissions=permissions, http=http)
        with serving(config) as running:
            yield running


def make_token(served: Served, principal: str) -> str:
    """A new token, made as an operator does."""
    result = run(served, "tokens", "create", principal)
    return result.splitlines()[0]


def run(served: Served, *words: str, status: int = 0) -> str:
    """What a command prints to its standard output."""
    store = str(served.bridge.config.store.path)
    result = CliRunner().invoke(syncbridge, [*words, "--store", store])
    assert result.exit_code == status, result.output
    return result.stdout


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_without_a_token_only_health_is_told(guarded: Served) -> None:
    """401 names the scheme."""
    for path in ("/v1/twins", "/v1/twins/lamp-1", "/v1/events", "/v1/quarantine"):
        answer = guarded.ask("GET", path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded.ask("GET", "/healthz").status_code == 200
    assert guarded.ask("GET", "/readyz").status_code == 200


def test_metrics_are_for_those_who_are_named(guarded: Served) -> None:
    """By token, whatever else the principal may do; in the form that is asked for."""
    anna, bert = bearer(make_token(guarded, "anna")), bearer(make_token(guarded, "bert"))
    assert guarded.ask("GET", "/metrics").status_code == 401
    refused = guarded.ask("GET", "/metrics", headers=anna)
    assert (refused.status_code, refused.json()["error"]) == (403, "forbidden")
    read = guarded.ask("GET", "/metrics", headers=bert)
    assert (read.status_code, "syncbridge_twins" in read.text) == (200, True)
    assert read.headers["content-type"].startswith("text/plain")
    openmetrics = {**bert, "Accept": "application/openmetrics-text"}
    read = guarded.ask("GET", "/metrics", headers=openmetrics)
    assert read.text.endswith("# EOF\n")


@pytest.mark.parametrize("permitted", [True, False])
def test_metrics_are_for_everyone_where_the_configuration_says_so(
    mosquitto: Mosquitto, tmp_path: Path, permitted: bool
) -> None:
    """Or where there are no permissions."""
    file = tmp_path / "permissions.yaml"
    file.write_text(PERMISSIONS)
    sections = {"permissions": PermissionsConfig(file=file)} if permitted else {}
    http = {"metrics": "*"} if permitted else {}
    config = http_config(mosquitto, tmp_path, http=http, **sections)
    with serving(config) as served:
        assert served.ask("GET", "/metrics").status_code == 200
        assert served.ask("GET", "/v1/twins").status_code == (401 if permitted else 200)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer sbt_0123456789ab_x", "Bearer " + "x" * 5000],
)
def test_what_is_no_token_is_refused(guarded: Served, header: str) -> None:
    """401, whatever it is."""
    answer = guarded.ask("GET", "/v1/twins", headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_token_may_do_what_its_principal_may(guarded: Served) -> None:
    """By path, for reading and for writing; the writer is the principal."""
    anna, bert = bearer(make_token(guarded, "anna")), bearer(make_token(guarded, "bert"))
    path = "/v1/twins/lamp-1"
    put = guarded.ask("PUT", f"{path}/desired", json={"on": True, "scene": "x"}, headers=anna)
    assert put.status_code == 200, put.text
    read = guarded.ask("GET", path, headers=bert).json()
    assert read["desired"] == {"on": True}
    allowed = guarded.ask("PATCH", f"{path}/desired", json={"on": False}, headers=bert)
    assert allowed.status_code == 200
    denied = guarded.ask("PATCH", f"{path}/desired", json={"scene": "y"}, headers=bert)
    assert (denied.status_code, denied.json()["error"]) == (403, "forbidden")
    assert guarded.ask("DELETE", path, headers=bert).status_code == 403
    assert guarded.ask("GET", f"{path}/history", headers=bert).status_code == 403
    assert guarded.ask("GET", "/v1/twins/lamp-2", headers=bert).status_code == 403
    patch = [{"op": "replace", "path": "/on", "value": True}]
    peek = {**bert, "Content-Type": "application/json-patch+json"}
    assert guarded.ask("PATCH", f"{path}/desired", json=patch, headers=peek).status_code == 403
    history = guarded.ask("GET", f"{path}/history", headers=anna).json()["history"]
    assert [row["writer"] for row in history] == ["bert", "anna"]


def test_a_list_holds_what_may_be_read(guarded: Served) -> None:
    """Of other twins not even their names."""
    anna, bert = bearer(make_token(guarded, "anna")), bearer(make_token(guarded, "bert"))
    for device in ("lamp-1", "lamp-7"):
        guarded.ask("PUT", f"/v1/twins/{device}/desired", json={"on": 1, "s": 2}, headers=anna)
    listed = guarded.ask("GET", "/v1/twins", headers=bert).json()["twins"]
    assert [(twin["device"], twin["desired"]) for twin in listed] == [("lamp-1", {"on": 1})]


def test_a_revoked_token_is_refused(guarded: Served) -> None:
    """Within the time that the document says."""
    token = make_token(guarded, "anna")
    assert guarded.ask("GET", "/v1/twins", headers=bearer(token)).status_code == 200
    run(guarded, "tokens", "revoke", token.split("_")[1])
    deadline = time.monotonic() + 20 * CHECKED_AGAIN_S
    while guarded.ask("GET", "/v1/twins", headers=bearer(token)).status_code == 200:
        assert time.monotonic() < deadline
    run(guarded, "tokens", "revoke", token.split("_")[1], status=1)


def test_an_expired_token_is_refused(guarded: Served) -> None:
    """By the bridge's own clock."""
    token = make_token(guarded, "anna")

    def expire(store: object) -> None:
        store._connection.execute("UPDATE token SET expires_at = 1")  # type: ignore[attr-defined]

    guarded.store(expire)
    answer = guarded.ask("GET", "/v1/twins", headers=bearer(token))
    assert (answer.status_code, answer.json()["detail"]) == (401, "the token has expired")


def test_the_store_holds_no_token_but_its_hash(guarded: Served) -> None:
    """Neither does the list."""
    token = make_token(guarded, "anna")
    rows = guarded.store(lambda store: store.list_tokens())
    assert token_hash(token) in {row.hash for row in rows}
    guarded.store(lambda store: store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)"))  # type: ignore[attr-defined]
    secret = token.split("_", 2)[2]
    assert secret.encode() not in guarded.bridge.config.store.path.read_bytes()
    assert secret not in run(guarded, "tokens", "list")
