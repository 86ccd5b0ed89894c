"""A CSV names the images, their maps, persons and sources; what is wrong with it is said by row."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from knee_files import BONES, reasons, used

from monai_tasks.datasets import knee_mhd
from monai_tasks.io.errors import InputError


@pytest.fixture
def manifest(source):
    """Writes a manifest beside the sources, from rows of columns to texts."""

    def manifest(*rows):
        path = source / "knees.csv"
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(
                stream, list(dict.fromkeys(key for row in rows for key in row)), restval=""
            )
            writer.writeheader()
            writer.writerows(rows)
        return path

    return manifest


def row(folder, number, **more):
    files = {bone: f"{folder}/k{number}_{bone}.mhd" for bone in BONES}
    return {"image": f"{folder}/k{number}.mhd", **files, **more}


def test_a_manifest(source, manifest):
    path = manifest(
        row("epi", 1, subject="p1", source="A"),
        row("epi", 2, source="A"),
        row("epi", 3),
        {"image": str(source / "jopp/k1.mhd"), "maps": "jopp/k1_maps.mhd", "subject": "p1", "source": "B"},
        {"image": "jopp/k2.mhd", "subject": "p2", "maps": ""},
    )
    result = knee_mhd.datalist(path)
    items = {item["image"]: item for part in ("training", "validation", "test") for item in result[part]}
    found = {Path(image).relative_to(source).as_posix(): item for image, item in items.items()}
    assert {name: (item["subject"], item["source"]) for name, item in found.items()} == {
        "epi/k1.mhd": ("p1", "A"),
        "epi/k2.mhd": ("A/k2", "A"),
        "epi/k3.mhd": ("k3", ""),
        "jopp/k1.mhd": ("p1", "B"),
    }
    assert found["epi/k2.mhd"]["label"] == [str(source / "epi" / f"k2_{bone}.mhd") for bone in BONES]
    assert found["jopp/k1.mhd"]["label"] == str(source / "jopp" / "k1_maps.mhd")
    assert result["rejected"] == [{"subject": "jopp/k2.mhd", "reason": "no maps"}]


def test_a_person_of_a_manifest_stays_in_one_part(source, manifest):
    rows = [row("epi", number, subject=f"p{number}", source="A") for number in (1, 2, 3)]
    rows += [
        {"image": f"jopp/k{n}.mhd", "maps": f"jopp/k{n}_maps.mhd", "subject": f"p{n}", "source": "B"}
        for n in (1, 2, 3)
    ]
    for seed in range(5):
        result = knee_mhd.datalist(manifest(*rows), seed=seed)
        for part in ("training", "validation", "test"):
            assert len(result[part]) == 2
            assert len({item["subject"] for item in result[part]}) == 1


def test_a_manifest_of_one_file_a_knee_needs_no_column_a_bone(source, manifest):
    rows = [{"Image ": f"jopp/k{n}.mhd", "MAPS": f" jopp/k{n}_maps.mhd"} for n in (1, 2, 3)]
    assert set(used(manifest(*rows))) == {"k1", "k2", "k3"}


def test_what_a_manifest_leaves_out_or_names_twice_is_reported(source, manifest):
    rows = [row("epi", 1, fibula=""), row("epi", 2), row("epi", 3), {**row("epi", 3), "image": "jopp/k3.mhd"}]
    good = [{"image": "jopp/k1.mhd", "maps": "jopp/k1_maps.mhd"}, row("epi", 2, subject="p2")]
    good += [{"image": "jopp/k2.mhd", "maps": "jopp/k2_maps.mhd", "subject": "p3"}]
    result = knee_mhd.datalist(manifest(*rows[:1], *rows[2:], *good, row("epi", 1, subject="p4")))
    assert result["rejected"] == [
        {"subject": "epi/k1.mhd", "reason": "2 images of this name: epi/k1.mhd, jopp/k1.mhd"},
        {"subject": "epi/k3.mhd", "reason": "2 images of this name: epi/k3.mhd, jopp/k3.mhd"},
    ]
    assert reasons(manifest(*rows[:1], *good[1:], row("epi", 3))) == {"epi/k1.mhd": "no map of the fibula"}


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (
            [{"image": "epi/k1.mhd", "femur": "a", "tibia": "b"}],
            "no column fibula; expected the columns image",
        ),
        ([{"scan": "a"}], "no column image and no column femur and no column tibia and no column fibula"),
        ([row("epi", 1), row("epi", 7)], r"row 2, image: no such file epi/k7\.mhd; expected paths from"),
        ([row("epi", 1), row("epi", 2, tibia="epi")], "row 2, tibia: no such file epi"),
        ([row("epi", 1), row("epi", 2, image="")], "row 2 names no image"),
    ],
)
def test_a_manifest_with_errors(source, manifest, rows, error):
    with pytest.raises(InputError, match=rf"knees\.csv: {error}"):
        knee_mhd.datalist(manifest(*rows))


def test_a_file_that_is_no_manifest(source, manifest):
    path = manifest(row("epi", 1))
    path.write_text("image;femur;tibia;fibula\n")
    with pytest.raises(InputError, match=r"knees\.csv: no rows; expected the columns image"):
        knee_mhd.datalist(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"knees\.csv: an empty file"):
        knee_mhd.datalist(path)
