from __future__ import annotations

import json
import time

import numpy as np
import pytest

from monai_tasks.datasets.cases import Case, find_cases
from monai_tasks.io.errors import InputError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not read here")
    return folder


@pytest.fixture
def volume(grids):
    return grids["RAS"]._replace(array=grids["RAS"].array.round().astype(np.int16))


def names(cases):
    return [case.name for case in cases]


def test_files_are_taken_whatever_their_suffix(tmp_path):
    touch(tmp_path, "b.nii.gz", "a.mha", "c.txt")
    cases = find_cases([tmp_path / "b.nii.gz", tmp_path / "a.mha", tmp_path / "c.txt"])
    assert cases == [
        Case("b", tmp_path / "b.nii.gz"),
        Case("a", tmp_path / "a.mha"),
        Case("c", tmp_path / "c.txt"),
    ]
    assert cases[0].paths == (tmp_path / "b.nii.gz",)


def test_folders_are_searched_by_suffix(tmp_path):
    touch(
        tmp_path,
        "z.nii",
        "sub/deep/a.nii.gz",
        "sub/c.mhd",
        "sub/c.raw",
        "sub/d.nrrd",
        "sub/C0000001.ISQ;1",
        "sub/e.AIM",
        "sub/f.RSQ",
        "notes.txt",
        "dataset.json",
        ".hidden.nii",
        "._a.nii.gz",
        ".folder/x.nii",
    )
    assert names(find_cases([tmp_path])) == ["z", "C0000001", "c", "d", "e", "a"]


def test_found_twice_is_one_case(tmp_path, monkeypatch):
    touch(tmp_path, "a.nii", "b.nii")
    monkeypatch.chdir(tmp_path)
    relative = tmp_path.relative_to(tmp_path)
    assert names(find_cases([tmp_path / "b.nii", tmp_path, relative])) == ["b", "a"]


def test_links_in_circles_and_excluded_folders(tmp_path):
    touch(tmp_path, "data/a.nii", "data/out/predictions/a.nii.gz")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data", target_is_directory=True)
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "data", target_is_directory=True)
    cases = find_cases([tmp_path / "top"], exclude=[tmp_path / "data" / "out"])
    assert names(cases) == ["a"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["s1/t1.nii", "s2/t1.nii", "s2/t2.nii"], ["s1_t1", "s2_t1", "t2"]),
        (["x/s/t1.nii", "y/s/t1.nii"], ["x_s_t1", "y_s_t1"]),
        (["a.mha", "a.nii", "a.nrrd"], 3),
        (["b/c.nii", "d/c.nii", "b_c.nii"], 3),
        (["A.nii", "sub/a.nii"], 2),
        (["one two.nii", "Größe.nii", "a&b;c.nii"], ["Größe", "a_b_c", "one_two"]),
        (["." + "/a.b.nii.gz"], ["a.b"]),
        (["x" * 200 + "1.nii", "x" * 200 + "2.nii"], 2),
    ],
)
def test_names_are_unique_and_safe(tmp_path, files, expected):
    found = names(find_cases([touch(tmp_path / "study", *files)]))
    assert len({name.casefold() for name in found}) == len(files)
    assert all(set(name).isdisjoint("/\\:*?\"<>|& ;'") and not name.startswith(".") for name in found)
    assert max(map(len, found)) <= 200
    if isinstance(expected, list):
        assert found == expected


def test_names_do_not_hang_on_the_order(tmp_path):
    touch(tmp_path, "s1/t1.nii", "s2/t1.nii", "a.nii", "a.mha")
    inputs = sorted(tmp_path.rglob("*.*"))
    forward = {case.image: case.name for case in find_cases(inputs)}
    assert len(forward) == 4
    assert forward[tmp_path / "s1" / "t1.nii"] == "s1_t1"


