from __future__ import annotations

import hashlib
import json
import os

import nibabel as nib
import numpy as np
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path, check_content, remove_leftovers, sha256, write_json, write_text


def test_written_file_is_alone_in_its_folder(tmp_path):
    path = tmp_path / "new" / "case.nii.gz"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
        nib.save(nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.eye(4)), temporary)
        assert not path.exists()
    assert [found.name for found in path.parent.iterdir()] == ["case.nii.gz"]
    assert path.read_bytes()[:2] == b"\x1f\x8b"  # compressed, so the temporary name kept both suffixes
    assert nib.load(path).shape == (2, 3, 4)


def test_failed_block_keeps_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="middle"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.txt"):
        pass


def test_many_dots_keep_the_last_two_suffixes(tmp_path):
    with atomic_path(tmp_path / "sub.01.nii.gz") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.touch()
    assert (tmp_path / "sub.01.nii.gz").exists()


def test_text_and_json(tmp_path):
    write_text(tmp_path / "a.txt", "Größe")
    assert (tmp_path / "a.txt").read_bytes() == "Größe".encode()
    write_json(tmp_path / "a.json", {"b": [1, None]})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": [\n    1,\n    null\n  ]\n}\n'


def test_json_holds_names_that_are_not_utf8(tmp_path):
    name = "ä_" + os.fsdecode(b"\xff")
    write_json(tmp_path / "a.json", {"image": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"image": name}


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", float("nan"))
    assert (tmp_path / "a.json").read_text() == "1\n"


def test_sha256(tmp_path):
    content = bytes(range(256)) * 1000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_check_content(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_bytes(b"x")
    check_content(tmp_path / "full", "an image")
    with pytest.raises(InputError, match="no such file; expected an image"):
        check_content(tmp_path / "missing", "an image")
    with pytest.raises(InputError, match="not a file"):
        check_content(tmp_path, "an image")
    with pytest.raises(InputError, match="empty file"):
        check_content(tmp_path / "empty", "an image")


def test_what_a_killed_run_left_is_removed_and_nothing_else(tmp_path):
    with atomic_path(tmp_path / "kept.csv") as temporary:
        temporary.write_text("whole")
    temporary.write_text("half")
    temporary.with_name(f"{temporary.name}.d").mkdir()
    remove_leftovers([tmp_path, tmp_path / "missing"])
    assert [path.name for path in tmp_path.iterdir()] == ["kept.csv"]
