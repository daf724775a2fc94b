"""Procedures of several stages, made of the same parts as a run."""

from color_s4l.recipes.alternating import Alternating, Refine
from color_s4l.recipes.moam import Moam
from color_s4l.recipes.pretrained import Pretrained
from color_s4l.recipes.pseudo_label_retrain import PseudoLabelRetrain
from color_s4l.recipes.recipe import Recipe, Stage

RECIPES: dict[str, Recipe] = {
    "rotnet_linear": Pretrained(linear=True),
    "rotnet_finetune": Pretrained(),
    "exemplar_linear": Pretrained(method="exemplar", linear=True),
    "exemplar_finetune": Pretrained(method="exemplar"),
    "pseudo_label_retrain": PseudoLabelRetrain(),
    "moam": Moam(),
    "alternating": Alternating(),
    "refine": Refine(),
}

__all__ = ["RECIPES", "Recipe", "Stage"]
