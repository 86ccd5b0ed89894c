"""DICOM files around generated radiographs, with all that a hospital's files differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless, RLELossless)
SHADES = ("none", "window", "lut")
# In every personal text and identifier, so that a leak can be searched for.
LEAK = "ZQLEAK"
BIRTH_DATE = "19020304"
ROOT = "1.2.826.0.1.3680043.8.498"
CLASSES = {"CR": ComputedRadiographyImageStorage, "DX": DigitalXRayImageStorageForPresentation}

# What people write for a body part, in several languages, with accents and slips of the keyboard.
WORDS = {
    "wrist": (
        "WRIST", "Wrist PA/LAT", "left wrist", "WRIST 2 VIEWS", "wirst", "HANDGELENK", "Handgelenk re.",
        "Handgelenk li", "HANDWURZEL", "POIGNET", "poignet gauche", "POLSO", "Polso dx", "MUÑECA",
        "Muñeca izq.", "MUNECA", "CANELL", "PUNHO", "Pols",
    ),
    "foot": ("FOOT", "Fuß li", "FUSS", "PIED", "PIEDE", "PIE", "Peu", "Voet"),
    "elbow": ("ELBOW", "ELLENBOGEN", "COUDE", "GOMITO", "CODO", "COTOVELO"),
    "knee": ("KNEE", "KNIE", "GENOU", "GINOCCHIO", "RODILLA"),
    "chest": ("CHEST", "THORAX", "TÓRAX", "TORACE", "Brustkorb"),
    "skull": ("SKULL", "SCHÄDEL", "CRÂNE", "CRÁNEO", "CRANIO"),
}  # fmt: skip


@dataclass(frozen=True)
class Storage:
    """How a file keeps its pixels.

    Attributes:
        bits: stored, 10 to 15.
        photometric: MONOCHROME1 or MONOCHROME2.
        shades: "window" or "lut" where the header says how stored values become grey, else "none".
        syntax: transfer syntax.
        modality: "CR" or "DX".
    """

    bits: int
    photometric: str
    shades: str
    syntax: str
    modality: str

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Storage:
        """Draw one; all combinations occur."""
        return cls(
            bits=int(rng.integers(10, 16)),
            photometric=f"MONOCHROME{rng.choice([1, 2], p=(0.4, 0.6))}",
            shades=str(rng.choice(SHADES)),
            syntax=SYNTAXES[rng.integers(len(SYNTAXES))],
            modality=str(rng.choice(list(CLASSES))),
        )

    def stored(self, pixels: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Values to store for pixels, and the fields that turn them back.

        Args:
            pixels: (..., H, W) uint16, as they are to be seen.

        Returns:
            Values of the pixels' shape, uint16, and DICOM fields by keyword.
        """
        shown = pixels / 65535
        if self.photometric == "MONOCHROME1":
            shown = 1 - shown
        top = 2**self.bits - 1
        if self.shades == "window":
            low, high = round(0.1 * top), round(0.8 * top)
            fields = {"WindowCenter": (low + high + 1) / 2, "WindowWidth": high - low + 1}
            return np.rint(low + shown * (high - low)).astype(np.uint16), fields
        if self.shades == "lut":
            # The curve of a film: the LUT undoes what was done to the stored values.
            item = Dataset()
            item.LUTDescriptor = [top + 1, 0, 16]
            curve = (np.arange(top + 1) / top) ** 0.7
            item.add_new("LUTData", "OW", np.rint(65535 * curve).astype("<u2").tobytes())
            return np.rint(top * shown ** (1 / 0.7)).astype(np.uint16), {"VOILUTSequence": [item]}
        return np.rint(top * shown).astype(np.uint16), {}


def body_part_text(rng: np.random.Generator, part: str) -> tuple[str, bool]:
    """Free text for a body part.

    Args:
        rng: source of randomness.
        part: a key of `WORDS`.

    Returns:
        The text, and whether its encoding was damaged on the way.
    """
    text = str(rng.choice(WORDS[part]))
    style = rng.random()
    text = text.lower() if style < 0.2 else text.upper() if style < 0.5 else text
    if text.isascii() or rng.random() < 0.4:
        return text, False
    if rng.random() < 0.5:  # UTF-8 that was read as if it were Latin-1
        return text.encode().decode("latin-1"), True
    return "".join(letter if letter.isascii() else "?" for letter in text), True


def header(numbers: Mapping[str, int], modality: str, sop_class: str) -> FileDataset:
    """A file without pixels, with identifiers and personal fields that are generated and bear `LEAK`.

    Args:
        numbers: `patient`, `study`, `series`, `instance` and `seed`.
        modality: of the series.
        sop_class: identifier of the kind of file.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 192"
    patient, study, series, instance = (numbers[k] for k in ("patient", "study", "series", "instance"))
    study_uid = study_identifier(numbers["seed"], study)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = f"{study_uid}.{series}.{instance}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, f"{study_uid}.{series}"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, series, instance
    dataset.PatientName = f"{LEAK}name{patient}^{LEAK}first{patient}"
    dataset.PatientID, dataset.PatientBirthDate = f"{LEAK}id{patient}", BIRTH_DATE
    dataset.AccessionNumber, dataset.StudyID = f"{LEAK}a{study}", f"{LEAK}s{study}"
    dataset.StudyDate, dataset.StudyTime = "19991231", "115900"
    dataset.InstitutionName = f"{LEAK} institution"
    dataset.ReferringPhysicianName = f"{LEAK}referrer^{LEAK}"
    dataset.OperatorsName = f"{LEAK}operator^{LEAK}"
    dataset.StudyDescription = f"{LEAK} description {LEAK}name{patient}"
    dataset.PatientComments = f"{LEAK} comment"
    block = dataset.private_block(0x0009, f"{LEAK} PRIVATE", create=True)
    block.add_new(0x01, "LO", f"{LEAK} private text")
    return dataset


def study_identifier(seed: int, study: int) -> str:
    """StudyInstanceUID of a study."""
    return f"{ROOT}.{seed + 1}.{study}"


def add_body_part(dataset: Dataset, text: str) -> None:
    """Set the body part to a text that DICOM would not allow, as UTF-8 bytes.

    Args:
        dataset: changed in place.
        text: any.
    """
    # pydicom writes this kind of text as Latin-1 whatever the character set is; so the bytes become UTF-8.
    written = text.encode().decode("latin-1")
    dataset.add(DataElement("BodyPartExamined", "CS", written, validation_mode=0))


def add_pixels(dataset: FileDataset, pixels: np.ndarray, storage: Storage) -> None:
    """Store pixels.

    Args:
        dataset: changed in place.
        pixels: (H, W) or (frames, H, W) uint16, as they are to be seen.
        storage: how.
    """
    values, fields = storage.stored(pixels)
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, storage.photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, storage.bits, storage.bits - 1
    dataset.PixelRepresentation = 0
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = values.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    if storage.syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        dataset.file_meta.TransferSyntaxUID = storage.syntax
    else:
        dataset.compress(storage.syntax, generate_instance_uid=False)
