"""Data: source -> split -> step batches. The same on every backend."""

from color_s4l.data.balance import class_weights, described, imbalanced
from color_s4l.data.batches import StepBatches, steps_per_epoch
from color_s4l.data.dataset import UNLABELED, Data, Files
from color_s4l.data.lazy_images import Images, LazyImages, chunks, content, subset
from color_s4l.data.pseudo_labels import PseudoLabels
from color_s4l.data.pseudo_labels import read as read_pseudo_labels
from color_s4l.data.pseudo_labels import save as save_pseudo_labels
from color_s4l.data.sources import SOURCES, load, load_source
from color_s4l.data.split_files import read as read_split
from color_s4l.data.split_files import save as save_split
from color_s4l.data.splits import Split
from color_s4l.data.splits import draw as draw_split

__all__ = [
    "SOURCES",
    "UNLABELED",
    "Data",
    "Files",
    "Images",
    "LazyImages",
    "PseudoLabels",
    "Split",
    "StepBatches",
    "chunks",
    "class_weights",
    "content",
    "described",
    "draw_split",
    "imbalanced",
    "load",
    "load_source",
    "read_pseudo_labels",
    "read_split",
    "save_pseudo_labels",
    "save_split",
    "steps_per_epoch",
    "subset",
]
