"""Let the limb of a finished scan move, as an augmentation."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch.nn.functional import pad

from monai_tasks.transforms.motion import Motion, half_turn, move, project, reconstruct
from monai_tasks.transforms.motion_kinds import KINDS, SEVERITIES, as_grade, draw_motion

BONE = 0.25  # of the field: half the width of the bone that a rotation is measured at
SAME = 0.01  # by which the two edges of a pixel may differ


class RandMotion(RandomizableTransform):
    """Add what motion between the views would have done to slices.

    The slices are projected, moved and reconstructed, and the difference that the motion makes is added, so that what
    does not move keeps its sharpness and its noise. All slices of an image move together, as in one scan. Only what
    lies in the circle that all views see moves.

    Motion changes the grade of a scan: `grade` is the one of the motion that was added last, and the dictionary form
    can write it into the item.

    Args:
        prob: probability that an image moves.
        severity: from and to, 0.5 to 5.5; drawn evenly between the two.
        kinds: of the motion, from `KINDS`; drawn evenly.
        views: of a half turn.
        spacing_mm: edge of a pixel; that of the image's affine if not given.

    Raises:
        ValueError: when a setting is none of the above; on a call, when an image has other axes, or no pixels of a
            known, square size.
    """

    def __init__(
        self,
        prob: float = 0.5,
        severity: Sequence[float] = (1.5, 5.5),
        kinds: Sequence[str] = tuple(KINDS),
        views: int = 180,
        spacing_mm: float | None = None,
    ) -> None:
        super().__init__(prob)
        low, high = severity
        if not SEVERITIES[0] <= low <= high <= SEVERITIES[-1]:
            raise ValueError(
                f"severity: got {severity}; expected from and to within {SEVERITIES[0]} to {SEVERITIES[-1]}"
            )
        if not kinds or not set(kinds) <= KINDS.keys():
            raise ValueError(f"kinds: got {list(kinds)}; expected some of {', '.join(KINDS)}")
        if views < 2 or (spacing_mm is not None and not spacing_mm > 0):
            raise ValueError(f"got {views} views and a spacing of {spacing_mm} mm; expected 2 and above 0")
        self.severity = low, high
        self.kinds = list(kinds)
        self.views = views
        self.spacing_mm = spacing_mm
        self.drawn: tuple[str, float, int] = (self.kinds[0], low, 0)

    @property
    def grade(self) -> int | None:
        """Grade of the motion of the last image, or None where it did not move."""
        return as_grade(self.drawn[1]) if self._do_transform else None

    def randomize(self, data: Any = None) -> None:
        """Draw whether to move, and how."""
        super().randomize(data)
        if self._do_transform:
            kind = self.kinds[int(self.R.randint(len(self.kinds)))]
            self.drawn = kind, float(self.R.uniform(*self.severity)), int(self.R.randint(2**31))

    def __call__(self, img: NdarrayOrTensor, randomize: bool = True) -> NdarrayOrTensor:
        """Move one image.

        Args:
            img: (C, X, Y), or (C, X, Y, S) with slices last.
            randomize: draw anew; else the same motion as before.

        Returns:
            Same shape and container, float32.
        """
        if randomize:
            self.randomize()
        if img.ndim not in (3, 4):
            raise ValueError(f"image: shape {tuple(img.shape)}; expected (C, X, Y) or (C, X, Y, S)")
        values = convert_to_tensor(img, dtype=torch.float32, track_meta=False)
        if self._do_transform:
            values = self._moved(values, self._spacing(img))
        return convert_to_dst_type(values, img, dtype=torch.float32)[0]

    def _spacing(self, img: NdarrayOrTensor) -> float:
        if self.spacing_mm is not None:
            return self.spacing_mm
        if not isinstance(img, MetaTensor):
            raise ValueError("an image without an affine; expected one, or spacing_mm")
        first, second = (float(edge) for edge in affine_to_spacing(img.affine, 2))
        if abs(first - second) > SAME * first:
            raise ValueError(f"pixels of {first:g} x {second:g} mm; expected square ones")
        return first

    def _moved(self, values: torch.Tensor, spacing_mm: float) -> torch.Tensor:
        slices = values.movedim(3, 1).flatten(0, 1) if values.ndim == 4 else values
        rows, columns = slices.shape[1:]
        size = max(rows, columns)
        # From here on a square, whose middle is that of the image.
        before = (size - rows) // 2, (size - columns) // 2
        after = size - rows - before[0], size - columns - before[1]
        square = pad(slices, (before[1], after[1], before[0], after[0]), mode="replicate")
        change = self._change(square, spacing_mm)
        change = change[:, before[0] : before[0] + rows, before[1] : before[1] + columns].to(values)
        if values.ndim == 3:
            return values + change
        return values + change.unflatten(0, (len(values), -1)).movedim(1, 3)

    def _change(self, slices: torch.Tensor, spacing_mm: float) -> torch.Tensor:
        """What the motion adds to slices (C, N, N)."""
        kind, severity, seed = self.drawn
        size = slices.shape[-1]
        motion = draw_motion(
            np.random.default_rng(seed), kind, severity, self.views, BONE * size * spacing_mm
        )
        place = torch.arange(size, device=slices.device) - (size - 1) / 2
        seen = torch.hypot(place[:, None], place) <= (size - 1) / 2
        # Air does not move; where an image is cut, its edge is taken for air.
        air = slices[:, seen & (torch.hypot(place[:, None], place) > size / 2 - 2)].median(1).values
        angles = half_turn(self.views)
        at_rest = project((slices - air[:, None, None]) * seen, angles)
        change = reconstruct(move(at_rest, _centred(motion), spacing_mm) - at_rest, angles)
        return change.to(slices) * seen


class RandMotiond(MapTransform, RandomizableTransform):
    """Dictionary form of `RandMotion`; the images of one item move alike.

    Args:
        keys: keys of the images.
        prob: as for `RandMotion`, as are the next four.
        severity: ...
        kinds: ...
        views: ...
        spacing_mm: ...
        grade_key: key to which the grade of the motion, 1 to 5, is written where an image moves; none if not given.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 0.5,
        severity: Sequence[float] = (1.5, 5.5),
        kinds: Sequence[str] = tuple(KINDS),
        views: int = 180,
        spacing_mm: float | None = None,
        grade_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.motion = RandMotion(1.0, severity, kinds, views, spacing_mm)
        self.grade_key = grade_key

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandMotiond:
        super().set_random_state(seed, state)
        self.motion.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        self.randomize(None)
        # What is not moved is converted all the same, so that items of a batch are of one type.
        self.motion.prob = 1.0 if self._do_transform else 0.0
        self.motion.randomize()
        moved = list(self.key_iterator(result))
        for key in moved:
            result[key] = self.motion(result[key], randomize=False)
        if moved and self.grade_key is not None and self._do_transform:
            result[self.grade_key] = self.motion.grade
        return result


def _centred(motion: Motion) -> Motion:
    """Without the mean place, so that the limb stays where it was."""
    return Motion(
        motion.shift_mm - motion.shift_mm.mean(0), motion.rotation_degrees - motion.rotation_degrees.mean()
    )


RandMotionD = RandMotionDict = RandMotiond
