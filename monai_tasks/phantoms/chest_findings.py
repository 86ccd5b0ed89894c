"""What can be found on a generated radiograph of a chest."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

# As ChestX-ray14 calls them.
FINDINGS = ("Cardiomegaly", "Effusion", "Emphysema", "Infiltration", "Mass", "Nodule", "Pneumothorax")


@dataclass(frozen=True)
class Findings:
    """What is found, and where. Lengths in mm, in the frame of `chest`; shares of a lung's width and height.

    Attributes:
        collapsed: side of the image with a pneumothorax, -1 or 1; 0 for none.
        size: of the pneumothorax, 0 small to 1 large.
        gap_apex: width of the air above the lung.
        gap_wall: width of the air beside the lung.
        flat: share by which the diaphragm is flattened.
        density: of the lungs, relative to healthy ones.
        large_heart: factor of the heart's size.
        fluid: height of the fluid in each half of the chest; 0 for none.
        lumps: round shadows: side, place outwards and upwards as shares, radius, strength.
        clouds: the same of soft shadows.
    """

    collapsed: int
    size: float
    gap_apex: float
    gap_wall: float
    flat: float
    density: float
    large_heart: float
    fluid: tuple[float, float]
    lumps: tuple[tuple[float, ...], ...]
    clouds: tuple[tuple[float, ...], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, findings: Collection[str] = ()) -> Findings:
        """Draw how the findings look; what is not among them is drawn, too, and dropped.

        Args:
            rng: source of randomness.
            findings: some of `FINDINGS`.
        """
        side, size = int(rng.choice([-1, 1])), float(rng.beta(1.3, 1.7))
        apex, wall = 11 + 42 * size + rng.uniform(-4, 4), max(2 + 24 * size + rng.uniform(-6, 5), 1)
        air = "Pneumothorax" in findings
        blown = "Emphysema" in findings
        flat, thin = rng.uniform(0.4, 0.8), rng.uniform(0.62, 0.8)
        dense = rng.uniform(0.85, 1.25)
        heart, normal = rng.uniform(1.3, 1.55), rng.uniform(0.93, 1.05)
        fluid = rng.uniform(22, 60, 2) * rng.permutation([1.0, float(rng.random() < 0.3)])
        mass, nodule, cloud = _lump(rng, (15, 28), 0.4), _lump(rng, (6, 9), 0.4), _lump(rng, (28, 50), 0.3)
        second = _lump(rng, (28, 50), 0.3)
        lumps = [lump for name, lump in (("Mass", mass), ("Nodule", nodule)) if name in findings]
        return cls(
            collapsed=side if air else 0,
            size=size if air else 0.0,
            gap_apex=apex,
            gap_wall=wall,
            flat=float(flat) if blown else 0.0,
            density=float(dense * thin if blown else dense),
            large_heart=float(heart if "Cardiomegaly" in findings else normal),
            fluid=tuple(fluid.tolist()) if "Effusion" in findings else (0.0, 0.0),
            lumps=tuple(lumps),
            clouds=(cloud, second) if "Infiltration" in findings else (),
        )

    def gap(self, out: np.ndarray, y: np.ndarray, base: float, apex: float) -> np.ndarray:
        """Width of the air between chest wall and lung; it is widest at the apex and small towards the heart.

        Args:
            out: distance from the midline, as a share of the lungs' half width.
            y: up.
            base: y of the diaphragm.
            apex: y of the top of the lung.
        """
        share = np.clip((y - base) / (apex - base), -0.3, 1)
        wall = np.maximum(np.clip((out - 0.25) / 0.3, 0.2, 1), np.clip((share - 0.6) / 0.3, 0, 1))
        beside = self.gap_wall * wall * np.clip(share + 0.35, 0, 1)
        return beside + (self.gap_apex - self.gap_wall) * np.clip(share, 0, 1) ** 4

    def wet(self, half: float, base: tuple[float, float], x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The share of the lungs' depth that fluid takes, which climbs at the chest wall."""
        wet = np.zeros(x.shape, np.float32)
        for side, height, floor in zip((-1, 1), self.fluid, base, strict=True):
            if height:
                level = floor - 18 + height + 0.0035 * np.clip(side * x - 0.45 * half, 0, None) ** 2
                wet += (side * x > 0) / (1 + np.exp(np.clip((y - level) / 4, -30, 30)))
        return wet

    def shadows(self, half: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Absorption of lumps and clouds in the lungs, whose half width is given."""
        shadow = np.zeros(x.shape, np.float32)
        for side, out, up, radius, strength in self.lumps:
            away = (x - side * out * half) ** 2 + (y - up * half) ** 2
            shadow += strength * np.sqrt(np.clip(1 - away / radius**2, 0, 1))
        for side, out, up, radius, strength in self.clouds:
            away = (x - side * out * half) ** 2 + (y - up * half) ** 2
            shadow += strength * np.exp(-away / (0.5 * radius**2))
        return shadow


def _lump(rng: np.random.Generator, radii: tuple[float, float], strength: float) -> tuple[float, ...]:
    """Side, place outwards and upwards, radius and strength of a shadow."""
    side, out, up = rng.choice([-1, 1]), rng.uniform(0.35, 0.8), rng.uniform(-0.5, 0.6)
    return (
        float(side),
        float(out),
        float(up),
        float(rng.uniform(*radii)),
        strength * float(rng.uniform(0.7, 1.3)),
    )
