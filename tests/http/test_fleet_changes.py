"""Fleet changes over HTTP: stages, halts, pauses, undoing, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.api.acting import Actor
from bridge.config import PermissionsConfig
from tests.http.fleet import Fleet
from tests.http.served import Served, http_config, serving
from tests.http.test_tokens import bearer, make_token
from tests.support.mosquitto import Mosquitto

NIGHT = {"mode": "night"}


def test_a_change_goes_on_stage_by_stage_as_devices_converge(served: Served) -> None:
    """The next stage begins when all of the last are judged, and not before."""
    fleet = Fleet(served, "staged", 10)
    change = fleet.start(stages=[10, 50, 100], converge_within_s=3600)
    for stage, size, left in ((1, 1, 9), (2, 4, 5), (3, 5, 0)):
        shown = fleet.until(change, "waiting") if left else fleet.until_states(change, pending=0)
        assert (shown["stage"], shown["states"].get("pending", 0)) == (stage, left)
        assert shown["states"]["in_flight"] == size
        fleet.obey(change, NIGHT)
        fleet.until_states(change, converged=10 - left)
    shown = fleet.until(change, "done")
    assert [stage["states"] for stage in shown["stages"]] == [
        {"converged": 1},
        {"converged": 4},
        {"converged": 5},
    ]
    assert all(fleet.desired(device) == NIGHT for device in fleet.devices)


def test_a_device_that_holds_it_already_converges_at_once(served: Served) -> None:
    """It is desired of it all the same."""
    fleet = Fleet(served, "ready", 3)
    for device in fleet.devices:
        fleet.report(device, NIGHT)
    shown = fleet.until(fleet.start(), "done")
    assert shown["states"] == {"converged": 3}
    assert fleet.desired("ready-0") == NIGHT


def test_a_change_halts_where_devices_do_not_converge_and_goes_on_when_it_is_resumed(
    served: Served,
) -> None:
    """What has failed is accepted then; a device that was late has converged after all."""
    fleet = Fleet(served, "halting", 8)
    change = fleet.start(stages=[50, 100], converge_within_s=1, halt_at_percent=50)
    shown = fleet.until(change, "halted")
    assert shown["states"] == {"pending": 4, "timed_out": 4}
    assert shown["why"] == "4 of 4 devices of stage 1 failed: it halts at 50 %"
    written = fleet.in_state(change, "timed_out")
    untouched = set(fleet.devices) - set(written)
    assert all(fleet.desired(device) == {} for device in untouched)
    for device in written:
        fleet.report(device, NIGHT)
    for device in untouched:
        fleet.report(device, NIGHT)
    assert fleet.command(change, "resume")["why"] == ""
    shown = fleet.until(change, "done")
    assert shown["stages"][1]["states"] == {"converged": 4}


def test_an_undone_change_restores_what_nobody_has_written_since(served: Served) -> None:
    """Field by field; what was never written is not touched."""
    fleet = Fleet(served, "undoing", 6)
    fleet.desire("undoing-0", {"mode": "eco", "level": 3})
    patch = {"mode": "night", "level": 9, "timer": {"on": "22:00"}}
    change = fleet.start(patch=patch, halt_at_percent=100)
    fleet.until(change, "waiting")
    fleet.desire("undoing-1", {"mode": "party"})
    fleet.desire("undoing-2", {"mode": "a", "level": 1, "timer": {"on": "b"}})
    fleet.desire("undoing-3", {"timer": {"off": "6:00"}})
    fleet.obey(change, patch, but=["undoing-4"])
    fleet.command(change, "undo")
    shown = fleet.until(change, "undone")
    assert shown["states"] == {"undone": 5, "kept": 1}
    assert fleet.in_state(change, "kept") == {"undoing-2": "somebody else has written since"}
    assert {device: fleet.desired(device) for device in fleet.devices} == {
        "undoing-0": {"mode": "eco", "level": 3},
        "undoing-1": {"mode": "party"},
        "undoing-2": {"mode": "a", "level": 1, "timer": {"on": "b"}},
        "undoing-3": {"timer": {"off": "6:00"}},
        "undoing-4": {},
        "undoing-5": {},
    }


def test_a_paused_change_writes_nothing_until_it_is_resumed(served: Served) -> None:
    """What is in flight is judged all the same."""
    fleet = Fleet(served, "pausing", 6)
    change = fleet.start(stages=[50, 100], converge_within_s=3600)
    fleet.until_states(change, in_flight=3)
    assert fleet.command(change, "pause")["status"] == "paused"
    fleet.obey(change, NIGHT)
    shown = fleet.until_states(change, converged=3)
    assert (shown["status"], shown["states"]["pending"]) == ("paused", 3)
    answer = fleet.ask("POST", f"/fleet-changes/{change}/pause")
    assert answer.status_code == 409
    assert "is paused" in answer.json()["detail"]
    fleet.command(change, "resume")
    shown = fleet.until_states(change, in_flight=3)
    assert shown["stage"] == 2


def test_what_somebody_else_desires_meanwhile_is_neither_converged_nor_failed(
    served: Served,
) -> None:
    """And a twin that is deleted before its turn is passed over."""
    fleet = Fleet(served, "others", 4)
    change = fleet.start(stages=[50, 100], converge_within_s=3600)
    fleet.until_states(change, in_flight=2)
    one, other = fleet.in_state(change, "in_flight")
    (gone, *_) = fleet.in_state(change, "pending")
    assert fleet.ask("DELETE", f"/twins/{gone}").status_code == 200
    fleet.desire(one, {"mode": "party"})
    fleet.report(other, NIGHT)
    shown = fleet.until_states(change, in_flight=1, skipped=1)
    assert shown["states"] == {"in_flight": 1, "converged": 1, "overwritten": 1, "skipped": 1}
    assert fleet.in_state(change, "skipped") == {gone: "the twin was deleted"}
    assert fleet.ask("GET", f"/twins/{gone}").status_code == 404


def test_a_dry_run_changes_nothing(served: Served) -> None:
    """And is not kept."""
    fleet = Fleet(served, "dry", 40)
    answer = fleet.order(dry_run=True, stages=[5, 25, 100])
    assert answer.status_code == 200
    shown = answer.json()
    assert (shown["status"], shown["targets"]) == ("planned", 40)
    assert [stage["targets"] for stage in shown["stages"]] == [2, 8, 30]
    assert fleet.desired("dry-0") == {}
    assert fleet.ask("GET", f"/fleet-changes/{shown['id']}").status_code == 404


@pytest.mark.parametrize(
    ("members", "status", "named"),
    [
        ({"where": "1; DROP TABLE twin"}, 400, "character"),
        ({"where": 7}, 400, "where"),
        ({"where": "device = 'nobody'"}, 422, "finds no device"),
        ({"patch": {}}, 400, "patch"),
        ({"patch": {"$": {"seq": 1}}}, 400, "$"),
        ({"patch": {"a": {"$b": 1}}}, 400, "$b"),
        ({"patch": {"a": 2**70}}, 400, "64 bits"),
        ({"stages": [10, 5, 100]}, 400, "stages"),
        ({"stages": "5,100"}, 400, "stages"),
        ({"pace_per_s": -1}, 400, "pace_per_s"),
        ({"halt_minimum": 1.5}, 400, "halt_minimum"),
        ({"converge_within_s": True}, 400, "converge_within_s"),
        ({"dry_run": "yes"}, 400, "dry_run"),
        ({"writer": "mallory"}, 400, "writer"),
        ({"halt_at": 5}, 400, "halt_at"),
    ],
)
def test_what_is_wrong_with_an_order_is_told(
    served: Served, members: dict[str, Any], status: int, named: str
) -> None:
    """As problem details, and nothing is begun."""
    fleet = Fleet(served, "refusing", 1)
    answer = fleet.order(**members)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert named in answer.json()["detail"] + answer.json().get("hint", "")
    assert fleet.desired("refusing-0") == {}


PERMISSIONS = """\
principals: [anna, bert, carl]
rules:
  anna:
    "*":
      reported.**: read write
      desired.**: read write
  bert:
    "mine-*":
      reported.**: read write
      desired.**: read
      desired.mode: read write
    "mine-3":
      desired.mode: deny write
    "secret-*":
      reported.open: read
      desired.mode: read write
  carl:
    "mine-*":
      reported.**: read
      desired.**: read write
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A bridge with permissions."""
    directory: Path = tmp_path_factory.mktemp("guarded")
    file = directory / "permissions.yaml"
    file.write_text(PERMISSIONS)
    with Mosquitto(directory / "mosquitto") as broker:
        config = http_config(broker, directory, permissions=PermissionsConfig(file=file))
        with serving(config) as running:
            yield running


def test_a_change_is_refused_whole_where_one_device_may_not_be_written(guarded: Served) -> None:
    """The device is named; without it the change is made, in the name of who asked."""
    anna = Fleet(guarded, "mine", 5, bearer(make_token(guarded, "anna")))
    secret = Fleet(guarded, "secret", 2, anna.headers)
    bert = Fleet(guarded, "mine", 0, bearer(make_token(guarded, "bert")))
    answer = bert.order()
    assert answer.status_code == 403
    assert "bert may not write desired.mode of mine-3" in answer.json()["detail"]
    assert anna.desired("mine-0") == {}
    # Of twins that bert may not read whole it is not even told whether they are found.
    assert bert.order(where=secret.where).status_code == 422
    change = bert.start(
        where="(device GLOB 'mine-*' OR device GLOB 'secret-*') AND device != 'mine-3'"
    )
    assert bert.until(change, "waiting")["targets"] == 4
    assert secret.desired("secret-0") == {}
    history = anna.ask("GET", "/twins/mine-0/history").json()["history"]
    assert (history[0]["writer"], history[0]["patch"]) == ("bert", NIGHT)


def test_a_change_is_seen_by_who_made_it_only(guarded: Served) -> None:
    """Over HTTP, where there are permissions."""
    carl = Fleet(guarded, "mine", 0, bearer(make_token(guarded, "carl")))
    anna = Fleet(guarded, "mine", 5, bearer(make_token(guarded, "anna")))
    change = carl.start(patch={"level": 1})
    carl.until(change, "waiting")
    assert [row["id"] for row in carl.ask("GET", "/fleet-changes").json()["fleet_changes"]] == [
        change
    ]
    assert change not in anna.ask("GET", "/fleet-changes").text
    for method, path in (("GET", ""), ("GET", "/devices"), ("POST", "/pause"), ("POST", "/undo")):
        assert anna.ask(method, f"/fleet-changes/{change}{path}").status_code == 404, path
    carl.command(change, "undo")
    carl.until(change, "undone")
    assert anna.desired("mine-0").get("level") is None


def test_a_change_over_http_is_held_against_the_permissions_whatever_it_says(
    guarded: Served,
) -> None:
    """Also each write of it against those of its time."""
    carl = Fleet(guarded, "mine", 0, bearer(make_token(guarded, "carl")))
    for member in ("judged", "writer", "principal"):
        assert carl.order(**{member: False}).status_code == 400
    change = carl.start(patch={"lux": 1}, stages=[20, 100], pace_per_s=1, converge_within_s=3600)
    carl.until(change, "waiting")
    stored = guarded.store(lambda store: store.fleet_changes.find(change))
    assert stored is not None
    assert (stored.judged, stored.principal) == (True, "carl")
    file = guarded.bridge.config.permissions.file
    assert file is not None
    reload = guarded.bridge.administrator.reload_permissions
    try:
        file.write_text(PERMISSIONS.replace("      desired.**: read write\n", "", 2))
        guarded.run(reload(Actor("socket", "operator")))
        [written] = carl.in_state(change, "in_flight")
        anna = Fleet(guarded, "mine", 0, bearer(make_token(guarded, "anna")))
        anna.report(written, {"lux": 1})
        carl.until_states(change, refused=1)
    finally:
        file.write_text(PERMISSIONS)
        guarded.run(reload(Actor("socket", "operator")))
