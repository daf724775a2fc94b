"""Suspected wrong labels, and test images that are almost training images.

Both are found from the features of a trained classifier.
"""

import keras
import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from color_s4l import probes

# Rows per block of a matrix of similarities: 1,024 x 100,000 similarities are 410 MB.
BLOCK = 1024


def cross_validated(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns class probabilities from classifiers that did not see the image's label.

    Logistic regression on standardised features, in stratified cross-validation with
    5 folds (fewer if a class has fewer images).

    Args:
        features: Float `(n, channels)`.
        labels: Classes from 0 to k - 1, integers `(n,)`; every class has at least two
            images.

    Returns:
        Float `(n, k)`.
    """
    folds = min(probes.FOLDS, int(np.bincount(labels).min()))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=0)
    with probes.one_thread():
        return cross_val_predict(
            probes.regression(), features, labels, cv=splitter, method="predict_proba"
        )


def wrong_labels(
    probabilities: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the images whose given labels are suspected to be wrong.

    Confident learning (Northcutt et al. 2021, https://arxiv.org/abs/1911.00068): the
    threshold of a class is the mean probability of the class over the images with this
    label. An image belongs confidently to the most probable of the classes whose
    thresholds it reaches. If this is not its given class, the image is off the diagonal
    of the confident joint, and its label is suspected.

    Args:
        probabilities: Out-of-sample class probabilities, float `(n, k)`.
        labels: Given classes, integers `(n,)`; every class has an image.

    Returns:
        Indices of the suspected images, by margin (probability of the given class minus
        that of the suggested class), lowest first; and their suggested classes.
        Both int64 `(m,)`.
    """
    classes = range(probabilities.shape[1])
    thresholds = [probabilities[labels == k, k].mean() for k in classes]
    reached = np.where(probabilities >= thresholds, probabilities, -np.inf)
    suggested = reached.argmax(axis=1)
    suspected = np.flatnonzero((reached.max(axis=1) > 0) & (suggested != labels))
    given = probabilities[suspected, labels[suspected]]
    margins = given - probabilities[suspected, suggested[suspected]]
    order = np.argsort(margins, kind="stable")
    return suspected[order], suggested[suspected[order]]


def near_duplicates(
    features: np.ndarray, others: np.ndarray, similarity: float
) -> list[tuple[int, int, float]]:
    """Returns the most similar other image of each image, if it is similar enough.

    Both sets of features are standardised with the mean and the standard deviation of
    each channel of `others`. The similarity is the cosine of the angle between two
    standardised features; it is about 0 for images that are not alike.

    Args:
        features: Float `(n, channels)`.
        others: Float `(m, channels)`.
        similarity: Smallest cosine of a pair, in (0, 1].

    Returns:
        Pairs (index in `features`, index in `others`, cosine), highest cosine first.
    """
    if not len(features) or not len(others):
        return []
    scaler = StandardScaler().fit(others)
    first, second = (
        keras.utils.normalize(scaler.transform(part)) for part in (features, others)
    )
    pairs = []
    for start in range(0, len(first), BLOCK):
        cosines = first[start : start + BLOCK] @ second.T
        nearest = cosines.argmax(axis=1)
        highest = cosines[np.arange(len(nearest)), nearest]
        for row in np.flatnonzero(highest >= similarity):
            pairs.append((start + int(row), int(nearest[row]), float(highest[row])))
    return sorted(pairs, key=lambda pair: -pair[2])
