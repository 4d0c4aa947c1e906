"""Reported: ipython/ipython#9730: Ctrl-C while the program starts gives a page of traceback.
Right: a run that is interrupted while large libraries are imported says so in a word, ends with 130
and has written nothing; no import can swallow that, so the run never goes on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# Calls back into Python from inside the import of a library, once with nothing around it and once
# where the library catches whatever is raised.
STARTING = """
    import os, sys
    library, number, swallows = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "swallows"
    del sys.argv[1:4]

    class Interrupts:
        def find_spec(self, name, *_):
            if name != library:
                return
            try:
                os.kill(os.getpid(), number)
                sum(range(1000))
            except BaseException:
                if not swallows:
                    raise

    sys.meta_path.insert(0, Interrupts())
    from drrpack.cli.main import main
    main()
"""


@pytest.mark.parametrize("how", ["raises", "swallows"])
@pytest.mark.parametrize("library", ["typer", "numpy", "torch._C"])
def test_an_interrupt_while_libraries_are_imported(own_drr: Path, library: str, how: str) -> None:
    before = own_drr.read_bytes()
    number = signal.SIGINT if library == "numpy" else signal.SIGTERM
    script = [sys.executable, "-c", textwrap.dedent(STARTING), library, str(int(number)), how]
    done = subprocess.run(
        [*script, "drop", str(own_drr), "3"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
    assert own_drr.read_bytes() == before and list(own_drr.parent.iterdir()) == [own_drr]
