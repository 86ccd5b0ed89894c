"""Pages that people read: one HTML file from a list of sections, styles inside, usable without a network."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import quote

import jinja2

from monai_tasks import __version__
from monai_tasks.io.files import write_text

BLANK = "–"


@dataclass(frozen=True)
class Text:
    """Paragraphs.

    Args:
        paragraphs: plain text, one string a paragraph.
        title: heading above them, or nothing.
    """

    paragraphs: Sequence[str]
    title: str = ""


@dataclass(frozen=True)
class Facts:
    """Names and values, in order.

    Args:
        items: name to value; numbers are shown with four significant digits unless they are integers.
        title: heading above them, or nothing.
        cards: show each as a card with a large value, for the few figures that sum a page up.
    """

    items: Mapping[str, object]
    title: str = ""
    cards: bool = False


@dataclass(frozen=True)
class Link:
    """A table cell that leads to a file.

    Args:
        text: what the cell shows.
        path: the file, relative to the page's folder.
    """

    text: str
    path: str | Path


@dataclass(frozen=True)
class Number:
    """A table cell with a format of its own, where the numbers of a column differ in kind.

    Args:
        value: None and NaN are shown as a dash.
        spec: format specification.
    """

    value: float | None
    spec: str


@dataclass(frozen=True)
class Table:
    """Rows under a heading that stays in sight; columns that hold numbers only are set to the right.

    Args:
        rows: one mapping a row; a column that a row lacks, `None` and NaN are shown as a dash.
        columns: the keys to show, in order; a mapping gives each its heading.
        formats: key to format specification, for example `{"dice": ".3f"}`, applied to numbers.
        title: heading above the table, or nothing.
        note: a sentence under the heading, or nothing.
        marked: indices of rows to set off, for example those that failed.
    """

    rows: Sequence[Mapping[str, object]]
    columns: Sequence[str] | Mapping[str, str]
    formats: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    note: str = ""
    marked: Collection[int] = ()


@dataclass(frozen=True)
class Figures:
    """Pictures with captions.

    Args:
        items: path of each picture, relative to the page's folder, and its caption.
        title: heading above them, or nothing.
        note: a sentence under the heading, or nothing.
        wide: one picture a line, for plots, instead of a grid.
    """

    items: Sequence[tuple[str | Path, str]]
    title: str = ""
    note: str = ""
    wide: bool = False


Section = Text | Facts | Table | Figures


def write_page(path: str | Path, title: str, sections: Sequence[Section], subtitle: str = "") -> Path:
    """Write a page; every string in it is escaped, so names of files may hold anything.

    Args:
        path: the HTML file, written under a temporary name and renamed.
        title: the page's title and first heading.
        sections: what the page shows, in order.
        subtitle: a line under the title, or nothing.

    Returns:
        The path written.

    Raises:
        TypeError: when a section is of an unknown type.
        ValueError: when a linked file is not given relative to the page's folder.
    """
    template = _environment().get_template("page.html")
    views = [_view(section) for section in sections]
    html = template.render(title=title, subtitle=subtitle, sections=views, version=__version__)
    # A file name that is not valid UTF-8 reaches Python as lone surrogates, which cannot be written.
    write_text(path, html.encode("utf-8", "replace").decode("utf-8"))
    return Path(path)


@cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _view(section: Section) -> dict[str, object]:
    """What the template needs to show a section: strings only, with its kind."""
    match section:
        case Text():
            return {"kind": "text", "title": section.title, "paragraphs": list(section.paragraphs)}
        case Facts():
            items = [(name, _shown(value)) for name, value in section.items.items()]
            return {"kind": "cards" if section.cards else "facts", "title": section.title, "entries": items}
        case Table():
            return _table_view(section)
        case Figures():
            items = [(_reference(path), caption) for path, caption in section.items]
            view = {"kind": "figures", "title": section.title, "note": section.note}
            return view | {"pictures": items, "wide": section.wide}
    names = ", ".join(kind.__name__ for kind in (Text, Facts, Table, Figures))
    raise TypeError(f"unknown section {type(section).__name__}: expected one of {names}")


def _table_view(table: Table) -> dict[str, object]:
    headings = table.columns if isinstance(table.columns, Mapping) else {key: key for key in table.columns}
    columns = [
        {"heading": heading, "number": _holds_numbers([row.get(key) for row in table.rows])}
        for key, heading in headings.items()
    ]
    rows = [
        {
            "marked": index in table.marked,
            "cells": [_cell(row.get(key), table.formats.get(key)) for key in headings],
        }
        for index, row in enumerate(table.rows)
    ]
    return {"kind": "table", "title": table.title, "note": table.note, "columns": columns, "rows": rows}


def _cell(value: object, spec: str | None) -> dict[str, str]:
    if isinstance(value, Link):
        return {"text": value.text, "href": _reference(value.path)}
    if isinstance(value, Number):
        return {"text": _shown(value.value, value.spec), "href": ""}
    return {"text": _shown(value, spec), "href": ""}


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_blank(value: object) -> bool:
    return value is None or value == "" or (_is_number(value) and math.isnan(value))


def _holds_numbers(values: Sequence[object]) -> bool:
    plain = [value.value if isinstance(value, Number) else value for value in values]
    present = [value for value in plain if not _is_blank(value)]
    return bool(present) and all(_is_number(value) for value in present)


def _shown(value: object, spec: str | None = None) -> str:
    if _is_blank(value):
        return BLANK
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not _is_number(value):
        return str(value)
    if spec is None:
        spec = "" if isinstance(value, numbers.Integral) else ".4g"
    return format(value, spec)


def _reference(path: str | Path) -> str:
    """A link that stays right when the page's folder moves, and can hold no script or remote address."""
    posix = PurePosixPath(Path(path).as_posix())
    if posix.is_absolute():
        raise ValueError(f"{path}: an absolute path; expected one relative to the page's folder")
    return quote(os.fsencode(str(posix)))
