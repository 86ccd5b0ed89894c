"""Generated radiographs of wrists, with the true place of a fracture.

All views of a person are projections of one anatomy, with one fracture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_tasks.phantoms.radiography import Look, enlarge, expose
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import Break, Fracture
from monai_tasks.phantoms.wrist_metal import Metal
from monai_tasks.phantoms.wrist_shapes import Placed

SIDES = ("R", "L")
# Absorption of each mm of tissue. Bone takes the place of muscle.
MUSCLE, FAT = 0.025, 0.0205
DENSE, SPONGY = 0.095 - MUSCLE, 0.037 - MUSCLE
FLESH = 0.7  # mm, largest pixel on which soft tissue is drawn


@dataclass(frozen=True)
class WristImage:
    """A radiograph of a wrist.

    Attributes:
        pixels: (H, W) uint16; white is dense unless its look is inverted.
        fracture: (H, W) bool, where the broken bone's line and its surroundings are seen; empty where none is.
        view: "pa" or "lateral".
        side: "R" or "L".
        metal: True where metal is seen.
    """

    pixels: np.ndarray
    fracture: np.ndarray
    view: str
    side: str
    metal: bool


@dataclass(frozen=True)
class Grid:
    """The pixels of an image, placed on a view of a wrist.

    Attributes:
        shape: rows and columns.
        spacing: of the pixels in mm.
        centre: point of the view (to the side, up) at the middle of the image.
        turn: by which the limb is turned in the image, clockwise, in degrees.
        mirrored: True where the view's side direction points to the left of the image.
    """

    shape: tuple[int, int]
    spacing: float
    centre: tuple[float, float]
    turn: float
    mirrored: bool

    def _matrix(self) -> np.ndarray:
        """From (columns, rows) off the middle to (side, up)."""
        angle = np.radians(self.turn)
        cos, sin = np.cos(angle), np.sin(angle)
        flip = -1 if self.mirrored else 1
        # Right and up of the image, turned back by the limb's turn.
        return self.spacing * np.array([[flip * cos, flip * sin], [sin, -cos]])

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the pixels lie in the view: to the side and up, each (H, W) float32."""
        rows = np.arange(self.shape[0], dtype=np.float32)[:, None] - (self.shape[0] - 1) / 2
        columns = np.arange(self.shape[1], dtype=np.float32) - (self.shape[1] - 1) / 2
        matrix = self._matrix().astype(np.float32)
        side, up = (row[0] * columns + row[1] * rows for row in matrix)
        return side + np.float32(self.centre[0]), up + np.float32(self.centre[1])

    def reduced(self, factor: int) -> Grid:
        """The same field with pixels that are larger by about a factor."""
        shape = tuple(-(-size // factor) for size in self.shape)
        return replace(self, shape=shape, spacing=self.spacing * self.shape[0] / shape[0])

    def window(self, corners: np.ndarray, margin: float) -> tuple[slice, slice]:
        """The part of the image that holds points (N, 2) of the view and some mm around them; may be empty."""
        columns, rows = np.linalg.solve(self._matrix(), (corners - self.centre).T)
        slices = []
        for values, size in ((rows, self.shape[0]), (columns, self.shape[1])):
            middle, reach = (size - 1) / 2, margin / self.spacing
            low = int(np.clip(np.floor(values.min() + middle - reach), 0, size))
            high = int(np.clip(np.ceil(values.max() + middle + reach) + 1, low, size))
            slices.append(slice(low, high))
        return tuple(slices)


def wrist(
    rng: np.random.Generator,
    view: str = "pa",
    size: tuple[int, int] = (1024, 682),
    fracture: Fracture | None = None,
    visible: bool = True,
    metal: Metal | bool = False,
    side: str = "R",
    person: Person | None = None,
    rotation_degrees: float = 0.0,
    look: Look | None = None,
    inverted: bool = False,
) -> WristImage:
    """Take one radiograph of a wrist.

    The same state of `rng` gives the same image with and without a fracture, but for the fracture.

    Args:
        rng: source of randomness; made by `numpy.random.default_rng`.
        view: "pa" or "lateral".
        size: rows and columns.
        fracture: of this person, or None.
        visible: whether this view shows the fracture.
        metal: what is screwed to the bone or worn; True draws something.
        side: "R" or "L".
        person: whose wrist; drawn if not given.
        rotation_degrees: by which the limb is turned clockwise from fingers up.
        look: how the image is taken; drawn if not given.
        inverted: True for bone dark.

    Raises:
        ValueError: for another view or side.
    """
    if view not in VIEWS or side not in SIDES:
        raise ValueError(f"a view of {VIEWS} and a side of {SIDES} are needed, not {view!r} and {side!r}")
    body, place, texture, film, extra = rng.spawn(5)
    person = Person.draw(body) if person is None else person
    if metal is True:
        metal = Metal.draw(extra, person)
    look = Look.draw(film, side) if look is None else look
    look = look.turned_dark() if inverted else look
    grid = draw_grid(place, person, view, size, side, rotation_degrees)
    shown = fracture if visible else None
    absorption, mask, has_metal = project(texture, person, view, grid, shown, metal or None)
    return WristImage(expose(film, absorption, grid.spacing, look), mask, view, side, has_metal)


def draw_grid(
    rng: np.random.Generator,
    person: Person,
    view: str,
    size: tuple[int, int],
    side: str = "R",
    rotation_degrees: float = 0.0,
) -> Grid:
    """Draw the field of an image: from the lower forearm to the middle of the hand, or the whole hand.

    Args:
        rng: source of randomness.
        person: whose wrist.
        view: "pa" or "lateral".
        size: rows and columns.
        side: "R" or "L".
        rotation_degrees: by which the limb is turned clockwise.
    """
    length = person.size * (rng.uniform(195, 240) if rng.random() < 0.07 else rng.uniform(115, 155))
    up = person.size * rng.uniform(0, 18) + 0.25 * (length - 135 * person.size)
    across = person.size * rng.uniform(-14, 0)
    # A field is about 1.5 times as long as wide, along the limb wherever the limb points.
    turned = abs(np.sin(np.radians(rotation_degrees))) > 0.7
    rows, columns = size[::-1] if turned else size
    return Grid(
        shape=size,
        spacing=length / min(rows, 1.6 * columns),
        centre=(across if view == "pa" else across / 2 + 6, up),
        turn=rotation_degrees,
        mirrored=(side == "R") == (view == "pa"),
    )


def project(
    rng: np.random.Generator,
    person: Person,
    view: str,
    grid: Grid,
    fracture: Fracture | None = None,
    metal: Metal | None = None,
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What the rays of one view pass.

    Args:
        rng: source of randomness, of the spongy bone's texture.
        person: whose wrist.
        view: "pa" or "lateral".
        grid: pixels.
        fracture: that is seen, or None.
        metal: or None.

    Returns:
        absorption: (H, W) float32, negative logarithm of the share of a ray that passes.
        fracture: (H, W) bool, where the fracture is seen.
        metal: whether metal lies in the image.
    """
    side, up = grid.points()
    broken = fracture.seen(person, view) if fracture is not None else None
    swelling = 0.0 if fracture is None else 0.12 * fracture.severity
    absorption = _flesh(person, view, grid, broken, swelling)
    mask = np.zeros(grid.shape, bool)
    texture = _texture(rng, grid, person.coarseness)
    for bone in person.bones[view]:
        own = broken if fracture is not None and bone.name == fracture.bone else None
        carried = broken if fracture is not None and own is None and _carries(fracture.bone, bone) else None
        corners = bone.box() if carried is None else carried.forth(bone.box())
        window = grid.window(corners, 1.0 if own is None else 12.0)
        if not mask[window].size:
            continue
        points = side[window], up[window]
        if own is not None:
            dense, spongy, mask[window] = own.thickness(bone, *points)
        else:
            dense, spongy = bone.thickness(*(points if carried is None else carried.back(*points)))
        spongy = spongy * texture[window]
        absorption[window] += np.float32(person.density) * (DENSE * dense + SPONGY * spongy)
    if metal is None:
        return absorption, mask, False
    carried = broken if fracture is not None and fracture.bone == "radius" else None
    return absorption, mask, metal.add(absorption, view, side, up, carried)


def _carries(broken: str, bone: Placed) -> bool:
    """Whether a bone moves with the fragment of a broken one."""
    if broken == "radius":
        return bone.ray is not None
    return broken.startswith("metacarpal") and bone.name.startswith(f"phalanx{broken[-1]}")


def _flesh(person: Person, view: str, grid: Grid, broken: Break | None, swelling: float) -> np.ndarray:
    """Absorption of the soft tissue, which is smooth: drawn on a coarse grid.

    It follows a fragment smoothly and is wider around the fracture by the share `swelling`.
    """
    coarse = grid.reduced(max(int(FLESH / grid.spacing), 1))
    side, up = coarse.points()
    if broken is not None:
        swollen = 1 + np.float32(swelling) * np.exp(-(((up - np.float32(broken.point[1])) / 35) ** 2))
        share = 0.5 + 0.5 * np.tanh(broken.beyond(side, up) / 16)
        side_before, up_before = broken.back(side, up)
        side, up = (side + share * (side_before - side)) / swollen, up + share * (up_before - up)
    fat = np.zeros(coarse.shape, np.float32)
    muscle = np.zeros(coarse.shape, np.float32)
    for piece in person.skin[view]:
        window = coarse.window(piece.box(), 8.0)
        if not fat[window].size:
            continue
        outer, inner = piece.thickness(side[window], up[window])
        fat[window] = np.maximum(fat[window], outer + inner)
        muscle[window] = np.maximum(muscle[window], inner)
    return enlarge(FAT * fat + (MUSCLE - FAT) * muscle, grid.shape).copy()


def _texture(rng: np.random.Generator, grid: Grid, coarseness: float) -> np.ndarray:
    """Beams of spongy bone: noise of mean 1, drawn out along the limb."""
    noise = rng.standard_normal(grid.shape, dtype=np.float32)
    along, across = 0.9 / grid.spacing, 0.24 / grid.spacing
    turned = abs(np.sin(np.radians(grid.turn))) > 0.7
    noise = gaussian_filter(noise, (across, along) if turned else (along, across), truncate=2.5)
    return 1 + np.float32(0.3 * coarseness) * noise / noise.std()
