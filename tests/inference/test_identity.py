"""Equal for equal work, different for everything that changes a result."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.inference.identity import Identity, stamp
from monai_tasks.inference.members import Members


def _fingerprint(
    root: Path, weights: Path | None = None, configs: tuple = (), settings: dict | None = None
) -> str:
    bundle = Bundle(root)
    return Identity.of(bundle, weights or bundle.weights, configs, settings or {}).fingerprint()


def test_the_name_of_the_weights_does_not_count_but_their_content_does(bundle: Path, tmp_path: Path) -> None:
    before = _fingerprint(bundle)
    copy = tmp_path / "copy.pt"
    copy.write_bytes((bundle / "models" / "model.pt").read_bytes())
    assert _fingerprint(bundle, copy) == before
    copy.write_bytes(copy.read_bytes() + b"x")
    assert _fingerprint(bundle, copy) != before


def test_settings_and_configs_count_in_their_order(bundle: Path) -> None:
    for name, content in {"a": '{"pause": 1}', "b": '{"pause": 2}'}.items():
        (bundle / "configs" / f"{name}.json").write_text(content)
    different = [
        _fingerprint(bundle),
        _fingerprint(bundle, settings={"pause": 1}),
        _fingerprint(bundle, settings={"pause": 2}),
        _fingerprint(bundle, configs=("a",)),
        _fingerprint(bundle, configs=("a", "b")),
        _fingerprint(bundle, configs=("b", "a")),
    ]
    assert len(set(different)) == len(different)
    assert _fingerprint(bundle, settings={"pause": 1, "spacing": 2}) == _fingerprint(
        bundle, settings={"spacing": 2, "pause": 1}
    )


def test_other_networks_beside_it_mirror_images_and_uncertainty_count(bundle: Path, tmp_path: Path) -> None:
    own, other = Bundle(bundle), tmp_path / "other.pt"
    other.write_bytes(b"other")
    alone = Members((own.weights,))
    both = Members((own.weights, other))

    def fingerprint(members: Members, **options: object) -> str:
        return Identity.of(own, members, (), {}, **options).fingerprint()

    different = [
        fingerprint(alone),
        fingerprint(both),
        fingerprint(alone, flips=[[0]]),
        fingerprint(alone, flips=[[1]]),
        fingerprint(alone, uncertainty=True),
    ]
    assert len(set(different)) == len(different)
    assert fingerprint(alone) == _fingerprint(bundle)
    assert fingerprint(Members(both.files[::-1])) == fingerprint(both)


def test_facts_hold_no_folder(bundle: Path) -> None:
    facts = Identity.of(Bundle(bundle), Bundle(bundle).weights, (), {}).facts()
    assert str(bundle.parent) not in str(facts)
    assert (facts["bundle"], facts["version"], facts["weights"]) == ("mini_segmentation", "1.2.3", "model.pt")


def _touched(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("names", [["a.nii.gz"], ["head.mhd", "head.raw"], ["one.dcm", "two.dcm"]])
def test_a_change_of_any_file_behind_a_case_is_seen(tmp_path: Path, names: list[str]) -> None:
    for name in [*names, "other.nii.gz"]:
        (tmp_path / name).write_bytes(b"x")
    first = [tmp_path / names[0]]
    before = stamp(first)
    assert stamp(first) == before
    for name in names:
        _touched(tmp_path / name)
        assert stamp(first) != before
        before = stamp(first)
    (tmp_path / names[-1]).write_bytes(b"longer")
    assert stamp(first) != before


def test_a_neighbour_of_a_volume_does_not_count(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"x")
    before = stamp([tmp_path / "a.nii.gz"])
    _touched(tmp_path / "b.nii.gz")
    assert stamp([tmp_path / "a.nii.gz"]) == before
    assert stamp([tmp_path / "b.nii.gz"]) != before


def test_the_files_of_a_folder_count(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).write_bytes(b"x")
    before = stamp([tmp_path])
    (tmp_path / "2").unlink()
    assert stamp([tmp_path]) != before


def test_a_missing_file_has_a_stamp(tmp_path: Path) -> None:
    assert stamp([tmp_path / "absent.nii"])


def test_a_folder_that_cannot_be_searched_has_a_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    assert stamp([tmp_path])
