"""MONAI loads radiographs by this reader, with rows before columns, and keeps nothing of the header."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from monai.transforms import LoadImage, LoadImaged
from pydicom.uid import JPEGLSLossless
from radiograph_files import ramp, write

from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.errors import InputError, input_error
from monai_tasks.io.picture import write_png
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.io.radiograph_frames import frame_path
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
    assert reason(frames).startswith(
        f"{frames}: 2 frames; expected one, or the name of one of them, such as "
    )
    assert reason(f"{frames}#frame=3") == f"{frames}#frame=3: 2 frames; expected 3 at least"
    assert reason(f"{one}#frame=2") == f"{one}#frame=2: 1 frame; expected 2 at least"
    assert reason([one, one]).startswith(f"{one}: 2 files in one case")


def test_no_warning_shows_a_value_of_a_header(tmp_path, caplog):
    with unchecked_values():
        odd = {"ViewPosition": "kept_not" * 4, "BodyPartExamined": "Kept" * 9, "PatientID": "Kept" * 40}
        path = write(tmp_path / "odd.dcm", ramp(), **odd)
    with warnings.catch_warnings(action="always", record=True) as shown:
        RadiographReader().get_data([path])
    assert ([str(warning.message) for warning in shown], caplog.text) == ([], "")


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless])
def test_a_path_names_a_frame(tmp_path, syntax):
    """The second cannot be shown, which is no fault of the others."""
    stored = np.stack([ramp(), np.full_like(ramp(), 8), ramp()[::-1]])
    path = write(tmp_path / "frames.dcm", stored, syntax=syntax)
    for number in (1, 3):
        image = LoadImage(reader=RadiographReader)(frame_path(path, number))
        np.testing.assert_array_equal(image, read_radiograph(path, number - 1).pixels)
        assert image.meta["filename_or_obj"] == f"{path}#frame={number}"
    assert image[0, 0] > image[-1, 0]
    with pytest.raises(InputError, match="#frame=2: all pixels equal"):
        RadiographReader().get_data([frame_path(path, 2)])
