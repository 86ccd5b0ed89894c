from __future__ import annotations

import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_units import Calibration

FULL = Calibration(8192, mu_water=0.2409, slope=1603.51904, intercept=-391.209015)


@pytest.mark.parametrize("stored", [-3000, 0, 1973, 15000])
def test_units_follow_the_formulas(stored):
    mu = stored / 8192  # 1/cm
    expected = {
        "native": stored,
        "attenuation": mu,
        "density": mu * 1603.51904 - 391.209015,
        "hu": 1000 * (mu - 0.2409) / 0.2409,
    }
    for unit, value in expected.items():
        factor, offset = FULL.equation("a.ISQ", unit)
        assert stored * factor + offset == pytest.approx(value, abs=1e-9)


def test_water_has_no_hounsfield_units():
    factor, offset = FULL.equation("a.ISQ", "hu")
    assert 0.2409 * 8192 * factor + offset == pytest.approx(0)


@pytest.mark.parametrize(
    ("calibration", "unit", "text"),
    [
        (Calibration(0, 0.24, 1600.0, -390.0), "attenuation", "scale 0"),
        (Calibration(0, 0.24, 1600.0, -390.0), "density", "scale 0"),
        (Calibration(8192), "density", "no calibration of density"),
        (Calibration(8192, slope=1600.0, intercept=-390.0), "hu", "water"),
    ],
)
def test_refused_without_what_the_unit_needs(calibration, unit, text):
    assert calibration.equation("a.ISQ", "native") == (1, 0)
    with pytest.raises(InputError, match=f"a.ISQ: .*{text}"):
        calibration.equation("a.ISQ", unit)


def test_unknown_unit():
    with pytest.raises(ValueError, match="'bmd'; expected one of native, attenuation, density, hu"):
        FULL.equation("a.ISQ", "bmd")
