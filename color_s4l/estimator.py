"""A scikit-learn estimator: `fit(X, y)` with y = -1 for unlabelled images."""

import pathlib
import tempfile
import typing

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from color_s4l.artifacts import models
from color_s4l.classifier import Classifier, load
from color_s4l.data import Data
from color_s4l.errors import InputError
from color_s4l.recipes.procedure import fit
from color_s4l.settings import Run, preset

UNLABELED = -1


class SemiSupervisedClassifier(ClassifierMixin, BaseEstimator):
    """An image classifier trained from labelled and unlabelled images.

    It follows the conventions of `sklearn.semi_supervised` and works in
    `cross_val_score` and `GridSearchCV`. Unlabelled images have the label -1; `score`
    ignores them. A fitted estimator can be pickled; the pickle contains the model file.

    A parameter that is None has the value of the preset. Without a preset, or if the
    preset has no value for it, it has the default of `Run`.

    Args:
        method: Name of a method or a sum of methods: "fixmatch", "sesemi+vat".
        preset: Name of settings that were chosen together: "fast". Other parameters
            that are not None have priority. None: no preset.
        network: Name of the trunk.
        width: Factor on the number of filters of the trunk.
        weights: "imagenet", "none" or a file of Keras weights, for a network whose name
            begins with "applications/".
        epochs: Number of passes over all images.
        batch_size: Unlabelled images per step.
        labeled_batch: Labelled images per step.
        learning_rate: Learning rate; the schedule scales it.
        schedule: "polynomial", "cosine", "steps", "constant" or "triangular".
        weight_decay: Factor on the sum of squares of all kernels.
        dropout: Dropout rate before the class head.
        zca: Whether to apply ZCA whitening.
        hflip: Whether left-right flips keep the class.
        balance: Whether to weight the class loss so that all classes count equally.
        set: Hyper-parameters of terms: ("fixmatch.threshold=0.9",).
        colorizer: H5 file of a colorizer.
        dtype_policy: "float32", "mixed_bfloat16" or "mixed_float16".
        jit_compile: Whether the step is compiled with XLA.
        random_state: Seed of the batches, the weights and all random draws.
        run_dir: Run directory to keep; None: a temporary one, deleted after `fit`.
        verbosity: 0: no progress; 1: a bar, on a terminal; 2: one line per epoch.

    Attributes:
        classes_: The class labels, sorted, `(k,)`: one per column of `predict_proba`.
        classifier_: The trained `Classifier`.
    """

    def __init__(
        self,
        method: str | None = None,
        *,
        preset: str | None = None,
        network: str | None = None,
        width: float | None = None,
        weights: str | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        labeled_batch: int | None = None,
        learning_rate: float | None = None,
        schedule: str | None = None,
        weight_decay: float | None = None,
        dropout: float | None = None,
        zca: bool | None = None,
        hflip: bool | None = None,
        balance: bool | None = None,
        set: tuple[str, ...] | None = None,
        colorizer: str | None = None,
        dtype_policy: str | None = None,
        jit_compile: bool | None = None,
        random_state: int | None = None,
        run_dir: str | None = None,
        verbosity: int = 0,
    ):
        self.method = method
        self.preset = preset
        self.network = network
        self.width = width
        self.weights = weights
        self.epochs = epochs
        self.batch_size = batch_size
        self.labeled_batch = labeled_batch
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.zca = zca
        self.hflip = hflip
        self.balance = balance
        self.set = set
        self.colorizer = colorizer
        self.dtype_policy = dtype_policy
        self.jit_compile = jit_compile
        self.random_state = random_state
        self.run_dir = run_dir
        self.verbosity = verbosity

    def fit(self, X: np.ndarray, y: np.ndarray) -> "SemiSupervisedClassifier":  # noqa: N803
        """Trains the classifier.

        Args:
            X: Images `(n, size, size, 3)`, `(n, size, size, 1)` or `(n, size, size)`,
                uint8 or float in [0, 1].
            y: Labels `(n,)` or `(n, 1)`: integers, or texts in an array of dtype
                object; -1 for an unlabelled image.

        Returns:
            The estimator itself.

        Raises:
            InputError: An array has the wrong shape, dtype or range, `y` has no labels,
                or a setting is wrong.
        """
        labels = _flat(y)
        known = labels != UNLABELED
        if not known.any():
            raise InputError("Expected `y` to have labels. Received: only -1.")
        self.classes_, codes = np.unique(labels[known], return_inverse=True)
        indices = np.full(len(labels), UNLABELED, np.int32)
        indices[known] = codes
        names = tuple(str(name) for name in self.classes_)
        data = Data.from_arrays(X, indices, class_names=names)
        with tempfile.TemporaryDirectory(prefix="color_s4l-") as folder:
            run_dir = self.run_dir or str(pathlib.Path(folder) / "run")
            result = fit(self._run(run_dir), data)
            self.classifier_: Classifier = load(result["run_dir"])
        return self

    def _run(self, run_dir: str) -> Run:
        given = {k: v for k, v in self.get_params(deep=False).items() if v is not None}
        if "random_state" in given:
            given["seed"] = given.pop("random_state")
        if "set" in given:
            given["set"] = tuple(given["set"])
        name = given.pop("preset", None)
        given["run_dir"] = run_dir
        return preset(name, **given) if name else Run(**given)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Returns class probabilities.

        Args:
            X: Images as for `fit`.

        Returns:
            Float32 `(n, k)`, the columns in the order of `classes_`.
        """
        check_is_fitted(self, "classifier_")
        if not len(X):
            return np.zeros((0, len(self.classes_)), "float32")
        unlabeled = np.full(len(X), UNLABELED)
        names = tuple(str(name) for name in self.classes_)
        images = Data.from_arrays(X, unlabeled, class_names=names).images
        return self.classifier_.predict(images)

    def predict(self, X: np.ndarray) -> np.ndarray:  # noqa: N803
        """Returns the most probable class of each image, `(n,)`, as in `classes_`."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def score(
        self,
        X: np.ndarray,  # noqa: N803
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
    ) -> float:
        """Returns the accuracy on the labelled images, in [0, 1].

        Args:
            X: Images as for `fit`.
            y: Labels as for `fit`; images with -1 are ignored.
            sample_weight: Weights of the images `(n,)`.
        """
        labels = _flat(y)
        known = labels != UNLABELED
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return super().score(np.asarray(X)[known], labels[known], weight)

    def __getstate__(self) -> dict[str, typing.Any]:
        """Returns the state for pickling, with the model as the bytes of its file."""
        state = dict(super().__getstate__())
        classifier = state.pop("classifier_", None)
        if classifier is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "model.keras"
                models.save(classifier.network, path, classifier.about)
                state["model_file"] = path.read_bytes()
        return state

    def __setstate__(self, state: dict[str, typing.Any]) -> None:
        """Restores a pickled estimator."""
        content = state.pop("model_file", None)
        super().__setstate__(state)
        if content is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "model.keras"
                path.write_bytes(content)
                self.classifier_ = load(path)

    def __sklearn_tags__(self) -> typing.Any:
        """Returns scikit-learn's tags: the input is not a 2-D array."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


def _flat(y: np.ndarray) -> np.ndarray:
    """Returns labels `(n,)` from `(n,)` or `(n, 1)`."""
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise InputError(
            f"Expected `y` to have shape (n,) or (n, 1). Received: {labels.shape}."
        )
    return labels
