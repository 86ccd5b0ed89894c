"""Bundles whose answer is known: the score of `bright` grows with the mean of an image."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tasks.io.picture import write_png

CLASSES = ("dark", "bright")
SLOPE = 10.0
LOAD = [
    {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": {"_target_": "monai_tasks.io.radiograph_reader.RadiographReader"},
        "ensure_channel_first": True,
    },
    {
        "_target_": "ScaleIntensityRanged",
        "keys": "image",
        "a_min": 0.0,
        "a_max": 65535.0,
        "b_min": 0.0,
        "b_max": 1.0,
    },
]


def probability(level: float) -> float:
    """Of the class `bright` for an image with this mean, from 0 to 1."""
    return 1 / (1 + math.exp(-SLOPE * (level - 0.5)))


def level_of(probability: float) -> float:
    """The mean of an image that is bright with a probability."""
    return 0.5 + math.log(probability / (1 - probability)) / SLOPE


def write_image(path: Path, level: float, size: tuple[int, int] = (8, 6)) -> Path:
    """A PNG with a mean from 0.1 to 0.9; upper rows are brighter than lower ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0.1, -0.1, size[0])[:, None]
    write_png(path, np.rint((level + ramp + np.zeros(size)) * 65535).astype(np.uint16))
    return path


def write_bundle(root: Path, studies: bool = False, classes: tuple[str, ...] = CLASSES) -> Path:
    """A bundle of images, or of studies with a size of 8x6 pixels a view, whose score is that of its brightest view.

    Only the first two of more classes are ever predicted.
    """
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    channels = {str(value): name for value, name in enumerate(classes)}
    metadata = {"version": "2.1.0", "network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (root / "configs" / "inference.json").write_text(json.dumps(_config(studies, len(classes))))
    torch.save(_weights(studies, len(classes)), root / "models" / "model.pt")
    return root


def _config(studies: bool, classes: int) -> dict[str, Any]:
    # Never negative, so that neither the pooling nor the maximum over the views changes what it means.
    encoder = (
        "torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())"
    )
    classifier = f"torch.nn.Linear(1, {classes})"
    resized = {"_target_": "Resized", "keys": "image", "spatial_size": [8, 6]}
    views = {
        "_target_": "monai_tasks.transforms.views.ApplyToViewsd",
        "keys": "image",
        "transforms": [*LOAD, resized],
    }
    deleted = {"_target_": "DeleteItemsd", "keys": ["image", "image_meta_dict"]}
    network: Any = f"$torch.nn.Sequential({encoder}, {classifier})"
    if studies:
        parts = {"encoder": f"${encoder}", "classifier": f"${classifier}"}
        network = {"_target_": "monai_tasks.networks.study.StudyNet", **parts}
    return {
        "bundle_root": ".",
        "device": "cpu",
        "inputs": "studies" if studies else "radiographs",
        "operating_point": 0.5,
        "in_channels": 1,
        "network": network,
        "inferer": {"_target_": "SimpleInferer"},
        "preprocessing": {"_target_": "Compose", "transforms": [views] if studies else LOAD},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Activationsd", "keys": "pred", "softmax": True}, deleted],
        },
    }


def _weights(studies: bool, classes: int) -> dict[str, torch.Tensor]:
    slopes = torch.tensor([0.0, SLOPE, *([0.0] * (classes - 2))]).reshape(classes, 1)
    biases = torch.tensor([0.0, -SLOPE / 2, *([-100.0] * (classes - 2))])
    one, nothing = torch.ones(1, 1, 1, 1), torch.zeros(1)
    names = ("encoder.0", "classifier") if studies else ("0.0", "1")
    return {
        f"{names[0]}.weight": one,
        f"{names[0]}.bias": nothing,
        f"{names[1]}.weight": slopes,
        f"{names[1]}.bias": biases,
    }
