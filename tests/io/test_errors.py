from __future__ import annotations

import pickle

from monai_tasks.io.errors import InputError, input_error


def test_text_names_source_found_and_expected():
    error = InputError("a.nii", "an empty file", "a volume")
    assert str(error) == "a.nii: an empty file; expected a volume"
    assert (error.source, error.reason) == ("a.nii", "an empty file; expected a volume")


def test_survives_pickling():
    error = pickle.loads(pickle.dumps(InputError("a.nii", "an empty file", "a volume")))
    assert isinstance(error, InputError)
    assert str(error) == "a.nii: an empty file; expected a volume"


def test_found_behind_other_errors():
    outer, middle = RuntimeError("applying transform"), RuntimeError("loading")
    outer.__cause__ = middle
    middle.__context__ = InputError("a.nii", "4 dimensions", "3")
    assert input_error(outer) is middle.__context__


def test_no_input_error_behind_another():
    assert input_error(RuntimeError("other")) is None
