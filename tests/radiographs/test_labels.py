"""Tables of labels in the spellings that people use, and no guess where a row is not clear."""

from __future__ import annotations

import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.radiographs.labels import SPELLINGS, Label, read_labels


def table(tmp_path, *rows, header="study,label"):
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8-sig")
    return path


@pytest.mark.parametrize(
    ("label", "spelling"), [(label, spelling) for label, all_of in SPELLINGS.items() for spelling in all_of]
)
def test_each_spelling_in_any_case(tmp_path, label, spelling):
    rows = (f"s1,{spelling}", f"s2, {spelling.upper()} ", f"s3,{spelling.title().replace('_', ' ')}")
    found = read_labels(table(tmp_path, *rows))
    assert found == {f"s{number}": Label(label, number) for number in (1, 2, 3)}


def test_other_columns_and_repeated_rows_do_not_matter(tmp_path):
    path = table(tmp_path, "x,1,s1", "y,broken,s1", "z,0,s2", header="reader,label,study")
    assert read_labels(path) == {"s1": Label("broken", 1), "s2": Label("not_broken", 3)}


def test_rows_that_contradict_each_other_are_named(tmp_path):
    path = table(tmp_path, "s1,1", "s2,1", "s1,no")
    with pytest.raises(InputError, match="row 3 says not_broken where row 1 says broken") as caught:
        read_labels(path)
    assert "s1" not in str(caught.value).replace(str(path), "")


@pytest.mark.parametrize(
    ("rows", "header", "found"),
    [
        (["s1,maybe"], "study,label", "label 'maybe' in row 1"),
        (["s1,1", "s2,"], "study,label", "label '' in row 2"),
        ([",1"], "study,label", "row 1 without a study"),
        (["s1,1"], "uid,label", "no column 'study'"),
        (["s1,1"], "study,fracture", "no column 'label'"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path, rows, header, found):
    with pytest.raises(InputError, match=found):
        read_labels(table(tmp_path, *rows, header=header))
