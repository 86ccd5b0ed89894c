"""A network's mean and deviation are those of the training images, and a run that goes on keeps them."""

from __future__ import annotations

import json
import logging
import math
import statistics
from fractions import Fraction
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import CheckpointLoader, ValidationHandler
from monai.transforms import Compose

from monai_tasks.io.errors import InputError
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.training.run_state import RunState
from monai_tasks.training.standard_score import FitStandardScore

ITERATIONS = 2


class InterruptionError(Exception):
    """Stands for a power cut."""


def images(seed: int = 0, channels: int = 1, offset: float = 0.0) -> list[dict[str, torch.Tensor]]:
    """Three images of different sizes, each about a level of its own."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(channels, 3, 4), (channels, 5, 5), (channels, 2, 7)]
    levels = [offset + 100.0 * (seed + 1) * place for place in range(3)]
    return [
        {"image": level + 10.0 * torch.randn(shape, generator=generator)}
        for level, shape in zip(levels, shapes, strict=True)
    ]


def slowly(items: list[dict[str, torch.Tensor]], channel: int | None = None) -> tuple[float, float]:
    """Mean and deviation of all voxels in exact fractions."""
    chosen = slice(None) if channel is None else channel
    voxels = [Fraction(value) for item in items for value in item["image"][chosen].flatten().tolist()]
    mean = sum(voxels) / len(voxels)
    return float(mean), math.sqrt(sum((value - mean) ** 2 for value in voxels) / len(voxels))


def new(channels: int = 1) -> StandardScoreNet:
    return StandardScoreNet(torch.nn.Conv2d(channels, 1, 1), channels)


def figures(network: StandardScoreNet) -> tuple[float, ...]:
    return (*network.mean.tolist(), *network.deviation.tolist())


def fitted(items: list[Any], network: StandardScoreNet | None = None, **more: Any) -> tuple[float, ...]:
    network = network or new()
    FitStandardScore(network, items, Compose([]), **more).fit()
    return figures(network)


# The square of 1e6 fills all digits of float32, and all but four of float64.
@pytest.mark.parametrize("offset", [0.0, -500.0, 1e6])
def test_the_figures_are_those_of_all_voxels_together(offset):
    items = images(offset=offset)
    assert fitted(items) == pytest.approx(slowly(items), rel=1e-7)


def test_a_large_image_counts_more_than_a_small_one():
    items = [{"image": torch.zeros(1, 9, 10)}, {"image": torch.ones(1, 2, 5)}]
    assert fitted(items) == pytest.approx((0.1, statistics.pstdev([0.0] * 90 + [1.0] * 10)))


def test_each_channel_has_its_own_figures_where_the_network_has():
    items = images(channels=2)
    for item in items:
        item["image"][1] *= 7.0
    expected = [slowly(items, channel) for channel in (0, 1)]
    assert fitted(items, new(2)) == pytest.approx([mean for mean, _ in expected] + [d for _, d in expected])


def test_one_pair_of_figures_serves_all_channels_where_the_network_has_one():
    items = images(channels=2)
    assert fitted(items) == pytest.approx(slowly(items))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_number_of_threads_changes_nothing(workers):
    assert fitted(images(), num_workers=workers) == fitted(images())


def test_the_images_are_measured_after_the_transforms():
    items = [{"scan": item["image"]} for item in images()]
    network = new()
    twice = Compose([lambda item: {"scan": 2.0 * item["scan"]}])
    FitStandardScore(network, items, twice, key="scan").fit()
    mean, deviation = slowly(images())
    assert figures(network) == pytest.approx((2 * mean, 2 * deviation))


def test_the_log_says_the_figures_and_no_file(caplog):
    with caplog.at_level(logging.INFO, "monai_tasks"):
        mean, deviation = fitted(images())
    assert f"mean [{mean}] and deviation [{deviation}] of 3 training images" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "found"),
    [(lambda x: x.fill_(torch.nan), "not finite"), (lambda x: x[..., :0], r"shape \(1, 3, 0\)")],
)
def test_an_image_that_cannot_be_measured_is_named(spoil, found):
    items: list[dict[str, Any]] = [{"image": name} for name in ("good.nii", "bad.nii")]
    content = {"good.nii": torch.ones(1, 3, 4), "bad.nii": spoil(torch.ones(1, 3, 4))}
    load = Compose([lambda item: {"image": content[item["image"]]}])
    network = new()
    with pytest.raises(InputError, match=rf"bad\.nii: .*{found}.*expected"):
        FitStandardScore(network, items, load).fit()
    assert figures(network) == (0.0, 1.0)


def test_what_gives_no_figures_is_refused():
    with pytest.raises(ValueError, match="no items"):
        fitted([])
    with pytest.raises(ValueError, match=r"deviation: .*above 0"):
        fitted([{"image": torch.full((1, 3, 3), 8.0)}] * 2)
    with pytest.raises(InputError, match=r"expected 2 channel"):
        fitted(images(channels=3), new(2))
    with pytest.raises(ValueError, match=r"network: got Linear; expected a StandardScoreNet"):
        FitStandardScore(torch.nn.Linear(1, 1), images(), Compose([]))


class Run:
    """A training of three epochs, with `RunState`.

    Args:
        folder: of `last.pt` and `model.pt`.
        items: what the figures are fitted to.
        wrap: what is done to the network before the engines get it.
        weights: a file that MONAI's handler restores at the beginning.
        last: whether the fit stands behind all other handlers, not before them.
        enabled: of `FitStandardScore`.
    """

    def __init__(
        self,
        folder: Path,
        items: list[Any],
        wrap: type[torch.nn.Module] | None = None,
        weights: Path | None = None,
        last: bool = False,
        enabled: bool = True,
    ) -> None:
        torch.manual_seed(0)
        self.network = new()
        self.seen: dict[int, tuple[float, ...]] = {}
        network = wrap(self.network) if wrap else self.network
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
        batch = {"image": torch.ones(1, 3, 3), "label": torch.zeros(1, 3, 3)}
        loader = torch.utils.data.DataLoader([batch] * ITERATIONS)
        device = torch.device("cpu")
        evaluator = SupervisedEvaluator(device, loader, network)
        self.trainer = SupervisedTrainer(
            device, 3, loader, network, optimizer, torch.nn.MSELoss(), decollate=False
        )
        self.trainer.logger.disabled = evaluator.logger.disabled = True

        @evaluator.on(Events.COMPLETED)
        def score() -> None:
            evaluator.state.metrics["score"] = self.trainer.state.epoch

        @self.trainer.on(Events.ITERATION_STARTED)
        def note(engine: Engine) -> None:
            self.seen.setdefault(engine.state.epoch, figures(self.network))

        handlers = [
            ValidationHandler(interval=1, validator=evaluator),
            RunState(folder, folder, network, evaluator, "score", {"optimizer": optimizer}),
        ]
        if weights is not None:
            handlers.insert(0, CheckpointLoader(str(weights), {"model": self.network}))
        handlers.insert(
            len(handlers) if last else 0, FitStandardScore(network, items, Compose([]), enabled=enabled)
        )
        for handler in handlers:
            handler.attach(self.trainer)

    def cut(self, iteration: int) -> Run:
        """Run until an iteration is done."""

        def stop() -> None:
            raise InterruptionError

        self.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), stop)
        with pytest.raises(InterruptionError):
            self.trainer.run()
        return self

    def end(self) -> Run:
        """Run to the end."""
        self.trainer.run()
        return self


order = pytest.mark.parametrize("last", [False, True], ids=["first", "last"])


@order
def test_a_run_begins_with_the_figures_of_its_images(tmp_path, last):
    run = Run(tmp_path, images(), last=last).end()
    assert set(run.seen.values()) == {fitted(images())}
    stored = torch.load(tmp_path / "model.pt", weights_only=True)
    assert (stored["mean"].item(), stored["deviation"].item()) == fitted(images())


@order
def test_a_run_that_goes_on_keeps_its_figures(tmp_path, last):
    """Even where its images were changed meanwhile: the weights were trained with the old ones."""
    Run(tmp_path, images(0), last=last).cut(ITERATIONS + 1)
    run = Run(tmp_path, images(1), last=last).end()
    assert run.seen == {2: fitted(images(0)), 3: fitted(images(0))}


def test_a_run_that_goes_on_without_figures_gets_none(tmp_path):
    """Its weights have seen images as they are."""
    Run(tmp_path, images(), enabled=False).cut(ITERATIONS + 1)
    assert Run(tmp_path, images()).end().seen == {2: (0.0, 1.0), 3: (0.0, 1.0)}


def test_a_run_that_goes_on_measures_no_image(tmp_path):
    Run(tmp_path, images()).cut(ITERATIONS + 1)
    assert sorted(Run(tmp_path, [{"image": "gone.nii"}]).end().seen) == [2, 3]


@order
def test_a_run_that_was_cut_before_it_was_stored_is_fitted_anew(tmp_path, last):
    Run(tmp_path, images(0), last=last).cut(1)
    assert Run(tmp_path, images(1), last=last).end().seen[1] == fitted(images(1))


@order
def test_a_run_that_came_to_its_end_is_fitted_anew(tmp_path, last):
    Run(tmp_path, images(0), last=last).end()
    assert Run(tmp_path, images(1), last=last).end().seen[1] == fitted(images(1))


@order
def test_a_run_from_the_weights_of_another_keeps_their_figures(tmp_path, last):
    Run(tmp_path / "first", images(0), last=last).end()
    run = Run(tmp_path / "second", images(1), weights=tmp_path / "first" / "model.pt", last=last).end()
    assert set(run.seen.values()) == {fitted(images(0))}


def test_the_network_inside_a_wrapper_is_fitted(tmp_path):
    """As under DistributedDataParallel."""
    assert Run(tmp_path, images(), wrap=torch.nn.DataParallel).end().seen[1] == fitted(images())


def test_disabled_it_leaves_the_network_as_it_is(tmp_path):
    assert set(Run(tmp_path, images(), enabled=False).end().seen.values()) == {(0.0, 1.0)}
    FitStandardScore(torch.nn.Linear(1, 1), [], Compose([]), enabled=False).attach(Engine(lambda *_: None))


def write(folder: Path, name: str, level: float) -> dict[str, str]:
    """An item of a datalist, whose image lies about a level."""
    noise = np.random.default_rng(len(name)).normal(0.0, 5.0, (4, 5, 6))
    for kind, array in (("image", level + noise), ("label", (noise > 0).astype(float))):
        nib.save(nib.Nifti1Image(array.astype(np.float32), np.eye(4)), folder / f"{name}_{kind}.nii")
    return {"image": f"{name}_image.nii", "label": f"{name}_label.nii"}


def by_config(datalist: Path, normalization: str = "standard_score") -> tuple[float, ...]:
    """The figures of a network after the handler of a config has done its work."""
    part = {"_target_": "monai_tasks.datasets.datalist_file.read_part", "datalist": str(datalist)}
    load = [
        {"_target_": "LoadImaged", "keys": ["image", "label"]},
        {"_target_": "EnsureChannelFirstd", "keys": ["image", "label"]},
    ]
    config = {
        "normalization": normalization,
        "network": {
            "_target_": "monai_tasks.networks.standard_score.StandardScoreNet",
            "network": {"_target_": "torch.nn.Identity"},
        },
        "train": {
            "deterministic_transforms": load,
            "dataset": {"_target_": "Dataset", "data": {**part, "part": "training"}},
        },
        "validate": {"dataset": {"_target_": "Dataset", "data": {**part, "part": "validation"}}},
        "fit": {
            "_target_": "monai_tasks.training.standard_score.FitStandardScore",
            "network": "@network",
            "data": "@train#dataset#data",
            "transforms": {"_target_": "Compose", "transforms": "%train#deterministic_transforms"},
            "enabled": "$@normalization == 'standard_score'",
        },
    }
    parser = ConfigParser(config)
    engine = Engine(lambda *_: None)
    parser.get_parsed_content("fit").attach(engine)
    engine.run([0])
    return figures(parser.get_parsed_content("network"))


def test_only_training_images_count(tmp_path):
    parts = {
        "training": [write(tmp_path, name, level) for name, level in (("a", 100.0), ("bb", 300.0))],
        "validation": [write(tmp_path, "ccc", 5000.0)],
        "test": [write(tmp_path, "dddd", 7000.0)],
    }
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps(parts))
    found = by_config(datalist)
    assert found == pytest.approx((200.0, 100.0), rel=0.02)
    assert by_config(datalist, "min_max") == (0.0, 1.0)
    write(tmp_path, "ccc", -800.0)
    write(tmp_path, "dddd", 0.0)
    assert by_config(datalist) == found
    write(tmp_path, "a", 101.0)
    assert by_config(datalist) != found
