"""Write generated HR-pQCT scans with the grades that several raters gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks.io.scanco_writer import write_isq, write_rsq
from monai_tasks.io.tables import write_table
from monai_tasks.phantoms.hrpqct_bone import SITES, Limb, Person
from monai_tasks.phantoms.hrpqct_slices import FEWER_VIEWS, INTERCEPT, SLOPE, VIEWS, acquire, draw_slices
from monai_tasks.transforms.motion_kinds import GRADES, KINDS, as_grade, draw_motion, spread_mm

# How many scans of a clinic had each grade.
REAL = {"radius": (139, 169, 233, 62, 8), "tibia": (334, 97, 42, 24, 2)}
BOTH_SITES = 0.5  # share of pairs of scans that are of one person
MU_SCALING = 8192
UNSURE, BIAS = 0.36, 0.1  # standard deviations of a rater's reading, and of what the rater reads too high
DARK = 100  # counts without radiation
TRUTH = "truth.csv"


@dataclass(frozen=True)
class ScanPlan:
    """What a scan shows.

    Attributes:
        number: of the scan, from 1.
        site: "radius" or "tibia".
        person: whose limb.
        severity: of the motion, 0.5 to 5.5.
        kind: of the motion.
    """

    number: int
    site: str
    person: Person
    severity: float
    kind: str

    @property
    def grade(self) -> int:
        """The severity as a grade from 1 to 5."""
        return as_grade(self.severity)


def grade_shares(site: str, shares: str | Mapping[str, Sequence[float]] = "mixed") -> np.ndarray:
    """How often each grade occurs.

    Args:
        site: "radius" or "tibia".
        shares: "real" as in a clinic's 1000 scans, "even", "mixed" half way between the two, or five weights a site.

    Returns:
        (5,), sums to 1.

    Raises:
        ValueError: for other words or weights.
    """
    named = {"real": 1.0, "mixed": 0.5, "even": 0.0}
    if isinstance(shares, str):
        if shares not in named:
            raise ValueError(f"shares: got {shares!r}; expected {', '.join(named)} or five weights a site")
        real = np.array(REAL[site]) / sum(REAL[site])
        return named[shares] * real + (1 - named[shares]) / len(GRADES)
    weights = np.array(shares[site], np.float64)
    if weights.shape != (len(GRADES),) or (weights < 0).any() or not weights.sum() > 0:
        raise ValueError(f"shares of {site}: got {shares[site]}; expected five weights, none below 0")
    return weights / weights.sum()


def plan_scan(number: int, seed: int = 0, shares: str | Mapping[str, Sequence[float]] = "mixed") -> ScanPlan:
    """Draw what a scan shows. It depends on the seed, its number and the shares alone.

    Half of the scans come in pairs, radius and tibia of one person.

    Args:
        number: of the scan, from 1.
        seed: another seed gives other scans.
        shares: of the grades, as for `grade_shares`.
    """
    first = number - 1 + number % 2  # of its pair
    pair = np.random.default_rng([seed, first, 1])
    is_one_person, site = pair.random() < BOTH_SITES, int(pair.integers(2))
    rng = np.random.default_rng([seed, number, 2])
    if number != first:
        site = 1 - site if is_one_person else int(rng.integers(2))
    person = first if is_one_person else number
    grade = rng.choice(GRADES, p=grade_shares(SITES[site], shares))
    return ScanPlan(
        number=number,
        site=SITES[site],
        person=Person.draw(np.random.default_rng([seed, person, 3]), person),
        severity=float(grade + rng.uniform(-0.5, 0.5)),
        kind=str(rng.choice(list(KINDS))),
    )


def read_grades(severity: float, raters: int, rng: np.random.Generator, biases: np.ndarray) -> list[int]:
    """The grades that raters give.

    Args:
        severity: of the motion.
        raters: how many.
        rng: source of randomness.
        biases: (raters,), how much too high each reads.
    """
    return [as_grade(value) for value in severity + biases + UNSURE * rng.standard_normal(raters)]


def write_hrpqct(
    folder: str | Path,
    scans: int,
    seed: int = 0,
    size: int = 256,
    slices: int = 8,
    raters: int = 3,
    shares: str | Mapping[str, Sequence[float]] = "mixed",
    texture: str | Path | None = None,
    projections: bool = False,
    jobs: int = 1,
) -> Path:
    """Write scans as ISQ files with grades.csv, in the layout of `monai_tasks.datasets.hrpqct`.

    Beside grades.csv lies truth.csv: image, site, subject, grade, severity, kind of motion, and how far the bone moved,
    as a root mean square in mm. A scan depends on the seed and its number alone: a larger `scans` adds some and changes
    none.

    Args:
        folder: to write to; made if missing.
        scans: how many.
        seed: another seed gives other scans of other persons.
        size: edge of a slice in pixels; the limb fills it.
        slices: of a scan, over 9.02 mm.
        raters: columns rater_1, rater_2, ... of grades.csv.
        shares: of the grades: "real", "mixed", "even", or five weights for each site.
        texture: a micro-CT image of spongy bone whose network the bones get; drawn if not given.
        projections: also write the views as projections/NAME.RSQ. Scans then have as many views as the scanner takes,
            which takes twice as long.
        jobs: number of processes.

    Returns:
        The folder.

    Raises:
        ValueError: when there are no scans or raters, fewer than 32 pixels, or unknown shares.
    """
    if scans < 1 or raters < 1 or size < 32 or slices < 1:
        raise ValueError(
            f"{scans} scans, {raters} raters, {size} pixels and {slices} slices; expected 1, 1, 32 and 1 at least"
        )
    folder = Path(folder)
    for site in SITES:
        grade_shares(site, shares)
    biases = np.random.default_rng([seed, 0, 5]).normal(0, BIAS, raters)
    write = partial(_write_scan, folder, seed, size, slices, biases, shares, texture, projections)
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
            rows = list(pool.map(write, range(1, scans + 1), chunksize=4))
    else:
        rows = [write(number) for number in range(1, scans + 1)]
    given = [f"rater_{number + 1}" for number in range(raters)]
    for name, columns in (("grades.csv", given), (TRUTH, ["grade", "severity", "kind", "spread_mm"])):
        columns = ["image", "site", "subject", *columns]
        write_table(folder / name, [{key: row[key] for key in columns} for row in rows], columns)
    return folder


def _one_thread() -> None:
    """Processes side by side compute with one thread each."""
    import torch

    torch.set_num_threads(1)


def _write_scan(
    folder: Path, seed: int, size: int, slices: int, biases: np.ndarray, shares: Any,
    texture: str | Path | None, projections: bool, number: int,
) -> dict[str, Any]:  # fmt: skip
    """Write one scan; gives its row of both tables."""
    plan = plan_scan(number, seed, shares)
    body, course, detector, reading = np.random.default_rng([seed, number, 4]).spawn(4)
    drawn = draw_slices(body, Limb.draw(body, plan.site, plan.person), size, slices, texture)
    views = VIEWS if projections else FEWER_VIEWS
    motion = draw_motion(course, plan.kind, plan.severity, views + 1, drawn.bone_radius)
    photons = detector.uniform(20_000, 60_000)
    image, integrals = acquire(detector, drawn, motion, photons, views)
    name = f"S{number:05d}_{plan.site}"
    stored = np.clip(np.rint(image * MU_SCALING), -(2**15), 2**15 - 1).astype(np.int16)
    path = f"scans/{name}.ISQ"
    write_isq(folder / path, stored, drawn.spacing, MU_SCALING, SLOPE, INTERCEPT)
    if projections:
        _write_projections(folder / "projections" / f"{name}.RSQ", integrals, photons)
    grades = read_grades(plan.severity, len(biases), reading, biases)
    return {
        "image": path,
        "site": plan.site,
        "subject": f"P{plan.person.number:05d}",
        **{f"rater_{index}": grade for index, grade in enumerate(grades, start=1)},
        "grade": plan.grade,
        "severity": f"{plan.severity:.3f}",
        "kind": plan.kind,
        "spread_mm": f"{spread_mm(plan.severity):.4f}",
    }


def _write_projections(path: Path, integrals: np.ndarray, photons: float) -> None:
    """Write integrals (views, rows, columns) as counts, with a frame without radiation and one without an object."""
    counts = np.clip(np.rint(DARK + photons * np.exp(-integrals)), 0, 2**16 - 1).astype(np.uint16)
    dark, bright = (np.full(counts.shape[1:], round(value), np.uint16) for value in (DARK, DARK + photons))
    write_rsq(path, counts, 180.0 / (len(integrals) - 1), dark, bright)
