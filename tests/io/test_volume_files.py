from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from monai.data import ITKReader, NibabelReader

from monai_tasks.io.errors import InputError
from monai_tasks.io.volume_files import read_volume_file

GRIDS = ["RAS", "LAS", "LPS", "oblique"]


def write_itk(path, array, affine):
    """Write with SimpleITK, which counts in LPS+ and has its axes reversed in numpy."""
    image = sitk.GetImageFromArray(array.T)
    set_place(image, affine)
    sitk.WriteImage(image, str(path))


def set_place(image, affine):
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())


def write_nibabel(path, array, affine):
    image_class = nib.MGHImage if path.suffix in (".mgh", ".mgz") else nib.Nifti1Image
    nib.save(image_class(array, affine), path)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgz", ".mha", ".mhd", ".nrrd", ".nhdr"])
def test_voxels_and_place(tmp_path, grids, name, suffix):
    grid, path = grids[name], tmp_path / f"case{suffix}"
    (write_nibabel if suffix in (".nii", ".nii.gz", ".mgz") else write_itk)(path, *grid)
    array, affine = read_volume_file(path)
    np.testing.assert_array_equal(array, grid.array)
    np.testing.assert_allclose(affine, grid.affine, atol=1e-5)
    reader = NibabelReader() if suffix in (".nii", ".nii.gz") else ITKReader()
    if suffix != ".mgz":
        expected, metadata = reader.get_data(reader.read(str(path)))
        np.testing.assert_array_equal(array, expected)
        np.testing.assert_allclose(affine, metadata["affine"], atol=1e-9)


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("right-anterior-superior", (1, 1, 1)),
        ("left-anterior-superior", (-1, 1, 1)),
        ("left-posterior-superior", (-1, -1, 1)),
    ],
)
def test_nrrd_spaces(tmp_path, grids, space, signs):
    grid = grids["oblique"]
    own = np.diag([*signs, 1]) @ grid.affine
    directions = " ".join(f"({','.join(map(repr, own[:3, axis].tolist()))})" for axis in range(3))
    header = (
        f"NRRD0004\ntype: float\ndimension: 3\nspace: {space}\nsizes: {' '.join(map(str, grid.array.shape))}\n"
        f"space directions: {directions}\nspace origin: ({','.join(map(repr, own[:3, 3].tolist()))})\n"
        "endian: little\nencoding: raw\n\n"
    )
    path = tmp_path / "case.nrrd"
    path.write_bytes(header.encode() + grid.array.tobytes(order="F"))
    array, affine = read_volume_file(path)
    np.testing.assert_array_equal(array, grid.array)
    np.testing.assert_allclose(affine, grid.affine, atol=1e-6)


def test_scaled_integers(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nib.Nifti1Image(array, np.eye(4))
    image.header.set_slope_inter(0.5, -3)
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_allclose(
        read_volume_file(tmp_path / "a.nii")[0], nib.load(tmp_path / "a.nii").get_fdata()
    )


def test_sform_wins_over_voxel_sizes_that_do_not_fit(tmp_path):
    image = nib.Nifti1Image(np.arange(24.0).reshape(2, 3, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header["pixdim"][1:4] = 1.0
    nib.save(image, tmp_path / "a.nii")
    np.testing.assert_array_equal(
        read_volume_file(tmp_path / "a.nii")[1], nib.load(tmp_path / "a.nii").affine
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha"])
def test_trailing_axis_of_one_is_dropped(tmp_path, suffix):
    array = np.arange(24.0).reshape(2, 3, 4, 1)
    path = tmp_path / f"a{suffix}"
    if suffix == ".mha":
        # Four dimensions and not a vector a voxel.
        sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(array[..., 0].T)]), str(path))
    else:
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    read, affine = read_volume_file(path)
    np.testing.assert_array_equal(read, array[..., 0])
    assert affine.shape == (4, 4)


def _nifti(array, compressed=False):
    content = nib.Nifti1Image(array, np.eye(4)).to_bytes()
    return gzip.compress(content, mtime=0) if compressed else content


NOISE = np.random.default_rng(3).normal(size=(12, 13, 14))
PACKED = _nifti(NOISE, compressed=True)
COLOUR = np.zeros((3, 3, 3), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
FLIPPED = PACKED[:6000] + bytes([PACKED[6000] ^ 0x55]) + PACKED[6001:]
ZERO_AXIS = bytearray(_nifti(NOISE))
ZERO_AXIS[44:46] = b"\0\0"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.nii.gz", None, "no such file"),
        ("a.nii.gz", b"", r"empty file \(0 bytes\)"),
        ("a.nii.gz", PACKED[:9000], "truncated gzip"),
        ("a.nii.gz", PACKED[:40], "truncated gzip"),
        ("a.nii.gz", PACKED[:-6], "truncated gzip"),
        ("a.nii.gz", FLIPPED, "damaged gzip"),
        ("a.nii.gz", b"not an image\n" * 9, "a text file"),
        ("a.nii.gz", _nifti(NOISE), "not compressed by gzip"),
        ("a.nii", _nifti(NOISE)[:5000], "damaged or incomplete voxels; expected the 12 x 13 x 14 voxels"),
        ("a.nii", b"not an image\n" * 99, "a text file"),
        ("a.nii", bytes(range(256)) * 4, "header that cannot be read"),
        ("a.nii", bytes(ZERO_AXIS), r"axis without voxels \(12 x 0 x 14\)"),
        ("a.nii", _nifti(np.zeros((4, 5, 6, 7))), r"4 dimensions, 7 volumes \(4 x 5 x 6 x 7\)"),
        ("a.nii", _nifti(np.zeros((4, 5, 6, 1, 3))), "5 dimensions, 3 volumes"),
        ("a.nii", _nifti(np.zeros((4, 5))), r"one plane \(4 x 5\)"),
        ("a.nii", _nifti(np.zeros((4, 5, 1))), "one plane"),
        ("a.nii", _nifti(np.zeros((1, 5, 6))), "one plane"),
        ("a.nii", _nifti(COLOUR), "colour voxels"),
        ("a.mha", b"not an image\n", "a text file"),
        ("a.nrrd", b"not an image\n", "a text file"),
        ("a.nrrd", b"NRRD0004\ntype: float\n", "header that cannot be read"),
        ("a.nrrd", bytes(range(256)), "header that cannot be read"),
        ("a.pdf", b"%PDF-1.7\n\xff\xd8", r"a \.pdf file; expected NIfTI"),
        ("a.txt", "Ein Text über Bilder".encode(), "a text file"),
        ("a", b"\0\1\2", "a file without a suffix"),
    ],
)
def test_bad_files(tmp_path, name, content, reason):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=reason) as caught:
        read_volume_file(path)
    assert caught.value.source == str(path)


