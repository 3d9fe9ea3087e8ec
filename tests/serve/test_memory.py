import subprocess
import sys

import pytest

from netchu.serve import memory

CODE = """
import psutil
from netchu.serve.memory import return_large_blocks
return_large_blocks()
held = [bytes(b"x" * (8 << 20)) for _ in range(2)]
for _ in range(3):  # by now glibc keeps blocks of this size
    del held
    held = [bytes(b"x" * (8 << 20)) for _ in range(2)]
held = [bytearray(b"x") * (8 << 20) for _ in range(16)]
last = bytearray(100_000)
before = psutil.Process().memory_info().rss
del held[::2]
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc")
def test_large_blocks_are_returned():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 60 << 20


@pytest.mark.parametrize("error", [AttributeError, OSError, TypeError])
def test_a_system_without_the_setting_is_no_error(monkeypatch, error):
    def fail(name):
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", fail)
    memory.return_large_blocks()
