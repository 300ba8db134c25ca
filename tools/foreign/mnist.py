"""Files in the format of MNIST, with digits at random: for tutorials that would else download the real ones."""

from pathlib import Path

import numpy as np

COUNT, SIDE = 16, 28


def write(folder: Path) -> None:
    """folder/MNIST/raw, as torchvision.datasets.MNIST(root=folder) looks for it."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    random = np.random.default_rng(5)
    for part in ("train", "t10k"):
        images = random.integers(0, 256, (COUNT, SIDE, SIDE), np.uint8)
        labels = random.integers(0, 10, COUNT, np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header(0x803, images.shape) + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header(0x801, labels.shape) + labels.tobytes())


def header(magic: int, shape: tuple[int, ...]) -> bytes:
    """The magic number and the lengths, as big-endian 32-bit numbers (yann.lecun.com/exdb/mnist)"""
    return np.array([magic, *shape], ">u4").tobytes()
