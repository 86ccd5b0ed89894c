"""Batch inference beside stock MONAI, on generated images, measured in one run.

`monai-tasks infer` is set against
(a) a plain loop of MONAI: Dataset, SlidingWindowInferer, Invertd, SaveImaged, eager float32, one case after the other;
(b) one process of `python -m monai.bundle run` for each case.
Each is a process of its own; its seconds run from its start to its end, imports and the loading of weights included,
and its memory is the peak of its resident set. Beside the seconds of a process stand those after its imports.

    python benchmarks/inference.py                     everything, for the table in the documentation
    python benchmarks/inference.py --parts window crops
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer

from monai_tasks.catalog import open_bundle
from monai_tasks.inference.configs import parse
from monai_tasks.inference.engine import Engine, resolve_device
from monai_tasks.inference.offsets import OffsetInferer
from monai_tasks.inference.weights import load_weights
from monai_tasks.phantoms import brain, hippocampus

PARTS = ("window", "crops", "head", "memory")
WHOLE_IMAGE = -1  # as a window: MONAI's sliding window takes the size of the image
REPEATS = 5


@dataclass
class Measured:
    """What a process took: seconds from start to end, seconds after its imports, peak memory in MiB."""

    wall: float
    seconds: float
    peak: float


def run(command: list[str], seconds: Callable[[str], float], log: Path) -> Measured:
    """Run a process to its end.

    Args:
        command: what to run, with this interpreter.
        seconds: gets the time after the imports from what the process printed.
        log: where its output goes.
    """
    begun, peak = time.perf_counter(), 0.0
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, *command], stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            time.sleep(0.05)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return Measured(wall, seconds(log.read_text()), peak)


def peak_of(pid: int) -> float:
    """The most memory that a process has held so far, in MiB; what `getrusage` tells includes its parent's."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


class Bench:
    """The processes and what they share."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.bundle = open_bundle(options.bundle)
        self.device = resolve_device(options.device)
        self.window = options.window
        self.work = work
        self.weights = self._weights()
        self._number = 0

    def _weights(self) -> Path:
        """The bundle's weights, or random ones, whose label maps agree less: their scores are all alike."""
        if self.bundle.weights.is_file():
            return self.bundle.weights
        print("no weights are shipped: random ones")
        torch.manual_seed(0)
        network = parse(self.bundle, ["inference"], self.device, {}).get_parsed_content("network")
        torch.save(network.state_dict(), self.work / "random.pt")
        return self.work / "random.pt"

    def folder(self, name: str) -> Path:
        self._number += 1
        return self.work / f"{self._number}_{name}"

    def ours(self, images: Path, *more: str) -> tuple[Measured, Path]:
        """`monai-tasks infer` with its defaults, pictures included."""
        out = self.folder("ours")
        command = ["-m", "monai_tasks", "infer", self.bundle.name, str(images), "-o", str(out)]
        command += ["--weights", str(self.weights), "--device", str(self.device), *self._window(), *more]
        took = run(command, lambda _: self._seconds(out), self.work / "log")
        return took, out / "predictions"

    def _seconds(self, out: Path) -> float:
        return json.loads((out / "report.json").read_text())["times"]["seconds"]

    def _window(self) -> list[str]:
        return ["--set", f"inference_window={json.dumps([self.window] * 3)}"]

    def stock(self, images: Path, window: int) -> tuple[Measured, Path]:
        """The plain loop, in this file."""
        out = self.folder("stock")
        command = [__file__, "--stock", str(images), str(out), "--weights", str(self.weights)]
        command += ["--window", str(window), "--bundle", self.bundle.name, "--device", str(self.device)]
        return run(command, lambda text: float(text.split()[-1]), self.work / "log"), out

    def processes(self, images: Path, count: int) -> tuple[float, float]:
        """Seconds a case and peak memory of `monai.bundle run`, as the mean of a few cases."""
        runs = []
        for image in sorted(images.iterdir())[:count]:
            folder = self.folder("one")
            folder.mkdir()
            shutil.copy(image, folder)
            config = self.bundle.root / "configs" / "inference.json"
            command = [
                "-m",
                "monai.bundle",
                "run",
                "--config_file",
                str(config),
                "--checkpoint",
                str(self.weights),
            ]
            command += ["--bundle_root", str(self.bundle.root), "--dataset_dir", str(folder)]
            command += ["--output_dir", str(folder / "out"), "--device", f"$torch.device('{self.device}')"]
            runs.append(run(command, lambda _: 0.0, self.work / "log"))
        return statistics.mean(one.wall for one in runs), max(one.peak for one in runs)


