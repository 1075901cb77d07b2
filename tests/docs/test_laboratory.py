"""The laboratory, pasted as it stands into a shell, prints what its document shows."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, Document
from tests.support.mosquitto import free_port
from tests.support.services import require_program

LABORATORY = Document("laboratory.md")
WAIT_S = 300.0
"""All of it takes half a minute on a machine that has something else to do."""

_PORTS = ("8883", "8443")
_FENCE = "---- the end of a block"


def blocks() -> list[tuple[str, str]]:
    """Return what is pasted, each with what is shown below it, or nothing."""
    both = sorted([*LABORATORY.blocks("sh"), *LABORATORY.blocks("text")], key=lambda b: b.line)
    pairs = []
    for block, following in zip(both, [*both[1:], None], strict=True):
        if block.kind == "sh":
            shown = following.text if following and following.kind == "text" else ""
            pairs.append((block.text, shown))
    return pairs


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """A PATH on which the installed programs are those of this checkout."""
    directory = tmp_path / "programs"
    directory.mkdir()
    python = sys.executable
    for name, words in (
        ("syncbridge", "-m bridge"),
        ("device-sim", "-m device_sim"),
        ("python3", ""),
    ):
        file = directory / name
        file.write_text(f'#!/bin/sh\nexec "{python}" {words} "$@"\n')
        file.chmod(0o755)
    for name in ("mosquitto", "mosquitto_passwd", "mosquitto_sub"):
        path = Path(require_program(name))
        (directory / name).symlink_to(path)
    if shutil.which("curl") is None or shutil.which("openssl") is None:
        pytest.fail("the laboratory needs curl and openssl")
    return f"{directory}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def pasted(programs: str, tmp_path: Path) -> Iterator[tuple[list[str], str]]:
    """What each block has printed, and what is said beside it."""
    directory = tmp_path / "laboratory"
    directory.mkdir()
    lines = ["trap 'kill $BROKER $BRIDGE 2> /dev/null' EXIT"]
    for text, _ in blocks():
        lines += [text, f"echo '{_FENCE}'"]
    script = "\n".join(lines) + "\n"
    for port in _PORTS:
        assert port in script
        script = script.replace(port, str(free_port()))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("SYNCBRIDGE_")
    }
    shell = subprocess.Popen(
        [require_program("bash")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=directory,
        env=environment | {"PATH": programs, "PYTHONPATH": str(ROOT)},
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(script, timeout=WAIT_S)
        log = directory / "bridge.log"
        yield out.split(f"{_FENCE}\n"), err + (log.read_text() if log.exists() else "")
    finally:
        # All that it has started, where it did not come to its end.
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.communicate()


def without_lengths(text: str) -> str:
    """The same without the lengths of sealed bytes, in which there are times."""
    return re.sub(r"\bc7..(?=10)", "c7..", text)


def test_the_laboratory_prints_what_the_document_shows(
    pasted: tuple[list[str], str],
) -> None:
    """Block by block, each device, the operator and what the broker refuses."""
    printed, said = pasted
    expected = [shown + "\n" if shown else "" for _, shown in blocks()]
    assert len(printed) == len(expected) + 1, said
    for text, shown in zip(printed, expected, strict=False):
        assert without_lengths(text) == without_lengths(shown), said
    assert sum(map(bool, expected)) == 8
