"""The Mosquitto that the operations document describes."""

from __future__ import annotations

from pathlib import Path

from tests.docs.markdown import Document
from tests.support.mosquitto import Mosquitto, write_passwords

OPERATIONS = Document("operations.md")

USERS = ("syncbridge", "app", "lamp-1", "lamp-2", "doctor")
PASSWORD = "a password for tests"  # noqa: S105


def only_block(kind: str) -> str:
    """Return the one block of a kind."""
    (block,) = OPERATIONS.blocks(kind)
    return block.text


class DocumentedMosquitto(Mosquitto):
    """A Mosquitto with the document's configuration, moved to a directory and port of the test."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        text = only_block("mosquitto").replace("listener 1883 ", f"listener {self.port} ")
        text = text.replace("/etc/mosquitto/", f"{directory}/")
        text = text.replace("/var/lib/mosquitto/", f"{directory}/")
        assert str(self.port) in text
        # As in `Mosquitto`: else it could not write to a directory of root's.
        (directory / "mosquitto.conf").write_text(text + "\nuser root\n")
        (directory / "acl").write_text(only_block("acl") + "\n")
        write_passwords(directory / "passwords", dict.fromkeys(USERS, PASSWORD))
