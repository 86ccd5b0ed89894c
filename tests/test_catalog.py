"""The catalogue finds, opens and describes bundles."""

from __future__ import annotations

import hashlib
import json

import pytest

from monai_tasks import catalog


@pytest.fixture
def shelf(example_bundle, monkeypatch):
    """The example bundle and a second, weightless one as the only shipped bundles."""
    other = example_bundle.parent / "a_xray_classification" / "configs"
    other.mkdir(parents=True)
    (other / "metadata.json").write_text((example_bundle / "configs" / "metadata.json").read_text())
    (example_bundle.parent / "no_bundle").mkdir()
    monkeypatch.setattr(catalog, "bundles_folder", lambda: example_bundle.parent)
    return example_bundle.parent


def test_find_bundles_lists_folders_with_metadata_by_name(shelf):
    assert [bundle.name for bundle in catalog.find_bundles()] == [
        "a_xray_classification",
        "organ_mri_segmentation",
    ]


def test_the_shipped_bundles_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "hippocampus_mri_segmentation" in [bundle.name for bundle in catalog.find_bundles()]


def test_bundles_folder_prefers_the_one_inside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "monai_tasks"
    package.mkdir()
    monkeypatch.setattr(catalog, "__file__", str(package / "catalog.py"))
    assert catalog.bundles_folder() == tmp_path / "bundles"
    (package / "bundles").mkdir()
    assert catalog.bundles_folder() == package / "bundles"


def test_open_bundle_takes_a_name_or_a_folder(shelf, tmp_path, monkeypatch):
    assert catalog.open_bundle("organ_mri_segmentation").root == shelf / "organ_mri_segmentation"
    monkeypatch.setattr(catalog, "bundles_folder", lambda: tmp_path / "empty")
    monkeypatch.chdir(shelf)
    assert catalog.open_bundle("organ_mri_segmentation").root == shelf / "organ_mri_segmentation"


def test_open_bundle_names_what_there_is(shelf):
    with pytest.raises(catalog.BundleError, match=r"'organ'.*a_xray_classification, organ_mri_segmentation"):
        catalog.open_bundle("organ")


def test_labels_leave_the_background_out(example_bundle):
    assert catalog.Bundle(example_bundle).labels == {1: "anterior", 2: "posterior"}


@pytest.mark.parametrize(
    ("name", "kind"), [("a_xray_classification", "classification"), ("x_segmentation", "segmentation")]
)
def test_kind_is_the_last_word_of_the_name(tmp_path, name, kind):
    assert catalog.Bundle(tmp_path / name).kind == kind


def test_config_takes_own_names_and_other_files(example_bundle, tmp_path):
    bundle = catalog.Bundle(example_bundle)
    assert bundle.configs == ["inference", "train"]
    assert bundle.config("train") == bundle.config("train.json") == example_bundle / "configs" / "train.json"
    other = tmp_path / "mine.json"
    other.write_text("{}")
    assert bundle.config(str(other)) == other
    # A file of one's own that is called as one of the bundle's is one's own.
    alike = tmp_path / "train.json"
    alike.write_text("{}")
    assert bundle.config(str(alike)) == alike


def test_config_names_those_there_are(example_bundle):
    with pytest.raises(catalog.BundleError, match=r"'trian'.*inference, train"):
        catalog.Bundle(example_bundle).config("trian")


def test_describe_gives_values_that_json_holds(example_bundle):
    bundle = catalog.Bundle(example_bundle)
    facts = catalog.describe(bundle)
    assert json.loads(json.dumps(facts))["labels"] == {"1": "anterior", "2": "posterior"}
    assert facts["weights"] == {
        "file": str(example_bundle / "models" / "model.pt"),
        "bytes": 7,
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    assert facts["input"]["spatial_shape"] == [8, 8, 8]
    assert facts["changelog"]["1.2.0"] == "Train on more images"
    assert "Apache" in facts["licences"]["LICENSE"]
    assert "CC BY-SA 4.0" in facts["licences"]["docs/data_license.txt"]


def test_describe_without_weights_and_data_licence(example_bundle):
    (example_bundle / "models" / "model.pt").unlink()
    (example_bundle / "docs" / "data_license.txt").unlink()
    facts = catalog.describe(catalog.Bundle(example_bundle))
    assert facts["weights"] is None
    assert list(facts["licences"]) == ["LICENSE"]
