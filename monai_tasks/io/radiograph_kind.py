"""Whether a DICOM header is that of a radiograph: one rule for archives and for inputs."""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

# DICOM's words for a single projection on a plate or a detector.
MODALITIES = ("CR", "DX", "DR", "RG")
# Computed radiography, and digital X-ray for presentation and for processing.
_PROJECTIONS = tuple(f"1.2.840.10008.5.1.4.1.1.1{further}" for further in ("", ".1", ".1.1"))
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_DIRECTORY = "1.2.840.10008.1.3.10"
# Images made by a workstation, a scanner of paper, a video signal, a screen or a drawing: all but a digitised film.
_CAPTURED = ("DV", "DI", "WSD", "SD", "SI", "DRW", "SYN")


def no_radiograph(header: Dataset) -> str:
    """Why a file is no radiograph.

    Args:
        header: the fields up to `Columns` at least, with the file's meta information where there is such.

    Returns:
        The reason, with nothing of the header but the modality; empty where the file is taken for a radiograph: by
        its modality, or else by its class of DICOM objects.
    """
    modality = _text(header, "Modality").upper()
    told = modality if re.fullmatch("[A-Z]{2,16}", modality) else "not told"
    stored_as = header.file_meta.get("MediaStorageSOPClassUID") if hasattr(header, "file_meta") else ""
    if stored_as == _DIRECTORY:
        return "not a radiograph (a directory of DICOM files)"
    kind = _text(header, "SOPClassUID") or str(stored_as or "")
    # Multi-frame secondary captures have a number more.
    if kind == _SECONDARY_CAPTURE or kind.startswith(f"{_SECONDARY_CAPTURE}."):
        return "secondary capture"
    if _text(header, "ConversionType").upper() in _CAPTURED:
        return "secondary capture"
    if not (header.get("Rows") and header.get("Columns")):
        return f"no pixels (modality {told})"
    taken = modality in MODALITIES or (not modality and kind in _PROJECTIONS)
    return "" if taken else f"not a radiograph (modality {told})"


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()
