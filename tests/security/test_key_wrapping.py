"""Keys at rest: what a wrapped key opens with, and where it cannot be put."""

from __future__ import annotations

import pytest

from bridge.errors import KeyWrappingError
from bridge.security.frame import Algorithm
from bridge.security.key_wrapping import KeyWrapper, new_device_key

WRAPPER = KeyWrapper(bytes(range(32)))
KEY = new_device_key("lamp-1", 7, Algorithm.CHACHA20_POLY1305)


def test_a_wrapped_key_is_what_it_was() -> None:
    """And shows nothing of the key."""
    wrapped = WRAPPER.wrap(KEY)
    assert KEY.secret not in wrapped
    assert WRAPPER.unwrap("lamp-1", 7, Algorithm.CHACHA20_POLY1305, wrapped) == KEY


def test_no_two_wrappings_are_equal() -> None:
    """The nonce is new each time; so are the keys themselves."""
    assert WRAPPER.wrap(KEY) != WRAPPER.wrap(KEY)
    assert new_device_key("lamp-1", 7, Algorithm.AES_256_GCM).secret != KEY.secret


@pytest.mark.parametrize(
    "place", [("lamp-2", 7, 2), ("lamp-1", 8, 2), ("lamp-1", 7, 1), ("lamp-1", 7, 3)]
)
def test_a_wrapped_key_opens_in_its_own_row_only(place: tuple[str, int, int]) -> None:
    """Whoever may write the store cannot give one device's key to another, or weaken it."""
    with pytest.raises(KeyWrappingError, match=place[0]):
        WRAPPER.unwrap(*place, WRAPPER.wrap(KEY))


def test_another_wrapping_key_opens_nothing() -> None:
    """The hint names the setting."""
    with pytest.raises(KeyWrappingError) as refused:
        KeyWrapper(bytes(32)).unwrap("lamp-1", 7, 2, WRAPPER.wrap(KEY))
    assert "sealing.wrapping_key" in refused.value.hint


@pytest.mark.parametrize("cut", [0, 1, 5, 13, 28, 60])
def test_what_was_cut_or_changed_does_not_unwrap(cut: int) -> None:
    """Nor what another version has written."""
    wrapped = WRAPPER.wrap(KEY)
    changed = bytearray(wrapped)
    changed[min(cut, len(wrapped) - 1)] ^= 1
    for bad in (wrapped[:cut], bytes(changed)):
        with pytest.raises(KeyWrappingError):
            WRAPPER.unwrap("lamp-1", 7, 2, bad)


@pytest.mark.parametrize("size_bytes", [0, 16, 31, 33, 64])
def test_a_wrapping_key_has_32_bytes(size_bytes: int) -> None:
    """Not a password, and not hexadecimal digits."""
    with pytest.raises(ValueError, match="32 bytes"):
        KeyWrapper(bytes(size_bytes))


def test_the_bridges_own_key_is_wrapped_alike() -> None:
    """For its public key, and not to be taken for a device's."""
    wrapped = WRAPPER.wrap_identity(KEY.secret, b"public")
    assert KEY.secret not in wrapped
    assert WRAPPER.unwrap_identity(wrapped, b"public") == KEY.secret
    for bad in (wrapped[:20], b"", b"\x02" + wrapped[1:], WRAPPER.wrap(KEY)):
        with pytest.raises(KeyWrappingError, match="own key"):
            WRAPPER.unwrap_identity(bad, b"public")
    with pytest.raises(KeyWrappingError, match="own key"):
        WRAPPER.unwrap_identity(wrapped, b"other")
    with pytest.raises(KeyWrappingError, match="own key"):
        KeyWrapper(bytes(32)).unwrap_identity(wrapped, b"public")
