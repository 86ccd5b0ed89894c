"""Run any inferer in the fastest arithmetic that its device has."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer


def lower_precision(device: torch.device | str) -> torch.dtype | None:
    """The 16-bit type that is faster than float32 on a device, or None where there is none.

    bfloat16 needs its own instructions (avx512_bf16 or AMX on a CPU, Ampere or later on a CUDA device); an older
    CUDA device gets float16.
    """
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if kind == "cpu":
        # torch names no public test for these instructions before `torch.cpu.get_capabilities`.
        native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return torch.bfloat16 if native else None
    return None


class AutocastInferer(Inferer):
    """Calls another inferer under `torch.autocast` where the device of the inputs has a fast 16-bit type.

    MONAI's engines switch autocast on for CUDA only; this does the same for CPUs, in training and in inference. The
    result is always float32.

    Args:
        inferer: what runs the network on the inputs.
        enabled: False computes in the type of the inputs.

    Example:
        >>> inferer = AutocastInferer(SimpleInferer())
        >>> scores = inferer(images, network)  # (B, C, H, W[, D]) to (B, K, H, W[, D])
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer = inferer
        self.enabled = enabled

    def __call__(
        self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        dtype = lower_precision(inputs.device) if self.enabled else None
        if dtype is None:
            return self.inferer(inputs, network, *args, **kwargs)
        with torch.autocast(inputs.device.type, dtype=dtype):
            return self.inferer(inputs, network, *args, **kwargs).float()
