"""Programs that nobody here wrote, run on the emulated mesh from a checkout of theirs. `make foreign CHECKOUT=path`."""
