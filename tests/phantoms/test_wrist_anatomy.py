"""Bones lie where they belong, in both views, and fit the age."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.wrist_anatomy import CARPALS, RAYS, VIEWS, Person


@pytest.fixture(scope="module")
def people():
    return [Person.draw(np.random.default_rng([1, number])) for number in range(12)]


def middle(person, view, name):
    return person.bone(view, name).box().mean(0) / person.size


def test_every_bone_is_there_in_both_views(people):
    phalanges = {f"phalanx{ray}.{n + 1}" for ray, values in RAYS.items() for n in range(len(values[-1]))}
    expected = {"radius", "ulna", *CARPALS, *(f"metacarpal{ray}" for ray in RAYS), *phalanges}
    assert len(expected) == 2 + 8 + 5 + 14
    for person in people:
        for view in VIEWS:
            names = [bone.name for bone in person.bones[view]]
            assert len(names) == len(set(names))
            assert set(names) == expected


def test_bones_lie_in_their_order(people):
    for person in people:
        place = {bone.name: middle(person, "pa", bone.name) for bone in person.bones["pa"]}
        assert place["ulna"][0] < place["radius"][0] < place["metacarpal1"][0]
        thumb_side = ["triquetrum", "lunate", "scaphoid"]
        assert sorted(thumb_side, key=lambda name: place[name][0]) == thumb_side
        second_row = ["hamate", "capitate", "trapezoid", "trapezium"]
        assert sorted(second_row, key=lambda name: place[name][0]) == second_row
        fingers = [f"metacarpal{ray}" for ray in (5, 4, 3, 2)]
        assert sorted(fingers, key=lambda name: place[name][0]) == fingers
        assert place["radius"][1] < place["lunate"][1] < place["capitate"][1] < place["metacarpal3"][1]
        assert place["metacarpal3"][1] < place["phalanx3.1"][1] < place["phalanx3.3"][1]
        # The pea bone and the thumb lie towards the palm.
        assert middle(person, "lateral", "pisiform")[0] > middle(person, "lateral", "triquetrum")[0]
        assert middle(person, "lateral", "metacarpal1")[0] > middle(person, "lateral", "metacarpal3")[0]


def test_both_views_show_a_bone_at_the_same_height(people):
    for person in people:
        for name in ("radius", "ulna", *CARPALS, "metacarpal3"):
            heights = [middle(person, view, name)[1] for view in VIEWS]
            assert heights[0] == pytest.approx(heights[1], abs=4)


def test_sizes_are_those_of_textbooks(people):
    for person in people:
        grown = person.size
        left, right, _, top = np.array(person.bone("pa", "radius").shape.box()) / grown
        assert 26 < right - left < 37  # width of the radius's end
        assert 5 < top < 15  # the styloid rises above the middle of the joint
        for ray, length in ((1, 46), (2, 68), (3, 65), (4, 58), (5, 54)):
            shape = person.bone("pa", f"metacarpal{ray}").shape
            seen = person.bone("lateral", f"metacarpal{ray}").shape
            assert max(shape.box()[3], seen.box()[3]) / grown == pytest.approx(length, rel=0.3)


def test_a_shaft_is_hollow_and_the_flesh_holds_the_bones(people):
    for person in people:
        zero, shaft = np.zeros(1, np.float32), np.full(1, -60 * person.size, np.float32)
        dense, spongy = person.bone("pa", "radius").thickness(zero, shaft)
        assert 1.5 < dense[0] < spongy[0] < 14
        for view in VIEWS:
            for name in ("radius", "ulna", "lunate", "metacarpal3"):
                side, up = (np.float32([value]) for value in person.bone(view, name).to_view(0.0, 0.0))
                arm = sum(person.skin[view][0].thickness(side, up))
                assert arm > 10


def test_the_young_have_growth_plates_and_smaller_bones():
    young = Person.draw(np.random.default_rng(4), age=9.0)
    old = Person.draw(np.random.default_rng(4), age=40.0)
    for name in ("radius", "ulna"):
        assert all(young.bone(view, name).shape.plate.open == 1 for view in VIEWS)
        assert all(old.bone(view, name).shape.plate is None for view in VIEWS)
    assert young.size < 0.9 * old.size
    shares = [person.bone("pa", "capitate").shape.half_depth / person.size for person in (young, old)]
    assert shares[0] < 0.95 * shares[1]
    assert (young.age, old.age) == (9, 40)


def test_people_differ_and_a_seed_gives_the_same_one(people):
    again = Person.draw(np.random.default_rng([1, 3]))
    assert again.size == people[3].size
    np.testing.assert_array_equal(
        again.bone("pa", "lunate").shape.radii, people[3].bone("pa", "lunate").shape.radii
    )
    assert len({person.size for person in people}) == len(people)
    assert min(person.age for person in people) >= 6
