"""Whether bone is bright or dark, beside the rule of the four corners, on generated and real radiographs.

Each generated wrist is shown in all kinds of states: plain, framed, cut by shutters, noisy on grey, with text burned
in, and combined; half of the images are inverted. Real images are taken as they are and inverted, and each in frames
and with text. Of the real chests and knees, half of the patients are there for the fit; the others are judged.

    python benchmarks/colour_inversion.py                 for the table in the documentation
    python benchmarks/colour_inversion.py --wrists 10
    python benchmarks/colour_inversion.py --fit           the weights, from other wrists than those
"""

from __future__ import annotations

import argparse
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.radiograph_frames import framed, presented, with_text
from monai_tasks.phantoms.radiograph_scenes import PARTS, other_part
from monai_tasks.radiographs.colour_evidence import WEIGHTS, evidence
from monai_tasks.radiographs.colour_inversion import corner_rule, is_inverted
from monai_tasks.radiographs.foreground import Overview

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WHITE = 65535
FIT, TEST = 51, 52  # first numbers of the seeds
PENALTY = 3e-5  # of the squares of the weights, beside the mean loss
REAL_WEIGHT = 0.15  # of each set of real images, where all generated wrists have 1
REAL = {
    "wrists": ("wrist_xray/images/*.png",),
    "chest and lower leg, DICOM": ("dicom/radiographs/966_fixed.dcm", "dicom/radiographs/RG3_J2KR.dcm"),
    "hip, DICOM": ("dicom/radiographs/RG2_JPLY_fixed.dcm",),
}
# Folder, and column of its index that says which images belong together.
DIVIDED = {
    "knees": ("knee_xray_kl", "near_duplicate_group"),
    "chests": ("chest_xray_pneumonia", "patient"),
}


def half(data: Path, name: str, development: bool) -> list[Path]:
    """The files of one half of a divided set; none where it is not there."""
    folder, group = DIVIDED[name]
    index = data / folder / "index.csv"
    rows = read_table(index) if index.exists() else []
    chosen = (row for row in rows if (zlib.crc32(f"{folder}{row[group]}".encode()) % 2 == 0) == development)
    return sorted(data / folder / "images" / row["image"] for row in chosen)


def fit(wrists: int, data: Path) -> None:
    """Print the weights of the evidence, by logistic regression without a constant term.

    Images of other parts of the body, drawn with the same seeds, have half as much weight as wrists.
    """
    from sklearn.linear_model import LogisticRegression

    found, weights = [], []
    for number in range(wrists):
        cases = list(presented(np.random.default_rng([FIT, number])))
        cases += [
            ("", *other(np.random.default_rng([FIT, number, place]), part))
            for place, part in enumerate(PARTS)
        ]
        for kind, pixels, inverted in cases:
            # As if bone were bright in all: inversion changes nothing but the signs.
            found.append([-value if inverted else value for value in looked_at(pixels)])
            weights.append(1.0 if kind else 0.5)
    generated = np.array(weights) == 1
    for name in DIVIDED:
        files = half(data, name, development=True)
        found += [looked_at(read_radiograph(file).pixels) for file in files]
        weights += [REAL_WEIGHT * generated.sum() / len(files)] * len(files)
    table, weights = np.array(found), np.array(weights)
    scale = table.std(0)
    both, bright = np.concatenate([table, -table]) / scale, np.arange(2 * len(table)) < len(table)
    model = LogisticRegression(C=1 / (2 * PENALTY), fit_intercept=False, max_iter=5000)
    model.fit(both, bright, sample_weight=np.tile(weights, 2) / (2 * weights.sum()))
    right = (table @ (model.coef_[0] / scale) > 0)[: len(generated)][generated].mean()
    print(f"{len(table)} images; of those of {wrists} wrists {100 * right:.2f} % right")
    for name, weight, alone in zip(WEIGHTS, model.coef_[0] / scale, (table > 0).mean(0), strict=True):
        print(f'    "{name}": {weight:.2f},  # alone {100 * alone:.1f} %')


def looked_at(pixels: np.ndarray) -> list[float]:
    """The evidence of an image."""
    overview = Overview(pixels)
    found = evidence(overview.small, overview.field)
    return [found[name] for name in WEIGHTS]


def other(rng: np.random.Generator, part: str) -> tuple[np.ndarray, bool]:
    """An image of another part of the body, half of them in frames with text, and whether bone is dark."""
    inverted = bool(rng.random() < 0.5)
    pixels = other_part(rng, part, (256, 256), inverted=inverted)
    return (framed(rng, with_text(rng, pixels)) if rng.random() < 0.5 else pixels), inverted


def generated(wrists: int) -> Iterator[tuple[str, np.ndarray, bool]]:
    for number in range(wrists):
        yield from presented(np.random.default_rng([TEST, number]))


def real(data: Path, limit: int) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Real images in both colours, plain and in frames with text."""
    rng = np.random.default_rng(TEST)
    sets = {name: [file for pattern in REAL[name] for file in sorted(data.glob(pattern))] for name in REAL}
    sets |= {name: half(data, name, development=False) for name in DIVIDED}
    for name, files in sets.items():
        files = files[:: max(1, len(files) // limit)][:limit]
        for file in files:
            pixels = read_radiograph(file).pixels
            for inverted, colours in ((False, pixels), (True, WHITE - pixels)):
                yield f"{name}{', inverted' if inverted else ''}", colours, inverted
                step = max(1, max(pixels.shape) // 400)
                for _ in range(20 if len(files) < 3 else 1):
                    shown = with_text(rng, framed(rng, np.ascontiguousarray(colours[::step, ::step])))
                    yield f"{name}, framed", shown, inverted


def measure(cases: Iterator[tuple[str, np.ndarray, bool]]) -> None:
    """Print the share of right answers by kind of image."""
    right, seconds = defaultdict(list), []
    for kind, pixels, inverted in cases:
        started = time.perf_counter()
        answer, _ = is_inverted(pixels)
        seconds.append(time.perf_counter() - started)
        for name in (kind, "all"):
            right[name].append((corner_rule(pixels) == inverted, answer == inverted))
    print(f"  {'':<36}{'images':>8}{'corners':>10}{'ours':>10}")
    for kind, answers in sorted(right.items(), key=lambda item: item[0] == "all"):
        corners, ours = 100 * np.mean(answers, 0)
        print(f"  {kind:<36}{len(answers):>8}{corners:>8.1f} %{ours:>8.1f} %")
    print(f"  {1000 * np.median(seconds):.0f} ms an image", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wrists", type=int, default=100, help="generated; seven images each")
    parser.add_argument("--real", type=int, default=300, help="images of each real set, at most")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real images")
    parser.add_argument(
        "--fit", action="store_true", help="print weights instead, from three times as many wrists"
    )
    chosen = parser.parse_args()
    if chosen.fit:
        fit(3 * chosen.wrists, chosen.data)
        return
    print("generated wrists, share of right answers")
    measure(generated(chosen.wrists))
    if chosen.data.is_dir():
        print("real images, as they are and inverted")
        measure(real(chosen.data, chosen.real))
    else:
        print(f"no real images: {chosen.data} is not there")


if __name__ == "__main__":
    main()
