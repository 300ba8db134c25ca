"""How close are two videos (PSNR, PCC), and how coherent is one (VBench's dimensions, without any network).

A video is (T, H, W, 3), uint8 in 0..255 or float in 0..1. Flicker, consistency and smoothness all reward a
picture that stands still: always read `dynamic_degree` beside them.
"""

import numpy as np

from helpers.video import to_float

BLOCK = 8  # pixels: side of the blocks that the optical flow follows
REACH = 7  # pixels: the furthest that a block is looked for in the next frame
FLAT = 1e-3  # mean squared difference under which a block counts as unchanged


def psnr(video, reference) -> float:
    """Peak signal-to-noise ratio in dB over all values; infinite for equal videos."""
    a, b = _pair(to_float(video), to_float(reference))
    error = float(((a - b).astype(np.float64) ** 2).mean())
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def pcc(a, b) -> float:
    """Pearson's correlation of two arrays of one shape: 1 when one is the other scaled and shifted.

    Two constant arrays have no correlation: the answer is 1 if they are equal, else 0.
    """
    a, b = _pair(_flat(a), _flat(b))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    scale = float(np.sqrt(a.var() * b.var()))
    if scale < 1e-30:
        return float(np.array_equal(a, b))
    return float(np.clip(((a - a.mean()) * (b - b.mean())).mean() / scale, -1, 1))


def temporal_flickering(video) -> float:
    """(255 - mean absolute difference of neighbouring frames) / 255: 1 for a still picture."""
    video = _moving(video, 2)
    return float(1 - np.abs(np.diff(video, axis=0)).mean())


def subject_consistency(video, feature=None) -> float:
    """Mean cosine similarity of each frame to the first and to the previous one, averaged.

    VBench takes DINO features; without a network the feature is the frame itself, 8x8 averages with their
    mean removed, unless another `feature` (frame -> vector) is given.
    """
    video = _moving(video, 2)
    vectors = np.stack([(feature or _thumbnail)(frame) for frame in video]).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), 1 / np.sqrt(vectors.shape[1]))
    return _likeness(vectors)


def followed_consistency(video, centres, side: int = 32) -> float:
    """subject_consistency of a window of `side` pixels that goes with the subject, so that going is no fault.

    centres: (T, 2), the subject's (x, y) in each frame in pixels, NaN where it is not to be found: a pair with such a
    frame counts 0, as unlike as can be. At the edge of the picture the window sees the edge repeated.
    """
    video, centres, half = _moving(video, 2), np.asarray(centres, np.float64), side // 2
    if centres.shape != (len(video), 2):
        raise ValueError(f"{len(video)} frames want as many centres (x, y), not an array of shape {centres.shape}")
    wide = np.pad(video, ((0, 0), (half, half), (half, half), (0, 0)), mode="edge")
    there = np.isfinite(centres).all(1)
    corners = np.where(there[:, None], centres, half).round().astype(int)
    corners = np.clip(corners, 0, (video.shape[2], video.shape[1]))
    windows = [frame[y : y + side, x : x + side] for frame, (x, y) in zip(wide, corners)]
    vectors = np.stack([_thumbnail(window) for window in windows]).astype(np.float64)
    vectors *= there[:, None] / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return _likeness(vectors)


def motion_smoothness(video) -> float:
    """1 - mean absolute error of the odd frames when re-made as the mean of their two neighbours."""
    video = _moving(video, 3)
    middle = video[1:-1:2]
    guess = (video[0:-2:2] + video[2::2]) / 2
    return float(1 - np.abs(middle - guess).mean())


def optical_flow(video) -> np.ndarray:
    """Block matching: (T, H, W, 3) -> (T - 1, H // 8, W // 8, 2), the (dy, dx) in pixels of each block.

    Every block of frame t is looked for in frame t + 1 up to 7 pixels away; ties go to the shortest way.
    """
    video = _moving(video, 2)
    rows, columns = video.shape[1] // BLOCK * BLOCK, video.shape[2] // BLOCK * BLOCK
    if not rows or not columns:
        raise ValueError(f"frames of {video.shape[1]}x{video.shape[2]} are smaller than one block of {BLOCK}")
    before, after = video[:-1, :rows, :columns], video[1:, :rows, :columns]
    padded = np.pad(after, ((0, 0), (REACH, REACH), (REACH, REACH), (0, 0)), mode="edge")
    best = _block_error(before, after)
    still = best < FLAT
    flow = np.zeros((*best.shape, 2), np.float32)
    for dy, dx in _shifts():
        moved = padded[:, REACH + dy : REACH + dy + rows, REACH + dx : REACH + dx + columns]
        error = _block_error(before, moved)
        closer = (error < best - 1e-6) & ~still
        best = np.where(closer, error, best)
        flow[closer] = (dy, dx)
    return flow


def dynamic_degree(video, threshold: float = 1.0) -> float:
    """Share of the blocks, over all pairs of frames, that move by at least `threshold` pixels."""
    flow = optical_flow(video)
    return float((np.linalg.norm(flow, axis=-1) >= threshold).mean())


def coherence(video) -> dict[str, float]:
    """All the measures of one video by name."""
    measures = (temporal_flickering, subject_consistency, motion_smoothness, dynamic_degree)
    return {measure.__name__: measure(video) for measure in measures}


def _shifts() -> list[tuple[int, int]]:
    """Every (dy, dx) within reach but none, shortest first."""
    span = range(-REACH, REACH + 1)
    return sorted(((dy, dx) for dy in span for dx in span if dy or dx), key=lambda s: s[0] ** 2 + s[1] ** 2)


def _block_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(T, H, W, 3) twice -> mean squared difference of each block, (T, H // 8, W // 8)."""
    count, height, width, _ = a.shape
    error = ((a - b) ** 2).mean(-1)
    return error.reshape(count, height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((2, 4))


def _likeness(vectors: np.ndarray) -> float:
    """Mean cosine of each frame's unit vector, (T, D), to the first and to the one before it."""
    to_first = vectors[1:] @ vectors[0]
    to_previous = (vectors[1:] * vectors[:-1]).sum(1)
    return float((to_first + to_previous).mean() / 2)


def _thumbnail(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) -> averages over about 8x8 pixels, mean removed, flat."""
    height, width = max(1, frame.shape[0] // 8), max(1, frame.shape[1] // 8)
    rows = np.array_split(frame, height, axis=0)
    small = np.stack([[cell.mean((0, 1)) for cell in np.array_split(row, width, axis=1)] for row in rows])
    return (small - small.mean((0, 1))).ravel()


def _moving(video, least: int) -> np.ndarray:
    video = to_float(video)
    if len(video) < least:
        raise ValueError(f"this measure needs at least {least} frames, the video has {len(video)}")
    return video


def _flat(array) -> np.ndarray:
    if hasattr(array, "detach"):
        array = array.detach().float().cpu().numpy()
    return np.asarray(array, np.float64)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if a.shape != b.shape:
        raise ValueError(f"the shapes differ: {a.shape} and {b.shape}")
    if a.size == 0:
        raise ValueError("nothing to compare: the arrays are empty")
    return a, b
