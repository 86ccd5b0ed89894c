"""Draw what motion of each grade does to a scan of one generated radius, for the page about motion.

python docs/motion_picture.py -o docs
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from knee_pictures import TEXT, new_figure, save

from monai_tasks.phantoms.hrpqct_bone import Limb, Person
from monai_tasks.phantoms.hrpqct_slices import FEWER_VIEWS, INTERCEPT, SLOPE, acquire, draw_slices
from monai_tasks.transforms.motion_kinds import GRADES, KINDS, draw_motion, spread_mm

SEED, MOTION_SEED = 12, 3
SHOWN = -300, 1000  # mg HA/ccm, from black to white
PHOTONS = 100_000  # less noise than in a usual scan, so that the motion is what differs
FINE = 104  # dots an inch
MARGIN = 1.25  # of the bone's half width that is shown


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("motion_picture_out"))
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    slices = draw_slices(rng, Limb.draw(rng, "radius", Person.draw(rng)), 320, 1)
    along, across = (round(float(np.median(axis))) for axis in np.nonzero(slices.attenuation[0] > 0.45))
    reach = round(MARGIN * slices.bone_radius / slices.spacing[0])
    window = slice(max(along - reach, 0), along + reach), slice(max(across - reach, 0), across + reach)
    figure = new_figure(5.9)
    figure.set_dpi(FINE)
    panels = figure.subplots(len(KINDS), len(GRADES))
    for row, kind in zip(panels, KINDS, strict=True):
        for axes, grade in zip(row, GRADES, strict=True):
            motion = draw_motion(
                np.random.default_rng(MOTION_SEED), kind, grade, FEWER_VIEWS + 1, slices.bone_radius
            )
            image, _ = acquire(np.random.default_rng(SEED), slices, motion, PHOTONS)
            density = image[..., 0] * SLOPE + INTERCEPT
            axes.imshow(density[window], cmap="gray", vmin=SHOWN[0], vmax=SHOWN[1])
            axes.set_xticks([])
            axes.set_yticks([])
            if kind == next(iter(KINDS)):
                axes.set_title(f"grade {grade}\n{spread_mm(grade):.2f} mm", fontsize=TEXT)
        row[0].set_ylabel(kind, fontsize=TEXT)
    save(figure, arguments.output / "motion_grades.png")


if __name__ == "__main__":
    main()
