"""Video on the Mesh: what the notebooks import. See README.md for the layout."""

import os
import platform
import sys

if (sys.platform, platform.machine()) != ("linux", "x86_64") or sys.version_info[:2] != (3, 12):
    raise ImportError(
        f"ttnn does not exist for Python {platform.python_version()} on {platform.system()} {platform.machine()}. "
        "What works is Python 3.12 on Linux x86-64: a Linux machine, WSL 2 on Windows, a linux/amd64 Docker container, "
        "or Google Colab."
    )

# ttnn talks a lot at start. These two count when it is imported; set them yourself to hear more.
os.environ.setdefault("TT_LOGGER_LEVEL", "off")  # its errors are in the exceptions too
os.environ.setdefault("LOGURU_LEVEL", "ERROR")
