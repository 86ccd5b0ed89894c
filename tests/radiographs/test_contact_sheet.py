"""Contact sheets: which images are on them, and that before and after show what a step did."""

from __future__ import annotations

import numpy as np
from PIL import Image as Picture

from monai_tasks.radiographs.contact_sheet import FOLDER, Pair, draw_sheet, write_sheets
from monai_tasks.radiographs.pipeline import load_pipeline
from monai_tasks.radiographs.runner import preprocess

RED, BLUE = (200, 30, 30), (30, 30, 200)


def block(colour: tuple[int, int, int]) -> Picture.Image:
    return Picture.new("RGB", (20, 30), colour)


def counts(path, *colours) -> list[int]:
    with Picture.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return [int((pixels == colour).all(-1).sum()) for colour in colours]


def test_a_sheet_shows_each_pair_whole(tmp_path):
    pairs = [Pair(f"image {number}", block(RED), (block(BLUE),), "turned") for number in range(5)]
    pairs.append(Pair("split", block(RED), (block(BLUE), block(BLUE)), "2 images"))
    pairs.append(Pair("dropped", block(RED), (), "left out: foot"))
    draw_sheet(pairs, "a step", tmp_path / "sheet.png")
    assert counts(tmp_path / "sheet.png", RED, BLUE) == [7 * 600, 7 * 600]


def test_before_is_beside_after(tmp_path):
    draw_sheet([Pair("image", block(RED), (block(BLUE),), "")], "a step", tmp_path / "sheet.png")
    with Picture.open(tmp_path / "sheet.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    red, blue = (np.argwhere((pixels == colour).all(-1)) for colour in (RED, BLUE))
    assert red[:, 1].max() < blue[:, 1].min()
    assert red[0][0] == blue[0][0]


def test_there_is_a_sheet_for_each_step_that_changed_images(data, plug, tmp_path):
    source, output = data(6, size=(400, 600)), tmp_path / "out"
    preprocess(source, output, config=plug.config(), jobs=1, sheets=3, progress=False)
    (sheet,) = (output / FOLDER).iterdir()
    assert sheet.name == "inverted.png"
    with Picture.open(sheet) as picture:
        first = picture.convert("RGB").tobytes()
        assert picture.height > 2 * 133  # two rows of images of 200 x 133
    # All studies are skipped now; the sheet is as it was, for the same images are chosen.
    again = preprocess(source, output, config=plug.config(), jobs=1, sheets=3, progress=False)
    assert again.skipped == 6
    with Picture.open(sheet) as picture:
        assert picture.convert("RGB").tobytes() == first
    preprocess(source, output, config=plug.config(), jobs=1, sheets=0, progress=False)
    assert not list((output / FOLDER).iterdir())


def test_only_studies_that_a_step_changed_are_looked_at(data, tmp_path):
    source = data(3, texts=("MUÑECA", "MUÑECA", "PIE", "MUÑECA", "MUÑECA", "MUÑECA"))
    steps = load_pipeline(steps=["body_part"]).steps
    changed = {"not_broken/S0": {}, "broken/S1": {"body_part": 1}, "unlabelled/S2": {}}
    (source / "unlabelled" / "S2" / "metadata.csv").unlink()
    (path,) = write_sheets(source, tmp_path / "out", steps, changed, 5)
    assert path == tmp_path / "out" / FOLDER / "body_part.png"
    assert write_sheets(source, tmp_path / "out", steps, {"not_broken/S0": {}}, 5) == []
    assert not path.exists()
