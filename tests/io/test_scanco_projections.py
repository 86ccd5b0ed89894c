from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import py_aimio
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_projections import read_projections
from monai_tasks.io.scanco_writer import write_rsq

VIEWS, ROWS, COLUMNS = 9, 4, 12


@pytest.fixture
def counts():
    return np.random.default_rng(8).integers(300, 60000, (VIEWS, ROWS, COLUMNS)).astype(np.uint16)


@pytest.fixture
def references():
    rng = np.random.default_rng(9)
    shape = (ROWS, COLUMNS)
    return rng.integers(0, 200, shape).astype(np.uint16), rng.integers(60000, 65536, shape).astype(np.uint16)


def edit(path, offset, number):
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, offset, number)
    path.write_bytes(content)


def test_views_and_angles(tmp_path, counts):
    write_rsq(tmp_path / "a.RSQ", counts, 0.24)
    projections = read_projections(tmp_path / "a.RSQ")
    np.testing.assert_array_equal(projections.values, counts)
    np.testing.assert_allclose(projections.angles_degrees, 0.24 * np.arange(VIEWS))
    assert projections.dark is None
    assert projections.bright is None


def test_frames_beside_the_views(tmp_path, counts, references):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0, *references)
    projections = read_projections(tmp_path / "a.RSQ")
    np.testing.assert_array_equal(projections.values, counts)
    np.testing.assert_array_equal(projections.dark, references[0])
    np.testing.assert_array_equal(projections.bright, references[1])
    assert projections.angles_degrees[-1] == pytest.approx(160)


def test_attenuation(tmp_path, counts, references):
    dark, bright = references
    counts[3, 0, 0] = 0  # fewer than the dark ones
    write_rsq(tmp_path / "a.RSQ", counts, 20.0, dark, bright)
    found = read_projections(tmp_path / "a.RSQ").attenuation([3, 5])
    assert found.shape == (2, ROWS, COLUMNS)
    for place, view in enumerate((3, 5)):
        for row, column in np.ndindex(ROWS, COLUMNS):
            above = max(int(counts[view, row, column]) - int(dark[row, column]), 1)
            full = int(bright[row, column]) - int(dark[row, column])
            assert found[place, row, column] == pytest.approx(-np.log(above / full), rel=1e-5, abs=1e-6)


def test_no_attenuation_without_the_frames_beside(tmp_path, counts):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0)
    with pytest.raises(InputError, match="no frames beside the views"):
        read_projections(tmp_path / "a.RSQ").attenuation([0])


def test_as_aimio_reads_it(tmp_path, counts, references):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0, *references)
    stored, info = py_aimio.read_rsq(tmp_path / "a.RSQ")
    projections = read_projections(tmp_path / "a.RSQ")
    np.testing.assert_array_equal(stored[:, 2:].transpose(1, 0, 2), projections.values)
    geometry = info["geometry"]
    assert geometry["object_view_count"] == VIEWS
    assert geometry["angular_step_mdeg"] == pytest.approx(1000 * projections.angles_degrees[1])


def test_views_that_the_header_lacks(tmp_path, counts, references):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0, *references)
    edit(tmp_path / "a.RSQ", 260, 0)
    with pytest.raises(InputError, match="11 frames, 0 of them views of the object"):
        read_projections(tmp_path / "a.RSQ")
    edit(tmp_path / "a.RSQ", 60, 0)
    with pytest.raises(InputError, match="no angle of its views"):
        read_projections(tmp_path / "a.RSQ", views=VIEWS)
    projections = read_projections(tmp_path / "a.RSQ", views=VIEWS, step_degrees=0.2)
    np.testing.assert_array_equal(projections.values, counts)
    assert projections.angles_degrees[1] == 0.2


def test_frames_of_unknown_kind(tmp_path, counts):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0)
    with pytest.raises(InputError, match="9 frames, 8 of them views of the object; expected as many"):
        read_projections(tmp_path / "a.RSQ", views=8)


def test_truncated(tmp_path, counts):
    write_rsq(tmp_path / "a.RSQ", counts, 20.0)
    content = (tmp_path / "a.RSQ").read_bytes()
    (tmp_path / "a.RSQ").write_bytes(content[:1000])
    with pytest.raises(
        InputError, match="a truncated file of 1000 bytes; expected 1376 bytes for the 12 x 9 x 4"
    ):
        read_projections(tmp_path / "a.RSQ")


def test_opening_reads_no_views(tmp_path):
    write_rsq(tmp_path / "a.RSQ", np.zeros((50, 100, 500), np.uint16), 0.24)
    tracemalloc.start()
    view = read_projections(tmp_path / "a.RSQ").values[7].copy()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * view.nbytes
