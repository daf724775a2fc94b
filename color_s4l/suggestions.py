"""The images worth labelling: uncertain, and different from each other.

BADGE (Ash et al. 2020, https://arxiv.org/abs/1906.03671): the gradient embedding of an
image is the gradient of its loss with respect to the class head, for its most probable
class. It is large if the class is uncertain, and its direction depends on the features.
The seeding of k-means++ chooses images whose embeddings are large and far apart.
"""

import numpy as np


def choose(
    features: np.ndarray, probabilities: np.ndarray, count: int, seed: int = 0
) -> np.ndarray:
    """Returns the images worth labelling.

    The embedding of an image is the outer product of (probabilities minus the one-hot
    vector of the most probable class) and the features. It is never computed: inner
    products of embeddings are products of inner products. The memory is that of the two
    arguments and a few numbers per image; the time is proportional to `count`.

    As in the published code, the first image is the one with the largest embedding. An
    image whose embedding equals that of a chosen image is chosen last.

    Args:
        features: Float `(n, channels)`.
        probabilities: Class probabilities, float `(n, classes)`.
        count: Number of images; all n if it is larger.
        seed: Seed of the draws.

    Returns:
        Indices of different images in the order of choice, int64
        `(min(count, n),)`.
    """
    rows = np.arange(len(features))
    errors = probabilities.astype("float32")
    errors[rows, errors.argmax(axis=1)] -= 1
    norms = _squares(errors) * _squares(features)
    generator = np.random.default_rng(seed)
    chosen: list[int] = []
    # Squared distance to the nearest chosen embedding.
    nearest = np.full(len(rows), np.inf)
    free = np.ones(len(rows), bool)
    while len(chosen) < min(count, len(rows)):
        weights = np.where(free, nearest if chosen else 0.0, 0.0)
        if chosen and weights.sum() > 0:
            pick = int(generator.choice(rows, p=weights / weights.sum()))
        else:
            pick = int(np.where(free, norms, -1.0).argmax())
        chosen.append(pick)
        free[pick] = False
        products = (errors @ errors[pick]) * (features @ features[pick])
        distances = norms + norms[pick] - 2 * products.astype("float64")
        # Rounding can make the distance of equal embeddings slightly positive.
        distances[distances < 1e-6 * (norms + norms[pick])] = 0
        nearest = np.minimum(nearest, distances)
    return np.array(chosen, np.int64)


def _squares(vectors: np.ndarray) -> np.ndarray:
    """Returns the squared norm of each row, float64 `(n,)`."""
    return np.einsum("ij,ij->i", vectors, vectors).astype("float64")
