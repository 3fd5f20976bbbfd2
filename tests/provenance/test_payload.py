"""The watermark's payload: what is said is read, through noise, and noise says nothing."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from vidinv.provenance import payload

NAMES = ["00000000", "ffffffff", "deadbeef", "0c3be6f4"]


def crc_ccitt(data: bytes) -> int:
    """Bit by bit, polynomial x^16 + x^12 + x^5 + 1, from all ones."""
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = (register << 1 ^ 0x1021 if register & 0x8000 else register << 1) & 0xFFFF
    return register


def reference(name: str) -> list[int]:
    """The chips by the definition: a group's sign bit and the parities of its other five bits with the place."""
    number = int(name, 16)
    whole = payload.VERSION << 48 | number << 16 | crc_ccitt(bytes([payload.VERSION]) + number.to_bytes(4, "big"))
    chips = []
    for chip in range(288):
        six = whole >> 6 * (chip % 9) & 63
        odd = (six >> 5) + sum((six >> bit & 1) * (chip % 32 >> bit & 1) for bit in range(5))
        chips.append(-1 if odd % 2 else 1)
    return chips


@pytest.mark.parametrize("name", NAMES)
def test_the_chips_are_those_of_the_definition(name: str) -> None:
    assert payload.encode(name).tolist() == reference(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_is_read_through_noise(name: str) -> None:
    noise = np.random.default_rng(3).normal(0, 1, (1, payload.CHIPS))
    clean, noisy = (payload.decode(payload.encode(name)[None] + share * noise) for share in (0, 0.7))
    assert clean is not None and (clean.identity, clean.version) == (name, 1)
    assert clean.score == pytest.approx(np.sqrt(payload.CHIPS), abs=0.01)
    assert noisy is not None and noisy.identity == name and payload.SURE < noisy.score < clean.score


def test_the_marked_window_is_found_among_others() -> None:
    soft = np.random.default_rng(4).normal(0, 1, (50, payload.CHIPS))
    soft[31] += payload.encode("12345678")
    found = payload.decode(soft)
    assert found is not None and found.identity == "12345678"


def test_noise_says_nothing() -> None:
    soft = np.random.default_rng(5).normal(0, 1, (50_000, payload.CHIPS)).astype(np.float32)
    assert payload.decode(soft) is None
    assert payload.decode(np.zeros((3, payload.CHIPS), np.float32)) is None


def test_a_word_that_fails_its_check_is_not_believed() -> None:
    chips = payload.encode("12345678")
    chips[np.arange(payload.CHIPS) % payload.GROUPS == 4] *= -1  # another word of the code
    assert payload.decode(chips[None]) is None


def test_the_identity_is_of_the_source_and_the_edits() -> None:
    source = "ab" * 32
    expected = hashlib.sha256(f"{source}\nage+2\nsmile-1".encode()).hexdigest()[:8]
    assert payload.identity(source, ["age+2", "smile-1"]) == expected
    assert payload.identity(source, ["age+2"]) != expected


def test_an_identity_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="8 hexadecimal digits"):
        payload.encode("abc")
