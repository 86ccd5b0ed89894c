"""The kinds of volume files, told by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NIBABEL_SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
VOLUME_SUFFIXES = NIBABEL_SUFFIXES + ITK_SUFFIXES
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")

# What a person is told that can be read.
FORMATS = "NIfTI, MGH, MetaImage, NRRD or DICOM"

# DICOM and ITK count millimetres to the left and the back, NIfTI and MONAI to the right and the front.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_suffix(path: Path) -> str:
    """The suffix that tells a volume's format, in lower case.

    Args:
        path: a file, which need not exist.

    Returns:
        One of VOLUME_SUFFIXES, or an empty text for another kind of file.
    """
    name = path.name.lower()
    fitting = (suffix for suffix in VOLUME_SUFFIXES if name.endswith(suffix))
    return max(fitting, key=len, default="")
