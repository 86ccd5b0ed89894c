"""True classes from datalists and tables, and the part that is taken."""

from __future__ import annotations

import json

import pytest
from classification_tables import CLASSES, items, write_datalist

from monai_tasks.evaluation.class_references import read_references
from monai_tasks.io.errors import InputError


def table(path, text):
    path.write_text(text)
    return path


def test_a_datalist(tmp_path):
    path = write_datalist(
        tmp_path, training=items("a", 1, 0), test=items("b", 2, 1, metal="yes"), unlabelled=items("c", 1, 0)
    )
    found = read_references(path, CLASSES, by=["metal"])
    assert (found.part, len(found.chosen), len(found.others)) == ("test", 2, 1)
    one = found.chosen[1]
    assert (one.label, one.subject, one.study, one.groups) == (1, "patient of b", "b", {"metal": "yes"})
    assert one.names == (str(tmp_path / "b" / "b_1.png"), "b_1", "b_b_1")
    assert one.shown == "b_1"


@pytest.mark.parametrize(
    ("parts", "asked", "taken"),
    [
        (("training", "validation", "test"), None, "test"),
        (("training", "testing"), None, "test"),
        (("training", "validation"), None, "training+validation"),
        (("training", "validation", "testing"), "validation", "validation"),
        (("training", "testing"), "test", "test"),
    ],
)
def test_the_part(tmp_path, parts, asked, taken):
    path = write_datalist(tmp_path, **{part: items(part, 1, 1) for part in parts})
    found = read_references(path, CLASSES, asked)
    assert found.part == taken
    assert len(found.chosen) + len(found.others) == len(parts)
    assert {one.study.replace("testing", "test") for one in found.chosen} == set(taken.split("+"))


def test_an_item_with_several_images_has_one_label_for_all(tmp_path):
    (item,) = items("a", 1, "cracked")
    path = write_datalist(tmp_path, test=[item | {"image": ["a/1.png", "a/2.png"]}])
    found = read_references(path, CLASSES).chosen
    assert [(one.names[1], one.label, one.study) for one in found] == [("1", 1, "a"), ("2", 1, "a")]


def test_a_table_as_import_writes_it(tmp_path):
    text = "image,label,study,patient,view\nbroken/s/a.png,cracked,s,p,pa\nx/b.png,unlabelled,t,q,pa\nx/c.png,,t,q,pa\n"
    found = read_references(table(tmp_path / "metadata.csv", text), CLASSES, by=["view"])
    (one,) = found.chosen
    assert (found.part, one.label, one.subject, one.study, one.groups) == ("", 1, "p", "s", {"view": "pa"})
    assert one.names[0] == str(tmp_path / "broken" / "s" / "a.png")


def test_a_table_of_cases_with_parts(tmp_path):
    text = "case,label,part\na,0,test\nb,1,training\nc,cracked,testing\n"
    found = read_references(table(tmp_path / "t.csv", text), CLASSES)
    assert [(one.shown, one.label, one.subject, one.study) for one in found.chosen] == [
        ("a", 0, "", ""),
        ("c", 1, "", ""),
    ]
    assert read_references(tmp_path / "t.csv", CLASSES, "training").chosen[0].shown == "b"


def test_numbers_count_from_the_first_class_and_names_come_first(tmp_path):
    grades = ("1", "2", "3")
    path = write_datalist(tmp_path, test=items("a", 1, 1) + items("b", 1, "1"))
    assert [one.label for one in read_references(path, grades).chosen] == [1, 0]


def test_a_label_that_is_no_class_is_a_problem_of_its_case(tmp_path):
    path = write_datalist(tmp_path, test=items("a", 1, 7) + items("b", 1, 1))
    first, second = read_references(path, CLASSES).chosen
    assert first.problem == "reference: class 7; expected one of whole (0), cracked (1)"
    assert (first.label, second.problem) == (None, "")


def test_a_value_that_is_missing_makes_a_group(tmp_path):
    path = write_datalist(tmp_path, test=items("a", 1, 1, metal=True) + items("b", 1, 1))
    assert [one.groups for one in read_references(path, CLASSES, by=["metal"]).chosen] == [
        {"metal": "True"},
        {"metal": "not given"},
    ]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ({"test": items("a", 1, 1)}, {"by": ["metal"]}, "no column or key 'metal'"),
        ({"test": items("a", 1, 1)}, {"part": "validation"}, "no part 'validation', but test"),
        ({"test": items("a", 1, 1)}, {"part": "all"}, "part 'all' asked for"),
        ({"test": items("a", 1, "")}, {}, "no image with a label in part 'test'"),
        ({"test": [{"label": 1}]}, {}, "an item without an image in part 'test'"),
        ({"test": ["a.png"]}, {}, "an item without an image"),
        ({"numbers": [1]}, {}, "no items"),
        ([1], {}, "no items"),
    ],
)
def test_unusable_datalists_are_refused(tmp_path, content, options, message):
    (tmp_path / "list.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_references(tmp_path / "list.json", CLASSES, **options)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("case,label\n", {}, "no rows"),
        ("case,class\na,1\n", {}, "the columns case, class; expected a datalist, or a table"),
        ("label\n1\n", {}, "the columns label"),
        ("case,label,part\na,1,trial\n", {}, "part 'trial' in row 1"),
        ("case,label\na,1\n", {"part": "validation"}, "no part 'validation', but images without a part"),
    ],
)
def test_unusable_tables_are_refused(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message):
        read_references(table(tmp_path / "t.csv", text), CLASSES, **options)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_references(tmp_path / "absent.json", CLASSES)
    with pytest.raises(InputError, match="not readable as JSON"):
        read_references(table(tmp_path / "t.json", "{"), CLASSES)
