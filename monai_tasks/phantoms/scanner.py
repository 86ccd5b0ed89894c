"""From a tissue map to a magnetic resonance image: contrast, blur, bias field, noise, intensity scale."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_tasks.phantoms.temporal_lobe import Tissue

# Brightness of each tissue where white matter of T1 is 1. Hippocampus, amygdala and cortex are nearly the
# same.
T1 = {
    Tissue.AIR: 0.02,
    Tissue.CSF: 0.12,
    Tissue.CORTEX: 0.55,
    Tissue.WHITE_MATTER: 1.0,
    Tissue.DEEP_GREY: 0.82,
    Tissue.BRAINSTEM: 0.95,
    Tissue.AMYGDALA: 0.60,
    Tissue.VESSEL: 1.5,
    Tissue.HIPPOCAMPUS_ANTERIOR: 0.57,
    Tissue.HIPPOCAMPUS_POSTERIOR: 0.56,
}
T2 = {
    Tissue.AIR: 0.02,
    Tissue.CSF: 1.0,
    Tissue.CORTEX: 0.52,
    Tissue.WHITE_MATTER: 0.34,
    Tissue.DEEP_GREY: 0.40,
    Tissue.BRAINSTEM: 0.36,
    Tissue.AMYGDALA: 0.50,
    Tissue.VESSEL: 0.08,
    Tissue.HIPPOCAMPUS_ANTERIOR: 0.53,
    Tissue.HIPPOCAMPUS_POSTERIOR: 0.54,
}


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: np.ndarray, length: float
) -> np.ndarray:
    """Random field of mean 0 and standard deviation 1.

    Args:
        rng: source of randomness.
        shape: of the field, in voxels.
        spacing: voxel edges in mm.
        length: standard deviation of the Gaussian that smooths it, in mm.

    Returns:
        float array of that shape.
    """
    field = gaussian_filter(rng.standard_normal(shape), length / np.asarray(spacing), mode="nearest")
    return (field - field.mean()) / field.std()


def acquire(
    tissue: np.ndarray, spacing: np.ndarray, contrast: dict[IntEnum, float], rng: np.random.Generator
) -> np.ndarray:
    """Make an image of a tissue map.

    Contrast between grey and white, sharpness, bias field, noise and intensity scale differ from call to
    call; the noise is Rician, as in a magnitude image.

    Args:
        tissue: (X, Y, Z) of numbers of tissues, such as `Tissue`.
        spacing: voxel edges in mm.
        contrast: brightness of each tissue, such as `T1`.
        rng: source of randomness.

    Returns:
        float32 image (X, Y, Z), zero or above; its scale lies anywhere from 200 to some hundred thousands.
    """
    brightness = np.zeros(max(contrast) + 1)
    for kind, value in contrast.items():
        brightness[kind] = value
    brightness = brightness ** rng.uniform(0.8, 1.2) * rng.normal(1, 0.02, len(brightness))
    image = brightness[tissue]
    # Tissue is no even paint: it varies in patches of a few voxels.
    image *= 1 + rng.uniform(0.08, 0.14) * smooth_noise(rng, tissue.shape, spacing, 1.0)
    image = gaussian_filter(image, rng.uniform(0.4, 0.65) / np.asarray(spacing))
    image *= np.exp(rng.uniform(0.03, 0.12) * smooth_noise(rng, tissue.shape, spacing, 18.0))
    noise = rng.uniform(0.03, 0.09) * rng.standard_normal((2, *tissue.shape))
    image = np.hypot(image + noise[0], noise[1])
    return (image * 10 ** rng.uniform(2.3, 5.3)).astype(np.float32)
