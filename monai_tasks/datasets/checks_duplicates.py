"""Images that are nearly the same though they are of different subjects, mirrored copies included."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

ALIKE = 0.99  # correlation of two thumbnails from which on images are called copies
NEIGHBOURS = 3  # most similar images that say how like others an image is
REFERENCES = 4096  # images among which they are sought
_BLOCK = 2048  # thumbnails whose correlations with all others are in memory together


class Pair(NamedTuple):
    """Two images that are nearly the same.

    Args:
        first: number of the one image.
        second: number of the other, which is higher.
        correlation: of their thumbnails.
        mirrored: the axes along which the second must be mirrored; empty where it is a plain copy.
    """

    first: int
    second: int
    correlation: float
    mirrored: tuple[int, ...]


def near_duplicates(
    thumbnails: Sequence[np.ndarray], groups: Sequence[str], alike: float = ALIKE
) -> list[Pair]:
    """Find the images of different groups that are nearly the same, as they are or mirrored along one axis.

    All pairs are compared, as products of matrices. Images whose thumbnails have another shape are no copies.

    Args:
        thumbnails: one an image, as `checks_images.thumbnail` makes them.
        groups: one an image, such as its subject; within a group images may be alike.
        alike: correlation from which on they count.

    Returns:
        The pairs, in the order of their first images; of each the better of plain and mirrored.
    """
    found: dict[tuple[int, int], Pair] = {}
    for members in _by_shape(thumbnails):
        arrays = np.stack([thumbnails[number] for number in members])
        plain = _unit(arrays)
        names = np.unique([groups[number] for number in members], return_inverse=True)[1]
        for axes in [(), *((axis,) for axis in range(arrays.ndim - 1))]:
            turned = _unit(np.flip(arrays, [axis + 1 for axis in axes])) if axes else plain
            for row, column, correlation in _above(plain, turned, names, alike):
                pair = members[row], members[column]
                if pair not in found or correlation > found[pair].correlation:
                    found[pair] = Pair(*pair, correlation, axes)
    return [found[pair] for pair in sorted(found)]


def nearest(thumbnails: Sequence[np.ndarray], groups: Sequence[str]) -> np.ndarray:
    """How like the most similar images of other groups each image is.

    Args:
        thumbnails: one an image.
        groups: one an image, such as its subject.

    Returns:
        (N,): the mean of its NEIGHBOURS highest correlations with images of other groups, among REFERENCES images at
        most; NaN where there are fewer than NEIGHBOURS.
    """
    result = np.full(len(thumbnails), np.nan)
    for members in _by_shape(thumbnails):
        rows = _unit(np.stack([thumbnails[number] for number in members]))
        names = np.unique([groups[number] for number in members], return_inverse=True)[1]
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), REFERENCES)).round().astype(int))
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK] @ rows[chosen].T
            block[names[start : start + _BLOCK, None] == names[chosen]] = -2
            if block.shape[1] < NEIGHBOURS:
                continue
            best = np.partition(block, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]
            means = np.where(best.min(axis=1) > -2, best.mean(axis=1), np.nan)
            result[np.array(members[start : start + _BLOCK])] = means
    return result


def _by_shape(thumbnails: Sequence[np.ndarray]) -> list[list[int]]:
    order = sorted(range(len(thumbnails)), key=lambda number: (thumbnails[number].shape, number))
    return [
        list(numbers) for _, numbers in itertools.groupby(order, key=lambda number: thumbnails[number].shape)
    ]


def _unit(arrays: np.ndarray) -> np.ndarray:
    """Rows whose products are correlations; a thumbnail without contrast is zero and like no other."""
    rows = arrays.reshape(len(arrays), -1).astype(np.float32)
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _above(
    plain: np.ndarray, turned: np.ndarray, names: np.ndarray, alike: float
) -> Iterator[tuple[int, int, float]]:
    """The pairs of rows of different names, the first before the second, whose product is high enough."""
    for start in range(0, len(plain), _BLOCK):
        block = plain[start : start + _BLOCK] @ turned[start:].T
        rows, columns = np.nonzero(block >= alike)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if row < column and names[start + row] != names[start + column]:
                yield start + row, start + column, float(block[row, column])
