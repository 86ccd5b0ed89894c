from __future__ import annotations

import numpy as np
import pytest
from monai.data import ITKReader
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from monai_tasks.io.dicom_series import find_series, is_dicom_name, read_series, series_of
from monai_tasks.io.errors import InputError

PROCESS_10_12 = "1.2.840.10008.1.2.4.55"


@pytest.fixture
def volumes(grids):
    """The four grids with voxels that fit 16 bits."""
    return {name: grid._replace(array=grid.array.round().astype(np.int16)) for name, grid in grids.items()}


def same_in_space(array, affine, grid):
    """Whether each voxel of `grid` is found, by its place in space, in (array, affine)."""
    indices = np.indices(grid.array.shape).reshape(3, -1)
    world = grid.affine @ np.vstack([indices, np.ones(indices.shape[1])])
    found = (np.linalg.inv(affine) @ world)[:3]
    whole = found.round().astype(int)
    np.testing.assert_allclose(found, whole, atol=1e-4)
    np.testing.assert_array_equal(array[tuple(whole)], grid.array[tuple(indices)])


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
def test_voxels_lie_where_they_were(tmp_path, volumes, dicom, name):
    files = dicom.series(tmp_path, volumes[name])
    array, affine = read_series(files[::-1])
    same_in_space(array, affine, volumes[name])
    assert array.dtype == np.int16


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
def test_same_as_itk(tmp_path, volumes, dicom, name):
    array, affine = read_series(dicom.series(tmp_path, volumes[name]))
    reader = ITKReader()
    expected, metadata = reader.get_data(reader.read(str(tmp_path)))
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_allclose(affine, metadata["affine"], atol=1e-6)


def test_pixel_formula_of_the_standard(tmp_path, volumes, dicom):
    """Part 3, C.7.6.2.1.1: position + row vector * column spacing * column + column vector * row spacing * row."""
    files = dicom.series(tmp_path, volumes["oblique"])
    array, affine = read_series(files)
    for path in files[::4]:
        dataset = dcmread(path)
        position, orientation = (
            np.array(dataset.ImagePositionPatient),
            np.array(dataset.ImageOrientationPatient),
        )
        rows, columns = dataset.PixelSpacing
        for i, j in ((0, 0), (13, 0), (3, 17)):
            lps = position + orientation[:3] * columns * i + orientation[3:] * rows * j
            index = np.linalg.inv(affine) @ (-lps[0], -lps[1], lps[2], 1)
            assert array[tuple(index[:3].round().astype(int))] == dataset.pixel_array[j, i]


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
)
def test_transfer_syntaxes(tmp_path, volumes, dicom, syntax):
    # OpenJPEG encodes no image that is smaller than its pyramid.
    grid = volumes["RAS"]._replace(array=np.tile(volumes["RAS"].array, (5, 4, 1)))
    files = dicom.series(tmp_path, grid, syntax=syntax)
    assert dcmread(files[0]).file_meta.TransferSyntaxUID == syntax
    assert [series.files for series in find_series(tmp_path)] == [tuple(files)]
    array, affine = read_series(files)
    same_in_space(array, affine, grid)


def test_rescale_of_each_slice(tmp_path, volumes, dicom):
    def edit(dataset, number):
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5 * (number + 1), -1024

    files = dicom.series(tmp_path, volumes["RAS"], edit=edit)
    array, affine = read_series(files)
    slopes = 0.5 * np.arange(1, 1 + len(files))
    assert array.dtype == np.float32
    same_in_space(array, affine, volumes["RAS"]._replace(array=volumes["RAS"].array * slopes - 1024))


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
def test_enhanced_multi_frame(tmp_path, volumes, dicom, name):
    slopes = [0.5 + 0.25 * number for number in range(volumes[name].array.shape[2])]
    path = dicom.enhanced(tmp_path / "a.dcm", volumes[name], slopes=slopes)
    array, affine = read_series([path])
    same_in_space(array, affine, volumes[name]._replace(array=volumes[name].array * slopes))


def test_nothing_but_voxels_and_place_is_kept(tmp_path, volumes, dicom):
    assert read_series(dicom.series(tmp_path, volumes["RAS"]))._fields == ("array", "affine")


