"""Signed values: ours come back, everything else is as if it were not there."""

import base64

import msgspec
import pytest

from actors.gateway.pages.signed import Signer

SECRET = "a-secret-of-the-tests-that-is-long-enough"


class Thing(msgspec.Struct, frozen=True):
    name: str
    count: int = 0


def test_what_was_signed_is_read() -> None:
    signer = Signer(SECRET, "things")
    assert signer.read(signer.sign(Thing("müg", 3)), Thing) == Thing("müg", 3)


def test_one_purpose_or_secret_does_not_pass_for_another() -> None:
    text = Signer(SECRET, "things").sign(Thing("mug"))
    assert Signer(SECRET, "others").read(text, Thing) is None
    assert Signer(SECRET[::-1], "things").read(text, Thing) is None


@pytest.mark.parametrize("text", ["", ".", "a", "a.b", "é.b", "a.b.c", "=.=", "\x00"])
def test_what_is_not_ours_is_not_there(text: str) -> None:
    assert Signer(SECRET, "things").read(text, Thing) is None


def test_a_changed_byte_is_noticed_anywhere() -> None:
    signer = Signer(SECRET, "things")
    text = signer.sign(Thing("mug", 1))
    for place, character in enumerate(text):
        changed = "B" if character == "A" else "A"
        other = f"{text[:place]}{changed}{text[place + 1 :]}"
        assert signer.read(other, Thing) in (None, Thing("mug", 1)), place
    richer = base64.urlsafe_b64encode(msgspec.json.encode(Thing("mug", 9))).decode()
    assert signer.read(f"{richer}.{text.partition('.')[2]}", Thing) is None


def test_a_value_of_another_shape_is_not_there() -> None:
    signer = Signer(SECRET, "things")

    class Older(msgspec.Struct):
        label: str

    assert signer.read(signer.sign(Older("mug")), Thing) is None
