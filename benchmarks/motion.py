"""Simulated motion of HR-pQCT scans: what it changes, how fast it is, and how motion estimates follow its severity.

Kinds: how much motion of each kind and grade changes a slice.

Speed: slices of generated limbs are projected, moved and reconstructed, beside the plain way, which turns the slices by
`scipy.ndimage` for each view and back-projects the views one by one.

Estimates: QME of the projections of generated scans, from their files, with Spearman's correlation to the severity of
the motion.

    python benchmarks/motion.py
    python benchmarks/motion.py --kinds 0 --scans 2 --estimates 0        the speed alone
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import affine_transform
from scipy.stats import spearmanr

from monai_tasks.evaluation.motion_estimates import estimate_motion
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.hrpqct import plan_scan, write_hrpqct
from monai_tasks.phantoms.hrpqct_bone import SITES, Limb, Person
from monai_tasks.phantoms.hrpqct_slices import FEWER_VIEWS, acquire, draw_slices
from monai_tasks.transforms.motion import Motion, half_turn, move, project, reconstruct
from monai_tasks.transforms.motion_kinds import GRADES, KINDS, draw_motion
from monai_tasks.transforms.rand_motion import RandMotion

SIZE, SLICES = 256, 8
RESAMPLES = 2000
REPEATS = 7
SMALL, FEW = 128, 4  # pixels and slices of the scans for the estimates


def timed(work: Callable[..., Any], *given: Any) -> tuple[Any, float, float]:
    """What the work gives, its seconds by the clock, and those of the processor."""
    wall, processor = time.perf_counter(), time.process_time()
    found = work(*given)
    return found, time.perf_counter() - wall, time.process_time() - processor


def our_way(slices: torch.Tensor, motion: Motion, spacing: float) -> torch.Tensor:
    """(Z, N, N), without noise."""
    angles = half_turn(len(motion))
    return reconstruct(move(project(slices, angles), motion, spacing), angles)


def plain_projections(slices: np.ndarray, motion: Motion, spacing: float) -> np.ndarray:
    """(Z, views, bins): each view is the sum of slices that were moved and turned."""
    middle = np.full(2, (slices.shape[1] - 1) / 2)
    views = []
    for angle, shift, rotation in zip(
        half_turn(len(motion)), motion.shift_mm, motion.rotation_degrees, strict=True
    ):
        limb, seen = (turn(degrees) for degrees in (rotation, angle))
        # From a pixel of the turned view to one of the limb at rest.
        back = limb.T @ seen
        offset = middle - limb.T @ (shift / spacing) - back @ middle
        matrix, place = np.eye(3), np.zeros(3)
        matrix[1:, 1:], place[1:] = back, offset
        views.append(affine_transform(slices, matrix, place, order=1).sum(2))
    return np.stack(views, 1)


def turn(degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def plain_reconstruction(sinogram: np.ndarray) -> np.ndarray:
    """(Z, N, N): each filtered view is spread over the slice, one after the other."""
    count, bins = sinogram.shape[1:]
    length = 2 * bins
    distance = np.fft.fftfreq(length, 1 / length)
    kernel = np.zeros(length)
    odd = distance % 2 == 1
    kernel[odd], kernel[0] = -1 / (np.pi * distance[odd]) ** 2, 0.25
    spectrum = np.fft.rfft(sinogram, length) * np.fft.rfft(kernel).real
    filtered = np.fft.irfft(spectrum, length)[..., :bins]
    place = np.arange(bins) - (bins - 1) / 2
    image = np.zeros((len(sinogram), bins, bins))
    for view, angle in enumerate(np.radians(half_turn(count))):
        rays = place[:, None] * np.cos(angle) + place * np.sin(angle)
        for number in range(len(sinogram)):
            image[number] += np.interp(rays, place, filtered[number, view], 0, 0)
    return image * np.pi / count


def speed(scans: int) -> None:
    """Print the time of a scan's parts, and of the plain way for one of them."""
    found = []
    for number in range(1, scans + 2):
        plan = plan_scan(number, seed=77)
        rng = np.random.default_rng([77, number])
        limb = Limb.draw(rng, plan.site, plan.person)
        slices, *drawn = timed(draw_slices, rng, limb, SIZE, SLICES)
        motion = draw_motion(rng, plan.kind, plan.severity, FEWER_VIEWS + 1, slices.bone_radius)
        _, *scanned = timed(acquire, rng, slices, motion)
        # The first one also loads libraries.
        if number > 1:
            found.append((*drawn, *scanned))
    draw_wall, draw_processor, wall, processor = np.median(found, 0)
    print(
        f"{scans} scans of {SLICES} slices of {SIZE} x {SIZE} pixels, {FEWER_VIEWS} views, 1 thread; medians"
    )
    print(f"  drawing a limb            {draw_processor:7.2f} s of processor {draw_wall:7.2f} s")
    print(f"  projecting, moving, noise, reconstruction {processor:7.2f} s of processor {wall:7.2f} s")
    both = draw_processor + processor
    print(f"  {60 / both:.0f} scans a minute of one processor; 200 scans on two: {100 * both / 60:.1f} min")
    augment = RandMotion(prob=1.0, spacing_mm=slices.spacing[0]).set_random_state(0)
    image = torch.from_numpy(slices.attenuation).movedim(0, -1)[None]
    wall, processor = np.median([timed(augment, image)[1:] for _ in range(REPEATS)], 0)
    print(f"  RandMotion of such a scan {processor:7.2f} s of processor {wall:7.2f} s")
    motion = draw_motion(rng, "drift", 4.0, FEWER_VIEWS, slices.bone_radius)
    spacing = slices.spacing[0]
    at_rest = torch.from_numpy(slices.attenuation)
    repeated = [timed(our_way, at_rest, motion, spacing) for _ in range(REPEATS)]
    ours = repeated[0][0]
    wall, processor = np.median([seconds for _, *seconds in repeated], 0)
    plain, plain_wall, plain_processor = timed(
        lambda: plain_reconstruction(plain_projections(slices.attenuation, motion, spacing))
    )
    # Within a square that all views see.
    middle = slice(SIZE // 4, -SIZE // 4)
    off = np.sqrt(np.mean((ours.numpy() - plain)[:, middle, middle] ** 2)) / plain.std()
    print(f"  the same without noise    {processor:7.2f} s of processor {wall:7.2f} s")
    print(f"  the plain way             {plain_processor:7.2f} s of processor {plain_wall:7.2f} s", end="")
    print(
        f"  {plain_processor / processor:.0f} times ours; images differ by {100 * off:.1f} % of their deviation"
    )


def kinds(motions: int) -> None:
    """Print how much of the deviation of a slice's attenuation each kind and grade of motion changes."""
    size, views = 192, 256
    angles = half_turn(views)
    print(
        f"slices of {size} pixels; change as a share of their deviation, mean ± deviation of {motions} motions"
    )
    for number, site in enumerate(SITES):
        rng = np.random.default_rng([5, number])
        slices = draw_slices(rng, Limb.draw(rng, site, Person.draw(rng)), size, 1)
        at_rest = project(torch.from_numpy(slices.attenuation), angles)
        unmoved = reconstruct(at_rest, angles)
        for kind in KINDS:
            texts = []
            for grade in GRADES:
                changes = []
                for seed in range(motions):
                    motion = draw_motion(
                        np.random.default_rng([7, seed]), kind, grade, views, slices.bone_radius
                    )
                    # About the mean place, so that lying elsewhere is no change.
                    centred = Motion(
                        motion.shift_mm - motion.shift_mm.mean(0),
                        motion.rotation_degrees - motion.rotation_degrees.mean(),
                    )
                    moved = reconstruct(move(at_rest, centred, slices.spacing[0]), angles)
                    changes.append(float((moved - unmoved).std() / unmoved.std()))
                texts.append(f"{np.mean(changes):.3f} ± {np.std(changes):.3f}")
            print(f"  {site:<8}{kind:<8}{'   '.join(texts)}")
    print(flush=True)


def estimates(scans: int, folder: Path, jobs: int) -> None:
    """Print Spearman's correlation of both estimates with the severity of the motion."""
    write_hrpqct(folder, scans, 78, SMALL, FEW, shares="even", projections=True, jobs=jobs)
    summary = estimate_motion([folder / "projections"], folder / "qme")
    values = {Path(row["file"]).stem: row for row in summary.rows}
    truth = read_table(folder / "truth.csv")
    rows = [(row, values[Path(row["image"]).stem]) for row in truth]
    print(
        f"\n{scans} scans of {SMALL} pixels, {FEW} rows and 751 views; Spearman's correlation with severity"
    )
    groups = {"all": rows}
    groups |= {
        name: [pair for pair in rows if name in (pair[0]["site"], pair[0]["kind"])]
        for name in ("radius", "tibia", *KINDS)
    }
    for name, group in groups.items():
        texts = [correlation(group, estimate) for estimate in ("qme_ssd", "qme_ncc")]
        print(f"  {name:<8}{len(group):>5}  QME_SSD {texts[0]}  QME_NCC {texts[1]}")
    print("  medians by grade, QME_SSD, QME_NCC:")
    for grade in "12345":
        own = [(found["qme_ssd"], found["qme_ncc"]) for row, found in rows if row["grade"] == grade]
        print("    {}  {:10.2f} {:10.4f}".format(grade, *np.median(own, 0)))


def correlation(rows: list[tuple[dict, dict]], estimate: str) -> str:
    """Spearman's correlation with its bootstrap interval by person."""
    severity = np.array([float(row["severity"]) for row, _ in rows])
    found = np.array([value[estimate] for _, value in rows])
    _, person = np.unique([row["subject"] for row, _ in rows], return_inverse=True)
    drawn = []
    for weights in draws(person.max() + 1, len(rows), RESAMPLES):
        for times in weights[:, person].astype(int):
            taken = np.repeat(np.arange(len(rows)), times)
            drawn.append(spearmanr(severity[taken], found[taken]).statistic)
    low, high, _ = percentile_interval(np.array(drawn))
    return f"{spearmanr(severity, found).statistic:6.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--kinds", type=int, default=10, help="motions of each kind and grade; 0 leaves them out"
    )
    parser.add_argument("--scans", type=int, default=8, help="for the speed; 0 leaves it out")
    parser.add_argument(
        "--estimates", type=int, default=200, help="scans for the estimates; 0 leaves them out"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that make the scans for the estimates")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.kinds:
        kinds(chosen.kinds)
    if chosen.scans:
        speed(chosen.scans)
    if chosen.estimates:
        with tempfile.TemporaryDirectory() as folder:
            estimates(chosen.estimates, Path(folder), chosen.jobs)


if __name__ == "__main__":
    main()
