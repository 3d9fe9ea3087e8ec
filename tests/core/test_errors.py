import errno
import os
import signal

import pytest

from netchu.core.errors import RESUMABLE, NetchuError, needs_extra, one_line_errors
from netchu.core.files import new_file


def test_an_error_becomes_one_line_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as left, one_line_errors():
        raise NetchuError("line 3:\n  no image;\tdrop it")
    assert left.value.code == 2
    assert capsys.readouterr().err == "netchu: line 3: no image; drop it\n"


@pytest.mark.parametrize(
    ("arguments", "message"), [((), "stopped"), ((RESUMABLE,), "last checkpoint")]
)
def test_ctrl_c_becomes_one_line_and_exit_code_130(capsys, arguments, message):
    with pytest.raises(SystemExit) as left, one_line_errors(*arguments):
        raise KeyboardInterrupt
    assert left.value.code == 130
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert message in told


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "correct its permissions"),
        (errno.EACCES, "correct its permissions"),
        (errno.EIO, "check the disk"),
    ],
)
def test_an_error_of_the_disk_is_one_line(tmp_path, capsys, code, remedy):
    with pytest.raises(SystemExit) as left, one_line_errors(), new_file(tmp_path / "a"):
        raise OSError(code, os.strerror(code))
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"netchu: {tmp_path / 'a'}: {os.strerror(code)}; {remedy}")
    assert told.count("\n") == 1


def test_sigterm_becomes_one_line_and_exit_code_143(capsys):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, one_line_errors():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143
    assert capsys.readouterr().err == "netchu: stopped\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_exception_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), one_line_errors():
        raise ZeroDivisionError


def test_without_an_error_nothing_is_printed(capsys):
    with one_line_errors():
        print("done")
    assert capsys.readouterr() == ("done\n", "")


def test_a_missing_package_names_the_extra():
    with pytest.raises(NetchuError) as caught, needs_extra("train", "an audit"):
        import no_such_package.inner  # noqa: F401
    assert str(caught.value) == (
        "an audit needs no_such_package, which reading does not: pip install 'netchu[train]'"
    )


def test_a_missing_module_of_netchu_is_no_missing_extra():
    with pytest.raises(ModuleNotFoundError), needs_extra("train", "an audit"):
        import netchu.no_such_module  # noqa: F401
