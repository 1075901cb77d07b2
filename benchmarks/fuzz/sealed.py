"""The target of sealed frames: taken apart, and opened with keys that the inputs do not know."""

from __future__ import annotations

from benchmarks.fuzz.target import Run, Target, require
from bridge.core.refusal import Refusal
from bridge.security.frame import Algorithm, Frame, parse_frame
from bridge.security.sealing import DeviceKey, Opener, Sealer

DEVICE = "lamp-1"
TOPIC = "sync/lamp-1/report"
KEYS = (
    DeviceKey(DEVICE, 1, Algorithm.AES_256_GCM, bytes(range(32))),
    DeviceKey(DEVICE, 2, Algorithm.CHACHA20_POLY1305, bytes(range(32, 64))),
)
CONTENTS = (b"{}", b'{"on":true}', b"")

_OPENERS_KEPT = 64


def authentic() -> list[bytes]:
    """Return frames that were really sealed, always the same."""
    frames = []
    for key in KEYS:
        sealer = Sealer(key, "up", TOPIC, bytes([key.key_id]) * 16)
        frames += [sealer.seal(content) for content in CONTENTS]
    return frames


def _make() -> Run:
    sealed = {
        (frame.key_id, frame.boot, frame.seq): content
        for data, content in zip(authentic(), CONTENTS * len(KEYS), strict=True)
        if isinstance(frame := parse_frame(data), Frame)
    }
    opener = Opener(_OPENERS_KEPT)

    def run(data: bytes) -> None:
        frame = parse_frame(data)
        opened = opener.open(data, KEYS, "up", TOPIC)
        if isinstance(frame, Refusal):
            require(opened == frame, "what is no frame is not opened")
            return
        if isinstance(opened, Refusal):
            require(opened.code == 401, "a frame that cannot be opened is not valid")
            return
        made = sealed.get((opened.key_id, opened.boot, opened.seq))
        require(made == opened.payload, "nothing opens but what was sealed")
        require(len(opener) <= _OPENERS_KEPT, "what is kept of keys is bounded")

    return run


TARGETS = (
    Target(
        "sealed",
        _make,
        1_000_000,
        (b"\xc7\x2e\x10\x01", b"\xc8\x00\x30\x10", bytes(16), b"\x01" * 16, b"\x02" * 16),
        length_max=256,
    ),
)
