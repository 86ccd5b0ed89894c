"""The copies of bundles that MONAI Label serves and trains.

MONAI Label reads `train.json`, `inference.json`, `metadata.json` and `models/model.pt` and takes no other config and no
other weights, so what is asked for is put into these files of the copy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_tasks.catalog import Bundle
from monai_tasks.experiments.label_classes import reading_labels
from monai_tasks.io.files import atomic_path, sha256, write_json

if TYPE_CHECKING:
    import torch

FOLDERS = ("configs", "docs", "models")
MERGED = ("train", "inference")
RECORD = "served.json"
GUARD = "monai_tasks.experiments.label_untrained.RefuseUntrained"
CLASSIFICATION = "classification"


class LabelError(ValueError):
    """MONAI Label cannot be started; the text says why and what to do."""


@dataclass(frozen=True)
class Offer:
    """A bundle as it shall be served.

    Args:
        bundle: the bundle.
        weights: what to begin with instead of the bundle's own weights.
        configs: names or paths of configs that are merged onto `train.json` and `inference.json`, in order.
    """

    bundle: Bundle
    weights: Path | None = None
    configs: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the bundle can be served as it stands."""
        return not self.weights and not self.configs and self.bundle.weights.is_file()

    @property
    def record(self) -> dict[str, Any]:
        """What tells copies apart."""
        return {
            "configs": [self._told_apart(self.bundle.config(name)) for name in self.configs],
            "weights": sha256(self.weights) if self.weights else None,
        }

    def _told_apart(self, config: Path) -> str:
        """The name of a bundle's config; of another file, which may change at any time, the checksum too."""
        own = config.parent == self.bundle.root / "configs"
        return config.stem if own else f"{config.name} ({sha256(config)[:12]})"


@dataclass(frozen=True)
class Content:
    """What a copy holds in place of the bundle's own files.

    Args:
        configs: file name to content, for `configs/`.
        state: the network's state dictionary.
        is_trained: whether the state is more than random.
    """

    configs: Mapping[str, dict[str, Any]]
    state: Mapping[str, torch.Tensor]
    is_trained: bool


def is_kept(offer: Offer, copy: Path) -> bool:
    """Whether a folder holds a copy that serves what is asked for.

    One in which nothing was trained may be replaced, and so never stands in the way.

    Args:
        offer: what is asked for.
        copy: the folder, whether or not it is there.

    Raises:
        LabelError: if something was trained in it, by other configs or on top of other weights.
    """
    if not Bundle(copy).weights.is_file():  # they are written last
        return False
    held, asked = _record(copy), offer.record
    problems = []
    if asked["configs"] != held["configs"]:
        kept, wanted = (", ".join(configs) or "none" for configs in (held["configs"], asked["configs"]))
        problems.append(f"further configs {kept}, not {wanted}")
    if asked["weights"] not in (None, held["weights"]):
        problems.append(f"other weights to begin with than {offer.weights}")
    if problems and not _is_as_written(copy):
        raise LabelError(
            f"{copy} was trained with {' and '.join(problems)}; expected the same as before, another folder by --app, "
            "or --fresh, which replaces the copy and what was trained in it"
        )
    return not problems


def notes(offer: Offer, copy: Path) -> list[str]:
    """What a user should know of a copy: that it is older than the bundle, or must be trained first."""
    lines = []
    held, shipped = Bundle(copy).metadata["version"], offer.bundle.metadata["version"]
    if held != shipped:
        lines.append(f"{copy} is version {held}, shipped is {shipped}: --fresh replaces it")
    if not _record(copy)["is_trained"] and _is_as_written(copy):
        lines.append(
            f"{copy.name} has no weights: it labels nothing until it is trained on labels that you save"
        )
    return lines


def _record(copy: Path) -> dict[str, Any]:
    """How a copy was made; those of older versions do not tell and were made plainly."""
    file = copy / RECORD
    plain = {"configs": [], "weights": None, "begun": None, "is_trained": True}
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else plain


def _is_as_written(copy: Path) -> bool:
    """Whether the copy's weights are still those that it began with."""
    return sha256(Bundle(copy).weights) == _record(copy)["begun"]


