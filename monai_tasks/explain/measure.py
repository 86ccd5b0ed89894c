"""How well an explanation points at a region that is known."""

from __future__ import annotations

import numpy as np
import torch
from monai.utils import convert_to_numpy
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import roc_auc_score


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
    values, region, body = _checked(explanation, region, body)
    positive = np.clip(values, 0.0, None)
    total = positive.sum()
    if total == 0:
        return 0.0
    return float(positive[region].sum() / total / (region.sum() / body.sum()))


def ranked_higher(
    explanation: np.ndarray | torch.Tensor,
    region: np.ndarray | torch.Tensor,
    body: np.ndarray | torch.Tensor | None = None,
) -> float:
    """How often a pixel of the region has a higher value than a pixel of the rest, of all such pairs.

    It is the area under the ROC curve of the explanation as a score of the pixels, all of whose signs count. What
    is outside the body does not count. Chance is 0.5, whatever the sizes; a few strong pixels move it little.

    Args:
        explanation: any shape.
        region: the same shape, true in the region.
        body: the same shape, true where pixels are compared; all if not given.

    Returns:
        0 to 1; equal values count half.

    Raises:
        ValueError: if the shapes differ, or the region (inside the body, where that is given) is empty or all there is.
    """
    values, region, body = _checked(explanation, region, body)
    if region.sum() == body.sum():
        raise ValueError("region: all of what is compared; expected at least one other pixel")
    return float(roc_auc_score(region[body], values[body]))


def points_at(explanation: np.ndarray | torch.Tensor, region: np.ndarray | torch.Tensor) -> bool:
    """Whether the highest value lies in the region: the pointing game [Zhang2018].

    Args:
        explanation: any shape.
        region: the same shape, true in the region.

    Returns:
        False also where nothing is positive.

    Raises:
        ValueError: if the shapes differ, or the region is empty.
    """
    values, region, _ = _checked(explanation, region, None)
    return bool(values.max() > 0 and region.flat[values.argmax()])


def widened(region: np.ndarray | torch.Tensor, pixels: float) -> np.ndarray:
    """A region with all that is near it, for what is seen of a finding at its edges.

    Args:
        region: (..., H, W), true in the region; each image by itself.
        pixels: the distance up to which pixels are near.

    Returns:
        The same shape, bool; an image without a region stays without.
    """
    region = convert_to_numpy(region).astype(bool)
    images = region.reshape(-1, *region.shape[-2:])
    near = [distance_transform_edt(~one) <= pixels if one.any() else one for one in images]
    return np.stack(near).reshape(region.shape)


def _checked(
    explanation: np.ndarray | torch.Tensor,
    region: np.ndarray | torch.Tensor,
    body: np.ndarray | torch.Tensor | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All as arrays of one shape, the region inside the body."""
    values = convert_to_numpy(explanation).astype(np.float64)
    region = convert_to_numpy(region).astype(bool)
    body = np.ones_like(region) if body is None else convert_to_numpy(body).astype(bool)
    if not values.shape == region.shape == body.shape:
        shapes = f"{values.shape}, {region.shape} and {body.shape}"
        raise ValueError(f"explanation, region and body of shape {shapes}; expected one shape")
    region = region & body
    if not region.any():
        raise ValueError("region: empty; expected at least one pixel, on the body where that is given")
    return values, region, body
