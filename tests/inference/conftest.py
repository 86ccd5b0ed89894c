"""A bundle of one 1x1x1 convolution: what it must predict is known for every voxel."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

NAMES = {1: "middle", 2: "bright"}
# The score of background is 0, of middle z - 0.5, of bright 2 z - 2.5, where z is the standard score of a voxel.
WEIGHTS = {
    "weight": torch.tensor([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1, 1),
    "bias": torch.tensor([0.0, -0.5, -2.5]),
}


@pytest.fixture
def expected_labels() -> Callable[[np.ndarray], np.ndarray]:
    """What the bundle predicts without resampling: 1 from 0.5 to 2 standard deviations, 2 above."""

    def labels(array: np.ndarray) -> np.ndarray:
        score = (array - array.mean()) / array.std()
        return np.digitize(score, [0.5, 2.0]).astype(np.uint8)

    return labels


def _transform(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, **arguments}


def _inference_config() -> dict[str, Any]:
    reader = _transform("monai_tasks.io.volume_reader.VolumeReader")
    return {
        "imports": ["$import time"],
        "bundle_root": ".",
        "output_dir": "$@bundle_root + '/predictions'",
        "device": "cpu",
        "in_channels": 1,
        "spacing": [-1.0, -1.0, -1.0],
        "pause": 0.0,
        "network_def": _transform(
            "torch.nn.Conv3d", in_channels="@in_channels", out_channels=3, kernel_size=1
        ),
        "network": "$@network_def.to(@device)",
        "inferer": "$lambda inputs, network, pause=@pause: time.sleep(pause) or network(inputs)",
        "preprocessing": _transform(
            "Compose",
            transforms=[
                _transform("LoadImaged", keys="image", reader=reader),
                _transform("EnsureChannelFirstd", keys="image"),
                _transform("Orientationd", keys="image", axcodes="RAS"),
                _transform("Spacingd", keys="image", pixdim="@spacing", mode="bilinear"),
                _transform("NormalizeIntensityd", keys="image", channel_wise=True),
                _transform("EnsureTyped", keys="image", dtype="$torch.float32"),
            ],
        ),
        "postprocessing": _transform(
            "Compose",
            transforms=[
                _transform("AsDiscreted", keys="pred", argmax=True),
                _transform(
                    "Invertd", keys="pred", orig_keys="image", transform="@preprocessing", nearest_interp=True
                ),
                _transform("SaveImaged", keys="pred", output_dir="@output_dir"),
            ],
        ),
    }


@pytest.fixture(scope="session")
def _mini_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bundles") / "mini_segmentation"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    channels = {"0": "background"} | {str(value): name for value, name in NAMES.items()}
    metadata = {"version": "1.2.3", "network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (root / "configs" / "inference.json").write_text(json.dumps(_inference_config()))
    torch.save(WEIGHTS, root / "models" / "model.pt")
    return root


@pytest.fixture
def bundle(_mini_bundle: Path, tmp_path: Path) -> Path:
    """The folder of a bundle of one's own, `mini_segmentation`."""
    return Path(shutil.copytree(_mini_bundle, tmp_path / "mini_segmentation"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with five images, `case_0.nii.gz` to `case_4.nii.gz`, of different sizes."""
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(5):
        array = rng.normal(100.0, 20.0, (8 + number, 9, 7)).astype(np.float32)
        nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.2, 0.9, 1.0])), folder / f"case_{number}.nii.gz")
    return folder
