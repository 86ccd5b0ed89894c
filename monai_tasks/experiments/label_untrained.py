"""What MONAI Label answers to an image while a served network has not been trained."""

from __future__ import annotations

import os
from typing import Any

from monai_tasks.io.files import sha256


class RefuseUntrained:
    """A transform that refuses every image until a training has replaced the weights that the server began with.

    MONAI Label offers and trains only what has weights, so that a network without any is served with random ones,
    whose label maps would be noise.

    Args:
        weights: the file of the weights in use.
        initial: the SHA-256 of that file before any training.
        name: the bundle's, for the message.
    """

    def __init__(self, weights: str | os.PathLike[str], initial: str, name: str) -> None:
        self.weights = weights
        self.initial = initial
        self.name = name

    def __call__(self, data: Any) -> Any:
        """Pass what it gets.

        Raises:
            Exception: while the weights are the initial ones: the web server's own kind where it is installed, for
                of others it keeps the text from the client, else ValueError.
        """
        if sha256(self.weights) == self.initial:
            raise _refusal(
                f"{self.name} has no weights yet: label images and train it on them first, "
                "or start the server with --weights FILE"
            )
        return data


def _refusal(text: str) -> Exception:
    try:
        from fastapi import HTTPException
    except ImportError:
        return ValueError(text)
    return HTTPException(status_code=409, detail=text)
