"""The commands in the document on HTTP print what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from bridge.config import HttpConfig
from tests.docs.markdown import Document
from tests.http.served import http_config, serving
from tests.support.mosquitto import Mosquitto

HTTP = Document("http.md")


def test_every_command_prints_what_is_shown(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """In their order, on one bridge; an ellipsis stands for a time."""
    blocks = sorted([*HTTP.blocks("sh"), *HTTP.blocks("text")], key=lambda block: block.line)
    pairs = list(zip(blocks[::2], blocks[1::2], strict=True))
    assert len(pairs) == 11
    with serving(http_config(mosquitto, tmp_path)) as served:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SYNCBRIDGE_STORE_PATH": str(served.bridge.config.store.path),
        }
        for commands, shown in pairs:
            assert (commands.kind, shown.kind) == ("sh", "text")
            script = commands.text.replace("localhost:8080", f"localhost:{served.port}")
            script = script.replace("syncbridge ", f"{sys.executable} -m bridge ")
            printed = subprocess.run(
                ["bash", "-euc", script], env=environment, capture_output=True, text=True
            )
            assert printed.returncode == 0, printed.stderr
            found = printed.stdout.replace("}{", "}\n{").strip()
            pattern = re.escape(shown.text.strip()).replace("…", "[0-9]+")
            assert re.fullmatch(pattern, found), f"{commands.text}\n{found}"


def test_the_configuration_is_one() -> None:
    """What switches it on."""
    (block,) = HTTP.blocks("yaml")
    assert HttpConfig(**yaml.safe_load(block.text)["http"]).listen == "127.0.0.1:8080"
