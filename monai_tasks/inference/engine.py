"""The parts of a bundle that inference needs, parsed and loaded once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImage, LoadImaged, SaveImage, SaveImaged

from monai_tasks.catalog import Bundle
from monai_tasks.inference.configs import CONFIG, ConfigError, build, parse
from monai_tasks.inference.ensemble import (
    FLIPS,
    Opinions,
    Pooled,
    as_scores,
    check_postprocessing,
    checked_flips,
    pool,
)
from monai_tasks.inference.inputs import INPUTS, STUDIES, VOLUMES, kind_of
from monai_tasks.inference.members import Members
from monai_tasks.inference.operating_point import OPERATING_POINT, held_point
from monai_tasks.inference.uncertainty import Uncertainty, normalised_entropy, of_classes, of_labels
from monai_tasks.inference.weights import load_weights
from monai_tasks.io.errors import InputError
from monai_tasks.metrics.grades import GRADE_RULE, ORDINAL, RESCAN_FROM, Grades, grades_of

IMAGE, PRED, EXPLANATION = "image", "pred", "explanation"
EXPLANATION_NOTE = f"{EXPLANATION}_note"
# What several opinions leave in an item: the scores of each, or the uncertainty of their label map and where it is.
OPINIONS, UNCERTAINTY, UNCERTAINTY_MAP = "opinions", "uncertainty", "uncertainty_map"
CLASSIFICATION, SEGMENTATION = "classification", "segmentation"
OUTPUT_DIR = "output_dir"
CONFIDENCE = "confidence"
CHANNELS = ("network_def::in_channels", "in_channels")
CLASS_CHANNELS = "out_channels"  # of a segmentation: a network may have more, for losses of its own
NEEDED = ("network", "preprocessing", "inferer", "postprocessing")


class DeviceError(ValueError):
    """A device that was asked for and is not there."""


def resolve_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: `auto`, `cpu`, `cuda` or `cuda:N`; `auto` is the first CUDA device where there is one.

    Raises:
        DeviceError: if the name is none of these, or the device is not there.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if count else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}: expected auto, cpu or cuda:N")
    if device.type == "cpu":
        return torch.device("cpu")
    if (device.index or 0) >= count:
        there = f"{count} CUDA device{'s' if count > 1 else ''}" if count else "no CUDA device"
        raise DeviceError(f"device {name!r}: torch {torch.__version__} finds {there}; expected auto or cpu")
    return torch.device("cuda", device.index or 0)


@dataclass(frozen=True)
class Chains:
    """The transforms before and after the network, for one case at a time.

    MONAI's inverses switch the tracing of the forward transforms off and on, so that no two threads may use one
    chain. Each copy holds its own transforms, and its postprocessing inverts its own preprocessing.
    """

    preprocessing: Compose
    postprocessing: Compose

    def copy(self) -> Chains:
        """An independent pair, whose postprocessing still refers to the preprocessing beside it."""
        return copy.deepcopy(self)

    @cached_property
    def _loaded(self) -> int:
        """How many transforms it takes until the image is loaded."""
        steps = self.preprocessing.transforms
        loaders = [i for i, step in enumerate(steps) if isinstance(step, (LoadImage, LoadImaged))]
        return loaders[-1] + 1 if loaders else 0

    def load(self, image: str | Sequence[str]) -> dict[str, Any]:
        """Run the preprocessing up to the image as the file holds it.

        Args:
            image: the path, or those of the channels.
        """
        return self.preprocessing({IMAGE: image}, end=self._loaded)

    def prepare(self, item: dict[str, Any]) -> dict[str, Any]:
        """Run the rest of the preprocessing on what `load` gave."""
        return self.preprocessing(item, start=self._loaded)

    @property
    def inverse(self) -> Invertd | None:
        """What of the postprocessing brings the prediction back to the grid of the file."""
        steps = (step for step in self.postprocessing.transforms if isinstance(step, Invertd))
        return next((step for step in steps if PRED in step.keys), None)

    def on_input_grid(self, item: Mapping[str, Any], values: torch.Tensor) -> torch.Tensor:
        """Bring values for each voxel back to the grid of the file, in the way of the prediction.

        Between voxels they are interpolated as the image was.

        Args:
            item: holds the preprocessed image.
            values: (C, X, Y, Z), on its grid.
        """
        own = self.inverse
        image = own.orig_keys[own.keys.index(PRED)]
        inverse = Invertd(UNCERTAINTY_MAP, own.transform, image, nearest_interp=False)
        return inverse({image: item[image], UNCERTAINTY_MAP: MetaTensor(values)})[UNCERTAINTY_MAP]

    def uncertainty(self, item: Mapping[str, Any]) -> Uncertainty:
        """The uncertainty of a classification from the answers that the postprocessing makes of each opinion.

        Args:
            item: holds `opinions`.
        """
        answers = [self.postprocessing({**item, PRED: scores})[PRED] for scores in item[OPINIONS]]
        return of_classes(torch.stack([torch.as_tensor(answer) for answer in answers]))


class Engine:
    """A bundle's networks with their weights, its inferer and its transforms.

    Args:
        bundle: the bundle.
        weights: a file of weights, see `load_weights`; or those of several networks, whose probabilities are averaged.
        device: where the network runs.
        configs: names or paths of configs that are merged onto `inference.json`, in order.
        settings: config ids and their values, set last.
        output_dir: for the config's id of this name, where it has one: what the transforms keep on disk goes there.
        explain: one of `monai_tasks.explain.explainers.NAMES`, to explain the answers to radiographs, or to the slices
            of a scan whose classes have an order.
        flips: also ask for the answers to mirror images, those that the config's id `flips` lists.
        uncertainty: whether the uncertainty of each case is found.

    Raises:
        ConfigError: if the merged config lacks a part or cannot be built, its answers cannot be explained so, its
            images not be mirrored, or its scores not be averaged.
        WeightsError: if the weights are missing or do not fit.
        InputError: if the file with the operating point does not hold one.
    """

    def __init__(
        self,
        bundle: Bundle,
        weights: Path | Members,
        device: torch.device,
        configs: Sequence[str] = (),
        settings: Mapping[str, Any] | None = None,
        output_dir: Path | None = None,
        explain: str | None = None,
        flips: bool = False,
        uncertainty: bool = False,
    ) -> None:
        self.device = device
        self.explain = explain
        self.uncertainty = uncertainty
        self._bundle = bundle
        self.members = weights if isinstance(weights, Members) else Members((weights,))
        settings = dict(settings or {})
        self._parser = parse(bundle, (CONFIG, *configs), device, settings, NEEDED)
        if output_dir is not None and OUTPUT_DIR in self._parser and OUTPUT_DIR not in settings:
            self._parser.update({OUTPUT_DIR: str(output_dir)})
        self.network: torch.nn.Module = self._build("network").to(device).eval()
        self.inferer = self._build("inferer")
        preprocessing, postprocessing = self._build("preprocessing"), self._build("postprocessing")
        kept = [step for step in postprocessing.transforms if not isinstance(step, (SaveImage, SaveImaged))]
        self.chains = Chains(preprocessing, Compose(kept))
        self.inputs = kind_of(self._parser.get(), settings)
        self.channels = self._channels()
        self.flips = self._allowed_flips() if flips else ()
        self._classes: int | None = None
        self.opinions = self._load()
        self.operating_point = None
        self.grades = self._grades() if bundle.kind == CLASSIFICATION else None
        self.confidence = self._confidence()
        if bundle.kind == CLASSIFICATION and (len(self.classes) == 2 or self.grades is not None):
            configured = self._build(OPERATING_POINT) if OPERATING_POINT in self._parser else None
            self.operating_point = held_point(self.members, configured, settings)
        self._explainer = self._make_explainer() if explain else None

    @property
    def classes(self) -> list[str]:
        """The names of all classes of a classification, in the order of the network's channels."""
        names = self._bundle.metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        all_names = {int(value): name for value, name in names.items()}
        if "label_names" in self._parser:
            all_names = {0: all_names[0], **self.labels}
        return [all_names[value] for value in sorted(all_names)]

    @property
    def labels(self) -> dict[int, str]:
        """Value to name of each foreground class: the config's `label_names`, else those of the metadata."""
        if "label_names" in self._parser:
            return dict(enumerate(self._build("label_names"), start=1))
        return self._bundle.labels

    @torch.inference_mode()
    def predict(self, item: dict[str, Any]) -> dict[str, Any]:
        """Run the network on a preprocessed case.

        Args:
            item: holds `image`: (C, X, Y, Z), (C, H, W), or the views of a study (V, C, H, W).

        Returns:
            The item with `pred` on the engine's device: (K, X, Y, Z), (K,), or (K, S) of a scan's slices; of several
            opinions the logarithm of their mean probabilities. Where answers are explained, with `explanation` too:
            float32 of the shape of the image, in main memory, and `explanation_note`: what is wrong with it, or empty.
            Where the uncertainty is found, with `opinions` of a classification, and with `uncertainty` and
            `uncertainty_map` (1, X, Y, Z) of a segmentation.

        Raises:
            InputError: if the image has another number of channels than the network takes.
        """
        image = item[IMAGE]
        channels = image.shape[1 if self.inputs == STUDIES else 0]
        if self.channels is not None and channels != self.channels:
            source = image.meta.get("filename_or_obj", IMAGE) if isinstance(image, MetaTensor) else IMAGE
            raise InputError(source, f"{channels} channels", f"{self.channels} for this network")
        # MetaTensor would add work to every operation; `Invertd` takes what it needs from `image`.
        inputs = image.as_tensor() if isinstance(image, MetaTensor) else torch.as_tensor(image)
        result = {**item, **self._answer(inputs.to(self.device))}
        if self._explainer is not None:
            result[EXPLANATION] = self._explainer(inputs).cpu().numpy()
            result[EXPLANATION_NOTE] = getattr(self._explainer, "problem", "")
        return result

    def _answer(self, inputs: torch.Tensor) -> dict[str, Any]:
        """The scores, and what several opinions leave for the uncertainty."""
        opinions = self.opinions.of(inputs)
        if len(self.opinions) == 1:
            (scores,) = opinions  # as the network gives them
            if not self.uncertainty:
                return {PRED: scores}
            return self._unsure(pool([scores], self._classes, self._keep)) | {PRED: scores}
        pooled = pool(opinions, self._classes, self._keep if self.uncertainty else None)
        return {PRED: pooled.scores} | (self._unsure(pooled) if self.uncertainty else {})

    def _keep(self, probabilities: torch.Tensor) -> torch.Tensor:
        """What is needed of an opinion: of a segmentation the labels only, for many opinions are as large as one."""
        return probabilities.argmax(0).byte() if self.opinions.is_map else as_scores(probabilities)

    def _unsure(self, pooled: Pooled) -> dict[str, Any]:
        if not self.opinions.is_map:
            return {OPINIONS: pooled.kept}
        entropy = normalised_entropy(pooled.mean)
        found = of_labels(torch.stack(pooled.kept), entropy, len(pooled.mean))
        return {UNCERTAINTY: found, UNCERTAINTY_MAP: entropy[None]}

    def _load(self) -> Opinions:
        """Load the weights of all members, before any case is read."""
        networks = [self.network, *(copy.deepcopy(self.network) for _ in self.members.files[1:])]
        for network, file in zip(networks, self.members.files, strict=True):
            load_weights(network, file)
        leading = 2 if self.inputs == STUDIES else 1
        is_map = self._bundle.kind == SEGMENTATION
        opinions = Opinions(networks, self.inferer, self.flips, leading, is_map)
        if len(opinions) > 1 and self.explain:
            found = f"{self.explain} of {len(opinions)} opinions"
            raise ConfigError(
                f"explain: {found}; expected one network without flips, for each has its own reasons"
            )
        if len(opinions) > 1 or self.uncertainty:
            check_postprocessing(self.chains.postprocessing, self._bundle.name)
            self._classes = self._class_channels()
        if self.uncertainty and is_map and self.chains.inverse is None:
            raise ConfigError(
                f"{self._bundle.name}: no Invertd for {PRED!r} in the postprocessing; expected one, to bring the "
                "uncertainty back to the grid of the file"
            )
        return opinions

    def _class_channels(self) -> int | None:
        """How many channels of the scores are of classes, where a segmentation's config says so."""
        known = self._bundle.kind == SEGMENTATION and CLASS_CHANNELS in self._parser
        return int(self._build(CLASS_CHANNELS)) if known else None

    def _allowed_flips(self) -> tuple[tuple[int, ...], ...]:
        if FLIPS not in self._parser:
            raise ConfigError(
                f"{self._bundle.name}: no config id {FLIPS!r}; expected one for mirrored images"
            )
        return checked_flips(self._build(FLIPS), self._bundle.name)

    def _build(self, part: str) -> Any:
        return build(self._parser, part, self._bundle.name)

    def _grades(self) -> Grades | None:
        """The order of the classes, where they have one."""
        order = {
            name: self._build(name) for name in (ORDINAL, RESCAN_FROM, GRADE_RULE) if name in self._parser
        }
        try:
            return grades_of(order, len(self.classes))
        except ValueError as cause:
            raise ConfigError(f"{self._bundle.name}: {cause}") from cause

    def _confidence(self) -> float:
        """The probability of a decision below which a person is asked."""
        value = self._build(CONFIDENCE) if CONFIDENCE in self._parser else 0.0
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ConfigError(f"{CONFIDENCE}: {value!r}; expected a number from 0 to 1")
        return float(value)

    def _make_explainer(self) -> Callable[[torch.Tensor], torch.Tensor]:
        by_slice = self.inputs == VOLUMES and self.grades is not None
        if self._bundle.kind != CLASSIFICATION or (self.inputs == VOLUMES and not by_slice):
            found = f"{self._bundle.name} with {INPUTS} {self.inputs!r}"
            raise ConfigError(f"explain: {found}; expected a classification of radiographs, or of slices")
        if by_slice:
            from monai_tasks.explain.slices import SliceExplainer

            return SliceExplainer(self.explain, self.network, len(self.classes))
        from monai_tasks.explain.explainers import explainer

        return explainer(self.explain, self.network)

    def _channels(self) -> int | None:
        """The number of channels that the network takes, where the config says so."""
        name = next((name for name in CHANNELS if name in self._parser), None)
        return None if name is None else int(self._build(name))
