"""MONAI loads radiographs by this reader, with rows before columns, and keeps nothing of the header."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from monai.transforms import LoadImage, LoadImaged
from radiograph_files import ramp, write

from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.errors import input_error
from monai_tasks.io.radiograph import read_radiograph, write_png
from monai_tasks.io.radiograph_reader import RadiographReader

NAME = "monai_tasks.io.radiograph_reader.RadiographReader"


@pytest.mark.parametrize("reader", [NAME, RadiographReader])
@pytest.mark.parametrize("name", ["image.png", "image.dcm", "1.2.826.5"])
def test_rows_before_columns(tmp_path, name, reader):
    path = tmp_path / name
    if name.endswith("png"):
        write_png(path, ramp(high=65535))
    else:
        write(path, ramp(), PatientName="Not^Kept")
    image = LoadImaged(keys="image", reader=reader, ensure_channel_first=True)({"image": path})["image"]
    assert (tuple(image.shape), str(image.dtype)) == ((1, 40, 34), "torch.float32")
    np.testing.assert_array_equal(image[0], read_radiograph(path).pixels)
    np.testing.assert_array_equal(image.affine, np.eye(4))
    assert image.meta["filename_or_obj"] == str(path)
    assert "Not" not in str(image.meta)


def test_what_is_refused_is_not_left_to_another_reader(tmp_path):
    def reason(paths):
        try:
            LoadImage(reader=RadiographReader)(paths)
        except (ValueError, RuntimeError) as error:
            return str(input_error(error))

    frames = write(tmp_path / "frames.dcm", np.stack([ramp(), ramp()]))
    one = write(tmp_path / "one.dcm", ramp())
    assert reason(frames).startswith(f"{frames}: 2 frames; expected one")
    assert reason([one, one]).startswith(f"{one}: 2 files in one case")


def test_no_warning_shows_a_value_of_a_header(tmp_path, caplog):
    with unchecked_values():
        odd = {"ViewPosition": "kept_not" * 4, "BodyPartExamined": "Kept" * 9, "PatientID": "Kept" * 40}
        path = write(tmp_path / "odd.dcm", ramp(), **odd)
    with warnings.catch_warnings(action="always", record=True) as shown:
        LoadImage(reader=RadiographReader)(path)
    assert ([str(warning.message) for warning in shown], caplog.text) == ([], "")
