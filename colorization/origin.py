"""Where a colorizer comes from: the record that its file carries."""

import dataclasses
import json
import platform

import keras

from colorization.lab import SCALING


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a colorizer was trained on, and how.

    Attributes:
        dataset: The training data's name.
        epochs: Passes over the training images.
        image_size: Side of the training images in pixels.
        images: The number of training images.
        network: A name of `colorization.networks.NETWORKS`.
        width: Factor on the numbers of filters.
        batch_size: Images per step.
        learning_rate: Adam's.
        seed: Of the weights and of the data's order.
        embedding_weights: As given at training; None where nothing is embedded.
        embedding_size: Side in pixels; None where nothing is embedded.
        scaling: How lightness and colours are scaled, `lab.SCALING`.
        versions: Of Python and Keras, and the backend's name.
    """

    dataset: str
    epochs: int
    image_size: int
    images: int
    network: str
    width: float = 1.0
    batch_size: int = 100
    learning_rate: float = 1e-3
    seed: int = 1
    embedding_weights: str | None = None
    embedding_size: int | None = None
    scaling: str = SCALING
    versions: dict[str, str] = dataclasses.field(default_factory=_versions)

    def to_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(dataclasses.asdict(self))


def from_json(text: str) -> Origin:
    """Reads a record that `Origin.to_json` wrote.

    Fields of a later version of the library are left out.

    Raises:
        ValueError: The text is no JSON object.
        TypeError: A field without default is missing.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"Expected a JSON object. Received: {text[:80]!r}.")
    known = {field.name for field in dataclasses.fields(Origin)}
    return Origin(**{name: value for name, value in values.items() if name in known})