def stock_loop(options: argparse.Namespace) -> None:
    """What a user of MONAI writes: the bundle's own transforms, float32, and the usual memory format."""
    begun = time.perf_counter()
    images, out = options.stock
    bundle, device = open_bundle(options.bundle), resolve_device(options.device)
    settings = {"memory_format": "$torch.contiguous_format", "dataset_dir": images, "output_dir": out}
    parser = parse(bundle, ["inference"], device, settings)
    network = parser.get_parsed_content("network").eval()
    load_weights(network, options.weights)
    overlap = parser.get_parsed_content("overlap")
    inferer = SlidingWindowInferer([options.window] * 3, 1, overlap, mode="gaussian")
    inferer = OffsetInferer(inferer, parser.get_parsed_content("inferer").offsets)
    postprocessing = parser.get_parsed_content("postprocessing")
    with torch.no_grad():
        for item in parser.get_parsed_content("dataset"):
            pred = inferer(item["image"][None].to(device), network)[0]
            postprocessing({**item, "pred": pred})
    print(time.perf_counter() - begun)


def agreement(first: Path, second: Path) -> tuple[float, float]:
    """Share of equal voxels of two folders of label maps: among all, and among those that either labels."""
    equal = total = equal_labels = labels = 0
    for path in sorted(first.glob("*.nii.gz")):
        other = next(second.glob(f"{path.name.removesuffix('.nii.gz')}*.nii.gz"))
        a, b = (np.asarray(nib.load(file).dataobj) for file in (path, other))
        labelled = (a > 0) | (b > 0)
        equal, total = equal + (a == b).sum(), total + a.size
        equal_labels, labels = equal_labels + (a == b)[labelled].sum(), labels + labelled.sum()
    return equal / total, equal_labels / max(labels, 1)


