"""What a header says decides whether a file is a radiograph, in the same way wherever that is asked."""

from __future__ import annotations

import pytest
from radiograph_files import COMPUTED_RADIOGRAPHY, radiograph, ramp, save

from monai_tasks.io.dicom_file import read_header
from monai_tasks.io.dicom_series import search_header
from monai_tasks.io.radiograph_kind import no_radiograph

CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"Modality": "dx"}, ""),
        ({"Modality": "CR", "SOPClassUID": CT}, ""),
        ({"Modality": None}, ""),
        ({"Modality": None, "SOPClassUID": CT}, "not a radiograph (modality not told)"),
        ({"Modality": "CT"}, "not a radiograph (modality CT)"),
        ({"Modality": "Jane^D"}, "not a radiograph (modality not told)"),
        ({"SOPClassUID": CAPTURE}, "secondary capture"),
        ({"SOPClassUID": f"{CAPTURE}.2"}, "secondary capture"),
        ({"ConversionType": "WSD"}, "secondary capture"),
        ({"ConversionType": "DF"}, ""),
        ({"Rows": None}, "no pixels (modality CR)"),
        ({"Columns": None}, "no pixels (modality CR)"),
    ],
)
def test_reasons_are_those_of_the_whole_header_and_of_its_first_fields(tmp_path, fields, reason):
    dataset = radiograph(ramp(), **fields)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", COMPUTED_RADIOGRAPHY)
    path = save(dataset, tmp_path / "image.dcm")
    assert no_radiograph(read_header(path)) == reason
    assert no_radiograph(search_header(path)) == reason
