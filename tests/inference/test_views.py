"""Views that cannot be read are left out and told; any other fault is that of the study."""

from __future__ import annotations

import pytest

from monai_tasks.inference.views import read_views
from monai_tasks.io.errors import InputError


def reader(*bad: str):
    def read(paths: list[str]) -> list[str]:
        for path in paths:
            if path in bad:
                try:
                    raise InputError(path, "nothing", "something")
                except InputError as error:
                    raise RuntimeError("a transform failed") from error
        return list(paths)

    return read


def test_the_readable_views_are_left_in_their_order():
    paths = ["/s/a", "/s/b", "/s/c", "/s/d"]
    assert read_views(paths, reader()) == (paths, "")
    found, note = read_views(paths, reader("/s/a", "/s/c"))
    assert found == ["/s/b", "/s/d"]
    assert note == "without 2 of 4 views (a: nothing; expected something; c: nothing; expected something)"
    assert paths[0] == "/s/a"


def test_without_any_view_the_study_fails():
    with pytest.raises(InputError, match=r"none of 2 views can be read \(a: nothing; expected something\)"):
        read_views(["/s/a", "/s/b"], reader("/s/a", "/s/b"))
    with pytest.raises(RuntimeError, match="a transform failed"):
        read_views(["/s/a"], reader("/s/a"))


@pytest.mark.parametrize(
    "error", [InputError("/elsewhere", "x", "y"), RuntimeError("out of memory"), ValueError("odd")]
)
def test_what_is_no_fault_of_a_view_is_not_hidden(error):
    def read(paths: list[str]) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        read_views(["/s/a", "/s/b"], read)
    assert caught.value is error
