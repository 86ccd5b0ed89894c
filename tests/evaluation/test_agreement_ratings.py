"""Grades of several raters are read as they are; what is missing is counted."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.evaluation.agreement_ratings import read_ratings
from monai_tasks.io.errors import InputError


def write(tmp_path, text):
    path = tmp_path / "grades.csv"
    path.write_text(text)
    return path


def test_grades_given_missing_and_unreadable(tmp_path):
    rows = ["a,radius,p2,1,", "b,tibia,p1,3.0,0|1", "c,tibia,p2,-1,2.5", "d,radius,p1, 2 ,2", ""]
    header = "image,site,subject,rater_1,rater_2"
    ratings, columns = read_ratings(write(tmp_path, "\n".join([header, *rows])))
    assert ratings.raters == ("rater_1", "rater_2")
    assert ratings.given.tolist() == [[True, False], [True, False], [True, False], [True, True]]
    assert ratings.grades[ratings.given].tolist() == [1, 3, -1, 2, 2]
    assert ratings.scale == (-1, 0, 1, 2, 3)
    assert ratings.unreadable == (0, 2)
    assert ratings.subjects.tolist() == [1, 0, 1, 0]
    assert columns == {"site": ["radius", "tibia", "tibia", "radius"]}


def test_a_part_has_the_scale_of_all_and_subjects_of_its_own(tmp_path):
    rows = "".join(f"p{number},{number % 5 + 1},{number % 3 + 1}\n" for number in range(6))
    ratings, columns = read_ratings(write(tmp_path, f"who,a,b\n{rows}"), ["a", "b"], "who")
    assert columns == {}
    part = ratings.part(np.array([False, True, False, True, False, False]))
    assert part.grades.tolist() == [[2, 2], [4, 1]]
    assert part.scale == ratings.scale == (1, 2, 3, 4, 5)
    assert part.subject_count == 2


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("subject,rater_1,rater_2\n", {}, "no rows"),
        ("subject,rater_1\np,1\n", {}, "raters rater_1; expected columns of two raters or more"),
        ("subject,one,two\np,1,2\n", {}, "no column whose name begins with rater"),
        ("subject,one,two\np,1,2\n", {"raters": ["one", "one", "two"]}, "raters one, one, two"),
        ("subject,one,two\np,1,2\n", {"raters": ["one", "three"]}, "no column three; expected columns of"),
        ("rater_1,rater_2\n1,2\n", {}, "no column subject; expected one that tells whom"),
        ("subject,rater_1,rater_2\np,1,2\n", {"by": ["site"]}, "no column site"),
        ("subject,rater_1,rater_2\np,1,2\n,1,2\n", {}, "no subject in row 2"),
        ("subject,rater_1,rater_2\np,1,\np,2,x\n", {}, "no grade in column rater_2"),
        ("subject,rater_1,rater_2\np,1,2\np,2,9000\n", {}, "grades from 1 to 9000; expected a scale"),
    ],
)
def test_tables_of_no_use_are_refused(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message):
        read_ratings(write(tmp_path, text), **options)
