"""`syncbridge delete`, with a real bridge."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.cli.status import ExitStatus
from tests.cli.conftest import Installation, Run
from tests.cli.program import WAIT_S, environment


def test_a_twin_is_deleted(call: Run) -> None:
    """And its version lives on."""
    call("set", "delete-lamp", "desired.on=true")
    done = call("delete", "delete-lamp", "--yes")
    assert done == (ExitStatus.OK, "delete-lamp deleted at version 2\n", "")
    assert call("get", "delete-lamp").status == ExitStatus.NOT_FOUND
    assert call("delete", "delete-lamp", "--yes").status == ExitStatus.NOT_FOUND
    assert call("set", "delete-lamp", "desired.on=true").out == "delete-lamp version 3\n"


def test_only_the_twin_of_that_name_is_deleted(call: Run) -> None:
    """Each is a document of its own."""
    call("set", "delete-two", "desired.on=true")
    call("set", "delete-two", "--name", "net", "desired.on=true")
    out = call("delete", "delete-two", "--name", "net", "--yes", "--json").out
    assert json.loads(out) == {
        "device": "delete-two",
        "name": "net",
        "version": 2,
        "changed": True,
        "superseded": False,
    }
    assert call("get", "delete-two").status == ExitStatus.OK
    assert call("get", "delete-two", "--name", "net").status == ExitStatus.NOT_FOUND


def test_where_nobody_can_be_asked_yes_is_needed(run: Run) -> None:
    """A script that forgot it deletes nothing."""
    status, _, err = run("delete", "lamp-1")
    assert status == ExitStatus.USAGE
    assert "--yes" in err


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"n\n", ExitStatus.FAILURE), (b"\n", ExitStatus.FAILURE), (b"y\n", ExitStatus.OK)],
)
def test_a_person_is_asked(
    installation: Installation, call: Run, tmp_path: Path, answer: bytes, status: ExitStatus
) -> None:
    """On a terminal; only yes is yes."""
    call("set", "delete-asked", "desired.on=true")
    mine, theirs = pty.openpty()
    command = ["-m", "bridge", "--broker", installation.url, "delete", "delete-asked"]
    process = subprocess.Popen(
        [sys.executable, *command], cwd=tmp_path, env=environment(), stdin=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        os.write(mine, answer)
        assert process.wait(WAIT_S) == status
        asked = os.read(mine, 4096).decode()
    finally:
        os.close(mine)
    assert "Delete the twin delete-asked?" in asked
    kept = call("get", "delete-asked").status == ExitStatus.OK
    assert kept == (status != ExitStatus.OK)
