"""A small archive as a hospital hands it over: radiographs among other files, and personal text wherever it fits."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless
from radiograph_files import ROOT, lut, radiograph, ramp, save, uid

# All that is personal holds one of these.
LEAKS = (b"leak", b"19010203", b"03021901", ROOT.encode())
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def fields(study, patient=None, series=1, instance=1, **others):
    """The fields of an image of a study, with a person in each field that may name one."""
    patient = patient or study
    return {
        "StudyInstanceUID": uid(f"study {study}"),
        "SeriesInstanceUID": uid(f"series {study} {series}"),
        "SeriesNumber": series,
        "InstanceNumber": instance,
        "AccessionNumber": f"LEAKACC{study}",
        "PatientName": f"Leak{patient}^Leakfirst",
        "PatientID": f"LEAKID{patient}",
        "PatientBirthDate": "19010203",
        "OtherPatientNames": "Leakother^Name",
        "PatientAddress": "Leak Street 9",
        "PatientComments": "leak comment",
        "ReferringPhysicianName": "Leakdoctor^A",
        "OperatorsName": "Leakoperator^B",
        "InstitutionName": "Leak Hospital",
        "StationName": "LEAKSTATION",
        "StudyID": "LEAKSTUDY",
        "StudyDescription": "leak description",
        "SeriesDescription": "leak series",
        "ProtocolName": "leak protocol",
        "ImageComments": "leak comment",
        "BodyPartExamined": "WRIST",
        **others,
    }


def image(folder, name, study, stored=None, bits=12, syntax=None, **others):
    """Write an image of a study."""
    stored = ramp() if stored is None else stored
    return save(radiograph(stored, bits, **fields(study, **others)), folder / name, syntax)


def truncated(path):
    """Cut a file in the middle of its pixels."""
    path.write_bytes(path.read_bytes()[:-700])


def report(path, study):
    """Write a structured report: DICOM without pixels."""
    dataset = radiograph(ramp(), **fields(study, Modality="SR"))
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    save(dataset, path)


def captured(path, study):
    """Write a secondary capture."""
    dataset = radiograph(ramp(), **fields(study))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    save(dataset, path)


def write_archive(folder):
    """Write an archive.

    Study `a` and `e` are of one patient, `b` has two series, `d` a multi-frame file, and `c` no label.

    Returns:
        By file what becomes of it: `STUDY/NAME` of the images, or a part of the reason.
    """
    archive = folder / "archive"
    image(archive, "in/IM1.dcm", "a", instance=2, ViewPosition="PA", ImageLaterality="R", PatientID="LEAKP")
    one = fields("a", instance=1, PhotometricInterpretation="MONOCHROME1", BurnedInAnnotation="YES")
    one |= {"WindowCenter": 2000, "WindowWidth": 3000, "PatientID": "LEAKP", "PixelSpacing": [0.1, 0.2]}
    one |= {"BodyPartExamined": "WRIST LEAKA"}
    save(radiograph(ramp(), **one), archive / "other" / "1.2.840.17.5.4.3", JPEGLSLossless)
    image(archive, "in/IM2", "b", series=7, syntax=JPEG2000Lossless)
    image(archive, "in/IM3", "b", series=3, VOILUTSequence=[lut(range(4096), bits=12)])
    image(archive, "in/IM4", "c", stored=ramp(low=-500, high=700, kind=np.int16))
    frames = np.stack([ramp(), np.full_like(ramp(), 8), ramp(low=9)])
    image(archive, "in/IM5", "d", stored=frames)
    image(archive, "e.dcm", "e", PatientID="LEAKP", bits=15)
    image(archive, "Leakb_Leakfirst/cut.dcm", "b", series=7, instance=2)
    truncated(archive / "Leakb_Leakfirst" / "cut.dcm")
    report(archive / "Leakb_Leakfirst" / "report.dcm", "b")
    captured(archive / "in" / "screen.dcm", "a")
    image(archive, "in/slice.dcm", "f", Modality="CT")
    (archive / "Leakb_Leakfirst" / "notes.txt").write_text("leak")
    (archive / "Leakb_Leakfirst" / "empty.dcm").touch()
    (archive / "in" / ".hidden").write_text("leak")
    colours = np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)
    (archive / "pictures").mkdir()
    Image.fromarray(colours).save(archive / "pictures" / "colour.png")
    text = PngInfo()
    text.add_text("Author", "leak")
    Image.fromarray(ramp(high=255, kind=np.uint8)).save(archive / "pictures" / "grey.png", pnginfo=text)
    (folder / "labels.csv").write_text(
        "study,label,comment\n"
        f"{uid('study a')},1,leak\n"
        "LEAKACCb,Not Broken,\n"
        f"{uid('study d')},yes,\n"
        f"{uid('study e')},0,\n"
        f"{uid('study f')},0,\n"
        "LEAKnobody,no,\n"
        "pictures,Fracture,\n",
        encoding="utf-8",
    )
    return {
        "in/IM1.dcm": ["broken/a/S1_I2.png"],
        "other/1.2.840.17.5.4.3": ["broken/a/S1_I1.png"],
        "in/IM2": ["not_broken/b/S2_I1.png"],
        "in/IM3": ["not_broken/b/S1_I1.png"],
        "in/IM4": ["unlabelled/c/S1_I1.png"],
        "in/IM5": ["broken/d/S1_I1_F1.png", "broken/d/S1_I1_F3.png"],
        "e.dcm": ["not_broken/e/S1_I1.png"],
        "pictures/grey.png": ["broken/pictures/S1_I2.png"],
        "Leakb_Leakfirst/cut.dcm": "pixels that cannot be decoded",
        "Leakb_Leakfirst/report.dcm": "no pixels (modality SR)",
        "Leakb_Leakfirst/notes.txt": "no DICOM, PNG or JPEG file",
        "Leakb_Leakfirst/empty.dcm": "an empty file",
        "in/screen.dcm": "secondary capture",
        "in/slice.dcm": "not a radiograph (modality CT)",
        "pictures/colour.png": "colour pixels",
    }