class TestFinding:
    def test_several_series_and_other_objects(self, tmp_path, volumes, dicom):
        first = dicom.series(tmp_path, volumes["RAS"])
        second = [path.rename(tmp_path / f"z{path.name}") for path in first]
        first = dicom.series(tmp_path, volumes["LPS"])
        alone = dicom.enhanced(tmp_path / "enhanced.dcm", volumes["LAS"])
        segmentation = dcmread(alone)
        segmentation.Modality = "SEG"
        segmentation.save_as(tmp_path / "segmentation.dcm")
        report = dcmread(alone)
        del report.Rows, report.PixelData
        report.save_as(tmp_path / "report.dcm")
        (tmp_path / "notes.txt").write_text("none of it")
        (tmp_path / ".hidden.dcm").write_text("none of it")
        series = find_series(tmp_path)
        assert [one.files for one in series] == [(alone,), tuple(first), tuple(second)]
        assert len({one.uid for one in series}) == 3
        assert series_of(second[2]) == series[2]
        with pytest.raises(InputError, match="3 DICOM series; expected one"):
            series_of(tmp_path)
        with pytest.raises(InputError, match="without an image"):
            series_of(tmp_path / "report.dcm")

    def test_files_without_suffix(self, tmp_path, volumes, dicom):
        files = dicom.series(tmp_path, volumes["RAS"])
        renamed = tuple(path.rename(tmp_path / f"1.2.3.{100 + n}") for n, path in enumerate(files))
        (tmp_path / "README").write_text("x" * 200)
        assert [one.files for one in find_series(tmp_path)] == [renamed]
        assert is_dicom_name(renamed[0])
        assert not is_dicom_name(tmp_path / "README")

    def test_changes_of_the_folder_are_seen(self, tmp_path, volumes, dicom):
        files = dicom.series(tmp_path, volumes["RAS"])
        assert len(find_series(tmp_path)[0].files) == len(files)
        files[0].unlink()
        assert len(find_series(tmp_path)[0].files) == len(files) - 1

    def test_unreadable_file_is_a_slice_of_the_only_series(self, tmp_path, volumes, dicom):
        files = dicom.series(tmp_path, volumes["RAS"])
        files[-1].write_text("not a slice any more")
        (series,) = find_series(tmp_path)
        assert series.files == tuple(files)
        with pytest.raises(InputError, match=r"slice_010\.dcm: a file without the DICOM marker"):
            read_series(series.files)

    def test_missing_path(self, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            series_of(tmp_path / "none")


def _without_pixels(dataset, number):
    if number == 2:
        del dataset.PixelData


def _short(dataset, number):
    if number == 2:
        dataset.PixelData = dataset.PixelData[:100]


def _coloured(dataset, number):
    dataset.PhotometricInterpretation = "PALETTE COLOR"


def _without_place(dataset, number):
    del dataset.ImagePositionPatient


def _retired(dataset, number):
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = PROCESS_10_12


def _damaged(dataset, number):
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51" + bytes(60)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless


def _turned(dataset, number):
    if number > 5:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (_without_pixels, r"slice_002\.dcm: a DICOM file without pixels"),
        (_short, r"slice_002\.dcm: pixels that cannot be decoded"),
        (_coloured, "colour pixels"),
        (_without_place, "no ImagePositionPatient"),
        (_retired, "retired compression .*Process 10 and 12"),
        (_damaged, r"pixels that cannot be decoded \(JPEG 2000"),
        (_turned, "mixed orientation"),
    ],
)
def test_bad_slices(tmp_path, volumes, dicom, edit, reason):
    files = dicom.series(tmp_path, volumes["RAS"], edit=edit)
    with pytest.raises(InputError, match=reason):
        read_series(files)


def test_missing_slice(tmp_path, volumes, dicom):
    files = dicom.series(tmp_path, volumes["oblique"])
    del files[4]
    with pytest.raises(
        InputError, match=r"missing slices \(a gap of 3 mm between slices 4 and 5 of 10, 1\.5 mm"
    ):
        read_series(files)


def test_empty_and_cut_files(tmp_path, volumes, dicom):
    files = dicom.series(tmp_path, volumes["RAS"])
    files[1].write_bytes(files[1].read_bytes()[:700])
    with pytest.raises(InputError, match=r"slice_001\.dcm"):
        read_series(files)
    files[1].write_bytes(b"")
    with pytest.raises(InputError, match=r"slice_001\.dcm: an empty file"):
        read_series(files)


@pytest.mark.parametrize("name", ["siemens", "hitachi", "jpegls", "philips_enhanced_multiframe"])
def test_real_series_as_itk_reads_them(shared_data, name):
    folder = shared_data / "dicom" / "series" / name
    array, affine = read_series(series_of(folder).files)
    reader = ITKReader()
    expected, metadata = reader.get_data(reader.read(str(folder)))
    np.testing.assert_allclose(array, expected.reshape(array.shape), rtol=1e-6)
    # ITK gives a multi-frame file a fourth axis of one; its first three are those of space.
    place = metadata["affine"]
    np.testing.assert_allclose(affine[:3, :3], place[:3, :3], atol=1e-5)
    np.testing.assert_allclose(affine[:3, 3], place[:3, -1], atol=1e-5)


@pytest.mark.parametrize(
    ("relative", "reason"),
    [
        ("series_broken/slicecount", "only 2 slices"),
        ("series_broken/sliceorientation", "mixed orientation"),
        ("transfer_syntaxes", "retired compression .*Process 10 and 12"),
    ],
)
def test_real_refusals(shared_data, relative, reason):
    with pytest.raises(InputError, match=reason):
        read_series(series_of(shared_data / "dicom" / relative).files)


def test_real_transfer_syntaxes_agree(tmp_path, shared_data):
    """One slice in six syntaxes, put at six heights so that they make a series."""
    files = []
    for number, path in enumerate(sorted((shared_data / "dicom" / "transfer_syntaxes").iterdir())):
        dataset = dcmread(path)
        if dataset.file_meta.TransferSyntaxUID != PROCESS_10_12:
            dataset.ImagePositionPatient[2] = 5.0 * len(files)
            files.append(tmp_path / f"{number}.dcm")
            dataset.save_as(files[-1])
    array, _ = read_series(files)
    assert array.shape == (512, 512, 6)
    assert (array == array[..., :1]).all()
    assert array.min() < -900  # air, so the intercept was applied
