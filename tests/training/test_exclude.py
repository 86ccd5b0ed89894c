"""A training without the cases of a list: what it reads, and what its folder says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from monai_tasks.cli import main
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import OtherRunError, train

BUNDLE = "hippocampus_mri_segmentation"


@pytest.fixture(scope="module")
def settings(tiny_highresnet):
    return {"network_def": tiny_highresnet, "window": [8, 8, 8], "inference_window": [32, 32, 32]}


def case_of(item: dict) -> str:
    return Path(item["image"]).name.removesuffix(".nii.gz")


def test_a_run_without_cases_reads_the_others_and_says_so(crops, settings, tmp_path):
    datalist = crops / "datalist.json"
    content = json.loads(datalist.read_text())
    out, kept = case_of(content["training"][1]), case_of(content["test"][0])
    listed = tmp_path / "rejected.txt"
    listed.write_text(f"{out}\n{kept}\n")
    single = {**settings, "batch_size": 1}
    train(BUNDLE, datalist, tmp_path / "run", epochs=1, device="cpu", settings=single, exclude=listed)
    assert read_table(tmp_path / "run" / "record.csv")[0]["iterations"] == "3"  # of four training cases
    read = json.loads((tmp_path / "run" / "datalist.json").read_text())
    assert [case_of(item) for item in read["training"]] == [
        case_of(item) for item in content["training"] if case_of(item) != out
    ]
    assert [case_of(item) for item in read["test"]] == [kept]
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["datalist_sha256"] == sha256(datalist)
    assert facts["excluded"] == {"sha256": sha256(listed), "training": 1, "validation": 0, "left_in_test": 1}
    # With all cases it is another run.
    with pytest.raises(OtherRunError, match="excluded"):
        train(BUNDLE, datalist, tmp_path / "run", epochs=1, device="cpu", settings=single)


def test_a_list_that_leaves_no_case_to_validate_is_refused(crops, settings, tmp_path):
    datalist = crops / "datalist.json"
    listed = tmp_path / "rejected.txt"
    listed.write_text(case_of(json.loads(datalist.read_text())["validation"][0]))
    with pytest.raises(InputError, match="all 1 cases of part 'validation'"):
        train(BUNDLE, datalist, tmp_path / "run", epochs=1, device="cpu", settings=settings, exclude=listed)
    assert not (tmp_path / "run").exists()


def test_the_command_refuses_a_row_that_the_datalist_lacks(crops, tmp_path):
    (tmp_path / "rejected.txt").write_text("nobody\n")
    arguments = ["train", BUNDLE, "--datalist", crops / "datalist.json", "-o", tmp_path / "run"]
    done = CliRunner().invoke(main, [*map(str, arguments), "--exclude", str(tmp_path / "rejected.txt"), "-q"])
    assert done.exit_code == 2
    assert "nobody, which the datalist does not have" in done.output
