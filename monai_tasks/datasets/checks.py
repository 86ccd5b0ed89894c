"""Look at one case of a datalist and keep numbers: what its grid, its intensities and its label are like.

A case is read, looked at and let go; what is kept of it is a few hundred numbers and thumbnails of some kilobytes.
What is unusual about a case is known only beside the others: `checks_compare.compare` says it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_tasks.datasets.checks_images import ImageFindings, look_at_image
from monai_tasks.datasets.checks_labels import LabelFindings, look_at_label
from monai_tasks.datasets.checks_read import read_channels, read_classified, read_label
from monai_tasks.datasets.grids import short_name
from monai_tasks.io.errors import InputError

KINDS = ("segmentation", "classification")


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in one case.

    Args:
        subject: whose case it is; the path of the first image where the item names nobody.
        kind: `segmentation` or `classification`.
        images: one a channel of a segmentation, in their order; one a view of a classification.
        label: of a segmentation; None where it could not be read, or the case is none.
        value: the class of a classification.
        problems: why a file cannot be used, a text each; images and label are those that could be read.
    """

    subject: str
    kind: str
    images: tuple[ImageFindings, ...] = ()
    label: LabelFindings | None = None
    value: int | None = None
    problems: tuple[str, ...] = field(default=())


def examine(item: Mapping[str, Any], kind: str, values: Collection[int] | None = None) -> Findings:
    """Look at one case; nothing of its pixels is kept but thumbnails.

    Of a volume that is classified, as a scan of motion grades is, a few slices are read; all else is read whole. What
    cannot be read is a problem of the findings, not an error.

    Args:
        item: of a datalist, with absolute paths. `image` is a path or a list of paths: the channels of a segmentation,
            the views of a classification. `label` is the path of a label map, or a list of paths, a label each, for a
            segmentation, and a class's number for a classification. `subject` is used where it is there.
        kind: `segmentation` or `classification`, as `Bundle.kind` says.
        values: the label values to look at; None for all. For maps that hold much else, such as FreeSurfer's.

    Returns:
        The findings.

    Raises:
        ValueError: if there is no such kind, or the item has no image.
    """
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r}; expected one of {', '.join(KINDS)}")
    paths = _paths(item.get("image"))
    if not paths:
        raise ValueError("an item without an image; expected a path or a list of paths")
    subject = str(item.get("subject") or paths[0])
    if kind == "classification":
        value = item.get("label")
        return _examine_classified(paths, subject, None if value is None else int(value))
    return _examine_segmented(paths, _paths(item.get("label")), subject, values)


def _examine_classified(paths: list[Path], subject: str, value: int | None) -> Findings:
    images, problems = [], []
    for path in paths:
        try:
            images.append(look_at_image(read_classified(path), short_name(path)))
        except InputError as error:
            problems.append(_text(path, error))
    return Findings(subject, "classification", tuple(images), None, value, tuple(problems))


def _examine_segmented(
    paths: list[Path], label_paths: list[Path], subject: str, values: Collection[int] | None
) -> Findings:
    problems = []
    try:
        channels = read_channels(paths)
    except InputError as error:
        channels = []
        problems.append(_text(paths[0], error))
    # One file may hold all channels.
    names = [short_name(paths[min(number, len(paths) - 1)]) for number in range(len(channels))]
    images = tuple(look_at_image(channel, name) for channel, name in zip(channels, names, strict=True))
    label = None
    if label_paths:
        try:
            label = look_at_label(read_label(label_paths, values), channels)
        except InputError as error:
            problems.append(_text(label_paths[0], error))
    return Findings(subject, "segmentation", images, label, None, tuple(problems))


def _paths(value: Any) -> list[Path]:
    """One path or several, as a datalist has them."""
    if value is None:
        return []
    return [Path(name) for name in (value if isinstance(value, (list, tuple)) else [value])]


def _text(path: Path, error: InputError) -> str:
    """What is wrong with a file, with its folder and name, for image and label often have the same name."""
    source = Path(error.source)
    return f"{short_name(source if source.name else path)}: {error.reason}"
