"""Error rates on the test images, with and without test-time augmentation.

For a network without a class head, the error rate on its proxy task is measured.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from color_s4l import backend, data
from color_s4l.data import Data, Images
from color_s4l.networks.network import CLASSES, Network
from color_s4l.registry import PROXIES
from color_s4l.settings import EvaluationSettings
from color_s4l.training.feeding import Slices
from color_s4l.training.learner import Learner
from color_s4l.training.processes import Group
from color_s4l.views import augmentation
from color_s4l.views.preprocessing import Preprocessing

# Batch size of the evaluation in Tran 2019's published code.
BATCH_SIZE = 128
# Number of batches that are read together. Two such groups are in memory, one decoded
# and one being decoded: 600 MB at 224 px.
BATCHES = 16
# The top-5 error is measured if there are more classes than this number.
SMALLEST_TOP = 10
SHIFTS = (-2, -1, 1, 2)
# Seed of the shifts and the noise; fixed, so that two evaluations of a model agree.
SEED = 0

Measure = Callable[[], float]


def probabilities(
    model: keras.Model, images: data.Images, *, devices: int = 1
) -> np.ndarray:
    """Returns the class probabilities of any number of images.

    Args:
        model: A model from uint8 `(batch, height, width, 3)` to `(batch, classes)`.
        images: uint8 `(n, height, width, 3)`, n at least 1.
        devices: Number of devices that share a batch; the batch size is the largest
            multiple of this number up to 128.

    Returns:
        Float32 `(n, classes)`.
    """
    batch_size = BATCH_SIZE // devices * devices
    chunks = data.chunks(images, BATCHES * batch_size)
    return np.concatenate([_predict(model, part, batch_size) for part in chunks])


def _predict(model: keras.Model, images: np.ndarray, batch_size: int) -> np.ndarray:
    # Full batches only: an incomplete one cannot be divided over several devices.
    missing = -len(images) % batch_size
    padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    with backend.fed(Slices(padded, batch_size)) as batches:
        return model.predict(batches, verbose=0)[: len(images)]


def error_rate(probabilities: np.ndarray, labels: np.ndarray, top: int = 1) -> float:
    """Returns the share of images whose class is not among the most probable ones.

    Args:
        probabilities: `(n, classes)`.
        labels: Integers `(n,)`.
        top: Number of most probable classes; 1: the error rate; 5: the top-5 error.

    Returns:
        A percentage in [0, 100]; NaN for no images.
    """
    if not len(labels):
        return float("nan")
    chosen = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    right = (chosen == np.asarray(labels)[:, None]).any(axis=1)
    return float(100 * np.mean(~right))


def augmented_probabilities(
    classifier: keras.Model,
    images: data.Images,
    *,
    hflip: bool,
    views: str = "published",
    devices: int = 1,
) -> np.ndarray:
    """Returns the class probabilities averaged over several views of each image.

    Args:
        classifier: A model from `networks.inference_model`, or loaded from a file.
        images: uint8 `(n, height, width, 3)`.
        hflip: Whether left-right flips keep the class.
        views: As for `AugmentedClassifier`.
        devices: As for `probabilities`.

    Returns:
        Float32 `(n, classes)`.
    """
    model = AugmentedClassifier(classifier, hflip=hflip, views=views, seed=SEED)
    return probabilities(model, images, devices=devices)


class AugmentedClassifier(keras.Model):
    """The mean of a classifier's probabilities over several views of each image.

    The views are:

    * "published": the views of Tran 2019's published code. They are the image, a copy
      shifted along both axes (by -2, -1, 1 or 2 pixels, drawn at random), the
      left-right flips of these two, and a noisy copy of each: 8 views.
    * "flips": the image and its left-right flip.
    * "shifts": the image moved by one pixel up and left, the image moved by one pixel
      down and right, and the flips of both, each with weight 1/8; and the two views of
      "flips", each with weight 1/4 (airbench's published code,
      https://arxiv.org/abs/2404.00498).
    * "rotations": the image in all four rotations (Zhai et al. 2019, published code).

    With `hflip` false, the flipped views are left out.

    Use a new instance for each pass over a test set: the random draws of "published"
    continue from batch to batch, so a second pass would have other draws.

    Args:
        classifier: A model from `networks.inference_model`, or loaded from a file.
        hflip: Whether flipped views are used; "rotations" has none.
        views: "published", "flips", "shifts" or "rotations".
        seed: Seed of the shifts and the noise.
    """

    def __init__(
        self,
        classifier: keras.Model,
        *,
        hflip: bool,
        views: str = "published",
        seed: int,
    ):
        super().__init__(name="test_time_augmentation")
        preprocessed = classifier.get_layer("preprocessing").output
        self.preprocessing = keras.Model(classifier.input, preprocessed)
        self.rest = keras.Model(preprocessed, classifier.output)
        self.hflip, self.views = hflip, views
        self.seed = keras.random.SeedGenerator(seed)

    def call(self, images: backend.Tensor, training: bool = False) -> backend.Tensor:
        """Maps uint8 `(batch, height, width, 3)` to float32 `(batch, classes)`."""
        clean = self.preprocessing(images)
        if self.views != "published":
            return self._without_draws(clean)
        draws = keras.random.randint(
            (images.shape[0], 2), 0, len(SHIFTS), seed=self.seed
        )
        shifted = augmentation.shift(
            clean, ops.take(ops.convert_to_tensor(SHIFTS, "int32"), draws)
        )
        views = self._flipped([clean, shifted])
        return self._mean([*views, *(self._with_noise(view) for view in views)])

    def _mean(self, views):
        # A loop of the framework, because tracing the network once per view is slow.
        predicted = ops.map(self._predicted, ops.stack(views))
        return ops.mean(predicted, axis=0)

    def _predicted(self, view):
        return self.rest(view, training=False)

    def _without_draws(self, clean):
        if self.views == "rotations":
            turns = range(4)
            return self._mean([ops.rot90(clean, turn, axes=(1, 2)) for turn in turns])
        mean = self._mean(self._flipped([clean]))
        if self.views == "flips":
            return mean
        both = ops.ones((clean.shape[0], 2), "int32")
        moved = [augmentation.shift(clean, step * both) for step in (-1, 1)]
        return (mean + self._mean(self._flipped(moved))) / 2

    def _flipped(self, views):
        """Returns the views and, if flips keep the class, their left-right flips."""
        if not self.hflip:
            return views
        return [*views, *(ops.flip(view, axis=2) for view in views)]

    def _with_noise(self, images):
        noise = keras.random.normal(
            images.shape, stddev=augmentation.NOISE, seed=self.seed
        )
        return images + noise


class ProxyClassifier(keras.Model):
    """The proxy head's probabilities for the deterministic proxy views of each image.

    Args:
        network: A network with a head "proxy".
        preprocessing: Applied before the views, as in training.
        tasks: All tasks of the head. Random views are left out, and so is the
            colourised view, because there are no colourised test images.
    """

    def __init__(
        self, network: Network, preprocessing: Preprocessing, tasks: Sequence[str]
    ):
        super().__init__(name="proxy_classifier")
        self.network, self.preprocessing = network, preprocessing
        found = {k: PROXIES[task] for k, task in enumerate(tasks)}
        self.labels = [k for k, proxy in found.items() if proxy.deterministic]
        self.proxies = [found[k] for k in self.labels]

    def call(self, images: backend.Tensor, training: bool = False) -> backend.Tensor:
        """Maps uint8 `(batch, h, w, 3)` to float32 `(batch, views, tasks)`."""
        clean = self.preprocessing(images)
        views = ops.stack([proxy.apply(clean) for proxy in self.proxies])
        logits = ops.map(lambda view: self.network(view)["proxy"], views)
        return ops.softmax(ops.swapaxes(logits, 0, 1))

    def error_rate(self, images: data.Images, *, devices: int = 1) -> float:
        """Returns the share of views classified as another view, in percent.

        Args:
            images: uint8 `(n, height, width, 3)`.
            devices: As for `probabilities`.
        """
        predicted = probabilities(self, images, devices=devices).argmax(axis=-1)
        return float(100 * np.mean(predicted != np.array(self.labels)))


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of a learner during and after its training.

    Attributes:
        learner: The learner that is trained.
        classifier: Model from raw images to probabilities; it shares the learner's
            weights.
        data: The images. Without test images no test errors are measured.
        validation: Indices of the validation images, integers `(v,)`.
        settings: Test-time augmentation and devices.
    """

    learner: Learner
    classifier: keras.Model
    data: Data
    validation: np.ndarray
    settings: EvaluationSettings

    @property
    def _has_classes(self) -> bool:
        return CLASSES in self.learner.network.heads

    def measures(self) -> dict[str, Measure]:
        """Returns name -> function that measures an error rate, in percent."""
        if not self._has_classes:
            found = {f"test_{name}": e for name, e in self._proxy_errors().items()}
            return found
        images = self.data
        found = {}
        if len(images.test_images):
            found["test_error"] = self._error(images.test_images, images.test_labels)
        if len(self.validation):
            found["validation_error"] = self._error(
                data.subset(images.images, self.validation),
                images.labels[self.validation],
            )
        further = {
            f"{name}_{measure}": self._with(name, error)
            for name in self.learner.evaluated()
            for measure, error in found.items()
        }
        return {**found, **further}

    def shared_measures(self, group: Group) -> dict[str, Measure]:
        """Returns `measures`, with the images divided over several processes.

        Every process must call the same functions in the same order.
        """
        images, own = self.data, slice(group.process_id, None, group.count)
        sizes = (len(images.test_images), len(self.validation))
        if any(0 < size < group.count for size in sizes):
            return self.measures()  # too few images: every process measures all
        tests = np.arange(len(images.test_images))[own]
        part = dataclasses.replace(
            images,
            test_images=data.subset(images.test_images, tests),
            test_labels=images.test_labels[tests],
        )
        validation = self.validation[own]
        divided = dataclasses.replace(self, data=part, validation=validation)

        def mean(measure: Measure, weight: int) -> Measure:
            return lambda: group.mean(measure(), weight)

        return {
            name: mean(error, len(validation if "validation" in name else tests))
            for name, error in divided.measures().items()
        }

    def _error(self, images: Images, labels: np.ndarray) -> Measure:
        return lambda: error_rate(
            probabilities(self.classifier, images, devices=self.settings.devices),
            labels,
        )

    def _with(self, name: str, error: Measure) -> Measure:
        """Returns a function that measures `error` with the further weights `name`."""

        def measured() -> float:
            with self.learner.network.replaced(self.learner.evaluated()[name]):
                return error()

        return measured

    def _proxy_errors(self) -> dict[str, Measure]:
        """Returns name -> function that measures the error rate on the proxy task.

        The dictionary is empty if there is no proxy task or there are no test images.
        """
        images, learner = self.data.test_images, self.learner
        for term in learner.terms:
            if term.proxy_tasks() and len(images):
                model = ProxyClassifier(
                    learner.network, learner.preprocessing, term.proxy_tasks()
                )
                error = functools.partial(
                    model.error_rate, images, devices=self.settings.devices
                )
                return {"proxy_error": error}
        return {}

    def assign_final_weights(self) -> None:
        """Assigns the weights named by the setting `final_weights` to the network.

        Without this setting, the network is not changed.

        Raises:
            KeyError: No term of the method has weights with this name.
        """
        name = self.settings.final_weights
        if name is None:
            return
        for variable, value in self.learner.evaluated()[name]:
            variable.assign(value)

    def final(self) -> tuple[dict, np.ndarray | None]:
        """Returns the error rates for result.json and the test images' probabilities.

        Returns:
            The error rates in percent: `error` and `error_augmented`, None without a
            class head or test images; `top5_error` for more than ten classes;
            `proxy_error` for a network without a class head; and `further`, the errors
            with each term's further weights, by the name of the weights. Second, the
            probabilities, float32 `(n, classes)`, or None.
        """
        nothing = {"error": None, "error_augmented": None}
        if not self._has_classes:
            proxies = {name: error() for name, error in self._proxy_errors().items()}
            return {**nothing, **proxies}, None
        if not len(self.data.test_images):
            return nothing, None
        errors, clean = self._errors()
        further = {}
        for name, values in self.learner.evaluated().items():
            if name == self.settings.final_weights:
                continue  # these weights are the result itself
            with self.learner.network.replaced(values):
                further[name], _ = self._errors()
        return errors | ({"further": further} if further else {}), clean

    def _errors(self) -> tuple[dict[str, float], np.ndarray]:
        model, images = self.classifier, self.data.test_images
        labels = self.data.test_labels
        settings = self.settings
        clean = probabilities(model, images, devices=settings.devices)
        augmented = augmented_probabilities(
            model,
            images,
            hflip=settings.hflip,
            views=settings.test_views,
            devices=settings.devices,
        )
        errors = {
            "error": error_rate(clean, labels),
            "error_augmented": error_rate(augmented, labels),
        }
        if clean.shape[1] > SMALLEST_TOP:
            errors["top5_error"] = error_rate(clean, labels, top=5)
        return errors, clean