def prepare(offer: Offer) -> Content | None:
    """Merge the configs and see that the weights fit, before anything is written.

    A bundle without weights gets random ones.

    Returns:
        What the copy shall hold; None if that is the bundle's own files.

    Raises:
        BundleError: if a config is not there.
        ConfigError: if the configs cannot be merged or built.
        WeightsError: if the weights do not fit the network that the configs make.
        LabelError: if images could not be refused until a training.
    """
    if offer.is_plain:
        return None
    import torch

    from monai_tasks.inference.configs import build, merged, parse
    from monai_tasks.inference.weights import load_weights

    bundle, given = offer.bundle, offer.weights or offer.bundle.weights
    parser = parse(bundle, ("inference", *offer.configs), torch.device("cpu"), {}, ["network_def"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(parser, "network_def", bundle.name)
    is_trained = offer.weights is not None or given.is_file()
    if is_trained:
        load_weights(network, given)
    configs = {f"{name}.json": merged(bundle, (name, *offer.configs)) for name in MERGED}
    if offer.configs and "label_names" in parser:
        configs["metadata.json"] = _named(bundle.metadata, build(parser, "label_names", bundle.name))
    if not is_trained and not isinstance(parser.get("preprocessing::transforms"), list):
        raise LabelError(f"{bundle.name}: has no weights; give some by --weights")
    return Content(configs, network.state_dict(), is_trained)


def write(offer: Offer, content: Content | None, copy: Path) -> None:
    """Write the copy of one bundle.

    Args:
        offer: what is asked for.
        content: what `prepare` gave for it.
        copy: the folder; a copy that is there is replaced.
    """
    bundle = offer.bundle
    if copy.exists():
        shutil.rmtree(copy)
    # Only what belongs to a bundle: a root that was trained in also holds runs, caches and predictions.
    for part in FOLDERS:
        if (bundle.root / part).is_dir():
            shutil.copytree(
                bundle.root / part, copy / part, ignore=shutil.ignore_patterns(bundle.weights.name)
            )
    is_trained = content is None or content.is_trained
    with atomic_path(Bundle(copy).weights) as temporary:
        if content is None:
            shutil.copyfile(bundle.weights, temporary)
        else:
            _write_content(content, copy, temporary, bundle.name)
        for name in MERGED:
            _fit_to_clients(copy / "configs" / f"{name}.json")
        if bundle.kind == CLASSIFICATION:
            _fit_to_label_files(copy)
        begun = {"begun": sha256(temporary), "is_trained": is_trained}
        write_json(copy / RECORD, offer.record | begun)


def _write_content(content: Content, copy: Path, weights: Path, name: str) -> None:
    """Write the weights, and the configs over those that were copied."""
    import torch

    torch.save(dict(content.state), weights)
    configs = dict(content.configs)
    if not content.is_trained:
        configs["inference.json"] = _guarded(configs["inference.json"], sha256(weights), name)
    for file, config in configs.items():
        write_json(copy / "configs" / file, config)


def _named(metadata: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The metadata with other labels, which MONAI Label takes from there."""
    changed = json.loads(json.dumps(metadata))
    changed["network_data_format"]["outputs"]["pred"] |= {
        "num_channels": len(names) + 1,
        "channel_def": {str(value): name for value, name in enumerate([_first_class(metadata), *names])},
    }
    return changed


def _first_class(metadata: Mapping[str, Any]) -> str:
    """What the class is called that `label_names` leave out: of label maps the background."""
    return metadata["network_data_format"]["outputs"]["pred"]["channel_def"].get("0", "background")


def _fit_to_label_files(copy: Path) -> None:
    """Let the training of a classification read the label files that MONAI Label gives it."""
    file = copy / "configs" / "train.json"
    channels = Bundle(copy).metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    names = [channels[str(value)] for value in sorted(map(int, channels))]
    write_json(file, reading_labels(json.loads(file.read_text(encoding="utf-8")), names))


def _guarded(inference: Mapping[str, Any], initial: str, name: str) -> dict[str, Any]:
    """The config with a first transform that refuses images until a training."""
    guard = {
        "_target_": GUARD,
        "weights": "$@bundle_root + '/models/model.pt'",
        "initial": initial,
        "name": name,
    }
    preprocessing = inference["preprocessing"]
    transforms = [guard, *preprocessing["transforms"]]
    return {**inference, "preprocessing": {**preprocessing, "transforms": transforms}}


def _fit_to_clients(file: Path) -> None:
    """Change in a config what does not go with clients, and with labels that come one by one.

    Each training starts from the weights in use, for labels may have come since one was stopped. In the label maps of
    clients the values are those that the network gives: 1 for the first label, also where a data set had another. And
    a client gets one file, where MONAI Label writes a label map in the image's format: two files for MHD.
    """
    config = json.loads(file.read_text(encoding="utf-8"))
    changes: dict[str, Any] = {"resume": False} if "resume" in config else {}
    if file.stem == "inference":
        # Defaults of a request, which is how MONAI Label reads these.
        changes["displayable_configs"] = {
            "result_extension": ".nii.gz",
            **config.get("displayable_configs", {}),
        }
    groups = config.get("label_groups")
    if isinstance(groups, list):
        label_of = {value: label for label, group in enumerate(groups, start=1) for value in group}
        values = range(1, len(groups) + 1)
        if any(label_of.get(value) != value for value in values):
            changes["label_groups"] = [[value] for value in values]
    if changes:
        write_json(file, config | changes)
