"""What of a radiograph's DICOM header may be kept: technical fields, and the body part once it was looked at.

Nothing else leaves the header. Fields with a short list of values keep these alone. The two that may hold free text
are dropped where a part of a name, of an identifier or of the birth date in the same header is found in them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2")
LATERALITY = ("R", "L", "B", "U")
_NAMES = (
    "PatientName",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ResponsiblePerson",
    "ReferringPhysicianName",
    "RequestingPhysician",
    "PerformingPhysicianName",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
)
_IDENTIFIERS = ("PatientID", "OtherPatientIDs", "IssuerOfPatientID", "AccessionNumber", "StudyID")
_LONGEST_TEXT = 64
# Shorter parts of a name are looked for as whole words: initials are in every text.
_SHORTEST_PART = 4
# No body part has such a number in it; dates and identifiers do.
_LONG_NUMBER = re.compile(r"\d{6}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class RadiographHeader:
    """The fields of a header that are kept; empty or None where the header does not say.

    Args:
        modality: such as CR or DX.
        photometric: MONOCHROME1 or MONOCHROME2, as it was before the inversion.
        bits_stored: bits of a pixel.
        pixel_spacing: mm between rows, then between columns, at the detector where the header tells no other.
        body_part: free text of the body part examined.
        view_position: such as PA.
        laterality: R, L, B (both) or U (unpaired).
        burned_in_annotation: YES or NO.
    """

    modality: str = ""
    photometric: str = ""
    bits_stored: int | None = None
    pixel_spacing: tuple[float, float] | None = None
    body_part: str = ""
    view_position: str = ""
    laterality: str = ""
    burned_in_annotation: str = ""


def header_of(dataset: Dataset) -> RadiographHeader:
    """Take what may be kept from a DICOM header.

    Args:
        dataset: the header, with or without pixels.

    Returns:
        The fields. The body part is BodyPartExamined, or else the name of the code of AnatomicRegionSequence or
        PrimaryAnatomicStructureSequence; the view is ViewPosition, or else the name of the code of
        ViewCodeSequence. Descriptions and protocol names are not read: people write anything into them.
    """
    personal = personal_parts(dataset)
    body_part = _text(dataset, "BodyPartExamined")
    for sequence in ("AnatomicRegionSequence", "PrimaryAnatomicStructureSequence"):
        body_part = body_part or _code_meaning(dataset, sequence)
    view = _text(dataset, "ViewPosition") or _code_meaning(dataset, "ViewCodeSequence")
    return RadiographHeader(
        modality=_listed(_text(dataset, "Modality"), re.compile("[A-Z]{2,6}")),
        photometric=_listed(_text(dataset, "PhotometricInterpretation"), PHOTOMETRIC),
        bits_stored=_integer(dataset.get("BitsStored")),
        pixel_spacing=_spacing(dataset.get("PixelSpacing")) or _spacing(dataset.get("ImagerPixelSpacing")),
        body_part=without_personal(body_part, personal),
        view_position=without_personal(view, personal),
        laterality=_listed(_text(dataset, "ImageLaterality") or _text(dataset, "Laterality"), LATERALITY),
        burned_in_annotation=_listed(_text(dataset, "BurnedInAnnotation"), ("YES", "NO")),
    )


def without_personal(text: str, personal: Iterable[str]) -> str:
    """A text, or nothing where it holds a part of what is personal, a long number, or is no single short line.

    Args:
        text: free text.
        personal: as `personal_parts` gives it.

    Returns:
        The text without blanks around it and in a row.
    """
    # Not by `split`, which takes some letters of damaged encodings for blanks.
    text = re.sub("[ \t\r\n]+", " ", text).strip(" ")
    numbers = re.sub(r"\D", "", text)
    if _CONTROL.search(text) or len(text) > _LONGEST_TEXT or _LONG_NUMBER.search(numbers):
        return ""
    return "" if holds_personal(text, personal) else text


def holds_personal(text: str, personal: Iterable[str]) -> bool:
    """Whether a text holds a part of what is personal: a short one as a word, a longer one anywhere.

    Args:
        text: any text, such as a file's name.
        personal: as `personal_parts` gives it.

    Returns:
        True or False.
    """
    words = plain(text).split()
    joined, numbers = "".join(words), re.sub(r"\D", "", text)
    return any(
        part in words or (len(part) >= _SHORTEST_PART and (part in joined or part in numbers))
        for part in personal
    )


def plain(text: str) -> str:
    """Letters without accents and in one case, and digits, with a blank for all else."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]+", " ", "".join(one for one in letters if not unicodedata.combining(one))).strip()


def personal_parts(dataset: Dataset) -> frozenset[str]:
    """The parts of all names, identifiers and birth dates of a header, in the form that `plain` gives.

    Single letters are left out: they tell no person, and are in many texts.
    """
    return frozenset(part for part in _parts(dataset) if len(part) > 1)


def _parts(dataset: Dataset) -> Iterator[str]:
    for keyword in (*_NAMES, *_IDENTIFIERS):
        words = plain(_text(dataset, keyword)).split()
        yield from words
        yield "".join(words)
    date = re.sub(r"\D", "", _text(dataset, "PatientBirthDate"))
    if len(date) == 8:
        year, month, day = date[:4], date[4:6], date[6:]
        for form in ((year, month, day), (day, month, year), (month, day, year)):
            yield "".join(form)
            yield "".join(form).replace(year, year[2:])
        yield from (year, day + month, month + day)


def _text(dataset: Dataset, keyword: str) -> str:
    """A field as one text; several values are joined by blanks."""
    value = dataset.get(keyword)
    if value is None:
        return ""
    if _is_many(value) and not isinstance(value, str):
        return " ".join(map(str, value))
    return str(value).strip(" ")


def _is_many(value: object) -> bool:
    return isinstance(value, Iterable) and not hasattr(value, "components")


def _code_meaning(dataset: Dataset, sequence: str) -> str:
    items = dataset.get(sequence)
    return _text(items[0], "CodeMeaning") if items else ""


def _listed(text: str, values: tuple[str, ...] | re.Pattern[str]) -> str:
    """A text in upper case where it is one of the values, else nothing."""
    text = text.upper()
    fits = values.fullmatch(text) if isinstance(values, re.Pattern) else text in values
    return text if fits else ""


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _spacing(value: object) -> tuple[float, float] | None:
    """Two positive numbers of millimetres, else nothing."""
    if not isinstance(value, Iterable) or isinstance(value, str):
        return None
    try:
        numbers = [float(one) for one in value]
    except (TypeError, ValueError):  # other text than numbers
        return None
    return (numbers[0], numbers[1]) if len(numbers) == 2 and min(numbers) > 0 else None
