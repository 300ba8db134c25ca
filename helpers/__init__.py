"""Video on the Mesh: what the notebooks import. See README.md for the layout."""

import os

# ttnn talks a lot at start. These two count when it is imported; set them yourself to hear more.
os.environ.setdefault("TT_LOGGER_LEVEL", "fatal")
os.environ.setdefault("LOGURU_LEVEL", "ERROR")