def test_metaimage_without_its_data_file(tmp_path, grids):
    write_itk(tmp_path / "a.mhd", *grids["RAS"])
    (tmp_path / "a.raw").unlink()
    with pytest.raises(InputError, match=r"incomplete voxels; .*data file beside it"):
        read_volume_file(tmp_path / "a.mhd")


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_itk_files_cut_short(tmp_path, grids, suffix):
    path = tmp_path / f"a{suffix}"
    write_itk(path, *grids["RAS"])
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match="damaged or incomplete voxels"):
        read_volume_file(path)


def test_itk_files_of_another_kind(tmp_path):
    vectors = sitk.GetImageFromArray(np.zeros((4, 5, 6, 3)), isVector=True)
    sitk.WriteImage(vectors, str(tmp_path / "a.mha"))
    with pytest.raises(InputError, match="3 values a voxel"):
        read_volume_file(tmp_path / "a.mha")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((5, 6))), str(tmp_path / "b.mha"))
    with pytest.raises(InputError, match=r"one plane \(6 x 5\)"):
        read_volume_file(tmp_path / "b.mha")
    series = sitk.JoinSeries([sitk.GetImageFromArray(np.zeros((4, 5, 6)))] * 2)
    sitk.WriteImage(series, str(tmp_path / "c.nrrd"))
    with pytest.raises(InputError, match="4 dimensions, 2 volumes"):
        read_volume_file(tmp_path / "c.nrrd")


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(
    "kind", ["a.nii.gz", "a.nii", "vectors.nii", "a.mhd", "a.mha", "a.nrrd", "series.mha"]
)
def test_channels_of_one_file(tmp_path, grids, name, kind):
    """A fourth axis, as NIfTI has it, or values of one voxel, which SimpleITK writes to NIfTI as a fifth axis."""
    affine, path = grids[name].affine, tmp_path / kind
    channels = np.stack([grids[name].array, -grids[name].array, np.zeros_like(grids[name].array)])
    if kind in ("a.nii", "a.nii.gz"):
        write_nibabel(path, np.moveaxis(channels, 0, -1), affine)
    else:
        images = [sitk.GetImageFromArray(channel.T) for channel in channels]
        for image in images:
            set_place(image, affine)
        join = sitk.JoinSeries if kind == "series.mha" else sitk.Compose
        sitk.WriteImage(join(images), str(path))
    array, found = read_volume_file(path, allow_channels=True)
    np.testing.assert_array_equal(array, channels)
    np.testing.assert_allclose(found, affine, atol=1e-5)
    with pytest.raises(InputError, match=r"3 values a voxel|3 volumes"):
        read_volume_file(path)


@pytest.mark.parametrize("suffix", [".nii", ".mhd"])
def test_one_channel_is_a_volume_where_several_are_allowed(tmp_path, grids, suffix):
    path = tmp_path / f"a{suffix}"
    (write_nibabel if suffix == ".nii" else write_itk)(path, *grids["LPS"])
    array, affine = read_volume_file(path, allow_channels=True)
    np.testing.assert_array_equal(array, grids["LPS"].array)
    np.testing.assert_allclose(affine, grids["LPS"].affine, atol=1e-5)


def test_more_than_one_axis_of_channels_is_refused(tmp_path):
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6, 2, 3)), np.eye(4)), path)
    with pytest.raises(
        InputError, match=r"5 dimensions, 6 volumes .*; expected one volume, .* one of channels"
    ):
        read_volume_file(path, allow_channels=True)
    series = sitk.JoinSeries([sitk.GetImageFromArray(np.zeros((4, 5, 6, 3)), isVector=True)] * 2)
    sitk.WriteImage(series, str(tmp_path / "b.mha"))
    with pytest.raises(InputError, match="4 dimensions, 2 volumes"):
        read_volume_file(tmp_path / "b.mha", allow_channels=True)
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 1, 3)), np.eye(4)), path)
    with pytest.raises(InputError, match="one plane"):
        read_volume_file(path, allow_channels=True)


@pytest.mark.parametrize(
    "relative", ["brain_mri/brain1_image.nrrd", "bone_microct/trabecular_200x200x110.nrrd"]
)
def test_real_nrrd_as_monai_reads_it(shared_data, relative):
    array, affine = read_volume_file(shared_data / relative)
    reader = ITKReader()
    expected, metadata = reader.get_data(reader.read(str(shared_data / relative)))
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_allclose(affine, metadata["affine"])
