"""Draw what the three-bone networks of `benchmarks/knee_variants.py` find in an unseen knee, for the bundle's page.

    python docs/knee_variants_picture.py OUT -o bundles/knee_mri_bone_segmentation/docs

OUT is the folder of the benchmark. The knee is the one with the median Dice of the fibula in the network of
`three_bones.json`, the slice the one with most of the fibula.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel
import numpy as np
from knee_pictures import BONE_COLOURS, TEXT, new_figure, save
from matplotlib.axes import Axes

from monai_tasks.evaluation.segmentation import read_label_map
from monai_tasks.io.tables import read_table
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.report.preview import grey

OURS, NAIVE = "three_bones", "three_bones_naive"
BONES = dict(enumerate(("femur", "tibia", "fibula"), start=1))
AXES = "RSA"


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("benchmark", type=Path, help="output folder of benchmarks/knee_variants.py")
    parser.add_argument("-o", "--output", type=Path, default=Path("knee_pictures_out"))
    arguments = parser.parse_args()
    rows = read_table(arguments.benchmark / OURS / "evaluation" / "metrics.csv")
    fibulas = sorted(
        (row for row in rows if row["label_name"] == "fibula"), key=lambda row: float(row["dice"])
    )
    chosen = fibulas[len(fibulas) // 2]
    files = tuple(Path(file) for file in chosen["reference"].split(";"))
    reference = read_label_map(files if len(files) > 1 else files[0], BONES, groups=[[1], [2], [3]])
    image = grey(read_image(arguments.benchmark, chosen["case"]))
    maps = {"drawn": reference.values}
    for name, folder in ((f"{OURS}.json", OURS), (f"naive_{OURS}.json", NAIVE)):
        path = arguments.benchmark / folder / "inference" / "predictions" / f"{chosen['case']}.nii.gz"
        maps[name] = read_label_map(path, BONES).values
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(reference.affine), nibabel.orientations.axcodes2ornt(AXES)
    )
    image, *turned = (
        nibabel.orientations.apply_orientation(array, turn) for array in (image, *maps.values())
    )
    best = int(np.argmax((turned[0] == 3).sum(axis=(0, 1))))
    figure = new_figure(3.9)
    panels = figure.subplots(1, len(maps))
    for axes, name, labels in zip(panels, maps, turned, strict=True):
        outline(axes, image[..., best], labels[..., best])
        axes.set_title(name, fontsize=TEXT)
    handles = [axes.plot([], [], color=BONE_COLOURS[bone], label=bone)[0] for bone in BONES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    save(figure, arguments.output / "three_bones.png")
    print(f"{chosen['case']}, slice {best}: Dice of the fibula {float(chosen['dice']):.3f}")


def read_image(benchmark: Path, case: str) -> np.ndarray:
    """The image of a case, (X, Y, Z)."""
    reader = VolumeReader()
    (path,) = (benchmark / "data").glob(f"*/{case}.mhd")
    return reader.get_data(reader.read(path))[0]


def outline(axes: Axes, plane: np.ndarray, labels: np.ndarray) -> None:
    """Show a slice (right, up) with the bones' outlines, the patient's right at the left."""
    mirrored = labels[::-1].T
    axes.imshow(plane[::-1].T, origin="lower", cmap="gray")
    for value, bone in BONES.items():
        inside = mirrored == value
        if inside.any():
            axes.contour(inside, levels=[0.5], colors=[BONE_COLOURS[bone]], linewidths=1.5)
    axes.set_axis_off()


if __name__ == "__main__":
    main()
