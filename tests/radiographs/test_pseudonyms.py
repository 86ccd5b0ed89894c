"""Pseudonyms depend on a key that stays with its owner."""

from __future__ import annotations

import hashlib
import re
import stat

import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.radiographs.pseudonyms import Pseudonyms, key_beside, load_pseudonyms


def slow_hmac(key, text):
    """RFC 2104, written out for SHA-256, whose blocks have 64 bytes."""
    block = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block) + text).digest()
    return hashlib.sha256(bytes(byte ^ 0x5C for byte in block) + inner).hexdigest()


def test_pseudonyms_are_a_keyed_hash():
    made = Pseudonyms(b"secret")
    assert made("patient", "4711") == slow_hmac(b"secret", b"patient\x004711")[:16]
    assert made("patient", "") == ""
    others = {made("study", "4711"), made("patient", "4712"), Pseudonyms(b"Secret")("patient", "4711")}
    assert len(others | {made("patient", "4711")}) == 4


def test_a_key_is_not_shown():
    assert "secret" not in repr(Pseudonyms(b"secret"))


def test_a_key_is_made_once_for_its_owner_alone(tmp_path):
    key = key_beside(tmp_path / "data.set")
    assert key == tmp_path / "data.set.key"
    first = load_pseudonyms(key, tmp_path / "data.set")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{64}\n", key.read_text())
    assert load_pseudonyms(key, tmp_path / "data.set") == first
    assert load_pseudonyms(tmp_path / "other.key", tmp_path / "data.set") != first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.set.key", "other.key"]


def test_a_key_inside_the_data_set_is_refused(tmp_path):
    for key in (tmp_path / "data" / "key", tmp_path / "data" / "a" / ".." / "key"):
        with pytest.raises(InputError, match="a key inside the data set"):
            load_pseudonyms(key, tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"short", b"z" * 64, b"\xff" * 64, b"a" * 65])
def test_another_file_is_no_key(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InputError, match="expected 64 hexadecimal digits"):
        load_pseudonyms(tmp_path / "key", tmp_path / "data")
    assert (tmp_path / "key").read_bytes() == content
