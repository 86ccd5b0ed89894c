"""The kinds of volume files, told by their names."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

NIBABEL_SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
SCANCO_SUFFIXES = (".isq", ".aim")
VOLUME_SUFFIXES = NIBABEL_SUFFIXES + ITK_SUFFIXES + SCANCO_SUFFIXES
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

# What a person is told that can be read.
FORMATS = "NIfTI, MGH, MetaImage, NRRD, ISQ, AIM or DICOM"

# DICOM and ITK count millimetres to the left and the back, NIfTI and MONAI to the right and the front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# The computers of Scanco's scanners put a version after the suffix, as in C0001234.ISQ;1.
_VERSIONED = re.compile(rf"({'|'.join(map(re.escape, SCANCO_SUFFIXES))});\d+$")


def volume_suffix(path: Path) -> str:
    """The suffix that tells a volume's format, in lower case.

    Args:
        path: a file, which need not exist.

    Returns:
        One of VOLUME_SUFFIXES, with the version after it where the name of a Scanco file has one, or an empty
        text for another kind of file.
    """
    name = path.name.lower()
    versioned = _VERSIONED.search(name)
    if versioned:
        return versioned.group()
    fitting = (suffix for suffix in VOLUME_SUFFIXES if name.endswith(suffix))
    return max(fitting, key=len, default="")


def is_scanco_name(path: Path) -> bool:
    """Whether a file is an ISQ or AIM volume by its name.

    Args:
        path: a file, which need not exist.
    """
    return volume_suffix(path).startswith(SCANCO_SUFFIXES)
