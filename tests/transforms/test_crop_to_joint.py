"""Windows around the joint show the image where it lies in space, and go back onto its own grid."""

from __future__ import annotations

import logging

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate, set_track_meta
from monai.transforms import Compose, Flipd, Invertd, Orientationd, Spacingd
from nibabel import orientations

from monai_tasks.phantoms.knee import GRIDS, knee
from monai_tasks.transforms import crop_to_joint
from monai_tasks.transforms.crop_to_joint import NOT_FOUND, CropToJoint, CropToJointd

PIXEL = 2.0  # mm
SIZE = (40, 46)
TURN = nibabel.eulerangles.euler2mat(*np.radians([6.0, -5.0, 7.0]))


@pytest.fixture(autouse=True, scope="module")
def _searched_once():
    """Search no image twice, which most tests share."""
    known, find = {}, crop_to_joint.find_joint

    def remembered(image, spacing, **options):
        key = (image.tobytes(), image.shape, *np.round(spacing, 6), *options.items())
        if key not in known:
            known[key] = find(image, spacing, **options)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crop_to_joint, "find_joint", remembered)
        yield


def laid(image, affine, axes, oblique=False):
    """The same image in space with its axes in another order and direction, or turned as a whole."""
    turned = orientations.ornt_transform(orientations.io_orientation(affine), orientations.axcodes2ornt(axes))
    affine = affine @ orientations.inv_ornt_aff(turned, image.shape)
    if oblique:
        affine = nibabel.affines.from_matvec(TURN) @ affine
    array = np.ascontiguousarray(orientations.apply_orientation(image, turned))
    return MetaTensor(torch.from_numpy(array)[None], affine=torch.from_numpy(affine))


def case(source="jopp", axes="RSA", oblique=False):
    """A generated knee, its femur, and its joint in world mm."""
    image, maps, affine, joint = drawn(source)
    joint = TURN @ joint if oblique else joint
    both = {"image": image.astype(np.float32), "label": maps[0]}
    return {key: laid(array, affine, axes, oblique) for key, array in both.items()}, joint


def drawn(source, cache={}):  # noqa: B006
    if source not in cache:
        cache[source] = knee(np.random.default_rng([5, 1]), GRIDS[source].reduced(PIXEL))
    return cache[source]


def to_plane(vector, affine):
    """The part of a distance in mm that lies in the plane of the slices."""
    codes = nibabel.aff2axcodes(affine)
    axes = [affine[:3, axis] for axis, code in enumerate(codes) if code not in "AP"]
    return [vector @ axis / np.linalg.norm(axis) for axis in axes]


def in_place(window, image):
    """Whether each voxel of a window equals the image's voxel at its place in space, or is 0 outside it."""
    to_image = np.linalg.inv(image.affine.numpy()) @ window.affine.numpy()
    voxels = np.indices(window.shape[1:]).reshape(3, -1).T
    places = nibabel.affines.apply_affine(to_image, voxels)
    np.testing.assert_allclose(places, places.round(), atol=1e-3)
    places = places.round().astype(int)
    inside = ((places >= 0) & (places < image.shape[1:])).all(1)
    expected = np.where(inside, image.numpy()[0][tuple((places * inside[:, None]).T)], 0)
    return np.array_equal(window.numpy()[0].ravel(), expected)


GRIDS_IN_SPACE = [("RSA", False), ("LSA", True), ("LAS", False), ("LPS", True), ("SPR", True)]


@pytest.mark.parametrize(("axes", "oblique"), GRIDS_IN_SPACE)
def test_the_window_lies_around_the_joint_on_any_grid(axes, oblique):
    item, joint = case("epi", axes, oblique)
    result = CropToJointd(["image", "label"], size=SIZE)(item)
    window = result["image"]
    sizes = {"R": SIZE[0], "L": SIZE[0], "S": SIZE[1], "I": SIZE[1], "A": 41, "P": 41}
    assert window.shape == (1, *(sizes[code] for code in nibabel.aff2axcodes(window.affine.numpy())))
    middle = nibabel.affines.apply_affine(window.affine.numpy(), (np.array(window.shape[1:]) - 1) / 2)
    assert np.linalg.norm(to_plane(middle - joint, window.affine.numpy())) < 8
    apart = to_plane(np.array(window.meta["joint"]["position"]) - middle, window.affine.numpy())
    assert np.abs(apart).max() <= PIXEL / 2 + 0.02
    for key in item:
        assert in_place(result[key], item[key])
        assert result[key].dtype == item[key].dtype


def test_mirrored_storage_gives_the_same_place():
    places = [CropToJoint(SIZE)(case("jopp", axes)[0]["image"]).meta["joint"] for axes in ("RSA", "ILP")]
    for place in places[1:]:
        np.testing.assert_allclose(place["position"], places[0]["position"], atol=1.5)


