"""The frames of a DICOM file as images of their own: how many there are, and how a path names one.

`IM5.dcm#frame=2` is the second frame of `IM5.dcm`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydicom.dataset import Dataset

_NAMED = re.compile(r"(.+)#frame=([1-9]\d{0,5})")


def count_frames(header: Dataset) -> int:
    """How many images a DICOM file holds, as its header says; 1 where that says nothing that can be used."""
    try:
        return max(1, int(header.get("NumberOfFrames") or 1))
    except (TypeError, ValueError):
        return 1


def frame_path(file: Path, frame: int) -> Path:
    """The path that names one frame.

    Args:
        file: the DICOM file.
        frame: its number, from 1.
    """
    return file.with_name(f"{file.name}#frame={frame}")


def split_frame(path: str | os.PathLike[str]) -> tuple[Path, int | None]:
    """The file of a path that may name a frame, and the number of the frame.

    Args:
        path: of a file, or as `frame_path` makes it.

    Returns:
        The file, and the frame's number from 1; None where the path names none, or a file has such a name.
    """
    path = Path(path)
    named = _NAMED.fullmatch(path.name)
    if named is None or path.exists():
        return path, None
    return path.with_name(named[1]), int(named[2])
