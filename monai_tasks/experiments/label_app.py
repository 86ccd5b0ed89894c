"""The app folder that MONAI Label serves bundles from, and whether MONAI Label is there to serve it.

MONAI Label's own recipe copies its app by a command and leaves the linking of bundles to the user. Here the bundles are
copied, so that training in MONAI Label never changes the weights that are shipped.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path

from monai_tasks.catalog import Bundle
from monai_tasks.experiments.label_classes import SUFFIX
from monai_tasks.experiments.label_copy import (
    CLASSIFICATION,
    LabelError,
    Offer,
    is_kept,
    notes,
    prepare,
    write,
)

APP = "monaibundle"
MODULES = ("monailabel", "torchvision")
# Above these, MONAI Label 0.8.5 fails in use rather than at its installation. The extra `label` repeats them.
BELOW = {"monai": (1, 6), "numpy": (2,), "pydicom": (3,), "dicomweb-client": (0, 60), "pynetdicom": (3,)}
INSTALL = "pip install 'monai_tasks[label]', in an environment of its own"
FILE_PATTERNS = ("*.nii.gz", "*.nii", "*.nrrd", "*.mha", "*.mhd", "*.isq", "*.ISQ", "*.aim", "*.AIM")
RADIOGRAPH_PATTERNS = ("*.png", "*.jpg", "*.jpeg", "*.dcm")
CLASS_PATTERNS = (f"*{SUFFIX}",)
DICOM_MODALITIES = {"MR", "CT", "PT", "US", "CR", "DX"}
DCMQI_TOOL = "itkimage2segimage"


def check_installation() -> None:
    """See whether MONAI Label is installed here, beside versions that it works with.

    Raises:
        LabelError: if not; the text names what is missing or too new and how to install it.
    """
    problems = [f"{module} is not installed" for module in MODULES if find_spec(module) is None]
    for package, bound in BELOW.items():
        found = _version(package)
        if found is not None and _release(found) >= bound:
            problems.append(f"{package} is {found}, expected below {'.'.join(map(str, bound))}")
    if problems:
        raise LabelError(
            f"MONAI Label cannot run in {sys.prefix}: {'; '.join(problems)}. Install it by: {INSTALL}"
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _release(text: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", text.split("+")[0])[:3])


def sample_app() -> Path:
    """The folder of the bundle app that was installed with MONAI Label.

    Raises:
        LabelError: if the installation has none.
    """
    main = f"sample-apps/{APP}/main.py"
    for file in distribution("monailabel").files or ():
        if file.as_posix().endswith(main):
            return Path(str(file.locate())).resolve().parent
    raise LabelError(f"the installed monailabel has no {main}; install it again by: {INSTALL}")


def prepare_app(
    folder: Path, offers: Sequence[Offer], fresh: bool = False, source: Path | None = None
) -> list[str]:
    """Make an app folder with a copy of each bundle in `model/`, or bring an older one up to date.

    A copy that is there already is kept, with what was trained in it. Nothing is written if one of the bundles cannot
    be served.

    Args:
        folder: the app folder.
        offers: what the server shall offer.
        fresh: replace copies that are there.
        source: the app to copy; by default the installed one.

    Returns:
        A line for each kept copy whose version is not the shipped one, and for each that has no weights yet.

    Raises:
        BundleError: if a config is not there.
        ConfigError: if configs cannot be merged or built.
        WeightsError: if weights do not fit.
        LabelError: if two bundles have one name, or a kept copy serves something else.
    """
    names = [offer.bundle.name for offer in offers]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise LabelError(f"asked for more than once: {', '.join(twice)}; expected each bundle once")
    copies = {offer: folder / "model" / offer.bundle.name for offer in offers}
    contents = {offer: prepare(offer) for offer, copy in copies.items() if fresh or not is_kept(offer, copy)}
    source = source or sample_app()
    ignored = shutil.ignore_patterns("logs", "model", "__pycache__")
    shutil.copytree(source, folder, ignore=ignored, dirs_exist_ok=True)
    for offer, content in contents.items():
        write(offer, content, copies[offer])
    return [note for offer, copy in copies.items() for note in notes(offer, copy)]


def dicom_modality(bundles: Sequence[Bundle]) -> str | None:
    """The DICOM modality that all the bundles take, or None if they differ or name none."""
    inputs = [bundle.metadata["network_data_format"]["inputs"]["image"] for bundle in bundles]
    found = {str(image.get("modality", "")).upper() for image in inputs}
    return found.pop() if len(found) == 1 and found <= DICOM_MODALITIES else None


def file_patterns(bundles: Sequence[Bundle]) -> tuple[str, ...]:
    """The names of the files that the bundles take from a folder, and of labels that are no images."""
    configs = [json.loads(bundle.config("inference").read_text(encoding="utf-8")) for bundle in bundles]
    kinds = {config.get("inputs", "volumes") == "volumes" for config in configs}
    images = (FILE_PATTERNS if True in kinds else ()) + (RADIOGRAPH_PATTERNS if False in kinds else ())
    return images + (CLASS_PATTERNS if any(bundle.kind == CLASSIFICATION for bundle in bundles) else ())


def server_settings(
    app: Path, modality: str | None, patterns: Sequence[str] = FILE_PATTERNS
) -> dict[str, str]:
    """MONAI Label's settings as environment variables.

    Args:
        app: the app folder, which also holds what is fetched from a DICOMweb address or sent by a client.
        modality: what to search for at a DICOMweb address; None for all series.
        patterns: the names of the files to take from a folder.
    """
    return {
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps(list(patterns)),
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(app / "dicom"),
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": json.dumps({"Modality": modality} if modality else {}),
        "MONAI_LABEL_SESSION_PATH": str(app / "sessions"),
        "PYTHONUNBUFFERED": "1",
    }


def keep_from_downloading(app: Path) -> None:
    """Keep MONAI Label from fetching DCMQI, which it does for a DICOMweb address unless the tool is there.

    What is put in its place says that it is missing; only the writing of DICOM SEG needs it.

    Args:
        app: the app folder, whose `bin/` MONAI Label searches.
    """
    if shutil.which(DCMQI_TOOL):
        return
    stand_in = app / "bin" / DCMQI_TOOL
    stand_in.parent.mkdir(parents=True, exist_ok=True)
    stand_in.write_text(
        f"#!/bin/sh\necho '{DCMQI_TOOL} is not installed: get DCMQI to write DICOM SEG' >&2\nexit 1\n"
    )
    stand_in.chmod(0o755)
