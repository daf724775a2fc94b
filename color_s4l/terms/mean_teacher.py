"""Mean Teacher: agree with the running average of one's own weights.

Tarvainen & Valpola 2017 (https://arxiv.org/abs/1703.01780): the teacher's weights are
an exponential moving average of the student's; squared distance of their predictions
for two differently augmented views, each with its own dropout.
"""

import dataclasses

from keras import ops

from color_s4l.terms.parts import distances, ramps
from color_s4l.terms.parts.averages import Averages
from color_s4l.terms.parts.passes import student_pass
from color_s4l.terms.term import Outcome, Progress, Term

# TensorFlow's `ExponentialMovingAverage`: (1 + t) / (10 + t) after t updates.
SLOWNESS = 9


@dataclasses.dataclass(frozen=True)
class MeanTeacher(Term):
    """Squared distance from the teacher, averaged over classes and unlabelled images.

    The published numbers are for 150,000 steps, and one batch of labelled and other
    images: its cost of 100 x labels / images belongs to a class loss with the same
    factor, so that relative to ours, a mean over labelled images, it is 100. An
    average over 1,000 steps (decay 0.999) would keep the first weights through a
    short run: after t updates the decay is at most (1 + t) / (10 + t).

    Differs from the paper: its teacher's batch statistics come from passes of its own,
    ours are averaged like the weights.

    Attributes:
        weight: At the end of the ramp, for a mean over classes; 100 (see above).
            realistic-ssl-evaluation: 8; USB and FixMatch's code: 50.
        decay: Of the teacher after the ramp, in [0, 1); 0: the teacher is the student.
        ramp_decay: Before; 0.99. SVHN's: as after.
        ramp: "sigmoid" as published, or USB's "linear".
        ramp_share: Of the run; 40,000 of 150,000 steps. USB: 0.4.
        bn_stats: "both" or "supervised": whether the student's pass moves the batch
            statistics used for inference.

    Raises:
        InputError: There is no such ramp.
    """

    weight: float = 100.0
    decay: float = 0.999
    ramp_decay: float = 0.99
    ramp: str = "sigmoid"
    ramp_share: float = 40 / 150
    bn_stats: str = "both"

    def __post_init__(self):
        ramps.check(self.ramp)

    def views(self):
        """Two augmentations: the student's and the teacher's."""
        return ("weak", "weak_2")

    def heads(self, num_classes):
        """The class head."""
        return {"class": num_classes}

    def create_state(self, network, num_examples):
        """The teacher."""
        return Averages(network)

    def loss(self, network, batch, state, progress):
        """Terms: `mean_teacher_loss`. Watch: `mean_teacher_weight`."""
        student = student_pass(network, batch, "weak", self.bn_stats)
        with network.apart(state.values(network)):
            teacher = network(batch["weak_2"], training=True)["class"]
        distance = distances.squared(
            ops.softmax(student.outputs["class"]),
            ops.stop_gradient(ops.softmax(teacher)),
        )
        weight = self.weight * ramps.factor(self.ramp, progress, self.ramp_share)
        return Outcome(
            terms={"mean_teacher_loss": weight * ops.mean(distance)},
            watch={"mean_teacher_weight": weight},
        )

    def after_update(self, network, state, kept, progress):
        """Moves the teacher towards the student."""
        state.move(network, 1 - self._decay(progress))

    def evaluated(self, network, state):
        """The teacher."""
        return {"teacher": state.values(network)}

    def _decay(self, progress: Progress):
        updates = ops.cast(progress.step, "float32")
        over = ramps.done(progress, self.ramp_share) >= 1
        decay = ops.where(over, self.decay, self.ramp_decay)
        return ops.minimum(decay, 1 - SLOWNESS / (updates + SLOWNESS + 1))
