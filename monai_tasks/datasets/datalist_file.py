"""Data for a bundle's config: the parts of a datalist, or the images of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai.data import load_decathlon_datalist

from monai_tasks.datasets import decathlon
from monai_tasks.datasets.cases import find_cases
from monai_tasks.io.errors import InputError


def read_part(
    datalist: str | Path | None, part: str, dataset_dir: str | Path | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """The items of one part of a datalist.

    Args:
        datalist: a datalist file, or None to split the folder `dataset_dir` as `monai-tasks datalist decathlon` does.
        part: `training`, `validation` or `test`.
        dataset_dir: a folder in the layout of the Medical Segmentation Decathlon.
        seed: of the split of `dataset_dir`.

    Returns:
        Items with `image` (a path or a list of paths, one a channel), `label` and `subject`.

    Raises:
        InputError: when the file has no such part, or the part is empty.
    """
    if datalist is None:
        items = decathlon.datalist(dataset_dir, seed=seed).get(part, [])
        source = Path(dataset_dir)
    else:
        source = Path(datalist)
        if not source.is_file():
            raise InputError(source, "no such file", "a datalist as `monai-tasks datalist` writes it")
        try:
            items = load_decathlon_datalist(str(source), is_segmentation=True, data_list_key=part)
        except ValueError as error:
            raise InputError(
                source, f"no part {part!r}", "the parts training, validation and test"
            ) from error
    if not items:
        raise InputError(source, f"no case in part {part!r}", "at least one")
    return items


def image_items(inputs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The images of files, folders, DICOM series and datalists, as a MONAI dataset takes them.

    Args:
        inputs: as for `monai_tasks.datasets.cases.find_cases`.

    Returns:
        Items with `image`: a path, or a list of paths, one a channel.

    Raises:
        InputError: when an input does not exist or holds no image.
    """
    paths = [[str(path) for path in case.paths] for case in find_cases([Path(item) for item in inputs])]
    return [{"image": path[0] if len(path) == 1 else path} for path in paths]
