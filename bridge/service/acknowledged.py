"""Which versions the broker has acknowledged, until that is written down."""

from __future__ import annotations

from collections.abc import Container

from bridge.core.topics import TwinKey


class Acknowledged:
    """Versions that the broker has and of which the store does not know that yet.

    A twin that changes again within moments is not worth two writes to the store each time: what
    was acknowledged is handed out only after the next call found it unchanged. After a crash some
    twins are then published once more, as they are.
    """

    def __init__(self) -> None:
        self._lately: dict[TwinKey, int] = {}
        self._earlier: dict[TwinKey, int] = {}

    def __len__(self) -> int:
        """Return how many twins wait to be handed out."""
        return len(self._lately) + len(self._earlier)

    def has(self, key: TwinKey, version: int) -> bool:
        """Tell whether the broker is known to have this version, or a newer one."""
        return max(self._lately.get(key, 0), self._earlier.get(key, 0)) >= version

    def add(self, key: TwinKey, version: int) -> None:
        """Note that the broker has this version."""
        self._lately[key] = version

    def take_settled(self, on_their_way: Container[TwinKey]) -> list[tuple[TwinKey, int]]:
        """Return, once, what was acknowledged before the last call and has not changed since.

        Args:
            on_their_way: Twins of which a newer version waits for the broker.
        """
        lately = self._lately
        settled = [
            (key, version)
            for key, version in self._earlier.items()
            if key not in lately and key not in on_their_way
        ]
        self._earlier, self._lately = lately, {}
        return settled

    def take_all(self) -> list[tuple[TwinKey, int]]:
        """Return, once, everything."""
        everything = list((self._earlier | self._lately).items())
        self._earlier, self._lately = {}, {}
        return everything

    def give_back(self, taken: list[tuple[TwinKey, int]]) -> None:
        """Take back what could not be written down."""
        for key, version in taken:
            self._earlier[key] = max(version, self._earlier.get(key, 0))
