"""How well an explanation points at a region that is known."""

from __future__ import annotations

import numpy as np
import torch
from monai.utils import convert_to_numpy


def times_chance(
    explanation: np.ndarray | torch.Tensor,
    region: np.ndarray | torch.Tensor,
    body: np.ndarray | torch.Tensor | None = None,
) -> float:
    """How much more of an explanation lies in a region than would by chance.

    The share of the positive relevance that lies in the region, divided by the region's share of the area. An
    explanation that is spread evenly, or at random, gives 1; one that lies in the region wholly gives the area divided
    by the region's.

    Args:
        explanation: any shape; what is negative is left out.
        region: the same shape, true in the region.
        body: the same shape, true on the body: chance is then even over the body, which asks more where much of
            the image is background. What is explained outside the body still counts as missed.

    Returns:
        From 0; 0 also where nothing is positive.

    Raises:
        ValueError: if the shapes differ, or the region (inside the body, where that is given) is empty.
    """
    positive = np.clip(convert_to_numpy(explanation).astype(np.float64), 0.0, None)
    region = convert_to_numpy(region).astype(bool)
    body = np.ones_like(region) if body is None else convert_to_numpy(body).astype(bool)
    if not positive.shape == region.shape == body.shape:
        shapes = f"{positive.shape}, {region.shape} and {body.shape}"
        raise ValueError(f"explanation, region and body of shape {shapes}; expected one shape")
    region = region & body
    if not region.any():
        raise ValueError("region: empty; expected at least one pixel, on the body where that is given")
    total = positive.sum()
    if total == 0:
        return 0.0
    return float(positive[region].sum() / total / (region.sum() / body.sum()))
