"""What the files of every bundle must hold."""

from __future__ import annotations

import ast
import copy
import importlib.metadata
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import monai
import pytest
import torch
from monai.bundle import ConfigParser, verify_metadata

import monai_tasks
from monai_tasks.catalog import find_bundles
from monai_tasks.inference.weights import load_weights

ROOT = Path(monai_tasks.__file__).resolve().parents[1]
SCHEMA = ROOT.parent / "shared" / "monai" / "meta_schema_20240725.json"
FILES = [
    "LICENSE",
    *(f"configs/{name}.json" for name in ("metadata", "train", "evaluate", "inference", "multi_gpu_train")),
    "configs/logging.conf",
    "docs/README.md",
    "docs/data_license.txt",
]
RUN_IDS = {"train": "training", "evaluate": "evaluating", "inference": "evaluating"}

TEXT = {"type": "string", "minLength": 1}
VERSION = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}
TENSOR = {
    "type": "object",
    "properties": {
        "type": TEXT,
        "format": TEXT,
        "modality": TEXT,
        "num_channels": {"type": "integer", "minimum": 1},
        "spatial_shape": {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1},
        "dtype": {"enum": ["float32"]},
        "value_range": {"type": "array", "items": {"type": "number"}},
        "is_patch_data": {"type": "boolean"},
        "channel_def": {"type": "object", "additionalProperties": TEXT, "minProperties": 1},
    },
}
TENSOR["required"] = [name for name in TENSOR["properties"] if name != "modality"]
# What must hold of metadata.json, restated for checkouts that have no copy of MONAI's schema beside them.
RESTATED = {
    "type": "object",
    "properties": {
        "schema": {"type": "string", "pattern": r"meta_schema_20240725\.json$"},
        "version": VERSION,
        "changelog": {"type": "object", "propertyNames": {"pattern": VERSION["pattern"]}},
        "monai_version": VERSION,
        "pytorch_version": VERSION,
        "numpy_version": VERSION,
        "required_packages_version": {"type": "object", "additionalProperties": TEXT},
        "task": TEXT,
        "description": TEXT,
        "authors": TEXT,
        "copyright": TEXT,
        "intended_use": TEXT,
        "data_source": TEXT,
        "references": {"type": "array", "items": TEXT},
        "eval_metrics": {"type": "object"},
        "network_data_format": {
            "type": "object",
            "properties": {
                "inputs": {"type": "object", "properties": {"image": TENSOR}, "required": ["image"]},
                "outputs": {"type": "object", "properties": {"pred": TENSOR}, "required": ["pred"]},
            },
            "required": ["inputs", "outputs"],
        },
    },
}
RESTATED["required"] = list(RESTATED["properties"])


def config(bundle, name: str) -> dict[str, Any]:
    return json.loads(bundle.config(name).read_text(encoding="utf-8"))


