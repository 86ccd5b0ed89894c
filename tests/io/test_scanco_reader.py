from __future__ import annotations

import numpy as np
import pytest
from monai.transforms import LoadImaged

from monai_tasks.io.errors import InputError, input_error
from monai_tasks.io.scanco import open_scanco
from monai_tasks.io.scanco_reader import ScancoReader
from monai_tasks.io.scanco_writer import write_isq
from monai_tasks.io.volume_reader import VolumeReader

NAME = "Quilla Nevermore"


@pytest.fixture
def isq(tmp_path):
    array = np.random.default_rng(3).integers(-3000, 16000, (8, 7, 6)).astype(np.int16)
    write_isq(tmp_path / "a.ISQ", array, (0.061, 0.061, 0.082), name=NAME)
    return tmp_path / "a.ISQ"


@pytest.mark.parametrize("unit", ["native", "attenuation", "density", "hu"])
def test_within_load_image(isq, unit):
    reader = "monai_tasks.io.scanco_reader.ScancoReader"
    image = LoadImaged("image", reader=reader, ensure_channel_first=True, unit=unit)({"image": isq})["image"]
    scan = open_scanco(isq, unit)
    np.testing.assert_allclose(image.numpy()[0], scan.read(range(6)))
    np.testing.assert_allclose(image.affine.numpy(), scan.affine)
    assert NAME not in str(image.meta)


def test_the_reader_of_all_bundles_reads_density(isq):
    reader = VolumeReader()
    array, metadata = reader.get_data(reader.read(isq))
    np.testing.assert_array_equal(array, open_scanco(isq, "density").read(range(6)))
    assert array.dtype == np.float32
    assert NAME not in str(metadata)


def test_constant_volumes(tmp_path):
    write_isq(tmp_path / "a.ISQ", np.zeros((4, 4, 4), np.int16), (0.1, 0.1, 0.1))
    with pytest.raises(InputError, match="all voxels equal"):
        ScancoReader().get_data([tmp_path / "a.ISQ"])
    assert not ScancoReader("native", allow_constant=True).get_data([tmp_path / "a.ISQ"])[0].any()


def test_refused(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"x")
    load = LoadImaged("image", reader=ScancoReader)
    with pytest.raises(Exception, match="expected an ISQ or AIM file") as error:
        load({"image": tmp_path / "a.nii"})
    assert input_error(error.value) is not None
    with pytest.raises(ValueError, match="'bmd'; expected one of"):
        ScancoReader("bmd")
