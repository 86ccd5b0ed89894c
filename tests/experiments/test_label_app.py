"""The app folder for MONAI Label, its settings, and what is said when MONAI Label is not there."""

from __future__ import annotations

import configparser
import json
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle, BundleError
from monai_tasks.experiments import label_app
from monai_tasks.experiments.label_copy import LabelError, Offer

SETUP = Path(__file__).resolve().parents[2] / "setup.cfg"


def test_the_app_holds_the_code_and_a_copy_of_each_bundle(
    tmp_path: Path, label_source: Path, bundle: Bundle, named
) -> None:
    other = named("wrist_mri_segmentation")
    (bundle.root / "run").mkdir()
    assert label_app.prepare_app(tmp_path / "app", [Offer(bundle), Offer(other)], source=label_source) == []
    assert (tmp_path / "app" / "main.py").read_text() == "app"
    copies = tmp_path / "app" / "model"
    assert sorted(path.name for path in copies.iterdir()) == [
        "organ_mri_segmentation",
        "wrist_mri_segmentation",
    ]
    copy = copies / bundle.name
    assert not copy.is_symlink()
    assert (copy / "models" / "model.pt").read_text() == "weights"
    assert (copy / "configs" / "train.json").is_file()
    assert not (copy / "run").exists()


def test_what_was_trained_is_kept_until_a_fresh_copy_is_asked_for(
    tmp_path: Path, label_source: Path, bundle: Bundle
) -> None:
    app = tmp_path / "app"
    label_app.prepare_app(app, [Offer(bundle)], source=label_source)
    trained = app / "model" / bundle.name / "models" / "model.pt"
    trained.write_text("trained")
    (trained.parents[1] / "run").mkdir()
    label_app.prepare_app(app, [Offer(bundle)], source=label_source)
    assert trained.read_text() == "trained"
    assert bundle.weights.read_text() == "weights"
    label_app.prepare_app(app, [Offer(bundle)], fresh=True, source=label_source)
    assert trained.read_text() == "weights"
    assert not (trained.parents[1] / "run").exists()


def test_an_older_copy_is_named(tmp_path: Path, label_source: Path, bundle: Bundle, named) -> None:
    label_app.prepare_app(tmp_path / "app", [Offer(bundle)], source=label_source)
    file = bundle.root / "configs" / "metadata.json"
    file.write_text(file.read_text().replace('"version": "1.2.0"', '"version": "1.3.0"'))
    (note,) = label_app.prepare_app(tmp_path / "app", [Offer(Bundle(bundle.root))], source=label_source)
    assert "1.2.0" in note
    assert "1.3.0" in note
    assert "--fresh" in note


def test_nothing_is_written_when_one_bundle_cannot_be_served(
    tmp_path: Path, label_source: Path, bundle: Bundle, named
) -> None:
    other = Offer(named("wrist_mri_segmentation"), configs=("nowhere",))
    with pytest.raises(BundleError, match="no config 'nowhere'"):
        label_app.prepare_app(tmp_path / "app", [Offer(bundle), other], source=label_source)
    assert not (tmp_path / "app").exists()


def test_a_bundle_asked_for_twice_is_refused(tmp_path: Path, label_source: Path, bundle: Bundle) -> None:
    with pytest.raises(LabelError, match="more than once: organ_mri_segmentation"):
        label_app.prepare_app(tmp_path / "app", [Offer(bundle)] * 2, source=label_source)


def test_the_settings_switch_tracking_off_and_choose_the_series(tmp_path: Path) -> None:
    settings = label_app.server_settings(tmp_path, "MR")
    assert settings["MONAI_LABEL_TRACKING_ENABLED"] == "false"
    assert json.loads(settings["MONAI_LABEL_DICOMWEB_SEARCH_FILTER"]) == {"Modality": "MR"}
    assert "*.mha" in json.loads(settings["MONAI_LABEL_DATASTORE_FILE_EXT"])
    everything = label_app.server_settings(tmp_path, None)
    assert json.loads(everything["MONAI_LABEL_DICOMWEB_SEARCH_FILTER"]) == {}


def test_the_modality_is_the_bundles_if_they_agree(bundle: Bundle, named) -> None:
    assert label_app.dicom_modality([bundle]) == "MR"
    other = named("chest_xray_classification")
    file = other.root / "configs" / "metadata.json"
    file.write_text(file.read_text().replace('"MR"', '"DX"'))
    assert label_app.dicom_modality([Bundle(other.root)]) == "DX"
    assert label_app.dicom_modality([bundle, Bundle(other.root)]) is None
    file.write_text(file.read_text().replace('"DX"', '"X-ray"'))
    assert label_app.dicom_modality([Bundle(other.root)]) is None


def test_what_is_missing_or_too_new_is_named_with_the_way_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {"monai": "1.6.1", "numpy": "1.26.4", "pydicom": "2.4.5", "dicomweb-client": "0.60.0"}
    monkeypatch.setattr(label_app, "_version", found.get)
    monkeypatch.setattr(label_app, "find_spec", {"torchvision": "found"}.get)
    with pytest.raises(LabelError) as caught:
        label_app.check_installation()
    text = str(caught.value)
    assert "monailabel is not installed" in text
    assert "monai is 1.6.1, expected below 1.6" in text
    assert "dicomweb-client is 0.60.0, expected below 0.60" in text
    assert "pydicom" not in text
    assert "torchvision" not in text
    assert "pip install 'monai_tasks[label]'" in text


def test_a_fitting_installation_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"monailabel": "0.8.5", "monai": "1.5.2+cpu", "numpy": "1.26.4", "dicomweb-client": "0.59.3"}
    monkeypatch.setattr(label_app, "_version", found.get)
    monkeypatch.setattr(label_app, "find_spec", lambda module: "found")
    label_app.check_installation()


def test_the_extra_asks_for_the_same_bounds() -> None:
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    extra = setup["options.extras_require"]["label"].split("\n")
    bounds = dict(line.replace(" ", "").split("<", 1) for line in extra if "<" in line and ">" not in line)
    assert bounds == {name: ".".join(map(str, bound)) for name, bound in label_app.BELOW.items()}
    assert any(line.startswith("monailabel") for line in extra)
