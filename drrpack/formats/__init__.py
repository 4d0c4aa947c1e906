"""Reading and writing ``.drr`` files, on Linux and macOS."""

import sys

if sys.platform == "win32":  # no fcntl, no os.pread, no rename over a file that is open
    raise ImportError(
        "found Windows, expected Linux or macOS: drrpack locks and replaces files as only those "
        "do; run it in the Windows Subsystem for Linux (WSL)"
    )
