"""Of a header the technical fields are kept, and no text in which a part of a person's data is found."""

from __future__ import annotations

import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from radiograph_files import item

from monai_tasks.io.radiograph_header import RadiographHeader, header_of

PERSON = {
    "PatientName": "Müller-Ångström^Ida Jo L^^Dr.",
    "PatientID": "WZ-4711-88",
    "PatientBirthDate": "19840307",
    "AccessionNumber": "A55021",
    "ReferringPhysicianName": "Okonkwo^Bea",
}


def header(**fields):
    return header_of(item(**PERSON, **fields))


def test_the_technical_fields():
    found = header(
        Modality="DX",
        PhotometricInterpretation="MONOCHROME1",
        BitsStored=12,
        PixelSpacing=[0.2, 0.1],
        BodyPartExamined="Poignet  droit",
        ViewPosition="PA",
        ImageLaterality="R",
        BurnedInAnnotation="YES",
    )
    expected = RadiographHeader("DX", "MONOCHROME1", 12, (0.2, 0.1), "Poignet droit", "PA", "R", "YES")
    assert found == expected


def test_an_empty_header_says_nothing():
    assert header_of(Dataset()) == RadiographHeader()


def test_other_fields_for_the_same_things():
    found = header(
        ImagerPixelSpacing=[0.15, 0.15],
        Laterality="l",
        AnatomicRegionSequence=[item(CodeMeaning="Wrist")],
        ViewCodeSequence=[item(CodeMeaning="postero-anterior")],
    )
    assert (found.pixel_spacing, found.laterality) == ((0.15, 0.15), "L")
    assert (found.body_part, found.view_position) == ("Wrist", "postero-anterior")
    found = header(PrimaryAnatomicStructureSequence=[item(CodeMeaning="Hand")], AnatomicRegionSequence=[])
    assert found.body_part == "Hand"


@pytest.mark.parametrize(
    "text",
    [
        "HAND MÜLLER",
        "hand muller",
        "Handgelenk von Ida",
        "WRIST Jo",
        "ANGSTROM wrist",
        "wrist_okonkwo",
        "WZ 4711 88",
        "WZ471188 HAND",
        "hand 4711",
        "A55021",
        "wrist 1984",
        "wrist 07.03.1984",
        "wrist 7/3 840307",
        "wrist 03071984",
        "HAND 070384",
        "Hand 12345678",
        "wrist\x07",
        "wrist " * 20,
    ],
)
def test_text_with_anything_personal_is_dropped(text):
    found = header(BodyPartExamined=text, ViewPosition=text)
    assert (found.body_part, found.view_position) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "HANDGELENK",
        "Poignet gauche",
        "HAND L",
        "poignet \x82",
        "\x85 droite",
        "MU\ufffdECA",
        "RADIUS UND ULNA",
        "joint 2 views",
        "Šaka",
        "手",
    ],
)
def test_text_without_is_kept(text):
    assert header(BodyPartExamined=text).body_part == text


def test_values_out_of_their_lists_are_dropped():
    found = header(
        Modality="Ida Jo 1",
        PhotometricInterpretation="RGB",
        Laterality="IDA",
        BurnedInAnnotation="IDA",
        PixelSpacing=[0, 0.1],
    )
    assert found == RadiographHeader()


@pytest.mark.parametrize("text", [["abc", "0.1"], ["0.1", ""]])
def test_a_spacing_that_is_no_number_is_none(text):
    """Such text comes out of files in which the field is damaged, and is no reason to refuse their pixels."""
    dataset = Dataset()
    dataset.add(DataElement("PixelSpacing", "LO", text))
    assert header_of(dataset) == RadiographHeader()
