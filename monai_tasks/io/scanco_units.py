"""From the stored values of Scanco's files to units."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from monai_tasks.io.errors import InputError

# Stored integers; linear attenuation in 1/cm; mg hydroxyapatite a cubic centimetre; Hounsfield units.
UNITS = ("native", "attenuation", "density", "hu")
# What Scanco's files call the unit of density.
DENSITY_UNIT = "mg HA/ccm"


@dataclass(frozen=True)
class Calibration:
    """What turns stored values into units; None stands for what a file does not tell.

    Args:
        mu_scaling: stored values are linear attenuation in 1/cm times this.
        mu_water: linear attenuation of water, 1/cm.
        slope: mg HA/ccm for each 1/cm.
        intercept: mg HA/ccm at no attenuation.
    """

    mu_scaling: float
    mu_water: float | None = None
    slope: float | None = None
    intercept: float | None = None

    def equation(self, source: str | PathLike[str], unit: str) -> tuple[float, float]:
        """The line from stored values to a unit.

        Args:
            source: the file, for the error.
            unit: one of UNITS.

        Returns:
            Factor and offset: `stored * factor + offset` is in the unit.

        Raises:
            ValueError: if there is no such unit.
            InputError: if the file does not tell what the unit needs.
        """
        check_unit(unit)
        if unit == "native":
            return 1.0, 0.0
        if self.mu_scaling <= 0:
            raise InputError(
                source, f"the scale {self.mu_scaling:g} of attenuation", f"{unit} needs one above 0"
            )
        if unit == "attenuation":
            return 1.0 / self.mu_scaling, 0.0
        if unit == "hu":
            if self.mu_water is None:
                raise InputError(source, "no attenuation of water in the header", "it for Hounsfield units")
            # 1000 * (mu - mu_water) / mu_water
            return 1000.0 / (self.mu_scaling * self.mu_water), -1000.0
        if self.slope is None or self.intercept is None:
            raise InputError(
                source, "no calibration of density (mg HA/ccm) in the header", "one, or another unit"
            )
        return self.slope / self.mu_scaling, self.intercept


def check_unit(unit: str) -> None:
    """Refuse what is no unit.

    Args:
        unit: the name to look at.

    Raises:
        ValueError: if it is not one of UNITS.
    """
    if unit not in UNITS:
        raise ValueError(f"unit is {unit!r}; expected one of {', '.join(UNITS)}")
