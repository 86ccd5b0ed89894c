"""Networks to explain, small and with every kind of layer at work."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import DenseNet, ResNet

from monai_tasks.networks.concat_pool_densenet import ConcatPoolDenseNet
from monai_tasks.networks.rx import RxNet, rx_classifier, rx_encoder
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.study import StudyNet


def resnet(block: str = "basic", shortcut: str = "B", classes: int = 2, **others) -> ResNet:
    """MONAI's ResNet18 (or 50, of bottlenecks) with an eighth of the features."""
    layers, planes = [2, 2, 2, 2], [8, 16, 32, 64]
    return ResNet(
        block,
        layers,
        planes,
        spatial_dims=2,
        n_input_channels=1,
        num_classes=classes,
        shortcut_type=shortcut,
        **others,
    )


def densenet(classes: int = 2) -> DenseNet:
    """MONAI's DenseNet with two blocks."""
    return DenseNet(2, 1, classes, init_features=8, growth_rate=4, block_config=(2, 3))


def concat_pool(classes: int = 2) -> ConcatPoolDenseNet:
    """The network of the bundles of the limb and of the chest, with two blocks and a small head."""
    return ConcatPoolDenseNet(2, 1, classes, init_features=8, growth_rate=4, block_config=(2, 3), hidden=12)


def scored(network: torch.nn.Module) -> StandardScoreNet:
    """The network behind the standard score of images from 0 to 1."""
    network = StandardScoreNet(network)
    network.set_statistics(0.35, 0.23)
    return network


MAKERS: dict[str, Callable[[], torch.nn.Module]] = {
    "rx": lambda: RxNet(channels=6),
    "rx large": lambda: RxNet(blocks=8, channels=6),
    "rx plain": lambda: RxNet(blocks=3, channels=6, plain=True),
    "rx scored": lambda: scored(RxNet(channels=6)),
    "resnet": lambda: scored(resnet()),
    "resnet type A": lambda: resnet(shortcut="A"),
    "resnet of bottlenecks": lambda: resnet("bottleneck"),
    "resnet of four classes": lambda: resnet(classes=4),
    "densenet": densenet,
    "densenet of two poolings": lambda: scored(concat_pool()),
    "densenet of two poolings, four classes": lambda: scored(concat_pool(classes=4)),
    "study of rx": lambda: StudyNet(scored(rx_encoder(channels=6)), rx_classifier(48)),
    "study of resnet": lambda: scored(StudyNet(resnet(feed_forward=False), torch.nn.Linear(64, 2))),
}


def filled(name: str, seed: int = 0) -> torch.nn.Module:
    """A network of `MAKERS` in evaluation mode, with biases and statistics as training leaves them, not 0 and 1."""
    torch.manual_seed(seed)
    network = MAKERS[name]().eval()
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.5, 2.0)
        if getattr(module, "bias", None) is not None:
            torch.nn.init.normal_(module.bias, 0.0, 0.2)
    return network


@pytest.fixture(params=list(MAKERS))
def case(request: pytest.FixtureRequest) -> tuple[torch.nn.Module, torch.Tensor]:
    """A network, and an image or a study of two views and an absent one."""
    network = filled(request.param)
    image = torch.rand((3, 1, 64, 48) if "study" in request.param else (1, 64, 48))
    if image.dim() == 4:
        image[1] = torch.nan
    return network, image


@pytest.fixture
def network() -> Callable[..., torch.nn.Module]:
    """Makes a network by its name in `MAKERS`."""
    return filled
