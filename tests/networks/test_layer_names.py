"""Layers by name or by number."""

from __future__ import annotations

import pytest

from monai_tasks.networks.layer_names import chosen

KNOWN = {"first": ["a", "b"], "middle": ["c"], "last": ["d"]}


@pytest.mark.parametrize(
    ("layers", "names"),
    [(0, []), (2, ["a", "b", "c"]), (["last", "first"], ["a", "b", "d"]), ([], []), (None, None)],
)
def test_modules_come_from_the_input_to_the_output(layers, names):
    assert chosen(KNOWN, layers) == names


@pytest.mark.parametrize("layers", [3, -1, ["other"], "first"])
def test_what_is_no_layer_is_refused_with_those_that_there_are(layers):
    with pytest.raises(ValueError, match="first, middle, last"):
        chosen(KNOWN, layers)
