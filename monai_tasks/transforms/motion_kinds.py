"""How limbs move during a scan: drift, twitch and spasm, in grades from 1 (none to be seen) to 5 (severe)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from monai_tasks.transforms.motion import Motion

GRADES = (1, 2, 3, 4, 5)
# Severity, which a grade rounds, and how far the bone is from its mean place, as a root mean square in mm.
SEVERITIES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 5.5)
SPREADS_MM = (0.0, 0.02, 0.06, 0.11, 0.24, 0.5, 1.0, 1.4)

Random = np.random.Generator | np.random.RandomState


def spread_mm(severity: float) -> float:
    """How far the bone moves at a severity: the root mean square of its distance from its mean place, in mm.

    Args:
        severity: 0.5 to 5.5; a grade is the severity rounded.

    Raises:
        ValueError: for another severity.
    """
    if not SEVERITIES[0] <= severity <= SEVERITIES[-1]:
        raise ValueError(f"severity: got {severity}; expected {SEVERITIES[0]} to {SEVERITIES[-1]}")
    return float(np.interp(severity, SEVERITIES, SPREADS_MM))


def as_grade(severity: float) -> int:
    """The nearest grade from 1 to 5; halves are the higher one.

    Args:
        severity: any number.
    """
    return int(np.clip(np.floor(severity + 0.5), GRADES[0], GRADES[-1]))


def draw_motion(rng: Random, kind: str, severity: float, views: int, radius_mm: float) -> Motion:
    """Draw a motion of a kind and severity.

    Args:
        rng: source of randomness.
        kind: of `KINDS`.
        severity: 0.5 to 5.5.
        views: of the scan, equally spaced in time.
        radius_mm: half the width of the bone, from which the reach of a rotation follows.

    Raises:
        ValueError: for another kind or severity, or less than two views.
    """
    if kind not in KINDS or views < 2:
        raise ValueError(
            f"a kind of {', '.join(KINDS)} and 2 views or more are needed, not {kind!r}, {views}"
        )
    far = spread_mm(severity)
    course = KINDS[kind](rng, np.linspace(0.0, 1.0, views))
    motion = Motion(course[:, :2], np.degrees(course[:, 2] / radius_mm))
    return motion.scaled(far / motion.spread_mm(radius_mm))


def drift(rng: Random, times: np.ndarray) -> np.ndarray:
    """Slowly away, as a limb that relaxes, with some swaying.

    Args:
        rng: source of randomness.
        times: (views,), from 0 to 1.

    Returns:
        (views, 3): along the two axes, and along the arc of a rotation, in a scale of its own.
    """
    start, bend = rng.uniform(0.0, 0.35), rng.uniform(0.7, 1.6)
    away = np.clip((times - start) / (1 - start), 0, 1) ** bend
    sway = np.sin(2 * np.pi * (rng.uniform(0.5, 2.0) * times + rng.uniform()))
    return np.outer(away, _direction(rng)) + np.outer(rng.uniform(0.0, 0.2) * sway, _direction(rng))


def twitch(rng: Random, times: np.ndarray) -> np.ndarray:
    """A jump, from which the limb comes back for the most part; as `drift`."""
    hold, rise = rng.uniform(0.08, 0.3), rng.uniform(0.002, 0.01)
    back, left = rng.uniform(0.01, 0.05), rng.uniform(0.0, 0.5)
    start = rng.uniform(0.08, 0.8 - hold)  # early enough to come back within the scan
    jumped = np.clip((times - start) / rise, 0, 1)
    returned = 1 - np.exp(-np.clip(times - start - hold, 0, None) / back)
    return np.outer(jumped * (1 - (1 - left) * returned), _direction(rng))


def spasm(rng: Random, times: np.ndarray) -> np.ndarray:
    """A burst of quick swings that die away, after which the limb lies a little elsewhere; as `drift`."""
    start, length = rng.uniform(0.05, 0.55), rng.uniform(0.2, 0.5)
    since = np.clip(times - start, 0, None)
    swings = np.sin(2 * np.pi * rng.uniform(12, 40) * since) * np.exp(-2 * since / length)
    moved = 1 - np.exp(-since / (0.2 * length))
    return np.outer(swings, _direction(rng)) + np.outer(rng.uniform(0.2, 0.6) * moved, _direction(rng))


KINDS: dict[str, Callable[[Random, np.ndarray], np.ndarray]] = {
    "drift": drift,
    "twitch": twitch,
    "spasm": spasm,
}


def _direction(rng: Random) -> np.ndarray:
    """Any way across, with less of a rotation."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.6, 0.6)])
