"""Pictures of cases whose files do not fit together: what can be drawn is drawn, and what cannot is said."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_tasks.catalog import open_bundle
from monai_tasks.experiments.outliers_cases import Case
from monai_tasks.experiments.outliers_pictures import Pictures

ORANGE, WHITE = (230, 159, 0), (255, 255, 255)


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return Pictures(open_bundle("hippocampus_mri_segmentation"))


@pytest.fixture
def case(tmp_path):
    """Makes a case of a dark image, with a label in one corner and a prediction in the other, of given shapes."""

    def make(label: tuple[int, int, int] | None, prediction: tuple[int, int, int] | None) -> Case:
        arrays = {"image": np.zeros((12, 12, 12), np.float32)}
        arrays["image"][0, 0, 0] = 1000
        if label:
            arrays["label"] = np.zeros(label, np.uint8)
            arrays["label"][2:6, 2:6, 2:6] = 1
        if prediction:
            arrays["prediction"] = np.zeros(prediction, np.uint8)
            arrays["prediction"][4:8, 2:6, 2:6] = 1
        for name, array in arrays.items():
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
        paths = {name: str(tmp_path / f"{name}.nii.gz") for name in ("image", "label", "prediction")}
        shown = Path(paths["prediction"]) if prediction else None
        return Case("a", "a", "0", (paths["image"],), (paths["label"],), prediction=shown)

    return make


def colours(path: Path) -> tuple[bool, bool]:
    """Whether the panels, without the legend below them, have the label's colour and the white of predictions."""
    drawn = np.asarray(Image.open(path).convert("RGB"))[:-40]
    return tuple(bool((drawn == colour).all(axis=2).any()) for colour in (ORANGE, WHITE))


@pytest.mark.parametrize(
    ("label", "prediction", "expected"),
    [
        ((12, 12, 12), (12, 12, 12), (True, True)),
        ((12, 12, 12), None, (True, False)),
        ((12, 12, 10), (12, 12, 12), (True, False)),  # on two grids, of which the label's is drawn
        (None, (12, 12, 12), (True, False)),  # the prediction alone has its own colour
    ],
)
def test_what_there_is_of_a_case_is_drawn(pictures, case, tmp_path, label, prediction, expected):
    assert pictures.draw(case(label, prediction), tmp_path / "a.png") == ""
    assert colours(tmp_path / "a.png") == expected


def test_a_case_without_label_and_prediction_has_no_picture_but_a_reason(pictures, case, tmp_path):
    reason = pictures.draw(case(None, None), tmp_path / "a.png")
    assert "neither a label nor a prediction" in reason
    assert not (tmp_path / "a.png").exists()


def test_labels_are_named_by_the_values_of_the_files():
    heads = Pictures(open_bundle("hippocampus_mri_segmentation"), ["t1t2"])
    assert heads.labels == {17: "left", 53: "right"}
