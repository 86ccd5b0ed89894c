"""A frame has a path of its own, and no file that there is changes its meaning by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tasks.io.radiograph_frames import count_frames, frame_path, split_frame


def test_a_path_names_a_frame_and_gives_it_back(tmp_path):
    for name in ("IM5.dcm", "1.2.840.7", "IM 5"):
        assert split_frame(frame_path(tmp_path / name, 12)) == (tmp_path / name, 12)
        assert split_frame(str(tmp_path / name)) == (tmp_path / name, None)
    assert frame_path(Path("IM5.dcm"), 2) == Path("IM5.dcm#frame=2")
    for name in ("IM5.dcm#frame=0", "IM5.dcm#frame=x", "IM5.dcm#2", "#frame=2"):
        assert split_frame(name) == (Path(name), None)


def test_a_file_of_such_a_name_is_that_file(tmp_path):
    path = frame_path(tmp_path / "a.dcm", 2)
    path.touch()
    assert split_frame(path) == (path, None)


@pytest.mark.parametrize(
    ("value", "count"), [(3, 3), ("4", 4), (None, 1), ("", 1), (0, 1), (-2, 1), ("many", 1)]
)
def test_frames_as_the_header_counts_them(value, count):
    assert count_frames({"NumberOfFrames": value}) == count
