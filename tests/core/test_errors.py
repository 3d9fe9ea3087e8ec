import pytest

from netchu.core.errors import NetchuError, one_line_errors


def test_an_error_becomes_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise NetchuError("line 3:\n  no image;\tdrop it")
    assert left.value.code == 2
    assert capsys.readouterr().err == "netchu: line 3: no image; drop it\n"


def test_ctrl_c_says_that_work_goes_on(capsys):
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise KeyboardInterrupt
    assert left.value.code == 130
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "last checkpoint" in told


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_nothing_wrong_nothing_said(capsys):
    with one_line_errors():
        print("done")
    assert capsys.readouterr() == ("done\n", "")