def strings(value: Any) -> Iterator[str]:
    """Every key and every text of a config."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def test_the_files_are_there(bundle):
    assert [name for name in FILES if not (bundle.root / name).is_file()] == []
    assert not (bundle.root / "scripts").exists()  # custom code is the installed package's
    assert (bundle.root / "LICENSE").read_text(encoding="utf-8") == (ROOT / "LICENSE").read_text(
        encoding="utf-8"
    )
    assert re.search(
        r"licen[cs]e", (bundle.root / "docs" / "data_license.txt").read_text(encoding="utf-8"), re.I
    )


def test_the_page_is_finished(bundle):
    page = (bundle.root / "docs" / "README.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {bundle.name}")
    assert re.findall(r"@[A-Z_]+@", page) == []
    for link in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (bundle.root / "docs" / link).exists(), link


def test_the_metadata_has_what_it_must(bundle):
    jsonschema.validate(bundle.metadata, RESTATED)


@pytest.mark.parametrize(
    "name", [*RESTATED["required"], "inputs", "outputs", "image", "pred", *TENSOR["required"]]
)
def test_the_restated_schema_misses_nothing(name):
    """Each name that is removed from good metadata is missed."""
    metadata = copy.deepcopy(find_bundles()[0].metadata)

    def remove(content: Any) -> None:
        if isinstance(content, dict):
            content.pop(name, None)
            for inner in content.values():
                remove(inner)

    remove(metadata)
    with pytest.raises(jsonschema.ValidationError, match=name):
        jsonschema.validate(metadata, RESTATED)


def test_the_metadata_fits_the_schema_that_it_names(bundle, tmp_path):
    if not SCHEMA.is_file():
        pytest.skip("no copy of MONAI's schema: ../shared/monai is not beside this repository")
    assert bundle.metadata["schema"].endswith(f"/{SCHEMA.name}")
    schema = Path(shutil.copy(SCHEMA, tmp_path))  # MONAI downloads it unless it is there
    verify_metadata(meta_file=str(bundle.config("metadata")), filepath=str(schema))


def test_the_version_and_its_change_are_known(bundle):
    metadata = bundle.metadata
    assert metadata["changelog"][metadata["version"]]
    versions = [tuple(map(int, version.split("."))) for version in metadata["changelog"]]
    assert max(versions) == tuple(map(int, metadata["version"].split(".")))


def test_the_versions_are_those_that_the_tests_run_with(bundle):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pins = {name.lower(): version for name, version in (line.split("==") for line in lines)}
    metadata = bundle.metadata
    named = {key: metadata[f"{key}_version"] for key in ("monai", "numpy")}
    named |= {"torch": metadata["pytorch_version"]} | metadata["required_packages_version"]
    assert named.pop("monai_tasks") == monai_tasks.__version__
    assert {name: pins.get(name.lower()) for name in named} == named


def _imported(module: str, seen: set[str]) -> set[str]:
    """The packages that a module of ours imports at its top, and those that it imports through others of ours."""
    path = ROOT / (module.replace(".", "/") + ".py")
    if module in seen or not path.is_file():
        return set()
    seen.add(module)
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            ours = name.startswith("monai_tasks")
            found |= _imported(name, seen) if ours else {name.partition(".")[0]}
    return found


def test_every_package_that_a_config_reaches_is_named(bundle):
    targets = {text for name in bundle.configs for text in strings(config(bundle, name))}
    modules = {text.rpartition(".")[0] for text in targets if re.fullmatch(r"monai_tasks(\.\w+)+", text)}
    assert modules
    providers = importlib.metadata.packages_distributions()
    packages = set().union(*(_imported(module, set()) for module in modules)) & providers.keys()
    named = {name.lower() for name in bundle.metadata["required_packages_version"]} | {
        "torch",
        "monai",
        "numpy",
    }
    assert {
        package for package in packages if not named & {name.lower() for name in providers[package]}
    } == set()


def test_the_labels_are_contiguous_and_in_one_order(bundle):
    assert bundle.kind in ("segmentation", "classification")
    output = bundle.metadata["network_data_format"]["outputs"]["pred"]
    assert list(output["channel_def"]) == [str(number) for number in range(output["num_channels"])]
    first, *others = output["channel_def"].values()
    assert config(bundle, "train")["label_names"] == others
    assert bundle.kind == "classification" or (
        first == "background" and list(bundle.labels.values()) == others
    )


@pytest.mark.parametrize("name", RUN_IDS)
def test_a_run_has_both_of_its_names(bundle, name):
    content = config(bundle, name)
    assert content[RUN_IDS[name]]
    assert content["run"] == f"%{RUN_IDS[name]}"


def test_training_and_inference_are_of_one_network(bundle):
    train, inference = config(bundle, "train"), config(bundle, "inference")
    assert train["network_def"] == inference["network_def"]
    shared = train.keys() & inference.keys() - {"output_dir", "preprocessing", "initialize", "run"}
    assert {name for name in shared if train[name] != inference[name]} == set()


def test_only_what_training_mirrors_may_be_mirrored(bundle):
    """In the bundle, and in each override that changes one of the two."""
    train, inference = config(bundle, "train"), config(bundle, "inference")
    steps = [*train["train"]["random_transforms"], *train["train"].get("window_transforms", ())]
    mirrored = {step["spatial_axis"] for step in steps if step["_target_"] == "RandFlipd"}
    assert mirrored
    for name in bundle.configs:
        own = train | inference | (config(bundle, name) if name not in RUN_IDS else {})
        axes = {axis for each in own["flips"] for axis in each}
        assert axes == (mirrored if own["flip_probability"] > 0 else set()), name


def test_a_classification_ends_as_monai_label_needs_it(bundle):
    """It adds transforms of its own that would need a segmentation's image."""
    if bundle.kind != "classification":
        pytest.skip("no classification")
    last = config(bundle, "inference")["postprocessing"]["transforms"][-1]
    assert last == {"_target_": "DeleteItemsd", "keys": ["image", "image_meta_dict"]}


def test_configs_name_no_place_and_no_metadata(bundle):
    for name in bundle.configs:
        for text in strings(config(bundle, name)):
            assert not re.search(r"(^|[@%#:])_meta_\b", text)  # MONAI Label does not load the metadata
            # A text that begins with a folder of some machine; what is added to another path may begin with a slash.
            assert not re.search(r"(^|(?<!\+ )['\"])(/|~|[A-Z]:\\)", text), f"{name}: {text}"
            assert not text.startswith("scripts."), f"{name}: {text}"


def test_shipped_weights_are_a_flat_state_dict_that_fits(bundle):
    if not bundle.weights.is_file():
        pytest.skip(f"{bundle.name} ships no weights")
    state = torch.load(bundle.weights, map_location="cpu", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert all(torch.isfinite(value).all() for value in state.values())
    parser = ConfigParser(ConfigParser.load_config_file(bundle.config("inference")))
    load_weights(parser.get_parsed_content("network_def"), bundle.weights)


def test_the_metadata_names_a_monai_that_is_supported(bundle):
    """The tests run with one version; the bundle must not ask for a newer one."""
    assert monai.utils.version_geq(monai.__version__, bundle.metadata["monai_version"])
