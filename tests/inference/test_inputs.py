"""A bundle says what kind of inputs it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from classification_bundles import write_image

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.inputs import KINDS, kind_of


def test_volumes_unless_the_config_or_a_setting_says_otherwise() -> None:
    assert kind_of({}, {}) == "volumes"
    assert kind_of({"inputs": "studies"}, {}) == "studies"
    assert kind_of({"inputs": "studies"}, {"inputs": "radiographs"}) == "radiographs"
    with pytest.raises(ConfigError, match="'slides'; expected one of volumes, radiographs, studies"):
        kind_of({"inputs": "slides"}, {})


def test_each_kind_finds_its_own(tmp_path: Path) -> None:
    for name in ("s/a.png", "s/b.png"):
        write_image(tmp_path / name, 0.5)
    (tmp_path / "c.nii").touch()
    found = {name: [case.name for case in kind.find([tmp_path], []).cases] for name, kind in KINDS.items()}
    assert found == {"volumes": ["c"], "radiographs": ["a", "b"], "studies": ["s"]}
