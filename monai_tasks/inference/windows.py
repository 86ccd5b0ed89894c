"""Sliding windows that never grow past the image."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.utils import ensure_tuple_rep


class FittedWindowInferer(SlidingWindowInferer):
    """MONAI's sliding window, with the window cut to the image where the image is smaller.

    MONAI pads a small image up to the window and computes on the padding. A crop of 35x50x35 voxels under a window of
    96^3 would cost fourteen times its own size, and the network would see a border of zeros that no training window
    had.

    Args:
        roi_size: largest window, one number or one an axis, in voxels.
        **kwargs: everything else that `monai.inferers.SlidingWindowInferer` takes.
    """

    def __call__(
        self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        image_size = inputs.shape[2:]
        largest = ensure_tuple_rep(self.roi_size, len(image_size))
        fitted = tuple(min(window, size) for window, size in zip(largest, image_size, strict=True))
        # A copy for the call: one inferer serves several threads and images of several sizes.
        worker = SlidingWindowInferer.__new__(SlidingWindowInferer)
        worker.__dict__.update(self.__dict__)
        worker.roi_size = fitted
        if fitted != largest:  # a weight map that was kept has the size of whole windows
            worker.roi_weight_map = None
        return worker(inputs, network, *args, **kwargs)
