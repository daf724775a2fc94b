"""How well the proxy head recognises each proxy view, and a warning if it does not."""

import dataclasses
import warnings

import keras
import numpy as np
from keras import ops

from color_s4l.data import Data, Images, StepBatches, subset
from color_s4l.registry import PROXIES, TERMS
from color_s4l.terms.term import Term
from color_s4l.training.learner import Learner
from color_s4l.views.step import COLORIZED

# Largest number of images on which each view is measured; they are evenly spaced.
IMAGES = 1000
BATCH_SIZE = 128
# A view is at chance if the head gives its label to this view hardly more often than to
# some other view: the share of images is larger by less than this number.
GAIN = 0.02
# Number of steps before the views are measured. After 400 updates, moving batch
# statistics with momentum 0.99 contain only 2 % of their initial values.
STEPS = 400
IDENTITY = "identity"


@dataclasses.dataclass(frozen=True, eq=False)
class Recognition:
    """Predictions of the proxy head.

    Attributes:
        tasks: Names of the views, in label order.
        shares: Float `(tasks, tasks)`: share of the images of each view (row) that are
            classified as each view (column).
    """

    tasks: tuple[str, ...]
    shares: np.ndarray

    def accuracies(self) -> dict[str, float]:
        """Returns the share of correctly classified images of each view, in percent."""
        right = 100 * np.diag(self.shares)
        return {task: float(a) for task, a in zip(self.tasks, right, strict=True)}

    def at_chance(self) -> tuple[str, ...]:
        """Returns the views that are not recognised better than by chance.

        The identity is never returned: the head confuses it with every view at chance,
        so it would be at chance too. If the head gives the same answer for all views,
        all views except the identity are returned.
        """
        right = np.diag(self.shares)
        wrongly = np.max(self.shares - np.diag(right), axis=0)
        gains = zip(self.tasks, right - wrongly, strict=True)
        return tuple(task for task, g in gains if g < GAIN and task != IDENTITY)


def probabilities(
    learner: Learner,
    task: str,
    images: np.ndarray,
    seed: keras.random.SeedGenerator,
) -> np.ndarray:
    """Returns the proxy head's probabilities for one view of some images.

    Args:
        learner: A learner with a head "proxy".
        task: Name of the view.
        images: The images from which the view is made, uint8 `(n, height, width, 3)`:
            for "colorized" the colourised images.
        seed: Seed of random views, advanced in place.

    Returns:
        Float32 `(n, tasks)`.
    """
    proxy = PROXIES[task]
    # The images are preprocessed first, as in training.
    clean = learner.preprocessing(images)
    views = proxy.apply(clean, proxy.draw(seed, len(images)))
    logits = learner.network(views, training=False)["proxy"]
    return ops.convert_to_numpy(ops.softmax(ops.cast(logits, "float32")))


def measure(learner: Learner, images: Data, batches: StepBatches) -> Recognition | None:
    """Measures the proxy head on up to 1,000 test images.

    The colourised view is measured on unlabelled training images, because the test
    images are not colourised. Without test images, all views are measured on unlabelled
    training images.

    Args:
        learner: The learner.
        images: The data set.
        batches: The step batches, with the split and the colourised images.

    Returns:
        The predictions; None if no term has proxy views.
    """
    term = proxy_term(learner)
    if term is None:
        return None
    tasks, shares = term.proxy_tasks(), []
    plain: Images = images.test_images
    if not len(plain):
        plain = subset(images.images, batches.split.unlabeled)
    given = {COLORIZED: _sample(batches.colorized)}
    sample, seed = _sample(plain), keras.random.SeedGenerator(0)
    for task in tasks:
        own = given.get(PROXIES[task].source, sample)
        parts = [
            probabilities(learner, task, own[start : start + BATCH_SIZE], seed)
            for start in range(0, len(own), BATCH_SIZE)
        ]
        predicted = np.concatenate(parts).argmax(axis=1)
        shares.append(np.bincount(predicted, minlength=len(tasks)) / len(own))
    return Recognition(tasks, np.array(shares))


def proxy_term(learner: Learner) -> Term | None:
    """Returns the first term with proxy views, or None."""
    return next((term for term in learner.terms if term.proxy_tasks()), None)


def _sample(images: Images | None) -> np.ndarray:
    if images is None:
        return np.empty((0, 0, 0, 3), np.uint8)
    count = min(IMAGES, len(images))
    return np.asarray(images[np.arange(count) * len(images) // max(1, count)])


def advice(found: Recognition, term: str) -> str:
    """Returns a warning about views at chance; "" if there are none.

    Args:
        found: The predictions.
        term: Name of the term with the views.
    """
    wrong = found.at_chance()
    if not wrong:
        return ""
    kept = [task for task in found.tasks if task not in wrong]
    if set(kept) - {IDENTITY}:
        instead = f"leave them out, `set`={term}.tasks={','.join(kept)}, or use"
    else:
        instead = "use"
    return (
        "The proxy head does not recognise these views better than by chance: "
        f"{', '.join(wrong)}. Images without an upright position look the same rotated "
        f"or flipped, and such views only cost time: {instead} another `method`, for "
        "example fixmatch or mean_teacher."
    )


class WarnAtChance(keras.callbacks.Callback):
    """A callback that warns once if the proxy head does not recognise some views.

    It measures at the end of the first epoch that ends after at least 400 steps.

    Args:
        images: The data set.
        batches: The step batches.
        complete: Number of complete epochs of an earlier session.
    """

    def __init__(self, images: Data, batches: StepBatches, complete: int):
        super().__init__()
        self.images, self.batches = images, batches
        self.done = complete * batches.steps_per_epoch >= STEPS

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Measures and warns."""
        if self.done or (epoch + 1) * self.batches.steps_per_epoch < STEPS:
            return
        self.done = True
        term = proxy_term(self.model)
        found = measure(self.model, self.images, self.batches)
        if term is None or found is None:
            return
        text = advice(found, TERMS.name_of(type(term)))
        if text:
            warnings.warn(f"After epoch {epoch + 1}: {text}", stacklevel=2)
