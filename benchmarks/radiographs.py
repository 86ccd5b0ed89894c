"""Seconds an image and core from DICOM files to a clean data set, beside the plain way of doing the same.

The images are generated wrists of 2500x3000 pixels in all the ways in which a hospital's files are stored; some are
turned, inverted, or show both arms. Both ways do the same work: decoding, grey values, 16-bit PNG, choice of the body
part, inversion, one image for each arm, rotation. The plain way is one process, with a pass over the disk for each
step, PNG as Pillow writes it, masks at full size, and SciPy's rotation by cubic splines.

Beside the seconds stand those of the processor, which other work on the machine changes less.

    python benchmarks/radiographs.py               everything, for the table in the documentation
    python benchmarks/radiographs.py --studies 4 --jobs 1
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

# Each process that the import and the pipeline start loads this file again. So that it then loads no more than it does
# for the command, functions import what they need.

LOADED = (
    ("import_study",),
    ("work", "body_part", "colour_inversion", "parts", "alignment"),
)  # import, pipeline
AIM = 0.5  # seconds an image and core, for import and pipeline together


def timed(way: Callable[[], object]) -> tuple[float, float]:
    """Seconds that something takes, and those of the processors, in this process and in those that it starts."""
    before = time.perf_counter(), processor()
    way()
    return time.perf_counter() - before[0], processor() - before[1]


def processor() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def by_syntax(archive: Path, truth: list[dict[str, str]]) -> None:
    """Print what reading a file takes: compression decides it."""
    import numpy as np
    from pydicom import dcmread

    from monai_tasks.io.radiograph import read_radiograph

    seconds = defaultdict(list)
    for row in truth:
        path = archive / row["file"]
        header = dcmread(path, stop_before_pixels=True)
        megapixels = header.Rows * header.Columns * int(row["frames"]) / 1e6
        seconds[header.file_meta.TransferSyntaxUID.name].append(
            timed(lambda path=path: read_radiograph(path))[1] / megapixels
        )
    for name, values in sorted(seconds.items()):
        print(f"  reading {name:<54}{7.5 * np.median(values):7.3f} s of processor for 7.5 megapixels")


def decompress(archive: Path) -> None:
    from pydicom import dcmread

    for path in archive.rglob("*"):
        if path.is_file():
            dataset = dcmread(path)
            if dataset.file_meta.TransferSyntaxUID.is_compressed:
                dataset.decompress()
                dataset.save_as(path)


def ready(names: tuple[str, ...]) -> None:
    """What a process loads before its first image."""
    for name in names:
        import_module(f"monai_tasks.radiographs.{name}")


def show(name: str, images: float, jobs: int, seconds: float, processors: float) -> float:
    print(f"  {name:<34}{seconds:9.2f} s {seconds * jobs / images:8.3f} s an image and core", end="")
    print(f"{processors / images:9.3f} s of processor an image", flush=True)
    return seconds * jobs / images


def main() -> None:
    from pydicom import dcmread
    from radiographs_plain import plain_import, plain_pipeline

    from monai_tasks.io.tables import read_table
    from monai_tasks.phantoms.radiograph_archive import ARCHIVE, LABELS, TRUTH, write_archive
    from monai_tasks.radiographs.importing import import_archive
    from monai_tasks.radiographs.pipeline import load_pipeline
    from monai_tasks.radiographs.processes import over_processes
    from monai_tasks.radiographs.runner import preprocess

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=16)
    parser.add_argument("--size", type=int, nargs=2, default=[3000, 2500], help="rows and columns")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--uncompressed", action="store_true", help="take the files' own compression away first"
    )
    parser.add_argument("--ours-only", action="store_true", help="leave the plain way out")
    parser.add_argument("--folder", type=Path, help="keep the generated files here and use them again")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source = chosen.folder or work / "source"
        if not (source / TRUTH).is_file():
            write_archive(
                source, chosen.studies, chosen.seed, tuple(chosen.size), other_share=0.0, faults=False
            )
        truth = read_table(source / TRUTH)
        headers = [dcmread(source / ARCHIVE / row["file"], stop_before_pixels=True) for row in truth]
        pixels = sum(
            header.Rows * header.Columns * int(row["frames"])
            for header, row in zip(headers, truth, strict=True)
        )
        # Images of two arms are wider; they count as so many of the usual size.
        images = pixels / (chosen.size[0] * chosen.size[1])
        print(
            f"{os.cpu_count()} cores; {len(truth)} files, as {images:.1f} images of {chosen.size[1]}x{chosen.size[0]}\n"
        )
        if chosen.uncompressed:
            decompress(source / ARCHIVE)
        by_syntax(source / ARCHIVE, truth)
        load_pipeline()  # what is imported once in a run is not part of an image's time
        walls = {}
        for jobs in chosen.jobs:
            print(f"\n{jobs} process{'es' if jobs > 1 else ''}")
            start = sum(
                timed(lambda jobs=jobs, names=names: list(over_processes(ready, [names] * 2 * jobs, jobs)))[0]
                for names in LOADED
            )
            data, output = work / f"data{jobs}", work / f"out{jobs}"
            imported = timed(
                lambda data=data, jobs=jobs: import_archive(
                    source / ARCHIVE, data, source / LABELS, jobs=jobs, progress=False
                )
            )
            done = timed(
                lambda data=data, output=output, jobs=jobs: preprocess(
                    data, output, jobs=jobs, sheets=0, progress=False
                )
            )
            total = show("import", images, jobs, *imported) + show("pipeline", images, jobs, *done)
            print(
                f"  together {total:.3f} s an image and core; aim {AIM}; start of the processes {start:.1f} s"
            )
            walls[jobs] = imported[0] + done[0], start
            shutil.rmtree(output)
        for jobs in chosen.jobs[1:]:
            (one, _), (more, start) = walls[chosen.jobs[0]], walls[jobs]
            ratios = one / more, one / (more - start)
            print(f"\n{jobs} processes beside {chosen.jobs[0]}: ", end="")
            print("{:.2f}x; {:.2f}x without their start".format(*ratios))
        if chosen.ours_only:
            return
        print("\nthe plain way, 1 process")
        plain = show("import", images, 1, *timed(lambda: plain_import(source / ARCHIVE, work / "plain")))
        plain += show("pipeline", images, 1, *timed(lambda: plain_pipeline(work / "plain", work)))
        ours = walls[chosen.jobs[0]][0] * chosen.jobs[0] / images
        print(f"  together {plain:.3f} s an image and core, {plain / ours:.1f}x ours")


if __name__ == "__main__":
    main()
