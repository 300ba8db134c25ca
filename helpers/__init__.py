"""Video on the Mesh: what the notebooks import. See README.md for the layout."""

import ttnn_emulator  # noqa: F401  first: it says where ttnn does not exist, and lets it start quietly
