from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.io.dicom_planes import Plane, stack_planes
from monai_tasks.io.errors import InputError


def planes(positions, orientation=((1, 0, 0), (0, 1, 0)), size=(4, 5), spacing=(2.0, 1.0)):
    return [
        Plane(
            Path(f"{number}.dcm"),
            0,
            size,
            np.array(position, float),
            np.array(orientation, float),
            np.array(spacing),
            1.0,
            0.0,
        )
        for number, position in enumerate(positions)
    ]


def along_z(*heights):
    return [(0, 0, height) for height in heights]


def test_order_and_affine():
    ordered, affine = stack_planes(Path("f"), planes(along_z(6, 3, 9)))
    assert [plane.path.name for plane in ordered] == ["1.dcm", "0.dcm", "2.dcm"]
    # A step along a row is the distance between columns, the second number of the pixel spacing.
    np.testing.assert_allclose(affine, [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 3], [0, 0, 0, 1]])


def test_slices_ascend_along_the_normal():
    _, affine = stack_planes(Path("f"), planes(along_z(0, 3, 6), orientation=((1, 0, 0), (0, -1, 0))))
    np.testing.assert_allclose(affine[:3, 2:], [[0, 0], [0, 0], [-3, 6]])


def test_rounded_positions_pass():
    _, affine = stack_planes(Path("f"), planes(along_z(0, 0.6, 1.3, 1.9, 2.5)))
    assert affine[2, 2] == pytest.approx(0.625)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few(count):
    with pytest.raises(InputError, match="slice"):
        stack_planes(Path("f"), planes(along_z(*range(count))))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (
            planes(along_z(0, 1, 3, 4)),
            r"missing slices \(a gap of 2 mm between slices 2 and 3 of 4, 1 mm else",
        ),
        (planes(along_z(0, 1, 3)), "missing slices"),
        (planes(along_z(0, 1, 2, 3.3, 4.3)), "uneven gaps, from 1 to 1.3 mm"),
        (planes(along_z(*range(10), *np.arange(10, 20, 1.15))), "uneven gaps, from 1 to 1.15 mm"),
        (planes(along_z(0, 1, 1, 2)), "4 slices at 3 places"),
        (planes(along_z(0, 1)) + planes(along_z(2), orientation=((1, 0, 0), (0, 0, 1))), "90.0 degrees"),
        (planes(along_z(0, 1)) + planes(along_z(2), orientation=((-1, 0, 0), (0, 1, 0))), "180.0 degrees"),
        (planes(along_z(0, 1)) + planes(along_z(2), size=(5, 4)), r"mixed size \(4 x 5, 5 x 4 pixels\)"),
        (planes(along_z(0, 1)) + planes(along_z(2), spacing=(2.0, 1.1)), "pixel spacings from 1 to 2 mm"),
        (planes(along_z(0, 1, 2), spacing=(0.0, 1.0)), "pixel spacings from 0"),
        (planes(along_z(0, 1, 2), orientation=((1, 0, 0), (0.5, 0.866, 0))), "right angles"),
        (planes(along_z(0, 1, 2), orientation=((0, 0, 0), (0, 0, 0))), "right angles"),
        (planes([(0, 0, 0), (0, 0.5, 1), (0, 1, 2)]), "a gantry tilted by 26.6 degrees"),
        (planes([(0, 0, 0), (0, 0.5, 1), (0, 0, 2)]), "shifted sideways"),
    ],
)
def test_no_volume(bad, reason):
    with pytest.raises(InputError, match=reason):
        stack_planes(Path("f"), bad)