@pytest.mark.parametrize("axes", ["RSA", "LPS"])
def test_the_inverse_restores_the_grid(axes):
    item, _ = case("jopp", axes)
    crop = CropToJointd(["image", "label"], size=SIZE)
    result = crop.inverse(crop(item))
    for key, image in item.items():
        assert torch.equal(result[key].affine, image.affine)
        assert result[key].shape == image.shape
        kept = result[key].as_tensor() != 0
        assert torch.equal(result[key][kept], image[kept])
        assert result[key].applied_operations == []
    # Every voxel of the window comes back: there are as many as the window has.
    ones = crop({**item, "label": torch.ones_like(item["label"])})
    assert crop.inverse(ones)["label"].sum() == np.prod(SIZE) * 24


def at_the_border(side):
    """A knee whose image ends 40 mm beside the joint, so that the window passes the border."""
    item, joint = case("jopp")
    index = nibabel.affines.apply_affine(np.linalg.inv(item["image"].affine.numpy()), joint)
    start = round(index[0] - 20) if side == "left" else 0
    stop = None if side == "left" else round(index[0] + 21)
    affine = item["image"].affine.clone()
    affine[:3, 3] += affine[:3, 0] * start
    return {key: MetaTensor(image.as_tensor()[:, start:stop], affine=affine) for key, image in item.items()}


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_window_beyond_the_border_is_padded_and_put_back(side):
    item = at_the_border(side)
    crop = CropToJointd(["image", "label"], size=(60, 46))
    result = crop(item)
    assert result["image"].meta["joint"]["found"]
    assert result["image"].shape == (1, 60, 46, 24)
    beyond = slice(None, 6) if side == "left" else slice(-6, None)
    for key in item:
        assert in_place(result[key], item[key])
        assert not result[key][:, beyond].any()
    back = crop.inverse({key: torch.ones_like(result[key]) for key in item})
    for key, image in item.items():
        assert torch.equal(back[key].affine, image.affine)
        assert back[key].shape == image.shape
        assert 0 < back[key].sum() < image.numel()


def test_a_window_larger_than_the_image():
    item, _ = case()
    crop = CropToJoint((200, 210))
    window = crop(item["image"])
    assert window.shape == (1, 200, 210, 24)
    assert window.sum() == item["image"].sum()
    assert torch.equal(crop.inverse(window), item["image"])


def test_a_prediction_goes_back_onto_the_grid_of_the_file():
    item, _ = case("jopp", "LPS", oblique=True)
    chain = Compose([Orientationd("image", "RSA", labels=None), CropToJointd("image", size=(100, 46))])
    prepared = chain({"image": item["image"].clone()})
    prediction = MetaTensor((prepared["image"] > 0).float().as_tensor())
    back = Invertd("pred", chain, orig_keys="image", nearest_interp=True)({**prepared, "pred": prediction})[
        "pred"
    ]
    np.testing.assert_allclose(back.affine, item["image"].affine, atol=1e-9)
    assert back.shape == item["image"].shape
    assert ((item["image"].as_tensor() > 0) >= (back.as_tensor() > 0)).all()
    assert back.sum() == prediction.sum()


def test_lazy_chains_give_the_same():
    item, _ = case("jopp", "LPS")
    steps = [
        Orientationd(["image", "label"], "RSA", labels=None),
        CropToJointd(["image", "label"], size=SIZE),
        Flipd(["image", "label"], 0),
    ]
    eager, lazy = (Compose(steps, lazy=flag)(dict(item)) for flag in (False, True))
    for key in item:
        np.testing.assert_allclose(lazy[key].affine, eager[key].affine, atol=1e-9)
        assert torch.equal(lazy[key].as_tensor(), eager[key].as_tensor())
    assert lazy["image"].meta["joint"] == eager["image"].meta["joint"]


def test_arrays_without_an_affine():
    image = case()[0]["image"]
    crop = CropToJoint(SIZE, spacing=(PIXEL, PIXEL, 4.4))
    expected = crop(image).as_tensor()
    assert torch.equal(crop(image.numpy()).as_tensor(), expected)
    set_track_meta(False)
    try:
        plain = crop(image.as_tensor())
    finally:
        set_track_meta(True)
    assert not isinstance(plain, MetaTensor)
    assert torch.equal(plain, expected)


def test_several_channels_are_cropped_by_the_first():
    image = case()[0]["image"]
    window = CropToJoint(SIZE)(image)
    other = torch.zeros_like(image)
    both = CropToJoint(SIZE)(torch.cat([image, other]))
    assert torch.equal(both[:1].as_tensor(), window.as_tensor())


def shin_only():
    item, joint = case()
    index = nibabel.affines.apply_affine(np.linalg.inv(item["image"].affine.numpy()), joint)
    return {key: image[:, :, : int(index[1] - 15)] for key, image in item.items()}


def test_a_joint_that_is_not_found_is_said(caplog):
    item = shin_only()
    item["image"].meta["filename_or_obj"] = "/archive/Some Person/knee.mhd"
    item["image"].meta["notes"] = ["an earlier note"]
    with caplog.at_level(logging.WARNING, logger="monai_tasks"):
        result = CropToJointd(["image", "label"], size=SIZE)(item)
    assert result["image"].meta["notes"] == ["an earlier note", NOT_FOUND]
    assert item["image"].meta["notes"] == ["an earlier note"]
    assert not result["image"].meta["joint"]["found"]
    assert "notes" not in result["label"].meta
    (record,) = caplog.records
    assert record.getMessage().startswith(f"knee.mhd: {NOT_FOUND}")
    assert "Person" not in record.getMessage()


