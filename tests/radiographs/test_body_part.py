"""The body-part filter: what a text says, whatever the language and the damage, and what it writes."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image as Picture

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table
from monai_tasks.radiographs.body_part import TERMS, BodyPartFilter, read_terms
from monai_tasks.radiographs.study import Image, Step, Study


def texts(listed: str) -> list[str]:
    return [text.strip() for text in listed.split(";")]


WRISTS = texts(
    """
    WRIST; Wrist; WRIST LEFT; R WRIST AP; wrist lat; WRISTS BILAT; RTWRIST; WRIST_LT; W R I S T; WRST; wirst;
    CARPUS; carpo; CARPAL BONES; SCAPHOID VIEWS; distal radius; MUÑECA; MUÑECA DERECHA; MUÑECA IZQ.; muneca;
    MUÑECA AP Y LAT; MUÑECADER; MUÑECAS; MUENCA; MUÑ DCHA; ESCAFOIDES; MUNYECA; CANELL; CANELL DRET; CANELL E;
    canel; CANELLS; POIGNET; POIGNET GAUCHE FACE; poignet dt profil; POINGET; CARPE; HANDGELENK; Hand Gelenk li.;
    HANDGEL. RE; HG rechts; Handwurzel; Handgelenk in 2 Ebenen; POLSO; POLSO DX; polso sx 2 proiezioni; PUNHO;
    PUNHO ESQUERDO; PULSO; POLS; POLS LINKS; handwortel; HAND/WRIST; MANO Y MUÑECA; MUNYON/MUÑECA; MU?ECA; MU??ECA;
    MU_ECA; MU ECA; MUECA; MU\N{REPLACEMENT CHARACTER}ECA; MU\N{INVERTED QUESTION MARK}ECA; MU&NtildeECA
    """
)
OTHERS = texts(
    """
    HAND; HANDS; HAND PA; mano; MANO IZQ; MANO DCHA AP; MÀ DRETA; main; MAIN DROITE; HÄNDE; Mittelhand; mani; MÃO;
    METACARPO; METACARPUS; PUÑO; FINGER; DEDO 3; THUMB; PULGAR; POUCE; POLZE; POLLICE; DAUMEN; polegar; duim;
    FOREARM; ANTEBRAZO; radio y cubito; AVANT BRAS; Unterarm; ELBOW; CODO; COLZE; ARM; BRAZO; OBERARM; HOMBRO;
    FOOT; PIE; PIE DER; PEU; PEU ESQUERRE; PIED; FUSS; FUẞ LINKS; PÉ; TARSO; tarsus; METATARSO; TOBILLO; TURMELL;
    KNEE; RODILLA; GENOLL; KNIE; RÓTULA; HIP; CADERA; PELVIS; CHEST; TORAX AP; TÓRAX; PULMON; COSTILLAS; CRANEO;
    CARA; FACE; CERVICAL; COLUMNA LUMBAR; CUERPO; CORPO; CAMPO; MUÑÓN; MUNYON; MU?ON; MUSLO; PUNTO; ABDOMEN;
    EXTREMITY; EXTREMIDAD SUP; UNKNOWN; XYZ; MU??N
    """
)
CODE_PAGES = ("utf-8", "cp1252", "latin-1", "cp437", "cp850", "mac_roman")


def damaged() -> list[tuple[str, bool]]:
    """Texts as one code page wrote and another read them, twice at most; those whose letters changed."""
    found = {}
    accented = [(text, True) for text in ("MUÑECA", "muñeca izq", "MUÑECA/MANO")]
    accented += [
        (text, False) for text in ("PUÑO", "MUÑÓN", "TALÓN", "TÓRAX", "FÉMUR", "Hände", "GENOLL", "MÃO")
    ]
    for text, wrist in accented:
        for written, read in itertools.permutations(CODE_PAGES, 2):
            once = text.encode(written, "replace").decode(read, "replace")
            twice = once.encode("utf-8").decode("cp1252", "replace")
            found |= {changed: wrist for changed in (once, twice) if changed != text}
    return sorted(found.items())


def test_the_text_decides_as_a_person_would():
    # What a person would read; "replace" above loses letters for good, as real exports do.
    truth = dict.fromkeys(WRISTS, True) | dict.fromkeys(OTHERS, False) | dict(damaged())
    assert len(WRISTS) >= 60
    assert len(OTHERS) >= 60
    step = BodyPartFilter()
    kept = {text: step.keeps(step.match(text)) for text in truth}
    true = sum(kept[text] and truth[text] for text in truth)
    recall, precision = true / sum(truth.values()), true / sum(kept.values())
    wrong = [(text, step.match(text)) for text in truth if kept[text] != truth[text]]
    print(f"{len(truth)} texts: precision {precision:.3f}, recall {recall:.3f}, wrong: {wrong}")
    assert precision >= 0.99
    assert recall >= 0.97
    # None of those that are not damaged is wrong.
    assert [text for text, _ in wrong if text in (*WRISTS, *OTHERS)] == []


def slips(term: str) -> set[str]:
    """A term with one letter left out, with two neighbours exchanged, and with one letter struck twice."""
    places = range(len(term))
    left_out = {term[:place] + term[place + 1 :] for place in places}
    twice = {term[: place + 1] + term[place:] for place in places}
    exchanged = {
        term[:place] + term[place + 1] + term[place] + term[place + 2 :] for place in range(len(term) - 1)
    }
    return left_out | exchanged | twice


def test_slips_of_the_keyboard_do_not_change_the_answer():
    step = BodyPartFilter()
    wrong = {
        (slip, term)
        for term, part in read_terms(TERMS).part_of.items()
        for slip in slips(term)
        if len(term) >= 6 and step.keeps(step.match(slip)) != (part == "wrist")
    }
    assert wrong == set()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("METACARPO", "hand"),  # nearer than "carpo", which it holds
        ("hand gelenk", "wrist"),  # two words that are one
        ("MUÑÓN", "stump"),  # not the abbreviation "muñ"
        ("TARSUS", "foot"),
        ("PIE Y TOBILLO", "foot"),
        ("LEFT AP", "not stated"),
        (" ", "not stated"),
        ("XYZ", "not recognised"),
    ],
)
def test_the_nearest_term_wins(text, part):
    assert BodyPartFilter().match(text).part == part


def test_the_best_match_is_not_a_matter_of_the_threshold_alone():
    # "carpo" is similar enough to each of these to pass, had it been the only term.
    step = BodyPartFilter(minimum_score=70)
    assert [step.match(text).part for text in ("CORPO", "TARSO", "METACARPO", "CUERPO")] == [
        "whole body",
        "foot",
        "hand",
        "whole body",
    ]
    assert step.match("KARPO").part == "wrist"


def study(*texts: str) -> Study:
    images = [
        Image({"image": f"broken/s/{number}.png", "body_part": text}, np.zeros((2, 2), np.uint16))
        for number, text in enumerate(texts)
    ]
    return Study("s", "broken", tuple(images))


def test_images_of_other_parts_are_rejected_and_all_are_counted():
    step = BodyPartFilter()
    assert isinstance(step, Step)
    before = study("MUÑECA", "", "PIE", "MUÑECA")
    after = step(before)
    assert [(image.row["image"], image.row["body_part_match"]) for image in after.images] == [
        ("broken/s/0.png", "wrist"),
        ("broken/s/1.png", "not stated"),
        ("broken/s/3.png", "wrist"),
    ]
    assert after.rejected == (
        {"file": "broken/s/2.png", "study": "s", "reason": "body part foot; expected wrist"},
    )
    assert after.tallies == {"body_part": Counter({"MUÑECA": 2, "": 1, "PIE": 1})}
    assert [image.row for image in step(after).images] == [image.row for image in after.images]
    assert step(after).rejected == after.rejected
    assert "body_part_match" not in before.images[0].row


def test_parameters():
    assert len(BodyPartFilter(keep_empty=False)(study("", "WRIST")).images) == 1
    both = BodyPartFilter(parts=["hand", "wrist"])  # a config gives a list
    assert [image.row["body_part_match"] for image in both(study("mano", "muñeca", "pie")).images] == [
        "hand",
        "wrist",
    ]
    assert len(BodyPartFilter(minimum_score=100)(study("MU?ECA", "MUECA", "MUNECA")).images) == 1


def test_own_terms(tmp_path):
    terms = tmp_path / "terms.json"
    terms.write_text(
        json.dumps({"parts": {"knee": ["polv"], "hip": ["lonkka"]}, "ignored": ["oikea"], "attached": []})
    )
    step = BodyPartFilter(parts=("knee",), terms=str(terms))
    assert [step.match(text).part for text in ("POLVI OIKEA", "lonkka", "oikea")] == [
        "knee",
        "hip",
        "not stated",
    ]


def test_wrong_parameters_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"parts \['wing'\]; expected one or more of wrist, hand, "):
        BodyPartFilter(parts=("wing",))
    with pytest.raises(ValueError, match=r"parts \[\]"):
        BodyPartFilter(parts=())
    with pytest.raises(InputError, match="expected JSON with"):
        BodyPartFilter(terms=str(tmp_path / "absent.json"))
    (tmp_path / "terms.json").write_text(
        '{"parts": {"a": ["pie"], "b": ["Pié"]}, "ignored": [], "attached": []}'
    )
    with pytest.raises(InputError, match="'pie' under 'a' and 'b'; expected one part a term"):
        BodyPartFilter(terms=str(tmp_path / "terms.json"))


def test_the_terms_of_the_package_say_one_thing_each():
    content = json.loads(TERMS.read_text(encoding="utf-8"))
    terms = read_terms(TERMS)
    assert terms.parts[0] == "wrist"  # ties go to the part that comes first
    assert set(content["parts"]) == set(terms.parts)
    assert set(terms.part_of) & terms.ignored == set()


def test_the_histogram_lists_every_text_with_what_became_of_it(tmp_path):
    counts = Counter({"WRIST": 900, "MUÑECA $x$": 30, "hand\x07": 7, "": 4, "MU\udcd1ECA": 1})
    counts.update({f"pie {'abcdefgh'[number % 8] * (number + 2)}": 1 for number in range(60)})
    BodyPartFilter().finish(counts, tmp_path)
    rows = read_table(tmp_path / "body_part_histogram.csv")
    assert len(rows) == len(counts)
    assert {row["value"]: int(row["count"]) for row in rows} == counts
    assert rows[0] == {"value": "WRIST", "count": "900", "part": "wrist", "score": "100.0", "kept": "yes"}
    by_value = {row["value"]: (row["part"], row["kept"]) for row in rows}
    assert by_value["MU\udcd1ECA"] == ("wrist", "yes")
    assert by_value["hand\x07"] == ("hand", "no")
    assert by_value[""] == ("not stated", "yes")
    with Picture.open(tmp_path / "body_part_histogram.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 20)}
    assert {(0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)} <= colours


def test_a_histogram_of_nothing(tmp_path):
    BodyPartFilter().finish(Counter(), tmp_path)
    assert read_table(tmp_path / "body_part_histogram.csv") == []
    assert (tmp_path / "body_part_histogram.png").is_file()
