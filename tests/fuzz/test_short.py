"""A few seconds of fuzzing, without guidance; and that it finds what it is meant to find."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from benchmarks.fuzz import planted
from benchmarks.fuzz.corpus import read_corpus
from benchmarks.fuzz.enrolment import authentic
from benchmarks.fuzz.plain import Outcome, fuzz
from benchmarks.fuzz.target import Broken, Target
from benchmarks.fuzz.targets import TARGETS
from bridge.core.limits import Limits
from bridge.device.payload import decode
from bridge.security.enrolment import EnrolRequest, Grant
from bridge.wire import deflate, msgpack_codec
from bridge.wire.inbound import decode_body
from tests.docs.markdown import ROOT

SHARE = 200
"""Of what `make fuzz` executes one in so many is executed here."""

SECONDS_AT_MOST = 60.0


def short(target: Target) -> Outcome:
    """Run a target for a moment; its corpus is always tried whole."""
    corpus = read_corpus(target.name)
    executions = len(corpus) + target.executions // SHARE
    return fuzz(target, corpus, executions=executions, seconds=SECONDS_AT_MOST, seed=1)


# The codec leaves the error behind that made it panic, which the link has caught.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_end_as_documented(name: str) -> None:
    """The corpus as it is, and mutations of it."""
    outcome = short(TARGETS[name])
    assert outcome.error is None, f"{outcome.error!r} after {outcome.finding!r}"


def test_every_target_has_a_corpus_and_no_corpus_is_left_over() -> None:
    """From nothing, mutations come nowhere."""
    files = {path.stem for path in (ROOT / "tests" / "data" / "fuzz").glob("*.txt")}
    assert files == {*TARGETS, planted.TARGET.name}
    assert all(read_corpus(name) for name in files)


def test_what_is_authentic_is_in_the_corpus_of_enrolment() -> None:
    """Mutations of nothing but refused inputs would not come as far as the signatures."""
    requests = [decode_body(data, Limits()).state for data in read_corpus("enrolment")]
    answers = [decode(data) for data in read_corpus("grant")]
    for made in authentic():
        assert made.request in map(EnrolRequest.read, requests)
        assert made.grant in map(Grant.read, answers)


def test_a_planted_bug_is_found() -> None:
    """A decoder that believes a length, and reads beyond the end."""
    corpus = read_corpus(planted.TARGET.name)
    outcome = fuzz(planted.TARGET, corpus, executions=20_000, seconds=SECONDS_AT_MOST, seed=1)
    assert isinstance(outcome.error, IndexError)
    assert outcome.finding is not None
    assert outcome.finding.startswith(planted.HEAD)


def test_a_bug_in_a_real_decoder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The targets catch the documented errors, and nothing else."""
    parse = msgpack_codec.parse

    def with_bug(payload: bytes) -> object:
        if payload[0] == 0x8F:
            raise IndexError("planted")
        return parse(payload)

    monkeypatch.setattr(msgpack_codec, "parse", with_bug)
    outcome = short(TARGETS["msgpack"])
    assert isinstance(outcome.error, IndexError)


def test_a_bound_that_is_not_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is taken is looked at, too."""
    monkeypatch.setattr(deflate, "expand", lambda data, *_: zlib.decompress(data, 47))
    assert isinstance(short(TARGETS["expand"]).error, Broken | zlib.error)


def test_a_finding_is_saved_and_shown_again_by_its_command(tmp_path: Path) -> None:
    """As `make fuzz` does it, in a process with bounded memory."""
    command = [sys.executable, "-m", "benchmarks.fuzz"]
    found = subprocess.run(
        [*command, "--plain", "--only", "planted", "--percent", "10", "--findings", tmp_path],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 1, found.stderr
    assert re.search(r"1 findings, at most [1-9]\d* MiB", found.stdout)
    (again,) = re.findall(r"again: python (.+)", found.stdout)

    replayed = subprocess.run(
        [sys.executable, *shlex.split(again)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert replayed.returncode == 1
    assert "IndexError" in replayed.stderr
