"""Groups of label values become classes; everything else becomes background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_tasks.transforms import select_labels
from monai_tasks.transforms.select_labels import SelectLabels, SelectLabelsd

AFFINE = torch.diag(torch.tensor([-1.0, 2.0, 3.0, 1.0], dtype=torch.float64))
CONTAINERS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "MetaTensor": lambda array: MetaTensor(torch.as_tensor(array), affine=AFFINE),
}
TYPES = ["uint8", "int8", "uint16", "int16", "int32", "int64", "float32", "float64"]


def whole_brain(dtype: str = "int32") -> np.ndarray:
    """(1, 6, 5, 4) with the numbers that FreeSurfer gives, those of both hippocampi among them."""
    values = np.random.default_rng(5).choice([0, 2, 3, 16, 17, 18, 41, 53, 54], (1, 6, 5, 4))
    return values.astype(dtype)


def restated(array: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """One voxel at a time."""
    result = np.zeros(array.shape, np.uint8)
    for index in np.ndindex(array.shape):
        for number, group in enumerate(groups, start=1):
            if int(array[index]) in group:
                result[index] = number
    return result


@pytest.mark.parametrize("groups", [[[17], [53]], [[53], [17]], [[17, 53]], [[17, 18], [53, 54], [2]]])
@pytest.mark.parametrize("container", CONTAINERS)
def test_groups_become_classes_in_the_same_container(container, groups):
    label = CONTAINERS[container](whole_brain())
    result = SelectLabels(groups)(label)
    assert type(result) is type(label)
    assert str(result.dtype).removeprefix("torch.") == "uint8"
    np.testing.assert_array_equal(np.asarray(result), restated(whole_brain(), groups))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_that_label_files_have(container, dtype):
    label = CONTAINERS[container](whole_brain(dtype))
    # 1017 fits neither of the 8-bit types: there it is a value that does not occur.
    result = SelectLabels([[17, 1017], [53]])(label)
    np.testing.assert_array_equal(np.asarray(result), restated(whole_brain(), [[17], [53]]))


def test_a_value_between_two_labels_is_background():
    result = SelectLabels([[17], [18]])(np.array([[16.6, 17.0, 17.5, 18.0]], np.float32))
    np.testing.assert_array_equal(result, [[0, 1, 0, 2]])


def test_the_affine_is_kept_and_the_input_not_changed():
    label = CONTAINERS["MetaTensor"](whole_brain())
    result = SelectLabels([[17], [53]])(label)
    torch.testing.assert_close(result.affine, AFFINE)
    np.testing.assert_array_equal(np.asarray(label), whole_brain())


@pytest.mark.parametrize("groups", [[], [[]], [[17], []], [[0], [17]], [[17], [17]], [[17, 17]]])
def test_groups_that_make_no_sense_are_refused(groups):
    with pytest.raises(ValueError, match="groups: got"):
        SelectLabels(groups)


def test_the_dictionary_form_maps_its_keys_only():
    item = {"label": whole_brain(), "other": whole_brain(), "subject": "a"}
    result = SelectLabelsd("label", [[17], [53]])(item)
    np.testing.assert_array_equal(result["label"], restated(whole_brain(), [[17], [53]]))
    assert result["other"] is item["other"]
    assert result["subject"] == "a"
    np.testing.assert_array_equal(item["label"], whole_brain())


def test_the_dictionary_form_says_when_a_key_is_missing():
    with pytest.raises(KeyError, match="label"):
        SelectLabelsd("label", [[17]])({"image": whole_brain()})
    item = {"image": whole_brain()}
    assert SelectLabelsd("label", [[17]], allow_missing_keys=True)(item) == item


def test_the_other_names_that_monai_gives_dictionary_transforms():
    assert select_labels.SelectLabelsD is select_labels.SelectLabelsDict is SelectLabelsd
