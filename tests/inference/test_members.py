"""Files of weights and folds of a cross-validation become the networks of one answer."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from cross_validations import finish

from monai_tasks.inference.members import Members, gather, members_of
from monai_tasks.inference.weights import WeightsError


def write(*paths: Path) -> list[Path]:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    return list(paths)


def folds(run: Path, *names: object) -> list[Path]:
    files = write(*(run / "folds" / str(name) / "model.pt" for name in names))
    finish(run)
    return files


def test_a_file_is_one_network(tmp_path):
    (file,) = write(tmp_path / "a.pt")
    assert members_of(file) == [file]
    assert gather(file) == gather([str(file)]) == Members((file,))


def test_a_cross_validation_is_its_folds_in_the_order_of_their_numbers(tmp_path):
    files = folds(tmp_path / "run", *range(11))
    assert members_of(tmp_path / "run") == files
    members = gather(tmp_path / "run")
    assert members.run == tmp_path / "run"
    assert members.names[-2:] == ["folds/9/model.pt", "folds/10/model.pt"]


def test_files_and_runs_can_be_named_together(tmp_path):
    files = folds(tmp_path / "run", 0, 1) + write(tmp_path / "other.pt")
    members = gather([tmp_path / "run", tmp_path / "other.pt"])
    assert (list(members.files), members.run) == (files, None)
    assert members.names == ["model.pt", "model.pt", "other.pt"]


def test_refuses_what_stands_for_no_network(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pt: no such file"):
        members_of(tmp_path / "absent.pt")
    with pytest.raises(WeightsError, match="a folder without folds; expected a file of weights"):
        members_of(tmp_path)
    folds(tmp_path, 0, 2)
    (tmp_path / "folds" / "1").mkdir()
    with pytest.raises(WeightsError, match=r"no model\.pt in folds/1; expected a finished cross-validation"):
        members_of(tmp_path)


def test_refuses_folds_that_are_not_finished(tmp_path):
    files = folds(tmp_path, 0, 1, 2)
    finish(tmp_path, {"1": "failed"})
    with pytest.raises(WeightsError, match="fold 1 has failed; expected a finished cross-validation"):
        members_of(tmp_path)
    finish(tmp_path)
    files[2].write_bytes(b"a training that goes on")
    with pytest.raises(WeightsError, match="fold 2 has been trained again"):
        members_of(tmp_path)
    (tmp_path / "cross_validation.json").unlink()
    with pytest.raises(WeightsError, match=r"no cross_validation\.json, so not all of its folds are trained"):
        members_of(tmp_path)


def test_refuses_a_network_that_would_count_twice(tmp_path):
    files = folds(tmp_path / "run", 0, 1)
    with pytest.raises(WeightsError, match="given more than once"):
        gather([tmp_path / "run", files[1]])


def test_the_checksum_has_no_order_and_that_of_one_file_is_its_own(tmp_path):
    a, b = write(tmp_path / "a.pt", tmp_path / "b.pt")
    assert Members((a, b)).checksum == Members((b, a)).checksum
    assert Members((a,)).checksum == hashlib.sha256(b"0").hexdigest()
    assert len({Members(files).checksum for files in ((a,), (b,), (a, b))}) == 3
