"""`monai-tasks label`: what it refuses, and what it hands to the server."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from monai_tasks.cli.label import command
from monai_tasks.experiments import label_app, labelling


class Recorder:
    """In place of the server: notes how it was made, and ends at once as Ctrl-C does."""

    made: list[tuple[tuple, dict]] = []

    def __init__(self, *args: object, **options: object) -> None:
        self.made.append((args, options))
        self.names, self.notes = [bundle.name for bundle in args[0]], ["an older copy"]
        self.address, self.app, self.log = "http://127.0.0.1:8123", args[2], "server.log"

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped = True

    def wait(self) -> int:
        raise KeyboardInterrupt


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    monkeypatch.setattr(Recorder, "made", [])
    monkeypatch.setattr(labelling, "LabelServer", Recorder)
    return Recorder


def test_the_server_gets_the_bundles_and_ends_well_on_ctrl_c(
    recorder: type[Recorder], example_bundle: Path, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    arguments = [
        str(example_bundle),
        "--studies",
        str(tmp_path),
        "--port",
        "8123",
        "--app",
        str(tmp_path / "app"),
    ]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output
    ((bundles, studies, app), options) = recorder.made[0]
    assert [bundle.root for bundle in bundles] == [example_bundle.resolve()]
    assert (studies, app) == (str(tmp_path), tmp_path / "app")
    assert options == {
        "host": "127.0.0.1",
        "port": 8123,
        "modality": "auto",
        "fresh": False,
        "weights": {},
        "configs": {},
    }
    assert "ready at http://127.0.0.1:8123 with organ_mri_segmentation" in result.output
    assert "an older copy" in result.output
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_address_passes_for_studies(recorder: type[Recorder], example_bundle: Path) -> None:
    result = CliRunner().invoke(command, [str(example_bundle), "--studies", "http://pacs.example/dicom-web"])
    assert result.exit_code == 0, result.output
    assert recorder.made[0][0][1] == "http://pacs.example/dicom-web"


@pytest.fixture
def second(example_bundle: Path) -> Path:
    return Path(shutil.copytree(example_bundle, example_bundle.with_name("wrist_mri_segmentation")))


def test_weights_and_configs_reach_the_only_bundle(
    recorder: type[Recorder], example_bundle: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "seed=1.pt"
    weights.write_text("weights")
    given = ["--weights", str(weights), "--config", "wide", "--config", "deep"]
    result = CliRunner().invoke(command, [str(example_bundle), "--studies", str(tmp_path), *given])
    assert result.exit_code == 0, result.output
    options = recorder.made[0][1]
    assert options["weights"] == {"organ_mri_segmentation": weights}
    assert options["configs"] == {"organ_mri_segmentation": ["wide", "deep"]}


def test_with_several_bundles_weights_and_configs_say_whose_they_are(
    recorder: type[Recorder], example_bundle: Path, second: Path, tmp_path: Path
) -> None:
    weights = tmp_path / "own.pt"
    weights.write_text("weights")
    bundles = [str(example_bundle), str(second), "--studies", str(tmp_path)]
    given = [f"--weights={second.name}={weights}", f"--config={example_bundle.name}=wide"]
    result = CliRunner().invoke(command, [*bundles, *given])
    assert result.exit_code == 0, result.output
    options = recorder.made[0][1]
    assert options["weights"] == {second.name: weights}
    assert options["configs"] == {example_bundle.name: ["wide"]}
    for unclear in (f"--weights={weights}", "--config=wide"):
        result = CliRunner().invoke(command, [*bundles, unclear])
        assert result.exit_code == 2
        assert f"one of {example_bundle.name}, {second.name}" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "BUNDLE"),
        (["nowhere_segmentation", "--studies", "{folder}"], "no bundle 'nowhere_segmentation'"),
        (["{bundle}"], "--studies"),
        (["{bundle}", "--studies", "{folder}/missing"], "is no folder"),
        (["{bundle}", "--studies", "{folder}", "--port", "70000"], "--port"),
        (
            ["{bundle}", "--studies", "{folder}", "--weights", "{folder}/missing.pt"],
            "missing.pt: no such file",
        ),
        (["{bundle}", "--studies", "{folder}", *["--weights", "{bundle}/LICENSE"] * 2], "given 2 times"),
    ],
)
def test_wrong_usage_is_status_2(
    arguments: list[str], says: str, example_bundle: Path, tmp_path: Path
) -> None:
    given = [part.format(bundle=example_bundle, folder=tmp_path) for part in arguments]
    result = CliRunner().invoke(command, given)
    assert result.exit_code == 2
    assert says in result.output


def test_without_monai_label_it_says_what_to_install(
    example_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_app, "find_spec", lambda module: None)
    app = tmp_path / "app"
    result = CliRunner().invoke(command, [str(example_bundle), "--studies", str(tmp_path), "--app", str(app)])
    assert result.exit_code == 1
    assert "monailabel is not installed" in result.output
    assert "pip install 'monai_tasks[label]'" in result.output
    assert not app.exists()
