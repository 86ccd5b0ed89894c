"""The glossary: one sentence a word, and the commands and config keys that it leads to exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from monai_tasks.catalog import find_bundles
from monai_tasks.cli import main
from monai_tasks.evaluation import classification, segmentation

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "glossary.md"
ENTRY = re.compile(r"^(?P<names>\S[^\n]*)\n:   (?P<text>.+?)(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MEASURES = {*segmentation.METRICS, *classification.METRICS}
PROGRAM = "monai-tasks"
# What a reader of a paper on deep learning in radiology has to find.
WORDS = (
    *("ground truth", "curation", "augmentation", "training set", "validation set", "test set"),
    *(
        "roc curve",
        "auroc",
        "average precision",
        "dice",
        "jaccard",
        "sensitivity",
        "specificity",
        "precision",
        "f1",
    ),
    *("accuracy", "cohen's kappa", "quadratic weighted kappa", "fleiss' kappa", "calibration", "brier score"),
    *("epoch", "batch", "iteration", "learning rate", "loss", "optimizer", "overfitting", "early stopping"),
    *(
        "transfer learning",
        "fine-tuning",
        "frozen layers",
        "hyperparameter",
        "inference",
        "weights",
        "dropout",
    ),
    *(
        "segmentation",
        "classification",
        "confidence interval",
        "operating point",
        "confusion matrix",
        "data leakage",
    ),
    *(
        "inter-rater agreement",
        "explanation",
        "deep learning",
        "convolutional network",
        "regularisation",
        "seed",
    ),
    *(
        "k-fold cross-validation",
        "ensemble",
        "test-time augmentation",
        "uncertainty",
        "outlier",
        "out-of-fold prediction",
    ),
    *("fold", "stratification", "subject", "study", "window", "resampling", "preprocessing", "normalisation"),
)


@cache
def entries() -> dict[tuple[str, ...], tuple[str, str]]:
    """Names of each entry to its sentence and to what follows "Here:"."""
    text = PAGE.read_text(encoding="utf-8")
    found = {}
    for entry in ENTRY.finditer(text):
        meaning, _, here = " ".join(entry["text"].split()).partition(" Here: ")
        found[tuple(name.strip() for name in entry["names"].split(", "))] = (meaning, here)
    assert len(found) == text.count("\n:   "), "an entry that is not read"
    return found


@cache
def config_ids() -> frozenset[str]:
    """Every id of every config of every bundle, with `#` between the levels."""
    files = [path for path in ROOT.glob("bundles/*/configs/*.json") if path.name != "metadata.json"]
    assert files
    return frozenset(name for path in files for name in ids(json.loads(path.read_text(encoding="utf-8"))))


def ids(content: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, value in content.items():
        yield above + name
        if isinstance(value, dict):
            yield from ids(value, f"{above}{name}#")


@cache
def documented() -> frozenset[str]:
    """Files, columns and values: what stands between backticks on other pages, and the names of measures."""
    pages = [path for path in ROOT.glob("docs/**/*.md") if path != PAGE]
    pages += ROOT.glob("bundles/*/docs/README.md")
    texts = (FENCED.sub("", path.read_text(encoding="utf-8")) for path in pages)
    return frozenset(code for text in texts for code in CODE.findall(text)) | MEASURES | bundle_names()


@cache
def bundle_names() -> frozenset[str]:
    return frozenset(bundle.name for bundle in find_bundles())


def faults(line: str) -> list[str]:
    """What is wrong with a command line: its command, an option, a value of a fixed list, a config id."""
    words, command = line.split()[1:], main
    while words and isinstance(command, click.Group):
        found = command.get_command(None, words[0])
        if found is None:
            return [f"no command {words[0]}"]
        command, words = found, words[1:]
    if isinstance(command, click.Group):
        return ["a group, no command"]
    options = {name: own for own in command.params for name in (*own.opts, *own.secondary_opts)}
    allowed = {name for own in command.params for name in getattr(own.type, "choices", ())}
    allowed |= bundle_names()
    wrong = []
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith("-"):
            wrong += [] if word in options else [f"no option {word}"]
        elif before == "--set":
            wrong += [] if word.partition("=")[0] in config_ids() else [f"no config id {word}"]
        elif word != word.upper() and word not in allowed:  # capitals stand for a reader's own words
            wrong.append(f"no value {word}")
    return wrong


@pytest.mark.parametrize("names", entries(), ids=lambda names: names[0])
def test_an_entry_is_one_sentence_and_leads_to_what_exists(names):
    meaning, here = entries()[names]
    assert re.fullmatch(r"[^.!?]*(?:[.!?](?=\S)[^.!?]*)*\.", meaning), f"no single sentence: {meaning}"
    assert here.endswith("."), "nothing after Here:"
    leads = 0
    for code in CODE.findall(here):
        if code.split()[0] == PROGRAM:
            assert faults(code) == [], code
            leads += 1
        elif code in config_ids():
            leads += 1
        else:
            assert code in documented(), f"{code}: no config id, and on no other page"
    assert leads > 0, "neither a command nor a config key"


def test_words_are_in_order_and_there_once():
    names = [name.casefold() for own in entries() for name in own]
    assert len(names) == len(set(names))
    first = [own[0].casefold() for own in entries()]
    heads = [", ".join(own).casefold() for own in entries()]
    assert heads == sorted(heads), [a for a, b in zip(first, sorted(first), strict=True) if a != b]


@pytest.mark.parametrize("word", WORDS)
def test_the_words_that_one_has_to_find_are_there(word):
    assert word in {name.casefold() for own in entries() for name in own}


@pytest.mark.parametrize("name", main.list_commands(None))
def test_a_word_leads_to_every_command(name):
    assert any(f"`{PROGRAM} {name}" in here for _, here in entries().values())


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_every_measure_of_an_evaluation_has_a_word(name):
    assert any(f"`{name}`" in here for _, here in entries().values())


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("monai-tasks infer BUNDLE INPUT -o OUT --explain gradcam", []),
        ("monai-tasks radiographs import SOURCE -o OUT", []),
        ("monai-tasks train BUNDLE --set learning_rate=0.1", []),
        ("monai-tasks fly", ["no command fly"]),
        ("monai-tasks radiographs", ["a group, no command"]),
        ("monai-tasks radiographs fly SOURCE", ["no command fly"]),
        ("monai-tasks infer BUNDLE --fly", ["no option --fly"]),
        ("monai-tasks infer BUNDLE --explain fly", ["no value fly"]),
        ("monai-tasks demo fly", ["no value fly"]),
        ("monai-tasks train BUNDLE --set fly=1", ["no config id fly=1"]),
    ],
)
def test_the_check_of_command_lines_sees_what_is_wrong(line, wrong):
    assert faults(line) == wrong