class TestDicom:
    def test_one_series_a_folder(self, tmp_path, volume, dicom):
        folder = tmp_path / "patient" / "t1"
        files = dicom.series(folder, volume)
        assert find_cases([tmp_path]) == find_cases([folder]) == [Case("t1", folder)]
        assert find_cases(files) == find_cases([files[4]]) == [Case("t1", folder)]

    def test_several_series_in_one_folder(self, tmp_path, volume, dicom):
        folder = tmp_path / "scan"
        later = [path.rename(folder / f"z{path.name}") for path in dicom.series(folder, volume)]
        first = dicom.series(folder, volume)
        expected = [Case("scan_1", first[0]), Case("scan_2", later[0])]
        assert find_cases([tmp_path]) == expected
        assert find_cases([later[3]])[0].image == later[0]

    def test_beside_other_formats(self, tmp_path, volume, dicom):
        dicom.series(tmp_path / "scan", volume)
        touch(tmp_path, "scan/a.nii", "scan/report.pdf")
        assert names(find_cases([tmp_path])) == ["a", "scan"]

    def test_names_are_not_from_headers(self, tmp_path, volume, dicom):
        dicom.series(tmp_path / "scan", volume)
        assert "kept" not in repr(find_cases([tmp_path / "scan"])).lower()

    def test_file_that_is_no_dicom(self, tmp_path):
        touch(tmp_path, "a.dcm")
        assert names(find_cases([tmp_path / "a.dcm"])) == [tmp_path.name]

    def test_real_folders(self, shared_data):
        cases = find_cases([shared_data / "dicom" / "series", shared_data / "dicom" / "series_broken"])
        expected = ["hitachi", "jpegls", "philips_enhanced_multiframe", "siemens"]
        assert names(cases) == [*expected, "slicecount", "sliceorientation"]


class TestDatalist:
    def write(self, folder, content):
        (folder / "list.json").write_text(json.dumps(content))
        return [folder / "list.json"]

    def test_testing_comes_first(self, tmp_path):
        content = {"training": [{"image": "t.nii"}], "testing": [{"image": "sub/a.nii.gz", "label": "l.nii"}]}
        assert find_cases(self.write(tmp_path, content)) == [Case("a", tmp_path / "sub" / "a.nii.gz")]

    def test_own_name_of_the_test_part(self, tmp_path):
        content = {"training": [{"image": "t.nii"}], "test": ["./imagesTs/a.nii.gz"]}
        assert names(find_cases(self.write(tmp_path, content))) == ["a"]

    def test_else_validation_and_training(self, tmp_path):
        content = {"training": [{"image": "t.nii"}], "validation": [{"image": "v.nii"}], "test": []}
        assert names(find_cases(self.write(tmp_path, content))) == ["v", "t"]

    def test_channels_and_absolute_paths(self, tmp_path):
        content = [{"image": ["a-T1.nii", "a-T2.nii"]}, {"image": "/elsewhere/b.nii"}]
        first, second = find_cases(self.write(tmp_path, content))
        assert first == Case("a-T1", (tmp_path / "a-T1.nii", tmp_path / "a-T2.nii"))
        assert first.paths == first.image
        assert str(second.image) == "/elsewhere/b.nii"

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ({"training": []}, "no items; expected a list in one of testing, test, validation, training"),
            ("text", "no items"),
            ([{"label": "l.nii"}], "item 1 without an image"),
            ([{"image": "a.nii"}, {"image": []}], "item 2 without an image"),
            ([3], "item 1 without an image"),
        ],
    )
    def test_unusable(self, tmp_path, content, reason):
        with pytest.raises(InputError, match=reason):
            find_cases(self.write(tmp_path, content))

    def test_not_json(self, tmp_path):
        (tmp_path / "list.json").write_text("{")
        with pytest.raises(InputError, match="not readable as JSON"):
            find_cases([tmp_path / "list.json"])


def test_missing_input_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_cases([tmp_path / "none"])
    with pytest.raises(InputError, match="a folder without images"):
        find_cases([tmp_path])


def test_ten_thousand_files(tmp_path):
    for subject in range(100):
        folder = tmp_path / f"s{subject:03d}"
        folder.mkdir()
        for number in range(100):
            (folder / f"image_{number}.nii.gz").touch()
    start = time.perf_counter()
    cases = find_cases([tmp_path])
    assert time.perf_counter() - start < 10
    assert len(set(names(cases))) == 10_000
    assert cases[0].name == "s000_image_0"
