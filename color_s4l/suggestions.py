"""The images worth labelling: uncertain, and different from each other.

Zhdanov 2019, "Diverse mini-batch active learning" (https://arxiv.org/abs/1901.05954):
the most uncertain images are clustered by K-means, weighted by their uncertainty, and
the image nearest to each centre is chosen.
"""

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

# To choose n images, the CANDIDATES * n most uncertain images are clustered.
CANDIDATES = 10


def choose(
    features: np.ndarray, probabilities: np.ndarray, count: int, seed: int = 0
) -> np.ndarray:
    """Returns the images worth labelling.

    The uncertainty of an image is 1 minus the margin, the difference of the two highest
    probabilities.

    Args:
        features: Float `(n, channels)`.
        probabilities: Class probabilities, float `(n, classes)`, at least two classes.
        count: Number of images; all n if it is larger.
        seed: Seed of K-means.

    Returns:
        Indices of different images, the most uncertain first, int64
        `(min(count, n),)`.
    """
    count = min(count, len(features))
    if not count:
        return np.zeros(0, np.int64)
    highest = np.partition(probabilities, -2, axis=1)[:, -2:]
    uncertainty = 1 - (highest[:, 1] - highest[:, 0])
    candidates = np.argsort(-uncertainty, kind="stable")[: CANDIDATES * count]
    weights = np.maximum(uncertainty[candidates], np.finfo(np.float32).eps)
    model = KMeans(count, n_init=1, random_state=seed)
    with warnings.catch_warnings():
        # There are fewer clusters if images have equal features.
        warnings.simplefilter("ignore", ConvergenceWarning)
        distances = model.fit_transform(features[candidates], sample_weight=weights)
    own = distances[np.arange(len(candidates)), model.labels_]
    order = np.lexsort((own, model.labels_))
    nearest = order[np.unique(model.labels_[order], return_index=True)[1]]
    # Candidates are sorted by uncertainty: the most uncertain replace empty clusters.
    others = np.setdiff1d(np.arange(len(candidates)), nearest)
    filled = np.concatenate([nearest, others[: count - len(nearest)]])
    return candidates[np.sort(filled)]
