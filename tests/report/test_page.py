"""Pages: what is shown, what is escaped, what is refused."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from monai_tasks.report.page import Facts, Figures, Link, Number, Table, Text, write_page


class Reader(HTMLParser):
    """Collects table cells, links, images and text of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.cells: list[list[tuple[str, str]]] = []
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self._cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append((attrs.get("class", ""), ""))
            self._cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        self.text += data
        if self._cell:
            css, text = self.cells[-1][-1]
            self.cells[-1][-1] = (css, text + data)

    def all(self, tag: str, attribute: str) -> list[str]:
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def page(tmp_path, *sections, **kwargs) -> Reader:
    path = write_page(tmp_path / "page.html", kwargs.pop("title", "T"), sections, **kwargs)
    return Reader(path.read_text(encoding="utf-8"))


def test_every_section_is_shown_in_order(tmp_path):
    read = page(
        tmp_path,
        Text(["first paragraph"], title="One"),
        Facts({"cases": 3, "mean": 0.123456}, cards=True),
        Facts({"device": "cpu"}, title="Settings"),
        Table([{"case": "a"}], ["case"], title="Two"),
        Figures([("previews/a.png", "caption a")], title="Three"),
        subtitle="below the title",
    )
    order = [
        "below the title",
        "One",
        "first paragraph",
        "0.1235",
        "Settings",
        "cpu",
        "Two",
        "Three",
        "caption a",
    ]
    places = [read.text.index(words) for words in order]
    assert places == sorted(places)
    assert read.all("img", "src") == ["previews/a.png"]


def test_numbers_are_formatted_and_set_to_the_right_and_blanks_are_dashes(tmp_path):
    rows = [
        {"case": "a", "dice": 0.98765, "n": np.int64(7), "mixed": 1},
        {"case": "b", "dice": float("nan"), "n": None, "mixed": "two"},
        {"case": "c", "dice": np.float32(0.5)},
    ]
    columns = {"case": "Case", "dice": "Dice", "n": "Count", "mixed": "Mixed", "absent": "Absent"}
    read = page(tmp_path, Table(rows, columns, formats={"dice": ".3f"}))
    assert read.cells[0] == [
        ("", "Case"),
        ("number", "Dice"),
        ("number", "Count"),
        ("", "Mixed"),
        ("", "Absent"),
    ]
    assert read.cells[1] == [("", "a"), ("number", "0.988"), ("number", "7"), ("", "1"), ("", "–")]
    assert [text for _, text in read.cells[2]] == ["b", "–", "–", "two", "–"]
    assert [text for _, text in read.cells[3]] == ["c", "0.500", "–", "–", "–"]


def test_numbers_of_one_column_can_have_their_own_formats(tmp_path):
    rows = [
        {"value": Number(0.12345, ".2f")},
        {"value": Number(12.345, "+.1f")},
        {"value": Number(None, ".2f")},
    ]
    read = page(tmp_path, Table(rows, ["value"], formats={"value": ".9f"}))
    assert [row[0] for row in read.cells[1:]] == [("number", "0.12"), ("number", "+12.3"), ("number", "–")]


def test_booleans_are_words_and_not_numbers(tmp_path):
    read = page(tmp_path, Table([{"flag": True}, {"flag": False}], ["flag"]))
    assert read.cells[1:] == [[("", "yes")], [("", "no")]]


def test_marked_rows_are_set_off(tmp_path):
    read = page(tmp_path, Table([{"a": "x"}, {"a": "y"}], ["a"], marked={1}))
    assert [attrs.get("class", "") for tag, attrs in read.tags if tag == "tr"] == ["", "", "marked"]


EVIL = "<script>alert('x')</script>&\""


def test_everything_is_escaped(tmp_path):
    read = page(
        tmp_path,
        Text([EVIL], title=EVIL),
        Facts({EVIL: EVIL}, title=EVIL),
        Facts({EVIL: EVIL}, cards=True),
        Table([{"a": EVIL, "b": Link(EVIL, EVIL)}], {"a": EVIL, "b": EVIL}, title=EVIL, note=EVIL),
        Figures([(f"previews/{EVIL}.png", EVIL)], title=EVIL, note=EVIL),
        title=EVIL,
        subtitle=EVIL,
    )
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.text.count(EVIL) == 19
    assert read.all("img", "alt") == [EVIL]


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path):
    read = page(
        tmp_path, Text(["x"]), Figures([("a b/ü#1.png", "c")]), Table([{"a": Link("t", "x:y")}], ["a"])
    )
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "http" not in html
    assert "url(" not in html
    assert read.all("img", "src") == ["a%20b/%C3%BC%231.png"]
    assert read.all("a", "href") == ["a%20b/%C3%BC%231.png", "x%3Ay"]


def test_names_that_are_not_utf8_can_be_shown(tmp_path):
    read = page(tmp_path, Figures([("bad\udcff.png", "bad\udcff")]))
    assert read.all("img", "src") == ["bad%FF.png"]
    assert "bad?" in read.text


def test_absolute_links_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"/x/a.png: an absolute path; expected one relative"):
        page(tmp_path, Figures([("/x/a.png", "c")]))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_section_is_refused(tmp_path):
    with pytest.raises(TypeError, match="unknown section dict: expected one of Text, Facts, Table, Figures"):
        page(tmp_path, {"title": "x"})
    assert list(tmp_path.iterdir()) == []
