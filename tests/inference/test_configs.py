"""What tells configs apart."""

from __future__ import annotations

import hashlib

from monai_tasks.inference.configs import checksums


def test_files_of_one_name_all_count(tmp_path):
    files = []
    for number, text in enumerate((b"{}", b"[1]", b"[2]")):
        file = tmp_path / str(number) / "train.json"
        file.parent.mkdir()
        file.write_bytes(text)
        files.append(file)
    other = tmp_path / "small.json"
    other.write_bytes(b"{}")
    sums = checksums([*files, other])
    assert list(sums) == ["train", "train 2", "train 3", "small"]
    assert sums["train 2"] == hashlib.sha256(b"[1]").hexdigest()
    assert sums["small"] == sums["train"] == hashlib.sha256(b"{}").hexdigest()
