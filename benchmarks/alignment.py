"""How upright wrists stand after the alignment, and how often with their fingers up, on generated radiographs.

Each wrist is turned by a random angle, from above and from the side in turn, and half of them are framed. Beside it
stands the principal axis of Otsu's foreground, which knows no up and takes the smaller turn.

    python benchmarks/alignment.py                 for the table in the documentation
    python benchmarks/alignment.py --wrists 20
    python benchmarks/alignment.py --fit           the weights of the fingers' end, from other wrists than those
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from scipy import ndimage

from monai_tasks.phantoms.radiograph_frames import framed
from monai_tasks.phantoms.radiography import Look, expose
from monai_tasks.phantoms.wrist import draw_grid, project
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.radiographs.alignment import align, rotation
from monai_tasks.radiographs.fingers import evidence
from monai_tasks.radiographs.foreground import body, exposed_field, largest_component, otsu, reduced

FIT, TEST = 61, 62  # first numbers of the seeds
SIZES = ((384, 256), (320, 320), (256, 384))


def generated(first: int, wrists: int, upright: bool = False) -> Iterator[tuple[str, np.ndarray, float]]:
    """View, pixels (H, W) and by how many degrees the fingers lean to the right of up."""
    for number in range(wrists):
        rng = np.random.default_rng([first, number])
        person, view, side = Person.draw(rng), VIEWS[number % 2], "LR"[number // 2 % 2]
        degrees = float(rng.normal(0, 4) if upright else rng.uniform(-180, 180))
        grid = draw_grid(rng, person, view, SIZES[number % 3], side, degrees)
        # Some fields are wider than a wrist, up to the whole hand.
        grid = replace(grid, spacing=grid.spacing * float(rng.choice([1, 1, rng.uniform(1.1, 1.8)])))
        absorption, _, _ = project(rng, person, view, grid)
        pixels = expose(rng, absorption, grid.spacing, Look.draw(rng, side))
        yield view, framed(rng, pixels) if number // 4 % 2 else pixels, degrees


def fit(wrists: int) -> None:
    """Print the weights of the evidence by logistic regression without a constant term."""
    from sklearn.linear_model import LogisticRegression

    found = []
    for _, pixels, _ in generated(FIT, wrists, upright=True):
        small, _ = reduced(pixels)
        field = exposed_field(small)
        found.append(evidence(small, field, body(small, field)))
    names = list(found[0])
    table = np.array([[row[name] for name in names] for row in found])
    both, up = np.concatenate([table, -table]), np.arange(2 * len(table)) < len(table)
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=5000).fit(both, up)
    print(f"{wrists} wrists; {100 * model.score(both, up):.2f} % right")
    for name, weight, alone in zip(names, model.coef_[0], (table > 0).mean(0), strict=True):
        print(f'    "{name}": {weight:.2f},  # alone {100 * alone:.1f} %')


def principal_axis(pixels: np.ndarray) -> float:
    """The turn by the principal axis of Otsu's foreground, closed and opened."""
    small, _ = reduced(pixels)
    mask = ndimage.binary_opening(ndimage.binary_closing(small > otsu(small)[0], iterations=2), iterations=2)
    down, right = np.linalg.eigh(np.cov(np.argwhere(largest_component(mask)).T))[1][:, 1]
    return float((np.degrees(np.arctan2(right, -down)) + 90) % 180 - 90)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees between directions, 0 to 180."""
    return abs((one - other + 180) % 360 - 180)


def show(name: str, turns: np.ndarray, degrees: np.ndarray, sure: np.ndarray) -> None:
    off = apart(turns, degrees)
    axis = np.minimum(off, 180 - off)
    up = off < 90
    print(
        f"  {name:<26}{len(off):>6}{np.median(axis):>9.1f}{np.quantile(axis, 0.95):>9.1f}{100 * up.mean():>9.1f} %"
        f"{100 * sure.mean():>9.1f} %{100 * up[sure].mean() if sure.any() else np.nan:>9.1f} %",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrists", type=int, default=200, help="generated")
    parser.add_argument(
        "--fit", action="store_true", help="print weights instead, from three times as many wrists"
    )
    chosen = parser.parse_args()
    if chosen.fit:
        fit(3 * chosen.wrists)
        return
    views, degrees, axes, turns, sure, again, seconds = [], [], [], [], [], [], []
    for view, pixels, degree in generated(TEST, chosen.wrists):
        views.append(view)
        degrees.append(degree)
        axes.append(principal_axis(pixels))
        started = time.perf_counter()
        result, found = align(pixels)
        seconds.append(time.perf_counter() - started)
        turns.append(found.degrees)
        sure.append(found.sure)
        again.append(rotation(result).degrees)
    views, degrees, axes, turns, sure, again = map(np.array, (views, degrees, axes, turns, sure, again))
    print(
        "degrees off upright, and share with fingers up; of all, and of those whose direction counts as known"
    )
    print(f"  {'':<26}{'images':>6}{'median':>9}{'95 %':>9}{'up':>11}{'known':>11}{'up':>11}")
    show("principal axis", axes, degrees, np.zeros(len(axes), bool))
    show("alignment", turns, degrees, sure)
    for view in VIEWS:
        show(f"alignment, {view}", turns[views == view], degrees[views == view], sure[views == view])
    print(
        f"  a second run leaves {100 * (again == 0).mean():.1f} % as they are; {1000 * np.median(seconds):.0f} ms"
    )


if __name__ == "__main__":
    main()
