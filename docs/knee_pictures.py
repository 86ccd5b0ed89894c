"""Draw what each preprocessing step of the knee bundle does, on generated knees, for the bundle's page.

The steps are those of the bundle's own configs, carried out one by one. Pictures are upright and in radiological
convention: the patient's right is at the left.

    python docs/knee_pictures.py -o bundles/knee_mri_bone_segmentation/docs
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import ResampleToMatch
from PIL import Image
from scipy.ndimage import binary_fill_holes, gaussian_filter

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets import knee_mhd
from monai_tasks.inference.configs import parse
from monai_tasks.io.files import atomic_path
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.phantoms.knee import GRIDS, knee
from monai_tasks.phantoms.layouts import KNEE_PIXELS, write_knee_mhd
from monai_tasks.report.plots import COLOURS, INK, LINE
from monai_tasks.report.preview import grey
from monai_tasks.training.standard_score import merged, moments
from monai_tasks.transforms.take_slices import TakeSlices, TakeSlicesd

BUNDLE = "knee_mri_bone_segmentation"
KNEES, SEED = 6, 3  # two of these have no outliers
EXAMPLES = (0, 4, 3, 1)  # of either source one with outliers, and the one without
BONE_CONFIGS = {"three classes": ("three_bones",), "one class": (), "one bone": ("fibula",)}
DPI, WIDTH = 130, 9.2  # inches
SMALL, TEXT = 10, 11  # points
BLUE, ORANGE, GREEN, PINK, _, SKY, _ = COLOURS
YELLOW = "#f0e442"
SOURCE_COLOURS = dict(zip(GRIDS, (BLUE, ORANGE), strict=True))
BONE_COLOURS = {"femur": ORANGE, "tibia": SKY, "fibula": GREEN, "bone": PINK}
PASS_COLOURS = (SKY, "#f0b64a")
COLUMNS, SHOWN = 8, 0.62  # thumbnails, and the share of a slice's height in them

Steps = dict[str, dict[str, Any]]


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("knee_pictures_out"))
    output = parser.parse_args().output
    logging.disable(logging.WARNING)
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        cases = listed(write_knee_mhd(Path(folder) / "knees", KNEES, SEED))
        cache = Path(folder) / "bias_fields"
        done = [carried_out(case, cache) for case in cases]
        min_max = [carried_out(case, cache, "min_max")["EnsureType"]["image"] for case in cases]
        bones = {name: carried_out(cases[0], cache, *configs) for name, configs in BONE_CONFIGS.items()}
        draw_crop(done[:2], output / "crop.png")
        draw_bias_field(done[4], even_knee(5), output / "bias_field.png")
        draw_intensities(done, min_max, output / "intensities.png")
        draw_slices(done[:2], take_slices(), output / "slices.png")
        draw_bones(bones, output / "bones.png")


def listed(folder: Path) -> list[dict[str, Any]]:
    """The generated knees as items of a datalist, epi and jopp in turn."""
    items = knee_mhd.datalist(folder, fractions=(1, 0, 0))["training"]
    return sorted(items, key=lambda item: Path(item["image"]).name)


def carried_out(item: Mapping[str, Any], cache: Path, *configs: str) -> Steps:
    """What the bundle's transforms without randomness make of an item, one after the other.

    Args:
        item: of a datalist.
        cache: folder for bias fields.
        configs: merged onto `train.json`.

    Returns:
        The item after each transform, by the name of the transform's class without its last letter.
    """
    parser = parsed(*configs, bias_field_cache=str(cache))
    results = {}
    for transform in parser.get_parsed_content("train#deterministic_transforms"):
        item = transform(item)
        results[type(transform).__name__.removesuffix("d")] = item
    return results


def parsed(*configs: str, **settings: Any) -> ConfigParser:
    """The bundle's `train.json` with other configs merged onto it."""
    return parse(open_bundle(BUNDLE), ("train", *configs), torch.device("cpu"), settings)


