"""Say what was done to an image: cross-entropy of the proxy labels.

The second term of Color-S4L's loss (Chen 2020, equation 1): rotations, flips
and recolouring, one label each, in the order in which `tasks` names them. The
paper writes the colour label as 7; counted from 0 it is 6.
"""

import dataclasses

import keras
from keras import ops

from color_s4l.errors import unknown
from color_s4l.terms.parts.passes import keeping
from color_s4l.terms.term import Outcome, Term
from color_s4l.views.geometric import GEOMETRIC
from color_s4l.views.step import COLORIZED
from color_s4l.views.warped import WARPED

SESEMI = tuple(GEOMETRIC)
COLOR_S4L = (*SESEMI, COLORIZED)
TASKS = (*COLOR_S4L, *WARPED)


@dataclasses.dataclass(frozen=True)
class Proxies(Term):
    """Proxy cross-entropy over all views of all unlabelled images of the step.

    Attributes:
        tasks: Views of the unlabelled images; the place in the tuple is the label.
        weight: omega of the paper, 1.
        bn_stats: "both": this pass also moves the batch statistics used for
            inference, as in the published code; "supervised": it leaves them alone.

    Raises:
        InputError: A task is no view of an unlabelled image, or there is none.
    """

    tasks: tuple[str, ...] = COLOR_S4L
    weight: float = 1.0
    bn_stats: str = "both"

    def __post_init__(self):
        super().__post_init__()
        for task in self.tasks or ("",):
            if task not in TASKS:
                raise unknown("task", task, TASKS)

    one_pass = True

    def proxy_tasks(self):
        return self.tasks

    def views(self):
        """One view per task."""
        return self.tasks

    def heads(self, num_classes):
        """The proxy head."""
        return {"proxy": len(self.tasks)}

    def loss(self, network, batch, state, progress):
        """Terms: `proxy_loss`. Watch: `proxy_error`, the share misjudged, in %."""
        views = [batch[task] for task in self.tasks]
        with keeping(network, self.bn_stats):
            logits = network(ops.concatenate(views, axis=0), training=True)["proxy"]
        labels = ops.repeat(ops.arange(len(views), dtype="int32"), views[0].shape[0])
        entropy = keras.losses.sparse_categorical_crossentropy(
            labels, logits, from_logits=True
        )
        wrong = ops.cast(ops.argmax(logits, axis=-1) != labels, "float32")
        return Outcome(
            terms={"proxy_loss": self.weight * ops.mean(entropy)},
            watch={"proxy_error": 100 * ops.mean(wrong)},
        )
