"""Eight slices of an ISQ file beside loading it with ITK: seconds and peak memory, each in a process of its own.

The file is generated, as large as a scan of an HR-pQCT scanner of the second kind, and is out of the system's cache
when a way begins; a small file was read before, so that nothing is loaded late. Both ways give the slices in Hounsfield
units; ITK keeps them as whole numbers. Needs itk and itk-ioscanco, and Linux, whose kernel knows a process's peak.

    python benchmarks/scanco.py               2304 x 2304 x 168 voxels, 1.8 GB in the folder for temporary files
    python benchmarks/scanco.py --shape 512 512 64
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from monai_tasks.io.scanco_units import Calibration
from monai_tasks.io.scanco_writer import isq_header

SPACING = (0.0607, 0.0607, 0.0607)  # mm
CALIBRATION = Calibration(8192, mu_water=0.2409, slope=1603.51904, intercept=-391.209015)
SLICES = 8


def write_scan(path: Path, shape: tuple[int, int, int]) -> None:
    """Write a disc of bone in noise, slice by slice, so that the volume is never in memory.

    Args:
        path: the file.
        shape: in voxels.
    """
    rng = np.random.default_rng(5)
    y, x = np.ogrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[0] * 1j]
    bone = 6000 * (x**2 + y**2 < 0.4) + 300
    noise = rng.normal(0, 400, (shape[1], shape[0]))
    with path.open("wb") as stream:
        stream.write(isq_header(shape, SPACING, CALIBRATION))
        for index in range(shape[2]):
            stream.write((bone + np.roll(noise, 7 * index, axis=1)).astype("<i2").tobytes())
        stream.write(bytes(-stream.tell() % 512))
        stream.flush()
        os.fsync(stream.fileno())


def forget(path: Path) -> None:
    """Take a file out of the system's cache."""
    with path.open("rb") as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def chosen_slices(depth: int) -> list[int]:
    """Equally spaced ones."""
    return [round((place + 0.5) * depth / SLICES - 0.5) for place in range(SLICES)]


def prepare_ours() -> Callable[[Path], np.ndarray]:
    from monai_tasks.io.scanco import open_scanco

    def read(path: Path) -> np.ndarray:
        scan = open_scanco(path, "hu")
        return scan.read(chosen_slices(scan.shape[2]))

    return read


def prepare_itk() -> Callable[[Path], np.ndarray]:
    import itk

    kind = itk.ImageFileReader[itk.Image[itk.SS, 3]]
    header = itk.ScancoImageIO.New()

    def read(path: Path) -> np.ndarray:
        reader = kind.New(FileName=str(path), ImageIO=header)
        reader.Update()
        volume = itk.array_view_from_image(reader.GetOutput())
        return volume[chosen_slices(len(volume))].transpose(2, 1, 0).astype(np.float32)

    return read


WAYS = {"ours": prepare_ours, "itk": prepare_itk}


def memory(field: str) -> int:
    """Bytes of resident memory of this process: `VmRSS` now, `VmHWM` at most."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+) kB", status)[1])


def child(way: str, path: Path, result: Path) -> None:
    """Read in one way, keep the slices in a file, and print what it took."""
    read = WAYS[way]()
    with tempfile.TemporaryDirectory() as folder:
        write_scan(Path(folder, "small.ISQ"), (32, 32, 16))
        read(Path(folder, "small.ISQ"))
    before, seconds, processor = memory("VmRSS"), time.perf_counter(), time.process_time()
    voxels = read(path)
    taken = {"seconds": time.perf_counter() - seconds, "processor": time.process_time() - processor}
    print(json.dumps({**taken, "before": before, "peak": memory("VmHWM")}))
    np.save(result, voxels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", type=int, nargs=3, default=[2304, 2304, 168], help="in voxels")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen.child[0], Path(chosen.child[1]), Path(chosen.child[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "scan.ISQ")
        write_scan(path, tuple(chosen.shape))
        text = " x ".join(map(str, chosen.shape))
        print(f"{SLICES} slices of {text} voxels, {path.stat().st_size / 1e9:.2f} GB")
        print(f"{'':<6}{'seconds':>10}{'processor':>12}{'peak':>12}{'over imports':>15}")
        found, voxels = {}, {}
        for way in WAYS:
            forget(path)
            command = [sys.executable, __file__, "--child", way, str(path), f"{folder}/{way}.npy"]
            found[way] = json.loads(
                subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            )
            voxels[way] = np.load(f"{folder}/{way}.npy")
            show(way, found[way])
        ours, itk = found["ours"], found["itk"]
        over = (itk["peak"] - itk["before"]) / (ours["peak"] - ours["before"])
        print(
            f"  {itk['seconds'] / ours['seconds']:.0f}x faster, {itk['processor'] / ours['processor']:.0f}x by the"
        )
        print(
            f"  processor's seconds; ITK takes {itk['peak'] / ours['peak']:.1f}x the memory, {over:.1f}x over imports"
        )
        print(
            f"  largest difference: {np.abs(voxels['ours'] - voxels['itk']).max():.2f} HU (ITK cuts to whole ones)"
        )


def show(way: str, found: dict[str, float]) -> None:
    peak, over = found["peak"] / 2**20, (found["peak"] - found["before"]) / 2**20
    print(
        f"{way:<6}{found['seconds']:8.2f} s{found['processor']:10.2f} s{peak:8.0f} MiB{over:11.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
