"""Data: source -> split -> step batches. The same on every backend."""

from color_s4l.data.batches import StepBatches, steps_per_epoch
from color_s4l.data.dataset import UNLABELED, Dataset
from color_s4l.data.sources import SOURCES, load
from color_s4l.data.split_files import read as read_split
from color_s4l.data.split_files import save as save_split
from color_s4l.data.splits import Split
from color_s4l.data.splits import draw as draw_split

__all__ = [
    "SOURCES",
    "UNLABELED",
    "Dataset",
    "Split",
    "StepBatches",
    "draw_split",
    "load",
    "read_split",
    "save_split",
    "steps_per_epoch",
]
