"""`monai-tasks info`."""

from __future__ import annotations

import hashlib
import json

import pytest
from click.testing import CliRunner

from monai_tasks.cli import main


@pytest.fixture
def run():
    return lambda *words: CliRunner().invoke(main, ["info", *map(str, words)])


def test_info_shows_what_a_person_needs(run, example_bundle):
    result = run(example_bundle)
    assert result.exit_code == 0
    lines = [line.strip() for line in result.output.splitlines()]
    assert lines[0] == "organ_mri_segmentation 1.2.0"
    assert "1: anterior" in lines
    assert "0: background" not in lines
    assert "modality: MR" in lines
    assert "spatial_shape: 8, 8, 8" in lines
    assert "channel_def: 0 T1" in lines
    assert "value_range: not given" in lines
    assert "inference, train" in lines
    assert "Tests only." in lines
    assert "LICENSE: Apache License" in lines
    assert "docs/data_license.txt: Data: CC BY-SA 4.0" in lines
    assert "1.0.0: First release" in lines
    assert hashlib.sha256(b"weights").hexdigest() in result.output


def test_info_says_when_there_are_no_weights(run, example_bundle):
    (example_bundle / "models" / "model.pt").unlink()
    lines = run(example_bundle).output.splitlines()
    assert lines[lines.index("Weights") + 1].strip() == "none"


def test_info_leaves_out_headings_without_text(run, example_bundle):
    path = example_bundle / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["intended_use"]
    path.write_text(json.dumps(metadata))
    assert "Intended use" not in run(example_bundle).output


def test_info_json_has_the_whole_licences(run, example_bundle):
    facts = json.loads(run(example_bundle, "--json").output)
    assert facts["name"] == "organ_mri_segmentation"
    assert facts["licences"]["docs/data_license.txt"] == "Data: CC BY-SA 4.0\nMore lines.\n"


def test_an_unknown_bundle_is_wrong_usage(run):
    result = run("no_such_bundle")
    assert result.exit_code == 2
    assert "no_such_bundle" in result.output
