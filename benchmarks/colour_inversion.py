"""Whether bone is bright or dark, beside the rule of the four corners, on generated and real radiographs.

Each generated wrist is shown in all kinds of states: plain, framed, cut by shutters, noisy on grey, with text burned
in, and combined; half of the images are inverted. Real images are taken as they are and inverted, and each in frames
and with text.

    python benchmarks/colour_inversion.py                 for the table in the documentation
    python benchmarks/colour_inversion.py --wrists 10
    python benchmarks/colour_inversion.py --fit           the weights, from other wrists than those
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.radiograph_frames import framed, presented, with_text
from monai_tasks.radiographs.colour_evidence import evidence
from monai_tasks.radiographs.colour_inversion import corner_rule, is_inverted
from monai_tasks.radiographs.foreground import exposed_field, reduced

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WHITE = 65535
FIT, TEST = 51, 52  # first numbers of the seeds
REAL = {
    "wrists": ("wrist_xray/images/*.png",),
    "chest and lower leg, DICOM": ("dicom/radiographs/966_fixed.dcm", "dicom/radiographs/RG3_J2KR.dcm"),
    "hip, DICOM": ("dicom/radiographs/RG2_JPLY_fixed.dcm",),
    "knees": ("knee_xray_kl/images/*.png",),
    "chests": ("chest_xray_pneumonia/images/*.jpeg",),
}


def fit(wrists: int) -> None:
    """Print the weights of the evidence by logistic regression without a constant term."""
    from sklearn.linear_model import LogisticRegression

    found, bright = [], []
    for number in range(wrists):
        for _, pixels, inverted in presented(np.random.default_rng([FIT, number])):
            small, _ = reduced(pixels)
            found.append(evidence(small, exposed_field(small)))
            bright.append(not inverted)
    names = list(found[0])
    table, bright = np.array([[row[name] for name in names] for row in found]), np.array(bright)
    # The mirror image of each case makes the two classes alike.
    table, bright = np.concatenate([table, -table]), np.concatenate([bright, ~bright])
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=5000).fit(table, bright)
    print(f"{len(found)} images of {wrists} wrists; {100 * model.score(table, bright):.2f} % right")
    for name, weight, alone in zip(
        names, model.coef_[0], (table * np.where(bright, 1, -1)[:, None] > 0).mean(0), strict=True
    ):
        print(f'    "{name}": {weight:.2f},  # alone {100 * alone:.1f} %')


def generated(wrists: int) -> Iterator[tuple[str, np.ndarray, bool]]:
    for number in range(wrists):
        yield from presented(np.random.default_rng([TEST, number]))


def real(data: Path, limit: int) -> Iterator[tuple[str, np.ndarray, bool]]:
    """Real images in both colours, plain and in frames with text."""
    rng = np.random.default_rng(TEST)
    for name, patterns in REAL.items():
        files = [file for pattern in patterns for file in sorted(data.glob(pattern))]
        files = files[:: max(1, len(files) // limit)][:limit]
        for file in files:
            pixels = read_radiograph(file).pixels
            for inverted, colours in ((False, pixels), (True, WHITE - pixels)):
                yield name, colours, inverted
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
    parser.add_argument("--real", type=int, default=60, help="images of each real set, at most")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of real images")
    parser.add_argument(
        "--fit", action="store_true", help="print weights instead, from three times as many wrists"
    )
    chosen = parser.parse_args()
    if chosen.fit:
        fit(3 * chosen.wrists)
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
