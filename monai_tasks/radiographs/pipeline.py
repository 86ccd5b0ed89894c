"""The steps of the pipeline from a config file, in its order, and what a study comes to when it has passed them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc import ErrorDuringImport  # of the finder of classes that MONAI uses
from typing import TYPE_CHECKING, Any

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.radiographs.study import Image, Step, Study

if TYPE_CHECKING:
    from monai.bundle import ConfigParser

DEFAULT = Path(__file__).with_name("pipeline.json")
STEPS = "steps"


class PipelineError(ValueError):
    """A pipeline that cannot be built."""


@dataclass(frozen=True)
class Pipeline:
    """Steps and what they were built from.

    Args:
        steps: in the order in which they are run.
        config: name of each step to its part of the config, in the same order.
    """

    steps: tuple[Step, ...]
    config: dict[str, dict[str, Any]]

    def fingerprint(self) -> str:
        """Equal for two pipelines that give the same result: by the config and the files that it names."""
        text = json.dumps(self.config, sort_keys=False, default=str)
        sums = [sha256(value) for value in _texts(self.config) if Path(value).is_file()]
        return hashlib.sha256("\n".join([text, *sums]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Change:
    """What a step did to one image.

    Args:
        step: the name of the step.
        before: the image before the step.
        after: the images made of it, none where it was left out.
        reason: why it was left out, else empty.
    """

    step: str
    before: Image
    after: tuple[Image, ...]
    reason: str = ""


def load_pipeline(
    config: str | Path | None = None,
    steps: Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Build the steps of a config file.

    The file holds `steps`: name of each step to its class (`_target_`) and parameters, in the order of the pipeline.

    Args:
        config: a JSON or YAML file; the one of the package, `pipeline.json`, where not given.
        steps: names of the steps to take, whose order stays that of the config; all where not given.
        settings: `STEP#PARAMETER` to value.

    Raises:
        InputError: if the file is missing or cannot be read.
        PipelineError: if a step is unknown, or cannot be built with its parameters.
    """
    content = _read(Path(config) if config else DEFAULT)
    names = list(content)
    for name in steps or ():
        if name not in content:
            raise PipelineError(f"no step {name!r}; expected one or more of {', '.join(names)}")
    chosen = {name: content[name] for name in names if not steps or name in steps}
    for key, value in (settings or {}).items():
        name, _, parameter = key.partition("#")
        if name not in chosen or not parameter:
            raise PipelineError(
                f"no parameter {key!r}; expected STEP#PARAMETER, where STEP is one of {', '.join(chosen)}"
            )
        chosen[name][parameter] = value
    from monai.bundle import ConfigParser

    parser = ConfigParser({STEPS: chosen})
    return Pipeline(tuple(_build(parser, name) for name in chosen), chosen)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The part `steps` of a config file."""
    from monai.bundle import ConfigParser

    expected = "a JSON or YAML file with `steps`: name to `_target_` and parameters"
    if not path.is_file():
        raise InputError(path, "no such file", expected)
    try:
        content = ConfigParser.load_config_file(str(path)).get(STEPS)
    except Exception as cause:  # the class of a YAML reader's errors is there only where the reader is
        raise InputError(path, f"not readable as a config ({cause})", expected) from cause
    if not isinstance(content, dict) or not content:
        raise InputError(path, "no steps", expected)
    if not all(isinstance(part, dict) and "_target_" in part for part in content.values()):
        raise InputError(path, "a step without `_target_`", expected)
    return content


def _build(parser: ConfigParser, name: str) -> Step:
    try:
        step = parser.get_parsed_content(f"{STEPS}#{name}")
    except (
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ImportError,
        ErrorDuringImport,
    ) as cause:
        root: BaseException = cause
        while root.__cause__ is not None:
            root = root.__cause__
        raise PipelineError(f"step {name!r} cannot be built from its config: {root}") from cause
    if not isinstance(step, Step) or step.name != name:
        found = getattr(step, "name", type(step).__name__)
        raise PipelineError(f"step {name!r} of the config builds {found!r}; expected a step of that name")
    return step


def _texts(content: Any) -> Iterator[str]:
    """All texts in a config."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, (list, tuple)):
        for part in content:
            yield from _texts(part)
    elif isinstance(content, str) and content:
        yield content


def run_steps(study: Study, steps: Sequence[Step]) -> Iterator[tuple[Study, list[Change]]]:
    """Take a study through steps.

    Args:
        study: with its images; steps that come after its last image was left out are not run.
        steps: in their order.

    Yields:
        After each step the study as it is now, and the images that the step left out, split, or gave other pixels.

    Raises:
        InputError: if an image cannot be used.
        PipelineError: if a step gives two images one name.
    """
    for step in steps:
        if not study.images:
            return
        before, study = study, step(study)
        names = [image.row["image"] for image in study.images]
        if len(set(names)) < len(names):
            raise PipelineError(
                f"study {study.name}: two images of one name after step {step.name!r}; expected one"
            )
        yield study, changes_between(step.name, before, study)


def changes_between(step: str, before: Study, after: Study) -> list[Change]:
    """The images that a step left out, split, or gave other pixels."""
    reasons = {row["file"]: row["reason"] for row in after.rejected[len(before.rejected) :]}
    changes = []
    for image in before.images:
        name = image.row["image"]
        made = tuple(other for other in after.images if _comes_from(other.row["image"], name))
        if len(made) != 1 or not same_pixels(image, made[0]):
            changes.append(Change(step, image, made, reasons.get(name, "")))
    return changes


def _comes_from(name: str, origin: str) -> bool:
    """Whether an image has the name of another, or that of a part of it."""
    return name == origin or name.startswith(f"{origin.removesuffix('.png')}_P")


def same_pixels(one: Image, other: Image) -> bool:
    """Whether two images show the same. Files that no step has read are not read for this."""
    if one is other or (one.file is not None and one.file == other.file):
        return True
    return one.pixels is other.pixels or np.array_equal(one.pixels, other.pixels)
