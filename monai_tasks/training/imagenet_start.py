"""Start a DenseNet from torchvision's checkpoint of ImageNet."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from monai_tasks.training.freeze import unwrapped
from monai_tasks.training.start_weights import Start, StartFrom

logger = logging.getLogger(__name__)

# Asks for torchvision's own checkpoint, which is fetched from the internet or taken from torch's cache.
DOWNLOAD = "download"
# By the layers of each block; the end of a name begins the checksum, which torch compares.
CHECKPOINTS = {
    (6, 12, 24, 16): "https://download.pytorch.org/models/densenet121-a639ec97.pth",
    (6, 12, 32, 32): "https://download.pytorch.org/models/densenet169-b2777c0a.pth",
    (6, 12, 48, 32): "https://download.pytorch.org/models/densenet201-c1103571.pth",
}
# A layer of a block: torchvision's files have `norm.1`, its networks `norm1`, MONAI's networks `layers.norm1`.
LAYER = re.compile(r"(denselayer\d+)\.(norm|conv)\.?([12])\.")
FIRST = "features.conv0.weight"
COLOURS = 3


class StartFromImageNet(StartFrom):
    """Gives a `ConcatPoolDenseNet` the weights of another one, or the features of torchvision's DenseNet.

    The log and `start.json` are those of `StartFrom`, with MONAI's names of the values. Where the network takes images
    of one channel, the three input channels of the first convolution are summed: a grey image then gives what it would
    give in three equal colours.

    Args:
        network: wrapped for distribution or not.
        path: a file of weights of such a network, as for `StartFrom`, or None.
        layers: as for `StartFrom`.
        folder: as for `StartFrom`.
        imagenet_weights: torchvision's checkpoint file instead; "download" fetches it; None starts without.

    Raises:
        ValueError: when both files are given.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        path: str | Path | None = None,
        layers: Sequence[str] | None = None,
        folder: str | Path | None = None,
        imagenet_weights: str | Path | None = None,
    ) -> None:
        if path is not None and imagenet_weights is not None:
            raise ValueError(f"start_weights {path} and imagenet_weights {imagenet_weights}; expected one")
        super().__init__(network, imagenet_weights if path is None else path, layers, folder)
        self.of_imagenet = imagenet_weights is not None

    def start(self) -> Start | None:
        """Load the weights, if a file is given, and say which.

        Raises:
            WeightsError, ValueError: see `start_from`; also when no checkpoint of such a network can be fetched.
        """
        if self.of_imagenet:
            own = unwrapped(self.network).state_dict()
            self.convert = lambda state: from_torchvision(state, own)
            if self.path == DOWNLOAD:
                self.path = download(own)
        return super().start()


def from_torchvision(
    state: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The values of torchvision's DenseNet under MONAI's names.

    Args:
        state: of torchvision's network, or of its file, whose names differ.
        own: the network's values, for which channels its first convolution takes.

    Returns:
        All values; the first convolution's input channels are summed into one where the network takes one.
    """
    renamed = {LAYER.sub(r"\1.layers.\2\3.", name): value for name, value in state.items()}
    first = next((value for name, value in own.items() if name.endswith(FIRST)), None)
    given = renamed.get(FIRST)
    if first is not None and given is not None and (first.shape[1], given.shape[1]) == (1, COLOURS):
        renamed[FIRST] = given.sum(dim=1, keepdim=True)
        logger.info("%s: three input channels summed into one", FIRST)
    return renamed


def download(own: Mapping[str, torch.Tensor]) -> Path:
    """Fetch torchvision's checkpoint of the network's depth into torch's cache, unless it is there.

    Args:
        own: the network's values.

    Returns:
        The file.

    Raises:
        ValueError: when torchvision has no network of these blocks.
    """
    layers = {found[0] for name in own if (found := re.search(r"denseblock(\d+)\.denselayer\d+", name))}
    blocks = [int(re.search(r"\d+", layer)[0]) for layer in layers]
    found = tuple(blocks.count(number) for number in sorted(set(blocks)))
    if found not in CHECKPOINTS:
        raise ValueError(f"blocks of {found} layers; expected one of {', '.join(map(str, CHECKPOINTS))}")
    address = CHECKPOINTS[found]
    torch.hub.load_state_dict_from_url(address, map_location="cpu", check_hash=True, weights_only=True)
    return Path(torch.hub.get_dir()) / "checkpoints" / address.rpartition("/")[2]
