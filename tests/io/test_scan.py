from __future__ import annotations

import copy
import pickle

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose

from monai_tasks.io.errors import InputError, input_error
from monai_tasks.io.scan import OpenScand, Scan, open_scan
from monai_tasks.io.scanco_writer import write_isq
from monai_tasks.io.volume_reader import VolumeReader

KINDS = ["a.nii", "a.nii.gz", "a.mgz", "a.mha", "a.nrrd", "a.ISQ", "C0000001.ISQ;1", "folder"]


@pytest.fixture
def scans(tmp_path, grids, dicom, write_volume):
    """The path of a scan of each kind."""
    array, affine = grids["oblique"].array.round().astype(np.int16), grids["oblique"].affine
    for name in KINDS:
        if "ISQ" in name:
            write_isq(tmp_path / name, array, (0.061, 0.061, 0.082))
        elif name == "folder":
            dicom.series(tmp_path / name, grids["oblique"]._replace(array=array))
        else:
            write_volume(tmp_path / name, array, affine)
    return {name: tmp_path / name for name in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_reader_of_volumes_reads_it(scans, kind):
    reader = VolumeReader()
    whole, metadata = reader.get_data(reader.read(scans[kind]))
    scan = open_scan(scans[kind])
    assert isinstance(scan, Scan)
    assert (scan.shape, scan.unit, scan.path) == (whole.shape, "density", scans[kind])
    np.testing.assert_array_equal(scan.affine, metadata["affine"])
    np.testing.assert_array_equal(scan.read([10, 2]), whole[:, :, [10, 2]])


@pytest.mark.parametrize("kind", KINDS)
def test_copies_hold_no_pixels_and_read_on(scans, kind):
    scan = open_scan(str(scans[kind]))
    packed = pickle.dumps(scan)
    assert len(packed) < 10000
    for other in (pickle.loads(packed), copy.deepcopy(scan)):
        np.testing.assert_array_equal(other.read([4]), scan.read([4]))


def test_transform(scans):
    item = {"image": scans["a.ISQ"], "label": 3, "more": str(scans["a.nii"])}
    opened = Compose([OpenScand(["image", "more"], unit="hu")])(item)
    assert opened["label"] == 3
    assert item["image"] == scans["a.ISQ"]
    for key in ("image", "more"):
        assert isinstance(opened[key], Scan)
        assert opened[key].unit == "hu"


def test_transform_with_missing_keys(scans):
    assert OpenScand("image", allow_missing_keys=True)({"label": 1}) == {"label": 1}
    with pytest.raises(KeyError):
        OpenScand("image")({"label": 1})


@pytest.mark.parametrize("value", [["a.ISQ", "b.ISQ"], 3, None])
def test_transform_takes_one_path(value):
    with pytest.raises(InputError, match="expected the path of one scan"):
        OpenScand("image")({"image": value})


def test_the_reason_is_found_within_a_chain(tmp_path):
    with pytest.raises(RuntimeError) as error:
        Compose([OpenScand("image")])({"image": tmp_path / "a.ISQ"})
    assert input_error(error.value).reason.startswith("no such file; expected")


def test_refused(tmp_path, scans):
    for name, text in {
        "a.isq": "no Scanco header",
        "a.txt": "a .txt file",
        "a": "a file without a suffix",
    }.items():
        (tmp_path / name).write_text("x" * 600)
        with pytest.raises(InputError, match=text):
            open_scan(tmp_path / name)
    (tmp_path / "empty.nii").touch()
    with pytest.raises(InputError, match="an empty file"):
        open_scan(tmp_path / "empty.nii")
    with pytest.raises(InputError, match="no such file"):
        open_scan(tmp_path / "b.nii")
    for make in (lambda: open_scan(scans["a.nii"], "bmd"), lambda: OpenScand("image", unit="bmd")):
        with pytest.raises(ValueError, match="'bmd'; expected one of"):
            make()


def test_axes_that_do_not_span_space(tmp_path, grids):
    image = nib.Nifti1Image(grids["RAS"].array, None)
    image.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), code=1)
    nib.save(image, tmp_path / "a.nii")
    with pytest.raises(InputError, match="a singular affine"):
        open_scan(tmp_path / "a.nii")
