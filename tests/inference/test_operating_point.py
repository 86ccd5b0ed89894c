"""The setting goes before the file beside the weights, the file before the config, and each is checked."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.operating_point import HeldPoint, held_point
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path / "model.pt"


def _beside(weights: Path, text: str) -> None:
    weights.with_name("operating_point.json").write_text(text)


def test_what_goes_first(weights: Path) -> None:
    assert held_point(weights, None, {}) == HeldPoint(0.5, "config")
    assert held_point(weights, 0.4, {}) == HeldPoint(0.4, "config")
    facts = {"threshold": 0.3, "rule": "youden", "part": "validation", "n": 12, "sensitivity": 0.9}
    _beside(weights, json.dumps(facts))
    assert held_point(weights, 0.4, {}) == HeldPoint(0.3, "operating_point.json", "youden", "validation", 12)
    assert held_point(weights, 0.4, {"operating_point": 1}) == HeldPoint(1.0, "setting")


def test_a_file_for_other_weights_does_not_count_and_is_told_of(
    weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _beside(weights, json.dumps({"threshold": 0.3, "weights_sha256": sha256(weights)}))
    assert held_point(weights, 0.4, {}).threshold == 0.3
    weights.write_bytes(b"others")
    with caplog.at_level(logging.WARNING):
        assert held_point(weights, 0.4, {}) == HeldPoint(0.4, "config")
    assert "is for other weights than model.pt" in caplog.text


@pytest.mark.parametrize("value", ["0.5", True, -0.1, 1.1, float("nan"), None])
def test_refuses_a_setting_that_is_no_probability(weights: Path, value: object) -> None:
    with pytest.raises(ConfigError, match="expected a number from 0 to 1"):
        held_point(weights, 0.5, {"operating_point": value})


@pytest.mark.parametrize("text", ["{", "[0.5]", "{}", '{"threshold": "0.5"}', '{"threshold": NaN}'])
def test_refuses_a_file_without_a_point(weights: Path, text: str) -> None:
    _beside(weights, text)
    with pytest.raises(InputError, match="expected"):
        held_point(weights, 0.5, {})


def test_reads_as_a_sentence() -> None:
    assert str(HeldPoint(0.5, "config")) == "0.5 (from config)"
    assert str(HeldPoint(0.42, "operating_point.json", "youden", "validation", 120)) == (
        "0.42 (from operating_point.json, youden on validation, 120 cases)"
    )