def test_a_joint_that_is_found_needs_no_note(caplog):
    item, _ = case()
    result = CropToJointd(["image", "label"], size=SIZE)(item)
    assert result["image"].meta["joint"]["found"]
    assert 0.28 <= result["image"].meta["joint"]["confidence"] <= 1
    assert "notes" not in result["image"].meta
    assert "joint" not in item["image"].meta
    assert "joint" not in result["label"].meta
    assert caplog.records == []


def test_the_threshold_decides():
    item, _ = case()
    result = CropToJoint(SIZE, threshold=1.0)(item["image"])
    assert result.meta["notes"] == [NOT_FOUND]


def test_found_and_missed_joints_in_one_batch():
    crop = CropToJointd("image", size=SIZE)
    items = [crop({"image": one["image"]}) for one in (case()[0], shin_only())]
    batch = list_data_collate(items)
    assert batch["image"].shape == (2, 1, *SIZE, 24)
    flags = [bool(one["image"].meta["joint"]["found"]) for one in decollate_batch(batch)]
    assert flags == [True, False]
    batch = list_data_collate([items[1], items[1]])
    assert [one["image"].meta["notes"] for one in decollate_batch(batch)] == [[NOT_FOUND]] * 2


DIRECTIONS = {
    "R": (1, 0, 0),
    "L": (-1, 0, 0),
    "A": (0, 1, 0),
    "P": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}


def thick(axes, spacing):
    """A bare image with voxels of such edges along its axes."""
    columns = [np.array(DIRECTIONS[code]) * edge for code, edge in zip(axes, spacing, strict=True)]
    affine = nibabel.affines.from_matvec(np.column_stack(columns))
    return MetaTensor(torch.rand(1, 30, 30, 30), affine=torch.from_numpy(affine))


@pytest.mark.parametrize(
    ("axes", "spacing", "plane"),
    [("PSR", (0.5, 0.5, 3), "sagittal"), ("RSA", (3, 0.5, 0.5), "sagittal"), ("LPS", (0.5, 0.5, 3), "axial")],
)
def test_other_planes_are_refused(axes, spacing, plane):
    image = thick(axes, spacing)
    with pytest.raises(ValueError, match=f"{plane} slices .* expected coronal slices"):
        CropToJoint(SIZE)(image)
    chain = Compose([Orientationd("image", "RSA", labels=None), Spacingd("image", (1, 1, -1))])
    image.meta["original_affine"] = image.affine.numpy()
    item = chain({"image": image})
    with pytest.raises(ValueError, match=f"{plane} slices"):
        CropToJointd("image", size=SIZE)(item)


def test_arrays_of_another_plane_are_refused():
    with pytest.raises(ValueError, match="sagittal slices"):
        CropToJoint(SIZE, spacing=(3, 0.5, 0.5))(np.zeros((1, 8, 8, 8)))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.9, 0.5, 0.5)])
def test_voxels_without_a_thick_edge_are_taken(spacing):
    assert CropToJoint(SIZE)(thick("RSA", spacing)).shape == (1, *SIZE, 30)


def test_labels_on_another_grid_are_refused():
    item, _ = case()
    crop = CropToJointd(["image", "label"], size=SIZE)
    with pytest.raises(ValueError, match="label: 80 x 80 x 23 voxels; expected 80 x 80 x 24"):
        crop({**item, "label": item["label"][..., 1:]})
    with pytest.raises(ValueError, match="label: axes LSA; expected RSA"):
        crop({**item, "label": Flipd("label", 0)({"label": item["label"]})["label"]})
    moved = item["label"].clone()
    moved.affine = moved.affine + torch.tensor([[0.0, 0.0, 0.0, 3.0]] + 3 * [[0.0] * 4])
    with pytest.raises(ValueError, match="label: lies up to 3 mm beside the image"):
        crop({**item, "label": moved})


def test_missing_keys():
    item = {"image": case()[0]["image"]}
    with pytest.raises(KeyError, match="label"):
        CropToJointd(["image", "label"], size=SIZE)(item)
    assert CropToJointd(["image", "label"], size=SIZE, allow_missing_keys=True)(item).keys() == {"image"}
    with pytest.raises(ValueError, match="source_key: got 'other'; expected one of the keys"):
        CropToJointd(["image", "label"], source_key="other")


@pytest.mark.parametrize("size", [(224,), (224, 0), (224, 224, 24)])
def test_sizes_that_are_no_window(size):
    with pytest.raises(ValueError, match="size: got"):
        CropToJoint(size)


def test_images_without_three_axes():
    with pytest.raises(ValueError, match="expected \\(C, X, Y, Z\\)"):
        CropToJoint(SIZE)(np.zeros((1, 8, 8)))


def test_the_other_names_that_monai_gives_dictionary_transforms():
    assert crop_to_joint.CropToJointD is crop_to_joint.CropToJointDict is CropToJointd
