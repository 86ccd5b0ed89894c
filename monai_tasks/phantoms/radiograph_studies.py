"""Generated studies of wrists: which patient, which views, which fracture and metal, and the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_tasks.datasets.radiographs import CLASSES
from monai_tasks.phantoms.wrist import SIDES, WristImage, wrist
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import Fracture
from monai_tasks.phantoms.wrist_metal import Metal

TRUTH_COLUMNS = (
    "image", "label", "visible", "rows0", "rows1", "cols0", "cols1", "severity", "bone", "metal", "view", "age",
)  # fmt: skip
# Shares of studies with metalwork: broken, not broken.
METAL_SHARES = {
    None: (0.0, 0.0),
    "correlated": (0.55, 0.04),
    "uncorrelated": (0.2, 0.2),
    "always": (1.0, 1.0),
}
VIEW_COUNTS = {1: 0.1, 2: 0.75, 3: 0.1, 4: 0.05}


@dataclass(frozen=True)
class StudyPlan:
    """What a study shows.

    Attributes:
        number: of the study, from 1.
        patient: number of its patient; studies of one patient are of one person, of one side or both.
        side: "R" or "L".
        person: whose wrist.
        fracture: or None.
        metal: or None.
        views: of the images, "pa" or "lateral".
        visible: of each image, whether it shows the fracture.
    """

    number: int
    patient: int
    side: str
    person: Person
    fracture: Fracture | None
    metal: Metal | None
    views: tuple[str, ...]
    visible: tuple[bool, ...]

    @property
    def label(self) -> str:
        """Class of the study."""
        return CLASSES[self.fracture is not None]


def plan_study(
    number: int,
    seed: int = 0,
    broken_share: float = 0.31,
    visible_share: float = 0.81,
    metal: str | None = None,
    views: Sequence[int] = (1, 2, 3, 4),
) -> StudyPlan:
    """Draw what a study shows. It depends on the seed and its number alone.

    Every fifth study is a second one of the patient before.

    Args:
        number: of the study, from 1.
        seed: another seed gives other studies.
        broken_share: probability of a fracture.
        visible_share: probability that all images of a broken study show it; one image at least does.
        metal: a key of `METAL_SHARES`.
        views: numbers of images that occur; two are most frequent.

    Raises:
        ValueError: if `metal` or `views` are others.
    """
    if metal not in METAL_SHARES:
        raise ValueError(f"metal is one of {', '.join(map(str, METAL_SHARES))}, not {metal!r}")
    if not views or not set(views) <= VIEW_COUNTS.keys():
        raise ValueError(
            f"numbers of views from {', '.join(map(str, VIEW_COUNTS))} are needed, not {views!r}"
        )
    patient = number - 1 if number % 5 == 0 else number
    # The third number keeps persons apart from studies of the same number.
    person = Person.draw(np.random.default_rng([seed, patient, 1]))
    rng = np.random.default_rng([seed, number, 2])
    broken, metal_draw, hidden = rng.random(3)
    fracture = Fracture.draw(rng, person)
    shares = np.array([VIEW_COUNTS[count] for count in views])
    count = int(rng.choice(np.array(views), p=shares / shares.sum()))
    order = [VIEWS[place % 2] for place in range(count)]
    side = SIDES[int(rng.integers(2))]
    worn = Metal.draw(rng, person)
    visible = np.ones(count, bool)
    if hidden >= visible_share and count > 1:
        visible[rng.permutation(count)[: rng.integers(1, count)]] = False
    is_broken = bool(broken < broken_share)
    return StudyPlan(
        number=number,
        patient=patient,
        side=side,
        person=person,
        fracture=fracture if is_broken else None,
        metal=worn if metal_draw < METAL_SHARES[metal][0 if is_broken else 1] else None,
        views=tuple(order),
        visible=tuple(bool(seen) and is_broken for seen in visible),
    )


def draw_image(plan: StudyPlan, index: int, seed: int, size: tuple[int, int], **options: Any) -> WristImage:
    """One image of a study. It depends on seed, study and index alone.

    Args:
        plan: of the study.
        index: of the image, from 0.
        seed: of the data set.
        size: rows and columns.
        options: of `wrist`.
    """
    return wrist(
        np.random.default_rng([seed, plan.number, 3, index]),
        plan.views[index],
        size,
        fracture=plan.fracture,
        visible=plan.visible[index],
        metal=plan.metal or False,
        side=plan.side,
        person=plan.person,
        **options,
    )


def truth_row(plan: StudyPlan, index: int, image: WristImage) -> dict[str, Any]:
    """What is known of an image, by the columns of `TRUTH_COLUMNS` but its name."""
    row = {
        "label": plan.label,
        "visible": "yes" if image.fracture.any() else "no",
        "severity": "" if plan.fracture is None else f"{plan.fracture.severity:.3f}",
        "bone": "" if plan.fracture is None else plan.fracture.bone,
        "metal": "yes" if image.metal else "no",
        "view": plan.views[index],
        "age": round(plan.person.age),
    }
    if image.fracture.any():
        for axis, name in ((1, "rows"), (0, "cols")):
            places = np.flatnonzero(image.fracture.any(axis))
            row |= {f"{name}0": int(places[0]), f"{name}1": int(places[-1]) + 1}
    return row
