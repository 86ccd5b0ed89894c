"""Generated radiographs of seven regions of the upper limb, normal or with a fracture, metal or both."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from monai_tasks.datasets.mura import REGIONS
from monai_tasks.phantoms.radiography import Look, expose
from monai_tasks.phantoms.upper_arm import LENGTH, draw_upper_arm
from monai_tasks.phantoms.wrist import SIDES, Grid, project
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import Fracture
from monai_tasks.phantoms.wrist_metal import Metal, Rod

# Shares of the abnormal studies that show a fracture, metal, or both.
SHARES = (0.3, 0.35, 0.35)
UPPER = ("elbow", "humerus", "shoulder")


@dataclass(frozen=True)
class Region:
    """Where the field of a region lies in the frame of its anatomy, and what breaks there.

    Attributes:
        length: smallest and largest length of the field along the limb, in mm.
        centre: of the field: to the side, up.
        breaks: bone, and smallest and largest share of its length at which it breaks.
    """

    length: tuple[float, float]
    centre: tuple[float, float]
    breaks: tuple[tuple[str, float, float], ...]


FIELDS = {
    "elbow": Region(
        (135, 180), (4, -LENGTH + 4), (("humerus", 0.05, 0.16), ("radius", 0.8, 0.9), ("ulna", 0.6, 0.85))
    ),
    "finger": Region(
        (85, 120), (0, 0), (("phalanx2.1", 0.3, 0.7), ("phalanx3.1", 0.3, 0.7), ("phalanx4.1", 0.3, 0.7))
    ),
    "forearm": Region((190, 225), (-10, -72), (("radius", 0.35, 0.65), ("ulna", 0.35, 0.65))),
    "hand": Region((175, 215), (-2, 66), tuple((f"metacarpal{ray}", 0.2, 0.65) for ray in (2, 3, 4, 5))),
    "humerus": Region((200, 260), (-4, -150), (("humerus", 0.35, 0.65),)),
    "shoulder": Region((140, 185), (-24, -26), (("humerus", 0.78, 0.88), ("clavicle", 0.62, 0.85))),
    "wrist": Region((115, 155), (-7, 10), (("radius", 0.84, 0.92),)),
}


@dataclass(frozen=True)
class BoneStudy:
    """What a study shows.

    Attributes:
        region: one of `REGIONS`.
        person: whose limb.
        side: "R" or "L".
        finger: number of the finger in the middle of the field, for the region "finger".
        fracture: or None.
        metal: or None.
    """

    region: str
    person: Person
    side: str
    finger: int
    fracture: Fracture | None
    metal: Metal | None

    @property
    def abnormal(self) -> bool:
        """Whether there is a fracture or metal."""
        return self.fracture is not None or self.metal is not None

    @classmethod
    def draw(
        cls, rng: np.random.Generator, region: str, abnormal: bool, body: np.random.Generator
    ) -> BoneStudy:
        """Draw a study.

        Args:
            rng: source of randomness.
            region: one of `REGIONS`.
            abnormal: whether there is a fracture, metal, or both.
            body: source of randomness for the person alone.

        Raises:
            ValueError: for another region.
        """
        if region not in REGIONS:
            raise ValueError(f"a region of {', '.join(REGIONS)} is needed, not {region!r}")
        person = draw_upper_arm(body) if region in UPPER else Person.draw(body)
        name, low, high = FIELDS[region].breaks[rng.integers(len(FIELDS[region].breaks))]
        share = float(rng.uniform(low, high))
        fracture = _fracture(rng, person, name, share, FIELDS[region].length[0] / 110)
        metal = _metal(rng, person, region, name, share)
        kind = rng.choice(3, p=SHARES)
        return cls(
            region=region,
            person=person,
            side=str(rng.choice(SIDES)),
            finger=int(name[7]) if region == "finger" else int(rng.integers(2, 5)),
            fracture=fracture if abnormal and kind != 1 else None,
            metal=metal if abnormal and kind != 0 else None,
        )

    def image(self, rng: np.random.Generator, view: str, size: tuple[int, int]) -> np.ndarray:
        """Take one image of the study.

        Args:
            rng: source of randomness.
            view: "pa" or "lateral".
            size: rows and columns.

        Returns:
            (H, W) uint16, white where the body is dense; H and W change places where the limb lies across.

        Raises:
            ValueError: for another view.
        """
        if view not in VIEWS:
            raise ValueError(f"a view of {VIEWS} is needed, not {view!r}")
        place, texture, film = rng.spawn(3)
        grid = self._grid(place, view, size)
        absorption, _, _ = project(texture, self.person, view, grid, self.fracture, self.metal)
        look = Look.draw(film, self.side)
        return expose(film, absorption, grid.spacing, look)

    def _grid(self, rng: np.random.Generator, view: str, size: tuple[int, int]) -> Grid:
        """The field of an image; some limbs lie across it or upside down."""
        field, scale = FIELDS[self.region], self.person.size
        turn = float(rng.choice([0, 90, 180, 270], p=(0.86, 0.06, 0.02, 0.06)) + rng.normal(0, 7))
        length = scale * float(rng.uniform(*field.length))
        centre = scale * (np.array(field.centre) + rng.normal(0, 0.03, 2) * field.length[0])
        if self.region == "finger":
            centre += self.person.bone(view, f"phalanx{self.finger}.1").to_view(0, 22 * scale)
        if self.region == "elbow" and view == "lateral":
            centre += scale * np.array([20, 8])
        across = abs(np.sin(np.radians(turn))) > 0.7
        rows, columns = size
        return Grid(
            shape=(columns, rows) if across else size,
            spacing=length / min(rows, 1.6 * columns),
            centre=tuple(centre.tolist()),
            turn=turn,
            mirrored=(self.side == "R") == (view == "pa"),
        )


def _along(person: Person, view: str, name: str, share: float) -> float:
    """The height at a share of a bone's length, in the bone's own frame."""
    *_, bottom, top = person.bone(view, name).shape.box()
    return bottom + share * (top - bottom)


def _fracture(rng: np.random.Generator, person: Person, name: str, share: float, wide: float) -> Fracture:
    """A fracture of a bone of any region; `wide` is the factor of its gap and its shift."""
    drawn = Fracture.draw(rng, person, "radius", float(rng.uniform(0.75, 1)))
    place = {view: (0.0, _along(person, view, name, share)) for view in VIEWS}
    shift = tuple(wide * way for way in drawn.shift)
    return replace(drawn, bone=name, place=place, shift=shift, gap=max(wide, 0.8) * drawn.gap)


def _metal(rng: np.random.Generator, person: Person, region: str, name: str, share: float) -> Metal:
    """What holds a bone together: in wrists as it is there, elsewhere a plate with screws, or a nail."""
    if region == "wrist":
        return Metal.draw(rng, person, str(rng.choice(["plate", "wires"])))
    bone = person.bone("pa", name)
    *_, bottom, top = bone.shape.box()
    half = 0.5 * (bone.shape.box()[1] - bone.shape.box()[0])
    nail = bool(rng.random() < 0.3)
    reach = min((0.45 if nail else 0.3) * (top - bottom), 70.0) * float(rng.uniform(0.7, 1))
    wide = float(np.clip(0.36 * half, 1.8, 7.0))
    holes = np.linspace(0.1, 0.9, int(rng.integers(4, 8)))
    rods = {}
    for view in VIEWS:
        placed = person.bone(view, name)
        middle = _along(person, view, name, share)
        aside = 0.0 if nail or view == "pa" else 0.75 * half
        ends = [placed.to_view(aside, float(np.clip(middle + way * reach, bottom, top))) for way in (-1, 1)]
        if nail:
            rods[view] = (Rod(*ends, 0.8 * wide, 0.8 * wide),)
            continue
        pieces = [Rod(*ends, wide, 2.2, tuple(holes.tolist())) if view == "pa" else Rod(*ends, 2.0, wide)]
        for hole in holes if view == "lateral" else ():
            height = middle + (2 * hole - 1) * reach
            pieces.append(
                Rod(
                    placed.to_view(aside, height),
                    placed.to_view(-0.9 * half, height),
                    0.35 * wide,
                    0.35 * wide,
                )
            )
        rods[view] = tuple(pieces)
    return Metal("plate", rods)
