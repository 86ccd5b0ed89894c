"""Knees and their maps are matched by name and grid; what does not fit is reported by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from knee_files import (
    AXIAL,
    BONES,
    CORONAL,
    SAGITTAL,
    SHAPE,
    SPACING,
    bones,
    reasons,
    used,
    write,
    write_knee,
)
from monai.data import load_decathlon_datalist

from monai_tasks.datasets import knee_mhd
from monai_tasks.io.errors import InputError
from monai_tasks.io.volume_reader import VolumeReader


def test_items(source):
    result = knee_mhd.datalist(source)
    assert result["labels"] == {"1": "femur", "2": "tibia", "3": "fibula"}
    assert result["rejected"] == []
    assert used(source)["epi/k2"] == {
        "image": str(source / "epi" / "k2.mhd"),
        "label": [str(source / "epi" / f"k2_{bone}.mhd") for bone in BONES],
        "subject": "epi/k2",
        "source": "epi",
    }
    assert used(source)["jopp/k2"]["label"] == str(source / "jopp" / "k2_maps.mhd")
    assert len(used(source)) == 10


def test_both_ways_to_store_maps_are_read_alike(source):
    reader = VolumeReader(allow_constant=True, allow_channels=True)
    items = used(source)
    (files, first), (one, second) = (
        reader.get_data(reader.read(items[subject]["label"])) for subject in ("epi/k1", "jopp/k1")
    )
    np.testing.assert_array_equal(files, one)
    np.testing.assert_array_equal(one, np.moveaxis(bones(), -1, 0))
    np.testing.assert_array_equal(first["affine"], second["affine"])


def test_monai_reads_it(source, tmp_path):
    result = knee_mhd.datalist(source, folds=2)
    (tmp_path / "list.json").write_text(json.dumps(result))
    assert (
        load_decathlon_datalist(str(tmp_path / "list.json"), data_list_key="training") == result["training"]
    )


def test_sources_are_spread_over_the_parts(tmp_path):
    for number in range(10):
        write_knee(tmp_path / ("epi", "jopp")[number % 2], f"k{number}", maps="_maps")
    for seed in range(3):
        result = knee_mhd.datalist(tmp_path, seed=seed, fractions=(0.6, 0.2, 0.2), folds=3)
        for part, count in (("training", 3), ("validation", 1), ("test", 1)):
            sources = [item["source"] for item in result[part]]
            assert (sources.count("epi"), sources.count("jopp")) == (count, count)


ACCEPTED = (
    "-{bone}.nii.gz _{bone}.mha _{bone}.nrrd _map.mha -bones.nrrd _seg.nii _label.nii.gz -MAPS.mha _Label.mhd"
)


def test_accepted_names(tmp_path):
    for number, name in enumerate(ACCEPTED.split()):
        maps, _, suffix = name.partition(".")
        write_knee(tmp_path / "epi", f"Extra-{number}_b", maps, f".{suffix}")
    items = used(tmp_path)
    for number, name in enumerate(ACCEPTED.split()):
        label = items[f"epi/Extra-{number}_b"]["label"]
        found = [Path(path).name for path in ([label] if isinstance(label, str) else label)]
        bones = BONES if "{bone}" in name else BONES[:1]
        assert found == [f"Extra-{number}_b{name.format(bone=bone)}" for bone in bones]


def test_upper_case_may_stand_for_lower(source):
    for name in ("k1_femur", "k2_tibia", "k3_fibula"):
        for ending in (".mhd", ".raw"):
            (source / "epi" / f"{name}{ending}").rename(source / "epi" / f"{name.upper()}{ending}")
        path = source / "epi" / f"{name.upper()}.mhd"
        path.write_text(path.read_text().replace(name, name.upper()))
    assert len(used(source)) == 10
    assert used(source)["epi/k1"]["label"][0].endswith("K1_FEMUR.mhd")


def test_maps_of_another_format_than_their_image(source):
    for number in (1, 2):
        write(source / "epi" / f"m{number}.mhd")
    for channel, bone in enumerate(BONES):
        write(source / "epi" / f"m1_{bone}.nii.gz", bones()[..., channel])
    write(source / "epi" / "m2_label.nii.gz", bones())
    assert {"epi/m1", "epi/m2"} <= used(source).keys()


def test_files_without_a_folder_of_their_own(tmp_path):
    for number in range(3):
        write_knee(tmp_path, f"k{number}")
        write_knee(tmp_path / "site" / "deep", f"k{number}")
    items = used(tmp_path)
    assert {items[subject]["source"] for subject in ("k0", "k1", "k2")} == {""}
    assert items["site/deep/k0"]["source"] == "site"


def test_one_folder_a_patient(tmp_path):
    for number in range(1, 5):
        write_knee(tmp_path / "epi" / f"P{number}", "knee")
    (tmp_path / "epi" / "P3" / "knee_tibia.mhd").unlink()
    (tmp_path / "epi" / "P4" / "knee.mhd").unlink()
    write(tmp_path / "epi" / "P5" / "knee.mhd")
    write_knee(tmp_path / "epi" / "P6", "left")
    items = used(tmp_path)
    assert set(items) == {"epi/P1/knee", "epi/P2/knee", "epi/P6/left"}
    for subject, item in items.items():
        assert item["source"] == "epi"
        assert item["image"] == str(tmp_path / f"{subject}.mhd")
        assert item["label"] == [str(tmp_path / f"{subject}_{bone}.mhd") for bone in BONES]
    assert reasons(tmp_path) == {
        "epi/P3/knee": "no map of the tibia",
        "epi/P4/knee": "no image of this name beside its maps",
        "epi/P5/knee": "no maps",
    }


def test_maps_in_another_folder_must_be_of_one_image(source):
    for bone in BONES:
        for ending in (".mhd", ".raw"):
            name = f"k1_{bone}{ending}"
            (source / "epi" / bone).mkdir(exist_ok=True)
            (source / "epi" / name).rename(source / "epi" / bone / name)
    write(source / "epi" / "old" / "k2_maps.mhd", bones())
    write(source / "epi" / "old" / "k3_femur.mhd", bones()[..., 1])
    items = used(source)
    assert items["epi/k1"]["label"] == [str(source / "epi" / bone / f"k1_{bone}.mhd") for bone in BONES]
    for name in ("k2", "k3"):
        assert items[f"epi/{name}"]["label"] == [str(source / "epi" / f"{name}_{bone}.mhd") for bone in BONES]
    lost = "no image of this name beside its maps"
    assert reasons(source) == {"epi/old/k2": lost, "epi/old/k3": lost}
    write(source / "epi" / "again" / "k1.mhd")
    assert reasons(source)["epi/k1"] == "no maps"


def test_linked_folders_and_files_keep_their_names(source, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "scanner").symlink_to(source / "epi", target_is_directory=True)
    write_knee(source / "jopp" / ".hidden", "k9")
    assert set(used(tmp_path / "linked")) == {f"scanner/k{number}" for number in range(1, 6)}
    write_knee(tmp_path / "store", "object", "_maps", ".mha")
    for name in ("", "_maps"):
        (source / "epi" / f"k6{name}.mha").symlink_to(tmp_path / "store" / f"object{name}.mha")
    assert used(source)["epi/k6"]["image"] == str(source / "epi" / "k6.mha")
    rows = "epi/k6.mha,epi/k6_maps.mha\n" + "".join(f"jopp/k{n}.mhd,jopp/k{n}_maps.mhd\n" for n in (1, 2))
    (source / "knees.csv").write_text(f"image,maps\n{rows}")
    assert set(used(source / "knees.csv")) == {"k6", "k1", "k2"}


@pytest.mark.parametrize("degrees", [0, 30])
def test_the_plane_is_that_of_the_slices(tmp_path, degrees):
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    tilt = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    cases = [
        (CORONAL, SPACING, None),
        (CORONAL @ np.diag([-1.0, 1, -1]), SPACING, None),
        (CORONAL[:, [2, 0, 1]], (2.2, 0.5, 0.5), None),
        (AXIAL, (0.5, 2.2, 0.5), None),
        (AXIAL, (0.5, 0.5, 0.5), None),
        (AXIAL, (0.5, 0.6, 0.9), None),
        (SAGITTAL, SPACING, "sagittal"),
        (SAGITTAL @ np.diag([1.0, -1, -1]), SPACING, "sagittal"),
        (AXIAL, SPACING, "axial"),
        (CORONAL, (2.2, 0.5, 0.5), "sagittal"),
    ]
    for number, (direction, spacing, _) in enumerate(cases):
        write_knee(tmp_path / "a", f"k{number}", "_maps", direction=tilt @ direction, spacing=spacing)
    expected = {
        f"a/k{number}": f"a {plane} image (slices 2.2 mm apart); expected a coronal one"
        for number, (*_, plane) in enumerate(cases)
        if plane
    }
    assert reasons(tmp_path) == expected


def test_a_sagittal_image_without_maps_is_called_sagittal(source):
    write(source / "maas" / "k1.mhd", direction=SAGITTAL)
    write(source / "maas" / "k2.mhd")
    assert reasons(source)["maas/k1"].startswith("a sagittal image")
    assert reasons(source)["maas/k2"] == "no maps"


def test_missing_maps_are_named(source):
    (source / "epi" / "k1_fibula.mhd").unlink()
    (source / "epi" / "k2_tibia.mhd").unlink()
    (source / "epi" / "k2_femur.mhd").unlink()
    (source / "epi" / "k3.mhd").unlink()
    assert reasons(source) == {
        "epi/k1": "no map of the fibula",
        "epi/k2": "no map of the femur and no map of the tibia",
        "epi/k3": "no image of this name beside its maps",
    }


def test_maps_on_another_grid(source):
    write(source / "epi" / "k1_tibia.mhd", bones()[..., 1], origin=(3.0, -8.0, 21.0))
    write(source / "epi" / "k2_femur.mhd", bones()[:-1, ..., 0])
    write(source / "jopp" / "k1_maps.mhd", bones(), direction=CORONAL @ np.diag([-1.0, 1, 1]))
    found = reasons(source)
    assert found["epi/k1"] == "grids differ: epi/k1.mhd and epi/k1_tibia.mhd lie up to 1 mm apart"
    assert found["epi/k2"] == "grids differ: epi/k2.mhd has shape 6x7x4, epi/k2_femur.mhd 5x7x4"
    assert found["jopp/k1"].endswith("jopp/k1_maps.mhd lie up to 5 mm apart")


def test_another_number_of_channels(source):
    write(source / "jopp" / "k1_maps.mhd", bones()[..., :2])
    write(source / "epi" / "k1_femur.mhd", bones())
    write(source / "epi" / "k2.mhd", bones().astype(np.int16))
    assert reasons(source) == {
        "jopp/k1": "jopp/k1_maps.mhd: 2 volumes in one file, not 1 or 3",
        "epi/k1": "epi/k1_femur.mhd: 3 volumes in one file, not 1",
        "epi/k2": "epi/k2.mhd: 3 volumes in one file, not 1",
    }


def test_all_bones_in_one_label_map(source):
    values = (bones() * np.array([1, 2, 3], np.uint8)).sum(axis=-1).astype(np.uint8)
    folder = source / "jopp"
    write(folder / "k1_maps.mhd", values)
    write(folder / "k2_maps.mhd", values.astype(np.float32))
    write(folder / "k3_maps.mhd", values * np.uint8(2))
    write(folder / "k4_maps.mhd", values * np.float32(0.5))
    write(folder / "k5_maps.mhd", values * np.uint8(0))
    assert used(source)["jopp/k1"]["label"] == str(folder / "k1_maps.mhd")
    assert reasons(source) == {
        "jopp/k3": "jopp/k3_maps.mhd: label values 4, 6; expected only 0, 1, 2, 3",
        "jopp/k4": "jopp/k4_maps.mhd: label values 0.5, 1.5; expected only 0, 1, 2, 3",
        "jopp/k5": "empty maps: jopp/k5_maps.mhd",
    }


def test_maps_without_any_bone(source):
    for bone in BONES:
        write(source / "epi" / f"k1_{bone}.mhd", np.zeros(SHAPE, np.uint8))
    write(source / "epi" / "k2_fibula.mhd", np.zeros(SHAPE, np.uint8))
    write(source / "jopp" / "k1_maps.mhd", bones() * 0)
    found = reasons(source)
    assert set(found) == {"epi/k1", "jopp/k1"}, "one bone may be out of the image"
    assert found["epi/k1"] == "empty maps: epi/k1_femur.mhd, epi/k1_tibia.mhd, epi/k1_fibula.mhd"


def test_damaged_files(source):
    (source / "epi" / "k1.raw").write_bytes(b"cut")
    (source / "epi" / "k2_tibia.raw").unlink()
    (source / "epi" / "k3_femur.mhd").write_text("no image")
    (source / "jopp" / "k1.mhd").write_bytes(b"")
    found = reasons(source)
    assert found["epi/k1"].startswith("epi/k1.mhd: damaged or incomplete voxels")
    assert found["epi/k2"].startswith("epi/k2_tibia.mhd: damaged or incomplete voxels")
    assert found["epi/k3"] == "epi/k3_femur.mhd: unreadable, damaged or no image"
    assert found["jopp/k1"] == "jopp/k1.mhd: unreadable, damaged or no image"
    assert len(found) == 4


def test_values_that_training_refuses(source):
    write(source / "epi" / "k1.mhd", np.zeros(SHAPE, np.int16))
    for name in ("k2", "k3_tibia"):
        values = np.random.default_rng(0).random(SHAPE, np.float32)
        values[0, 0, 0] = np.nan
        write(source / "epi" / f"{name}.mhd", values)
    assert reasons(source) == {
        "epi/k1": "epi/k1.mhd: all voxels equal (0); expected an image with differing voxels",
        "epi/k2": "epi/k2.mhd: 1 NaN and 0 infinite voxels; expected finite voxels",
        "epi/k3": "epi/k3_tibia.mhd: 1 NaN and 0 infinite voxels; expected finite voxels",
    }


def test_what_is_meant_must_be_clear(source):
    write(source / "epi" / "k1.nii.gz")
    write(source / "epi" / "again" / "k2.mhd")
    write(source / "epi" / "k3-tibia.mhd", bones()[..., 1])
    write(source / "jopp" / "k1_seg.mhd", bones())
    write(source / "jopp" / "k2_femur.mhd", bones()[..., 0])
    found = reasons(source)
    assert found == {
        "epi/k1": "2 images of this name: epi/k1.mhd, epi/k1.nii.gz",
        "epi/again/k2": "no maps",
        "epi/k3": "2 files for tibia: epi/k3-tibia.mhd, epi/k3_tibia.mhd",
        "jopp/k1": "2 files for maps: jopp/k1_maps.mhd, jopp/k1_seg.mhd",
        "jopp/k2": "jopp/k2_maps.mhd and jopp/k2_femur.mhd; which are meant cannot be known",
    }


def test_nothing_to_use(tmp_path, source):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no cases found; expected SOURCE/epi/CASE\.mhd"):
        knee_mhd.datalist(tmp_path / "empty")
    write(tmp_path / "alone" / "epi" / "k1.mhd")
    with pytest.raises(InputError, match=r"none of 1 cases usable, such as epi/k1 \(no maps\)"):
        knee_mhd.datalist(tmp_path / "alone")
