"""Keeps the images of wanted body parts, by the free text that says which part an image shows.

The text is typed by people, in several languages, with and without accents, shortened and misspelt, and was damaged
where a file written in one code page was read in another. Words of other parts are known too, so that a word counts
for the part whose term is nearest: `metacarpo` is the hand, though it is near `carpo`.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from rapidfuzz import fuzz, process

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table
from monai_tasks.radiographs.study import Study

TERMS = Path(__file__).with_name("body_parts.json")
HISTOGRAM, HISTOGRAM_PLOT = "body_part_histogram.csv", "body_part_histogram.png"
NOT_STATED, NOT_RECOGNISED = "not stated", "not recognised"
# What a text may have been written in, beside UTF-8, and what it may have been read as.
CODE_PAGES = ("cp1252", "latin-1", "cp437", "cp850", "mac_roman")
# Shorter words than this are abbreviations; one letter more or less makes other words of them.
FUZZY = 4
LOST = "?"


@dataclass(frozen=True)
class Match:
    """What a text was found to say.

    Args:
        part: a part of the terms, `not stated` or `not recognised`.
        score: 100 where a term is there letter by letter, lower the more letters differ; 0 without a part.
    """

    part: str
    score: float


@dataclass(frozen=True)
class Terms:
    """The words for body parts.

    Args:
        part_of: normalised term, without spaces, to its part.
        ignored: normalised words that say nothing about the part: sides, views, "of".
        attached: sides and views that are also typed onto a word, as in `muñecaap`.
    """

    part_of: dict[str, str]
    ignored: frozenset[str]
    attached: frozenset[str]

    @property
    def parts(self) -> list[str]:
        """The parts, in the order of the file."""
        return list(dict.fromkeys(self.part_of.values()))

    @cached_property
    def long(self) -> list[str]:
        """The terms that similar words count for too."""
        return [term for term in self.part_of if len(term) >= FUZZY]


@cache
def read_terms(path: Path) -> Terms:
    """Read the words for body parts from JSON, of the form of `body_parts.json`.

    Raises:
        InputError: if the file is missing or of another form, or a term stands for two parts.
    """
    expected = 'JSON with "parts" (part to list of terms), "ignored" and "attached" (lists of words)'
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pairs = [("".join(_words(term)), part) for part, terms in content["parts"].items() for term in terms]
        ignored, attached = (
            frozenset(word for text in content[key] for word in _words(text))
            for key in ("ignored", "attached")
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as cause:
        raise InputError(path, f"not a list of terms ({cause!r})", expected) from cause
    part_of: dict[str, str] = {}
    for term, part in pairs:
        if part_of.setdefault(term, part) != part:
            raise InputError(path, f"{term!r} under {part_of[term]!r} and {part!r}", "one part a term")
    return Terms(part_of, ignored, attached)


@dataclass(frozen=True)
class BodyPartFilter:
    """Keep the images whose column `body_part` names a wanted part, and write what it says into `body_part_match`.

    Each word, or two words that follow each other, counts for the part of the nearest term; equally near, for the
    part that comes first in the file of terms. An image is kept if any word counts for a wanted part, as in
    `HAND/WRIST`. Sides and views say nothing. A text of nothing but these counts as empty.

    Args:
        parts: the parts to keep, as named in the file of terms.
        minimum_score: similarity from which a word counts, 0 to 100: twice the letters in common, in their order,
            over the letters of both words. 80 forgives one wrong or two missing letters in a word of six.
        keep_empty: keep images whose text is empty, as it often is for studies of one part only.
        terms: a file of terms of your own instead of the one of the package.

    Raises:
        ValueError: if a part is not in the file of terms, or none is wanted.
        InputError: if the file of terms cannot be read.
    """

    parts: tuple[str, ...] = ("wrist",)
    minimum_score: float = 80.0
    keep_empty: bool = True
    terms: str | None = None

    name = "body_part"

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        known = read_terms(self._path).parts
        if not self.parts or not set(self.parts) <= set(known):
            raise ValueError(f"parts {list(self.parts)}; expected one or more of {', '.join(known)}")

    @property
    def _path(self) -> Path:
        return Path(self.terms) if self.terms else TERMS

    def __call__(self, study: Study) -> Study:
        texts = [image.row["body_part"] for image in study.images]
        study = study.counted(self.name, Counter(texts))
        kept = []
        for image, text in zip(study.images, texts, strict=True):
            match = self.match(text)
            if self.keeps(match):
                kept.append(image.with_columns(body_part_match=match.part))
            else:
                study = study.without(image, f"body part {match.part}; expected {' or '.join(self.parts)}")
        return study.with_images(kept)

    def match(self, text: str) -> Match:
        """What a text says: a wanted part where one is named, else the part of the nearest term."""
        found = _found(text, self._path, self.minimum_score)
        if not found:
            return Match(NOT_STATED if found is None else NOT_RECOGNISED, 0.0)
        wanted = {part: score for part, score in found.items() if part in self.parts}
        part, score = max((wanted or found).items(), key=lambda pair: pair[1])
        return Match(part, round(score, 1))

    def keeps(self, match: Match) -> bool:
        """Whether images with such a text are kept."""
        return match.part in self.parts or (match.part == NOT_STATED and self.keep_empty)

    def finish(self, counts: Counter[str], folder: Path) -> None:
        """Write the histogram of texts over the whole data set, as a table and as a plot.

        Args:
            counts: text to number of images.
            folder: where to write `body_part_histogram.csv` and `.png`.
        """
        from monai_tasks.radiographs.histogram import draw_histogram

        rows = []
        for text, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
            match = self.match(text)
            kept = "yes" if self.keeps(match) else "no"
            rows.append(
                {"value": text, "count": count, "part": match.part, "score": match.score, "kept": kept}
            )
        write_table(folder / HISTOGRAM, rows, ("value", "count", "part", "score", "kept"))
        draw_histogram(rows, folder / HISTOGRAM_PLOT)


@lru_cache(maxsize=10_000)
def _found(text: str, path: Path, minimum: float) -> Mapping[str, float] | None:
    """Part to best score, of the reading of a text that fits best; None where it holds no word but ignored ones."""
    terms = read_terms(path)
    empty, best, rank = True, {}, (0.0, 0)
    for reading in sorted(_readings(text)):
        words = [word for word in _words(reading) if len(word) > 1 and word not in terms.ignored]
        empty = empty and not words
        found = _parts(words, terms, minimum)
        # Of readings that fit equally, the one that lost fewest letters: "muñón" holds no abbreviation "muñ".
        letters = sum(letter != LOST for word in words for letter in word)
        if (sum(found.values()), letters) > rank:
            best, rank = found, (sum(found.values()), letters)
    return None if empty else best


def _parts(words: list[str], terms: Terms, minimum: float) -> dict[str, float]:
    """Part to best score of the words of one reading."""
    found: dict[str, float] = {}
    singles = [max((_nearest(form, terms) for form in _bare(word, terms)), key=_score) for word in words]
    place = 0
    while place < len(words):
        term, score = singles[place]
        if place + 1 < len(words):
            pair = _nearest(words[place] + words[place + 1], terms)
            # A pair counts in place of its words: "hand gelenk" is no hand.
            if pair[1] >= max(minimum, score, singles[place + 1][1]):
                (term, score), place = pair, place + 1
        if score >= minimum:
            part = terms.part_of[term]
            found[part] = max(score, found.get(part, 0.0))
        place += 1
    return found


def _nearest(word: str, terms: Terms) -> tuple[str, float]:
    """The term nearest to a word, the first of equally near ones, and its score."""
    letters = word.replace(LOST, "")
    if len(letters) < FUZZY:
        return (word, 100.0) if word in terms.part_of else ("", 0.0)
    term, score, _ = process.extractOne(letters, terms.long, scorer=fuzz.ratio)
    return term, score


def _score(match: tuple[str, float]) -> float:
    return match[1]


def _bare(word: str, terms: Terms) -> list[str]:
    """A word, and what is left of it without a side or view that was typed onto it."""
    forms = [word]
    for other in terms.attached:
        if len(other) <= len(word) - FUZZY + 1:
            forms += [word.removeprefix(other)] if word.startswith(other) else []
            forms += [word.removesuffix(other)] if word.endswith(other) else []
    return forms


def _readings(text: str) -> set[str]:
    """The text, and what it may have been before it was read in a wrong code page, once or twice."""
    readings = {html.unescape(text), re.sub(r"\x1b[-()$,.]*[@-Z]", "", text)}
    for _ in range(2):
        for reading in list(readings):
            if not reading.isascii():
                readings |= _decoded(reading)
    return readings


def _decoded(text: str) -> set[str]:
    """The text if its bytes were of another code page than they were read in, for each pair of code pages."""
    # Bytes that are no UTF-8 were kept as they are; text that is UTF-8 would not have been read otherwise.
    read_as = ("utf-8",) if any("\udc80" <= letter <= "\udcff" for letter in text) else CODE_PAGES
    found = set()
    for wrong in read_as:
        for right in ("utf-8", *CODE_PAGES):
            if wrong != right:
                try:
                    found.add(text.encode(wrong, "surrogateescape").decode(right))
                except UnicodeError:  # this text was not damaged in this way
                    continue
    return found


def _words(text: str) -> list[str]:
    """Words of the letters a to z, without accents, with a question mark where letters were lost."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    # Between letters, a question mark or a sign that no language writes there is a letter that was lost.
    plain = re.sub(r"(?<=[a-z])(?:[?*#~^|]|[^\x00-\x7f])+(?=[a-z])", LOST, plain)
    plain = re.sub(r"\b([a-z]) (?=[a-z]\b)", r"\1", plain)  # s p a c e d
    return re.findall(r"[a-z?]*[a-z]", plain)