def take_slices() -> TakeSlices:
    """What takes slices for the bundle's 3D network."""
    transforms = parsed("unet3d").get_parsed_content("train#random_transforms")
    return next(one.take for one in transforms if isinstance(one, TakeSlicesd))


def even_knee(number: int) -> MetaTensor:
    """A generated knee of epi (1, X, Y, Z) as it is without the coil's bias field."""
    grid = replace(GRIDS["epi"].reduced(KNEE_PIXELS["epi"]), coil="none")
    image, _, affine, _ = knee(np.random.default_rng([SEED, number]), grid)
    return MetaTensor(image[None].astype(np.float32), affine=torch.as_tensor(affine))


def draw_crop(cases: Sequence[Steps], path: Path) -> None:
    """For an image of each source the joint and the window, and what is cut out."""
    figure = new_figure(2.75)
    panels = figure.subplots(1, 4)
    for (left, right), source, steps in zip(panels.reshape(2, 2), GRIDS, cases, strict=True):
        whole, crop = steps["Spacing"]["image"], steps["CropToJoint"]["image"]
        middle = whole.shape[3] // 2
        for axes, image in ((left, whole), (right, crop)):
            show(axes, grey(image[0, ..., middle].numpy()), spacing(image))
            joint = place(image, crop.meta["joint"]["position"])
            axes.plot(*joint, marker="+", color=YELLOW, markersize=13, markeredgewidth=2)
        corner = nibabel.affines.apply_affine(crop.affine.numpy(), (crop.shape[1] - 0.5, -0.5, middle))
        corner, (width, height) = place(whole, corner), np.multiply(spacing(crop), crop.shape[1:])[:2]
        left.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=YELLOW, linewidth=2))
        write(left, f"{width:.0f} mm", (corner[0] + width / 2, corner[1] + 3), "center", "bottom", YELLOW)
        left.set_title(f"{source}: the image", fontsize=TEXT)
        right.set_title(f"{source}: the crop", fontsize=TEXT)
    save(figure, path)


def draw_bias_field(steps: Steps, even: MetaTensor, path: Path) -> None:
    """One slice before and after N4, the fitted and the true field, and the brightness along a line."""
    before, after = steps["CropToJoint"]["image"], steps["BiasFieldCorrection"]["image"]
    even = ResampleToMatch(mode="bilinear")(even, img_dst=before)
    number, bone = most(steps["CropToJoint"]["label"])
    planes = [image[0, ..., number].numpy() for image in (before, after, even)]
    # The scale of a field says nothing: all are brought to one mean in the bones.
    planes[2] = planes[2] * (planes[1][bone].mean() / planes[2][bone].mean())
    smooth = [gaussian_filter(plane, 1.5 / spacing(before)[0]) for plane in planes]
    leg = binary_fill_holes(smooth[2] > 0.15 * np.percentile(smooth[2], 99))
    fields = [np.where(leg, smooth[0] / np.maximum(plane, 1), np.nan) for plane in smooth[1:]]
    fields = [field / field[bone].mean() for field in fields]
    limit = np.exp(max(np.nanpercentile(np.abs(np.log(field)), 99.5) for field in fields))

    figure = new_figure(5.2)
    upper, lower = figure.add_gridspec(2, 1, height_ratios=[3, 2.2])
    panels = upper.subgridspec(1, 4).subplots()
    middle = int(gaussian_filter(bone.sum(0).astype(float), 3).argmax())
    strip, edge = slice(middle - 3, middle + 4), spacing(before)[1]
    shades = grey(np.stack(planes[:2]))
    for axes, plane, title in zip(panels[:2], shades, ("before N4", "after N4"), strict=True):
        show(axes, plane, spacing(before))
        axes.axhspan(strip.start * edge, strip.stop * edge, facecolor=YELLOW, alpha=0.4)
        axes.set_title(title, fontsize=TEXT)
    for axes, field, title in zip(panels[2:], fields, ("field that N4 fits", "true field"), strict=True):
        shown = show(axes, field, spacing(before), cmap="cividis", norm=LogNorm(1 / limit, limit))
        axes.set_title(title, fontsize=TEXT)
    ticks = [tick for tick in (0.5, 0.6, 0.7, 0.8, 1, 1.2, 1.4, 1.7, 2) if 1 / limit < tick < limit]
    bar = figure.colorbar(shown, ax=panels[2:], pad=0.02, shrink=0.72, ticks=ticks, format="%.1f")
    bar.minorticks_off()
    bar.set_label("factor of brightness", fontsize=SMALL)
    profiles = [plane[::-1, strip].mean(1) for plane in planes]
    draw_profiles(lower, profiles, bone[::-1, middle], spacing(before)[0])
    save(figure, path)


