"""What the commands share."""

from __future__ import annotations

import signal

import pytest

from monai_tasks.cli import _options as options


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_says_how_to_go_on(number, capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, options.stoppable("cases"):
        signal.raise_signal(number)
    assert stopped.value.code == 130
    assert "goes on with the other cases" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
