"""Data sources, splits and step batches, with the same results on every backend."""

from color_s4l.data.balance import class_weights, described, imbalanced
from color_s4l.data.batches import StepBatches, steps_per_epoch
from color_s4l.data.dataset import UNLABELED, Data, Files, to_uint8
from color_s4l.data.lazy_images import (
    Images,
    LazyImages,
    checksums,
    chunks,
    content,
    subset,
)
from color_s4l.data.pseudo_labels import (
    PseudoLabels,
    read_pseudo_labels,
    save_pseudo_labels,
)
from color_s4l.data.sources import load
from color_s4l.data.splits import Split, draw_split, read_split, save_split
from color_s4l.data.streams import seed_initialisers

__all__ = [
    "UNLABELED",
    "Data",
    "Files",
    "Images",
    "LazyImages",
    "PseudoLabels",
    "Split",
    "StepBatches",
    "checksums",
    "chunks",
    "class_weights",
    "content",
    "described",
    "draw_split",
    "imbalanced",
    "load",
    "read_pseudo_labels",
    "read_split",
    "save_pseudo_labels",
    "save_split",
    "seed_initialisers",
    "steps_per_epoch",
    "subset",
    "to_uint8",
]
