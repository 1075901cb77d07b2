"""What the policies say of a message before anything of it is taken: it may be refused whole."""

from __future__ import annotations

from typing import Any

from tests.reference.policies import AGGREGATES, Path, Write, fits, is_in_range, show
from tests.reference.section import NOBODY, Message, ModelSection, is_same_regime
from tests.reference.values import leaves, same, value_at


class Refused(Exception):
    """A message that a policy refuses: code and error of the answer."""

    def __init__(self, code: int, error: str) -> None:
        super().__init__(error)
        self.code = code
        self.error = error


class Screening:
    """One message held against the policies of its section.

    Args:
        section: What is there.
        message: What has come.

    Attributes:
        kept: Path at which `first` keeps what is there -> the newest write there that the writer
            had not seen.

    Raises:
        Refused: A policy refuses the message.
    """

    def __init__(self, section: ModelSection, message: Message) -> None:
        self.section = section
        self.message = message
        self.kept: dict[Path, Write] = {}
        if message.full and not self._is_shadowed(("",)):
            self._protect((), dict(leaves(message.patch)))
        for path, value in leaves(message.patch):
            if not isinstance(value, dict):
                self._look_at(path, value)

    def _look_at(self, path: Path, value: Any) -> None:
        """Look at a value or a removal; `{}` is subject to no policy."""
        policy = self.section.policy_of(path)
        if policy in AGGREGATES and value is not None:
            self._look_at_contribution(path, value, policy)
        if policy in ("first", "refuse"):
            contesting = self._contesting(path, value)
            if contesting is not None and policy == "refuse":
                raise Refused(409, "conflict")
            if contesting is not None:
                self.kept[path] = contesting
        if isinstance(value_at(self.section.visible, path), dict) and not self._is_shadowed(path):
            self._protect(path, {})

    def _look_at_contribution(self, path: Path, value: Any, policy: str) -> None:
        section, message = self.section, self.message
        if not fits(policy, value):
            raise Refused(422, "policy_type")
        if policy != "sum" or self._is_shadowed(path):
            return
        above = section.all_above(path)
        if message.full:
            above.append(Write(message.key, None, message.turn, None))
        write = Write(message.key, value, message.turn, message.seen)
        writes = section.writes.get(path, [])
        if writes and not is_same_regime(section.regime.get(path, "latest"), policy):
            writes = section.seeds(path, policy)
        if not is_in_range(show(policy, [*writes, write], above, section.device) or 0):
            raise Refused(422, "policy_range")

    def _contesting(self, path: Path, value: Any) -> Write | None:
        """Return the newest write that a leaf meets and that its writer had not seen.

        It meets what is at its path and below it, and the newest value or removal above.
        """
        section = self.section
        if same(value_at(section.visible, path), value):
            return None
        met = [
            (write, changed[at])
            for newest, changed in (
                (section.top, section.changed),
                (section.live_marks(), section.marks_changed),
            )
            for at, write in newest.items()
            if at[: len(path)] == path
        ]
        above = section.newest_above(path)
        if above is not None:
            met.append((section.top[above], section.changed[above]))
        contesting = [write for write, changed in met if self._is_concurrent(write, changed)]
        return max(contesting, key=lambda write: write.key, default=None)

    def _is_concurrent(self, write: Write, changed: tuple[int, str]) -> bool:
        key, seen = self.message.key, self.message.seen
        if seen is None:
            return write.key > key and write.key[1] != key[1]
        version, writer = changed
        return version > seen and writer not in (NOBODY, key[1])

    def _is_shadowed(self, path: Path) -> bool:
        return self.section.is_shadowed(path, self.message.key)

    def _protect(self, path: Path, named: dict[Path, Any]) -> None:
        """Refuse what would hide a value whose policy is `refuse`, and which it had not seen."""
        section = self.section
        for at in section.shown:
            if len(at) <= len(path) or at[: len(path)] != path:
                continue
            if section.policy_of(at) != "refuse" or _is_answered_for(at, named):
                continue
            register = section.top[at]
            is_hidden = register.key < self.message.key
            if is_hidden and self._is_concurrent(register, section.changed[at]):
                raise Refused(409, "conflict")


def _is_answered_for(at: Path, named: dict[Path, Any]) -> bool:
    """Tell whether a leaf of the patch itself decides what becomes of a path."""
    return any(
        name[: len(at)] == at or (value is None and at[: len(name)] == name)
        for name, value in named.items()
    )
