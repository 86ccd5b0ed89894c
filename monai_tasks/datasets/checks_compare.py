"""What is unusual about a case beside the others of its set."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_tasks.datasets.checks import Findings
from monai_tasks.datasets.checks_duplicates import ALIKE, Pair, near_duplicates, nearest
from monai_tasks.datasets.checks_images import ImageFindings
from monai_tasks.datasets.checks_measures import Measure, measure_of, strength, usual
from monai_tasks.datasets.checks_together import joint_distances

# What the checks are about, for reports.
CHECKS = {
    "unreadable": "a file that cannot be read",
    "label grid": "a label on another grid than its image",
    "grid": "size, spacing and orientation of the voxels or pixels",
    "field of view": "what part of the body is in the image, and blank borders",
    "intensity": "brightness, contrast, noise, saturation",
    "cropping": "labels or bodies that the border of the image cuts",
    "label": "labels that are missing, unusual in size, or in pieces",
    "place": "labels in another place of the image than usual",
    "sides": "labels on the wrong side of each other: swapped, or a mirrored case",
    "label on image": "labels that do not fit the intensities below them",
    "unlike others": "an image that resembles no other of the set",
    "near-duplicate": "nearly the same image in another subject",
}
MOST_REMARKS = 2  # of one check on one case
FEWEST = 8  # cases that can say what is usual
RARE = 0.05  # share of the cases that a thing may have and be rare; a single case always is
COMMON = 0.75  # share of the cases that must have one and the same for another to be rare
MOST_LABELS = 12  # whose places beside each other are compared: those that most cases have
STEADY = 0.7  # length of the median of the directions between two labels; 1 where all are one


@dataclass(frozen=True)
class Remark:
    """Something unusual about a case.

    Args:
        case: its number in the list of findings.
        check: one of CHECKS.
        strength: above 0, at most 1.
            1 for what is wrong by itself: a file that cannot be read, a label on another grid.
            1 - limit / distance for a number that is further from the median than chance explains: 0.5 at twice the
            limit, 0.9 at ten times; `checks_measures.usual` says what distance and limit are.
            1 - the square root of their share for what few cases have.
            From 0.5 at the threshold to 1 for the correlation of a near-duplicate.
        text: what was found and what is usual, in plain words.
    """

    case: int
    check: str
    strength: float
    text: str


def compare(findings: Sequence[Findings]) -> list[Remark]:
    """Say what is unusual about each case of a set.

    Args:
        findings: of all cases, of one kind. Fewer than FEWEST say nothing about what is usual: of such a set only files
            that cannot be read, labels on other grids and near-duplicates are remarked.

    Returns:
        The remarks in the order of the cases, the strongest of a case first; of one check at most the MOST_REMARKS
        strongest, beside all that are wrong by themselves.
    """
    remarks = [*_broken(findings), *_copies(findings)]
    if len(findings) >= FEWEST:
        remarks += [*_facts(findings), *_numbers(findings), *_sides(findings), *_unlike(findings)]
    chosen: dict[tuple[int, str], list[Remark]] = defaultdict(list)
    for remark in sorted(remarks, key=lambda remark: -remark.strength):
        own = chosen[remark.case, remark.check]
        # What is wrong by itself is said in full; of numbers that say the same in many ways, the clearest.
        if remark.strength == 1.0 or len(own) < MOST_REMARKS:
            own.append(remark)
    kept = [remark for own in chosen.values() for remark in own]
    return sorted(kept, key=lambda remark: (remark.case, -remark.strength, remark.check))


def _broken(findings: Sequence[Findings]) -> Iterator[Remark]:
    for case, found in enumerate(findings):
        for problem in found.problems:
            yield Remark(case, "unreadable", 1.0, problem)
        if found.label is not None and found.label.grid:
            yield Remark(case, "label grid", 1.0, found.label.grid)


def _copies(findings: Sequence[Findings]) -> Iterator[Remark]:
    """A remark for each case with near-duplicates, which names the nearest."""
    found: dict[int, list[tuple[Pair, int, ImageFindings]]] = defaultdict(list)
    for channel in _channels(findings):
        thumbnails = [image.thumbnail for _, image in channel]
        for pair in near_duplicates(thumbnails, [findings[case].subject for case, _ in channel]):
            for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                found[channel[one][0]].append((pair, *channel[other]))
    for case, copies in found.items():
        # The nearest; where one of another class is as near, that one, for one of the two classes is wrong.
        pair, other, image = max(
            copies, key=lambda copy: (round(copy[0].correlation, 3), _differ(findings, case, copy[1]))
        )
        text = f"nearly a {'mirrored ' if pair.mirrored else ''}copy of {image.name} of {findings[other].subject}"
        if _differ(findings, case, other):
            text += f", whose class is {findings[other].value}, not {findings[case].value}"
        text += f" (correlation {pair.correlation:.4f})"
        more = len({copy[1] for copy in copies}) - 1
        text += f"; and of {more} more" if more else ""
        yield Remark(
            case, "near-duplicate", min(1.0, 0.5 + 0.5 * (pair.correlation - ALIKE) / (1 - ALIKE)), text
        )


def _differ(findings: Sequence[Findings], case: int, other: int) -> bool:
    """Whether two cases have different classes."""
    return findings[case].value != findings[other].value


def _channels(findings: Sequence[Findings]) -> list[list[tuple[int, ImageFindings]]]:
    """Images that can be compared, with their cases: those of each channel, or all views of classifications."""
    channels: dict[int, list[tuple[int, ImageFindings]]] = {}
    for case, found in enumerate(findings):
        for number, image in enumerate(found.images):
            channels.setdefault(number if found.kind == "segmentation" else 0, []).append((case, image))
    return [channels[number] for number in sorted(channels)]


def _facts(findings: Sequence[Findings]) -> Iterator[Remark]:
    """What few cases have and the others have not."""
    for channel in _channels(findings):
        texts = {
            case: f"orientation of the file is {image.orientation}"
            for case, image in channel
            if image.orientation
        }
        yield from _rare(texts, "grid")
    channels = {
        case: f"number of channels is {len(found.images)}"
        for case, found in enumerate(findings)
        if found.kind == "segmentation" and found.images
    }
    yield from _rare(channels, "grid")
    labelled = {case: found.label for case, found in enumerate(findings) if found.label is not None}
    for value in sorted({value for label in labelled.values() for value in label.measures}):
        there = {
            case: f"label {value} is {'there' if value in label.measures else 'empty'}"
            for case, label in labelled.items()
        }
        yield from _rare(there, "label")


def _rare(texts: Mapping[int, str], check: str) -> Iterator[Remark]:
    """A remark for each text that few cases have where most have one and the same."""
    if len(texts) < FEWEST:
        return
    counts = Counter(texts.values())
    common, number = counts.most_common(1)[0]
    for case, text in texts.items():
        share = counts[text] / len(texts)
        if number >= COMMON * len(texts) and text != common and (share <= RARE or counts[text] == 1):
            usual = common.rsplit(" is ", 1)[1]
            text = f"{text}, in {counts[text]} of {len(texts)}; usual is {usual}"
            yield Remark(case, check, 1.0 - share**0.5, text)


def _numbers(findings: Sequence[Findings]) -> Iterator[Remark]:
    """Measures that lie far from their medians, alone or together."""
    channels = _channels(findings)
    for number, channel in enumerate(channels, start=1):
        prefix = f"channel {number}: " if len(channels) > 1 else ""
        yield from _far([(case, image.measures) for case, image in channel], prefix)
    labels = {case: found.label for case, found in enumerate(findings) if found.label is not None}
    values = sorted({value for label in labels.values() for value in label.measures})
    rows = {
        f"label {value}: ": [
            (case, label.measures[value]) for case, label in labels.items() if value in label.measures
        ]
        for value in values
    }
    if len(values) > 1:
        rows["all labels: "] = [(case, label.whole) for case, label in labels.items() if label.whole]
    for prefix, own in rows.items():
        yield from _far(own, prefix)
    yield from _together(rows, len(labels))


def _far(rows: Sequence[tuple[int, Mapping[str, float]]], prefix: str) -> Iterator[Remark]:
    cases = np.array([case for case, _ in rows])
    for name in dict.fromkeys(name for _, measures in rows for name in measures):
        measure = measure_of(name)
        if measure.alone:
            values = np.array([measures.get(name, np.nan) for _, measures in rows])
            yield from _beyond(cases, values, measure, prefix)


def _together(rows: Mapping[str, Sequence[tuple[int, Mapping[str, float]]]], count: int) -> Iterator[Remark]:
    """Labels whose measures on the image are unusual together, of the labels that most cases have."""
    frequent = sorted(
        (prefix for prefix in rows if len(rows[prefix]) >= COMMON * count), key=lambda p: -len(rows[p])
    )
    cases = sorted({case for prefix in frequent for case, _ in rows[prefix]})
    if len(cases) < FEWEST:
        return
    columns, words = [], []
    for prefix in frequent[:MOST_LABELS]:
        own = dict(rows[prefix])
        for name in dict.fromkeys(name for measures in own.values() for name in measures):
            measure = measure_of(name)
            values = np.array([own.get(case, {}).get(name, np.nan) for case in cases])
            if measure.check == "label on image" and np.isfinite(values).sum() >= FEWEST:
                columns.append(usual(values, measure).distances)
                words.append(f"{prefix}{measure.words}".replace(":", ","))
    if not columns or len(cases) < len(columns):
        return  # fewer cases than measures do not say how these go together
    distances = np.stack(columns, axis=1)
    joint = Measure(
        "label on image", "distance from the usual in all measures of labels on the image", "", False, 0.05, 1
    )
    for remark in _beyond(np.array(cases), joint_distances(distances), joint, ""):
        own = np.nan_to_num(np.abs(distances[cases.index(remark.case)]))
        most = " and ".join(words[place] for place in np.argsort(own)[:-3:-1])
        yield dataclasses.replace(remark, text=f"{remark.text}; most in {most}")


def _beyond(cases: np.ndarray, values: np.ndarray, measure: Measure, prefix: str) -> Iterator[Remark]:
    """A remark for each value that chance does not explain."""
    if np.isfinite(values).sum() < FEWEST:
        return
    own = usual(values, measure)
    for place in np.flatnonzero(np.abs(own.distances) > own.limit):
        distance = float(own.distances[place])
        if measure.side * distance < 0:
            continue
        text = (
            f"{prefix}{measure.words} is {measure.shown(values[place])}; usual is {measure.shown(own.median)} "
            f"({measure.shown(own.low)} to {measure.shown(own.high)})"
        )
        yield Remark(int(cases[place]), measure.check, strength(abs(distance), own.limit), text)


def _sides(findings: Sequence[Findings]) -> Iterator[Remark]:
    """Labels that lie on another side of each other than in most cases."""
    centres = {case: found.label.centres for case, found in enumerate(findings) if found.label is not None}
    counts = Counter(value for own in centres.values() for value in own)
    frequent = sorted(value for value, _ in counts.most_common(MOST_LABELS))
    for first, second in itertools.combinations(frequent, 2):
        both = [case for case, own in centres.items() if first in own and second in own]
        if len(both) < FEWEST:
            continue
        ways = np.array([np.subtract(centres[case][second], centres[case][first]) for case in both])
        ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), np.finfo(np.float64).tiny)
        way = np.median(ways, axis=0)
        if np.linalg.norm(way) < STEADY:
            continue  # they lie on no side of each other
        angles = np.degrees(np.arccos(np.clip(ways @ way / np.linalg.norm(way), -1, 1)))
        words = f"way from label {first} to label {second}, angle to its usual direction,"
        yield from _beyond(np.array(both), angles, Measure("sides", words, "degrees", False, 5.0, 1), "")


def _unlike(findings: Sequence[Findings]) -> Iterator[Remark]:
    """Images that resemble no other; labels are not compared in this way."""
    for channel in _channels(findings):
        alike = nearest(
            [image.thumbnail for _, image in channel], [findings[case].subject for case, _ in channel]
        )
        measure = Measure(
            "unlike others", "correlation with the images that are most alike", "", False, 0.01, -1
        )
        yield from _beyond(np.array([case for case, _ in channel]), alike, measure, "")
