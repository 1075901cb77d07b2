"""Changing the wrapping key: what was wrapped with the old one is wrapped anew, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bridge.api.acting import act, own_actor
from bridge.config import SealingConfig
from bridge.errors import ConfigError, KeyWrappingError
from bridge.logs import get_logger
from bridge.security.key_wrapping import KeyWrapper
from bridge.store.base import Store

_log = get_logger("bridge.sealing")


def rewrap_keys(config: SealingConfig, store: Store) -> None:
    """Wrap with the present wrapping key what opens with the old one only, where one is set.

    Raises:
        ConfigError: One of the two keys cannot be read, or the present one is not set.
        KeyWrappingError: Something opens with neither; nothing was changed.
        StoreError: The store cannot be read or written; nothing was changed.
    """
    old_key, key = config.read_old_wrapping_key(), config.read_wrapping_key()
    if old_key is None:
        return
    if key is None:
        raise ConfigError(
            "the old wrapping key is set, and no new one to wrap the keys of devices with",
            field="sealing.wrapping_key_file",
            hint="set sealing.wrapping_key_file, or sealing.wrapping_key in the environment",
        )
    try:
        wrapped, identity = _wrapped_anew(store, KeyWrapper(key), KeyWrapper(old_key))
    except KeyWrappingError as error:
        raise KeyWrappingError(
            f"{error.message}, neither with the wrapping key nor with the old one; "
            "nothing was changed",
            hint="is sealing.old_wrapping_key_file the one that the store's keys were wrapped "
            "with? a single key that cannot be saved is given up with `syncbridge keys revoke`",
        ) from error
    if wrapped or identity is not None:
        done = act(
            own_actor("start"), "key.rewrap", keys=len(wrapped), identity=identity is not None
        )
        store.device_keys.rewrap(wrapped, identity, done)
        _log.info("keys are wrapped with the new wrapping key", keys=len(wrapped))
    _log.info(
        "nothing in the store needs the old wrapping key: its setting can be removed",
        hint="remove sealing.old_wrapping_key_file; backups from before still need that key",
    )


def _wrapped_anew(
    store: Store, present: KeyWrapper, old: KeyWrapper
) -> tuple[dict[tuple[str, int], bytes], bytes | None]:
    """Return the keys of devices and the bridge's own, as far as they have to be wrapped anew."""
    devices = {}
    for row in store.device_keys.list_all():
        place = (row.device, row.key_id, row.algorithm, row.wrapped)
        if row.state != "revoked" and not _opens(partial(present.unwrap, *place)):
            devices[row.device, row.key_id] = present.wrap(old.unwrap(*place))
    identity = store.claims.identity()
    if identity is None:
        return devices, None
    public_key, wrapped, _ = identity
    if _opens(partial(present.unwrap_identity, wrapped, public_key)):
        return devices, None
    return devices, present.wrap_identity(old.unwrap_identity(wrapped, public_key), public_key)


def _opens(unwrap: Callable[[], object]) -> bool:
    try:
        unwrap()
    except KeyWrappingError:
        return False
    return True
