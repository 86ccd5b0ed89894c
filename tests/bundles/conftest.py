"""Every bundle of the catalogue, with generated images and settings that make its work small."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.catalog import Bundle, find_bundles
from monai_tasks.datasets import brats, chestxray14, decathlon, hrpqct, ixi, knee_mhd, mura, radiographs
from monai_tasks.phantoms.brats import write_brats
from monai_tasks.phantoms.chestxray14 import write_chestxray14
from monai_tasks.phantoms.hrpqct import write_hrpqct
from monai_tasks.phantoms.knee import GRIDS, knee
from monai_tasks.phantoms.layouts import write_decathlon, write_ixi, write_knee_mhd
from monai_tasks.phantoms.mura import write_mura
from monai_tasks.phantoms.radiograph_archive import write_radiographs


@dataclass(frozen=True)
class Example:
    """What a bundle, or an override config of it, is tried on.

    Args:
        write: writes generated images into a folder.
        datalist: lists that folder.
        images: a folder in it with images to predict.
        network: the fixture that gives a small `network_def`; None where `settings` make the network small.
        settings: ids of `train.json` that make training small.
        inference: ids of `inference.json` that make inference small.
    """

    write: Callable[[Path], Path]
    datalist: Callable[[Path], dict[str, Any]]
    images: str
    network: str | None
    settings: Mapping[str, Any]
    inference: Mapping[str, Any]


# Without the offset, since a network that has hardly learned would find nothing with it.
WINDOW = {"inference_window": [24, 24, 24], "background_offset": 0.0}
HIPPOCAMPUS = {
    "": Example(
        lambda folder: write_decathlon(folder, 6),
        decathlon.datalist,
        "imagesTs",
        "tiny_highresnet",
        {"max_epochs": 2, "window": [16, 16, 16], "learning_rate": 0.01, **WINDOW},
        WINDOW,
    ),
    "t1t2": Example(
        lambda folder: write_ixi(folder, 4, size=(72, 48, 40)),
        ixi.datalist,
        "",
        "tiny_highresnet",
        {"max_epochs": 1, "window": [24, 24, 24], **WINDOW},
        WINDOW,
    ),
}


def write_knees(folder: Path) -> Path:
    """Knees of both sources with maps, and two images without maps in `new`."""
    write_knee_mhd(folder, 6, pixels={"epi": 2.0, "jopp": 2.5})
    for number, grid in enumerate(GRIDS.values()):
        image, _, affine, _ = knee(np.random.default_rng([7, number]), grid.reduced(2.0))
        path = folder / "new" / f"case_{number}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(image, affine), path)
    return folder


SMALL = {"pixel": [3.5, 3.5], "field": [32, 32], "channels": 4, "slices": 24}
PLANE = SMALL | {"inference_window": [32, 32], "strides": [2, 2]}
VOLUME = SMALL | {"inference_window": [32, 32, 24]}
KNEE = {
    "": Example(
        write_knees,
        knee_mhd.datalist,
        "new",
        None,
        {"max_epochs": 2, "learning_rate": 0.01, "window": [32, 32, 1], **PLANE},
        PLANE,
    ),
    "unet3d": Example(
        write_knees,
        knee_mhd.datalist,
        "new",
        None,
        {"max_epochs": 1, "learning_rate": 0.01, "window": [32, 32, 24], **VOLUME},
        VOLUME,
    ),
}


def write_wrists(folder: Path) -> Path:
    """Half of the studies broken, so that every part has both classes."""
    return write_radiographs(folder, 24, size=(96, 64), broken_share=0.5)


def wrists(**small: Any) -> Example:
    """Generated wrists with settings that make a network small."""
    small = {"size": [48, 32], **small}
    training = {"max_epochs": 2, "batch_size": 4, "learning_rate": 0.001}
    return Example(write_wrists, radiographs.datalist, "", None, training | small, small)


WRIST = {
    "": wrists(widen_factor=0.125),
    "rx_lite": wrists(channels=[4] * 4),
    "rx_large": wrists(channels=[4] * 8),
    "rx_large_plain": wrists(channels=[4] * 3, blocks=3),
}


def write_scans(folder: Path) -> Path:
    """Few and small scans, of all grades."""
    return write_hrpqct(folder, 24, size=48, slices=9, jobs=1)


MOTION_SMALL = {"size": [40, 40], "slices": 3, "channels": [4, 8]}
MOTION = {
    "": Example(
        write_scans,
        hrpqct.datalist,
        "",
        None,
        {"max_epochs": 2, "batch_size": 4, "learning_rate": 0.01, **MOTION_SMALL},
        MOTION_SMALL,
    )
}


def write_tumours(folder: Path) -> Path:
    """Few and small brains; one of them lacks a modality, two are of low grade."""
    return write_brats(folder, 10, size=(44, 52, 40))


TUMOUR_SMALL = {"spacing": [4.0, 4.0, 4.0], "inference_window": [24, 24, 24]}


def tumours(*modalities: str) -> Example:
    """Generated tumours in some modalities."""
    return Example(
        write_tumours,
        partial(brats.datalist, modalities=modalities),
        "",
        "tiny_highresnet",
        {"max_epochs": 2, "window": [16, 16, 16], "learning_rate": 0.01, **TUMOUR_SMALL},
        TUMOUR_SMALL,
    )


TUMOUR = {
    "": tumours("t1", "t2"),
    "four_modalities": tumours("t1", "t1ce", "t2", "flair"),
    "one_modality": tumours("t1"),
}


def write_limbs(folder: Path) -> Path:
    """Studies of two regions, so that every part has both classes of each."""
    return write_mura(folder, 40, size=(80, 64), regions=("wrist", "humerus"))


def write_chests(folder: Path) -> Path:
    """Images with and without pneumothorax in every part."""
    return write_chestxray14(folder, 60, size=(64, 64))


DENSENET_SMALL = {
    "size": [48, 48],
    "init_features": 4,
    "growth_rate": 4,
    "block_config": [1, 1, 1, 1],
    "hidden": 8,
}


def densenets(write: Callable[[Path], Path], datalist: Callable[[Path], dict[str, Any]]) -> Example:
    """Generated radiographs with settings that make a network small."""
    training = {"max_epochs": 2, "batch_size": 4, "learning_rate": 0.001}
    return Example(write, datalist, "", None, training | DENSENET_SMALL, DENSENET_SMALL)


# By bundle, then by override config; an override without an example of its own is tried on the bundle's.
EXAMPLES = {
    "bone_xray_abnormality_classification": {"": densenets(write_limbs, mura.datalist)},
    "chest_xray_pneumothorax_classification": {"": densenets(write_chests, chestxray14.datalist)},
    "hrpqct_motion_classification": MOTION,
    "hippocampus_mri_segmentation": HIPPOCAMPUS,
    "knee_mri_bone_segmentation": KNEE,
    "tumor_core_mri_segmentation": TUMOUR,
    "wrist_xray_fracture_classification": WRIST,
    "wrist_xray_fracture_study_classification": WRIST,
}


@dataclass(frozen=True)
class Trial:
    """An example on disk.

    Args:
        data: the folder of generated images.
        datalist: a file that lists them.
        images: a folder, or a datalist, with images to predict.
        settings: for `train.json`.
        inference: for `inference.json`.
    """

    data: Path
    datalist: Path
    images: Path
    settings: dict[str, Any]
    inference: dict[str, Any]


@pytest.fixture(scope="session", params=find_bundles(), ids=lambda bundle: bundle.name)
def bundle(request: pytest.FixtureRequest) -> Bundle:
    """Every shipped bundle in turn."""
    return request.param


@pytest.fixture(scope="session")
def trial_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Trial]:
    """Makes the trial of a bundle and an override config, once each; images that are alike are written once."""
    made: dict[tuple[str, str], Trial] = {}
    written: dict[Callable[[Path], Path], Path] = {}

    def make(bundle: Bundle, override: str = "") -> Trial:
        assert bundle.name in EXAMPLES, f"{bundle.name}: add generated images for it to EXAMPLES"
        examples = EXAMPLES[bundle.name]
        key = (bundle.name, override if override in examples else "")
        if key not in made:
            example = examples[key[1]]
            folder = tmp_path_factory.mktemp("trial")
            if example.write not in written:
                written[example.write] = example.write(folder / "data")
            data = written[example.write]
            datalist = folder / "datalist.json"
            datalist.write_text(json.dumps(example.datalist(data)), encoding="utf-8")
            network = {"network_def": request.getfixturevalue(example.network)} if example.network else {}
            images = data / example.images if example.images else datalist
            settings, inference = network | example.settings, network | example.inference
            made[key] = Trial(data, datalist, images, settings, inference)
        return made[key]

    return make


@pytest.fixture(scope="session")
def trial(bundle: Bundle, trial_of: Callable[..., Trial]) -> Trial:
    """The trial of a bundle as it is."""
    return trial_of(bundle)


@pytest.fixture
def copied(bundle: Bundle, tmp_path: Path) -> Bundle:
    """A copy of the bundle without weights, for what writes into its folder."""
    folders = shutil.ignore_patterns("models", "data", "run", "evaluation", "predictions")
    return Bundle(Path(shutil.copytree(bundle.root, tmp_path / bundle.name, ignore=folders)))


@pytest.fixture(scope="session")
def weights_for(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a file of untrained weights for the network of a merged config."""

    def make(files: list[str], settings: Mapping[str, Any]) -> Path:
        parser = ConfigParser(ConfigParser.load_config_files(files))
        parser.update(dict(settings))
        torch.manual_seed(2)
        network = parser.get_parsed_content("network_def")
        for value in network.state_dict().values():
            if value.is_floating_point():  # normalisation's statistics and scales too, which begin as 0 and 1
                change = 0.1 * torch.rand_like(value)
                # Around 0 where many are summed up, so that no network of a hundred layers overflows.
                value += change - change.mean() if value.dim() > 1 else change
        path = tmp_path_factory.mktemp("weights") / "model.pt"
        torch.save(network.state_dict(), path)
        return path

    return make
