"""Names that `io_frames` and its rows share, so that rows can be listed without foliot."""

from __future__ import annotations

BACKENDS = ("blocking", "evented", "threadpool", "stealing", "uring", "adaptive")

# What the load is, how much longer a frame may take than on the best fixed backend, in words.
SCENES: dict[str, tuple[str, float, str]] = {
    "tiny": ("8 systems that do nothing", 1.05, "≤ 1.05 × best fixed"),
    "heavy": ("matrix inversions", 1.05, "≤ 1.05 × best fixed"),
    "reads": ("256 reads", 1.05, "≤ 1.05 × best fixed"),
    "mixed": ("all three together", 1.05, "≤ 1.05 × best fixed"),
    "alternating": ("512 frames of inversions, 512 of reads", 1.0, "< best fixed"),
}