def write_crops(folder: Path, count: int) -> Path:
    """Different crops up to ten, which are repeated after that."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"crop_{number:04d}.nii.gz"
        if number < 10:
            image, _, affine = hippocampus.crop(np.random.default_rng([11, number]))
            nib.save(nib.Nifti1Image(image, affine), path)
        else:
            shutil.copy(folder / f"crop_{number % 10:04d}.nii.gz", path)
    return folder


def write_head(folder: Path, size: list[float]) -> Path:
    folder.mkdir()
    image, _, _, affine = brain.head(np.random.default_rng(11), tuple(size))
    nib.save(nib.Nifti1Image(image, affine), folder / "head.nii.gz")
    print(f"\nhead: one image of {' x '.join(map(str, image.shape))} voxels")
    return folder


def show(name: str, wall: float, seconds: float | None, peak: float, notes: str = "") -> None:
    after = "-" if seconds is None else f"{seconds:.2f} s"
    print(f"  {name:<48}{f'{wall:.2f} s':>12}{after:>14}{peak:10.0f} MiB  {notes}", flush=True)


def compared(bench: Bench, images: Path, windows: dict[str, int]) -> Measured:
    """Ours beside the plain loop with each window."""
    print(f"  {'':<48}{'process':>12}{'after import':>14}{'peak':>14}")
    took, predictions = bench.ours(images)
    show("monai-tasks infer", took.wall, took.seconds, took.peak)
    for name, window in windows.items():
        stock, out = bench.stock(images, window)
        equal, labelled = agreement(predictions, out)
        ratio = f"{stock.wall / took.wall:.2f}x process, {stock.seconds / took.seconds:.2f}x after import"
        notes = f"{ratio}; equal voxels {equal:.3%}, of the labelled {labelled:.2%}"
        show(f"(a) plain loop, float32, {name}", stock.wall, stock.seconds, stock.peak, notes)
    return took


def bench_window(bench: Bench) -> None:
    """One window through the network alone, the two in turn."""
    engine = Engine(bench.bundle, bench.weights, bench.device)
    settings = {"memory_format": "$torch.contiguous_format"}
    network = parse(bench.bundle, ["inference"], bench.device, settings).get_parsed_content("network").eval()
    load_weights(network, bench.weights)
    image, _, _, _ = brain.head(np.random.default_rng(12), (bench.window + 8.0,) * 3)
    part = torch.as_tensor(image)[tuple(slice(bench.window) for _ in range(3))]
    image = ((part - part.mean()) / part.std())[None, None].to(bench.device)

    stock = OffsetInferer(SimpleInferer(), engine.inferer.offsets)

    def timed(function: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
        begun = time.perf_counter()
        labels = function().argmax(1).cpu()
        return time.perf_counter() - begun, labels

    ways = {"bundle": lambda: engine.inferer(image, engine.network), "stock": lambda: stock(image, network)}
    with torch.inference_mode():
        for way in ways.values():
            way()
        rounds = [{name: timed(way) for name, way in ways.items()} for _ in range(REPEATS)]
    ours, theirs = (statistics.median(one[name][0] for one in rounds) for name in ways)
    equal = (rounds[0]["bundle"][1] == rounds[0]["stock"][1]).float().mean().item()
    print(f"\nwindow: {' x '.join(map(str, image.shape[2:]))} voxels, median of {REPEATS}, in turn")
    print(
        f"  bundle {ours:.3f} s, eager float32 {theirs:.3f} s: {theirs / ours:.2f}x; equal voxels {equal:.3%}"
    )


def bench_crops(bench: Bench, cases: int, processes: int) -> None:
    images = write_crops(bench.folder("crops"), cases)
    print(f"\ncrops: {cases} images of about 35 x 50 x 35 voxels")
    windows = {"the whole crop at once": WHOLE_IMAGE, f"{bench.window} cubed, padded": bench.window}
    took = compared(bench, images, windows)
    wall, peak = bench.processes(images, processes)
    ratio = f"{wall * cases / took.wall:.2f}x; {wall:.2f} s a case, mean of {processes}"
    show("(b) one monai.bundle run a case", wall * cases, None, peak, ratio)


def bench_memory(bench: Bench, counts: list[int]) -> None:
    print("\nmemory of monai-tasks infer")
    for count in counts:
        took, _ = bench.ours(write_crops(bench.folder("crops"), count))
        show(f"{count} crops", took.wall, took.seconds, took.peak, f"{took.seconds / count:.3f} s a case")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="hippocampus_mri_segmentation")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--window", type=int, default=96, help="edge of the window in voxels")
    parser.add_argument("--cases", type=int, default=20, help="crops in the folder")
    parser.add_argument("--processes", type=int, default=3, help="cases that get a process of their own")
    parser.add_argument("--head", type=float, nargs=3, default=[160.0, 192.0, 160.0], help="edges in mm")
    parser.add_argument("--memory", type=int, nargs="+", default=[10, 200], help="numbers of crops")
    parser.add_argument("--stock", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    chosen = options()
    if chosen.stock:
        stock_loop(chosen)
        return
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(chosen, Path(work))
        threads = torch.get_num_threads()
        print(f"device {bench.device}, {os.cpu_count()} cores, {threads} threads, torch {torch.__version__}")
        if "window" in chosen.parts:
            bench_window(bench)
        if "crops" in chosen.parts:
            bench_crops(bench, chosen.cases, chosen.processes)
        if "head" in chosen.parts:
            images = write_head(bench.folder("head"), chosen.head)
            compared(bench, images, {f"{bench.window} cubed": bench.window})
        if "memory" in chosen.parts:
            bench_memory(bench, chosen.memory)


if __name__ == "__main__":
    main()