def draw_profiles(where: SubplotSpec, profiles: Sequence[np.ndarray], bone: np.ndarray, edge: float) -> None:
    """Brightness from the patient's right to the left: before N4, after it, and without a field."""
    axes = plain(where.get_gridspec().figure.add_subplot(where))
    places = (np.arange(len(bone)) + 0.5) * edge
    top = 1.05 * max(profile.max() for profile in profiles)
    axes.fill_between(places, top * bone, step="mid", color=LINE, linewidth=0, label="bone")
    axes.plot(places, profiles[0], color=ORANGE, linewidth=1.8, label="before N4")
    axes.plot(places, profiles[1], color=BLUE, linewidth=2.6, label="after N4")
    axes.plot(places, profiles[2], color=INK, linewidth=1.1, linestyle=":", label="without a field")
    axes.set_xlim(0, len(bone) * edge)
    axes.set_ylim(0, top)
    axes.set_xlabel("mm along the yellow strip, from the patient's right", fontsize=SMALL)
    axes.set_ylabel("intensity", fontsize=SMALL)
    axes.legend(fontsize=SMALL, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))


def draw_intensities(cases: Sequence[Steps], min_max: Sequence[MetaTensor], path: Path) -> None:
    """Histograms of all images, and slices of some in one range of grey, after either way to scale them."""
    raw = [steps["EnsureType"]["image"] for steps in cases]
    bones = [steps["EnsureType"]["label"].numpy() > 0 for steps in cases]
    score = StandardScoreNet(torch.nn.Identity())
    score.set_statistics(*merged([moments(image, 1) for image in raw]))
    rows = (
        ("standard score, deviations", [score(image) for image in raw], (-2.0, 3.0)),
        ("after min-max", min_max, (0.0, 1.0)),
    )
    figure = new_figure(4.7)
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 1.75])
    for row, (name, tensors, limits) in enumerate(rows):
        images = [image.numpy() for image in tensors]
        histograms = plain(figure.add_subplot(grid[row, 0]))
        draw_histograms(histograms, images, limits)
        histograms.set_xlabel(name, fontsize=SMALL)
        for axes, number in zip(grid[row, 1].subgridspec(1, len(EXAMPLES)).subplots(), EXAMPLES, strict=True):
            image = images[number]
            show(axes, image[0, ..., image.shape[3] // 2], spacing(raw[number]), clim=limits)
            axes.set_axis_off()
            facts = f"bone {np.median(image[bones[number]]):.2f}\nbrightest {image.max():.3g}"
            axes.set_title(f"{source(number)}, knee {number + 1}\n{facts}", fontsize=SMALL)
    handles = [Line2D([], [], color=colour, label=name) for name, colour in SOURCE_COLOURS.items()]
    handles.append(Line2D([], [], color=INK, linestyle="--", label="no outliers"))
    histograms.legend(handles=handles, fontsize=SMALL, frameon=False)
    save(figure, path)


def draw_histograms(axes: Axes, images: Sequence[np.ndarray], limits: tuple[float, float]) -> None:
    """One curve an image: the share of its voxels in each hundredth of the range."""
    bins = np.linspace(*limits, 101)
    for number, image in enumerate(images):
        line = "-" if image.max() > 2 * np.percentile(image, 99.9) else "--"
        shares = 100 * np.histogram(image, bins)[0] / image.size
        axes.stairs(shares, bins, color=SOURCE_COLOURS[source(number)], linestyle=line, linewidth=1.4)
    axes.set_xlim(limits)
    axes.set_ylabel("% of the voxels", fontsize=SMALL)


def draw_slices(cases: Sequence[Steps], take: TakeSlices, path: Path) -> None:
    """Which slices the passes over an image of 41 take, and the one over an image of 24; one scale for both."""
    epi, jopp = (steps["EnsureType"]["image"] for steps in cases)
    near, far = (spacing(image)[2] for image in (epi, jopp))
    step, width = take.plan(epi).step, round(far / near)
    passes = [taken(take, epi, start, step) for start in range(step)]
    whole = {place: number for one in passes for place, number in one.items()}
    text = f"epi: {epi.shape[3]} slices, {near:.1f} mm apart, padded with zeros (hatched) to {len(whole)}"
    rows = [(f"{text}; slice 1 is the hindmost", epi, whole, 1)]
    for index, one in enumerate(passes, start=1):
        held = sum(number > 0 for number in one.values())
        text = f"pass {index}: {held} slices and {len(one) - held} of zeros, {step * near:.1f} mm apart"
        rows.append((text, epi, one, 1))
    text = f"jopp: {jopp.shape[3]} slices, {far:.1f} mm apart, all in one pass"
    rows.append((text, jopp, taken(take, jopp, 0, width), width))
    figure = new_figure(5.9)
    axes = figure.add_subplot()
    for row, (text, image, numbers, width) in enumerate(rows):
        axes.text(0, -7.6 * row + 0.2, text, fontsize=TEXT, va="bottom", color=INK)
        draw_row(axes, -7.6 * row, grey(image[0].numpy()), numbers, width, len(whole))
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-0.1, len(whole) + 0.1)
    axes.set_ylim(-7.6 * len(rows) + 1.6, 1.6)
    save(figure, path)


def draw_row(
    axes: Axes, top: float, image: np.ndarray, numbers: Mapping[int, int], width: int, length: int
) -> None:
    """A cell for each slice, and the joint in the slices of the middle.

    Args:
        axes: to draw in, of which a unit is the distance of epi's slices.
        top: of the cells.
        image: (X, Y, Z).
        numbers: of the slices, from 1, by their place; 0 is padding.
        width: of a slice in units.
        length: of the row in units.
    """
    edge, first = length / COLUMNS, (length - COLUMNS) // 2
    size, cut = edge - 0.3, round(image.shape[1] * (1 - SHOWN) / 2)
    for place, number in numbers.items():
        colour = PASS_COLOURS[place % len(PASS_COLOURS)] if width == 1 else LINE
        look = {"facecolor": colour, "edgecolor": "white", "hatch": None if number else "////"}
        axes.add_patch(Rectangle((place, top - 1.3), width, 1.3, **look))
        if not number:
            continue
        axes.text(place + width / 2, top - 0.7, f"{number}", fontsize=7, ha="center", va="center", color=INK)
        if first <= place < first + COLUMNS:
            left, bottom = (place - first) * edge + 0.15, top - 1.8 - SHOWN * size
            extent = (left, left + size, bottom, top - 1.8)
            plane = image[::-1, cut : image.shape[1] - cut, number - 1].T
            axes.imshow(plane, cmap="gray", vmin=0, vmax=280, origin="lower", extent=extent)
            frame = Rectangle((left, bottom), size, SHOWN * size, fill=False, edgecolor=colour, linewidth=3)
            axes.add_patch(frame)
            write(axes, f"{number}", (left + 0.3, top - 2.1), "left", "top")


def taken(take: TakeSlices, image: MetaTensor, start: int, step: int) -> dict[int, int]:
    """Places from `start` on to the numbers, from 1, of the slices that the transform takes; 0 is padding."""
    numbers = take(torch.arange(1, image.shape[3] + 1)[None, None, None], start=start)[0, 0, 0].tolist()
    return {start + step * index: number for index, number in enumerate(numbers)}


def draw_bones(results: Mapping[str, Steps], path: Path) -> None:
    """The bones of one slice as the configs make classes of them."""
    fibula = results["one bone"]["EnsureType"]
    number, _ = most(fibula["label"])
    figure = new_figure(3.15)
    panels = figure.subplots(1, len(results) + 1)
    for axes in panels:
        show(axes, grey(fibula["image"][0, ..., number].numpy()), spacing(fibula["image"]))
    panels[0].set_title("the slice", fontsize=SMALL)
    for axes, (title, steps) in zip(panels[1:], results.items(), strict=True):
        classes = steps["EnsureType"]["label"][0, ..., number].numpy()
        names = parsed(*BONE_CONFIGS[title])["label_names"]
        colours = np.array([(0, 0, 0, 0), *(to_rgba(BONE_COLOURS[name], 0.55) for name in names)])
        show(axes, colours[classes], spacing(fibula["image"]), interpolation="nearest")
        values = ", ".join(f"{value} {name}" for value, name in enumerate(names, 1))
        axes.set_title(f"{title}:\n{values}", fontsize=SMALL)
    handles = [Patch(facecolor=colour, alpha=0.7, label=name) for name, colour in BONE_COLOURS.items()]
    figure.legend(handles=handles, fontsize=SMALL, frameon=False, ncols=4, loc="outside lower center")
    save(figure, path)


def source(number: int) -> str:
    """Of the generated knee at a place of the list."""
    return list(GRIDS)[number % len(GRIDS)]


def most(label: MetaTensor) -> tuple[int, np.ndarray]:
    """The slice with the most bone, and its mask (X, Y)."""
    mask = label[0].numpy() > 0
    number = int(mask.sum((0, 1)).argmax())
    return number, mask[..., number]


def show(axes: Axes, plane: np.ndarray, edges: Sequence[float], **options: Any) -> AxesImage:
    """Draw a plane (X, Y[, colour]) that runs to the patient's right and up, with mm along its sides."""
    width, height = (edge * size for edge, size in zip(edges, plane.shape[:2], strict=False))
    options = {"cmap": "gray", "interpolation": "antialiased"} | options
    shown = axes.imshow(
        np.swapaxes(plane[::-1], 0, 1), origin="lower", extent=(0, width, 0, height), **options
    )
    axes.set_xticks(np.arange(0, width + 1, 50))
    axes.set_yticks(np.arange(0, height + 1, 50))
    axes.tick_params(labelsize=SMALL, color=LINE)
    if axes.get_subplotspec().is_first_col():
        axes.set_ylabel("mm", fontsize=SMALL)
    axes.set_xlabel("mm", fontsize=SMALL)
    write(axes, "R", (0.03 * width, 0.97 * height), "left", "top")
    write(axes, "L", (0.97 * width, 0.97 * height), "right", "top")
    return shown


def write(
    axes: Axes, text: str, position: tuple[float, float], side: str, edge: str, colour: str = "white"
) -> None:
    """Write on a picture so that it can be read on bright ground too."""
    outline = [withStroke(linewidth=2, foreground="black")]
    axes.text(*position, text, ha=side, va=edge, color=colour, fontsize=SMALL, path_effects=outline)


def spacing(image: MetaTensor) -> list[float]:
    """Edges of a voxel in mm."""
    return nibabel.affines.voxel_sizes(image.affine.numpy()).tolist()


def place(image: MetaTensor, position: Sequence[float]) -> tuple[float, float]:
    """Where a point of the world (RAS, mm) lies in a picture of `show`, in mm."""
    voxel = nibabel.affines.apply_affine(np.linalg.inv(image.affine.numpy()), position)
    across, up, _ = spacing(image)
    return (image.shape[1] - 0.5 - voxel[0]) * across, (voxel[1] + 0.5) * up


def plain(axes: Axes) -> Axes:
    """The same axes without a frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL, color=LINE)
    return axes


def new_figure(height: float) -> Figure:
    """A white figure of the pictures' width; the height is in inches."""
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained", facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 128 colours, which is a third as large as one of all."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    with atomic_path(path) as temporary:
        picture = picture.quantize(128, kmeans=2, dither=Image.Dither.NONE)
        picture.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
