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

    The published numbers are for 150,000 steps. An average over 1,000 of them (decay
    0.999) would keep the first weights through a short run: after t updates the decay
    is at most (1 + t) / (10 + t).

    Differs from the paper: the weight. Its 100 x labels / images is for one batch of
    labelled and other images, where the class loss has the factor labels / images too:
    relative to ours, a mean over labelled images, it is 100, for Adam. With our SGD it
    drowns the class loss of a short run (built-in digits, 100 labels, 10 epochs, one
    seed: 48 % error, supervised 42 %, weight 10 21 %). And the teacher's batch
    statistics are averaged like the weights, where the paper's come from its passes.

    Attributes:
        weight: At the end of the ramp, for a mean over classes;
            realistic-ssl-evaluation's 8. The paper: 100 (see above); USB: 50.
        decay: Of the teacher after the ramp, in [0, 1); 0: the teacher is the student.
        ramp_decay: Before; 0.99. SVHN's: as after.
        ramp: "sigmoid" as published, or USB's "linear".
        ramp_share: Of the run; 40,000 of 150,000 steps. USB: 0.4.
        bn_stats: "both" or "supervised": whether the student's pass moves the batch
            statistics used for inference.
    """

    weight: float = 8.0
    decay: float = 0.999
    ramp_decay: float = 0.99
    ramp: str = "sigmoid"
    ramp_share: float = 40 / 150
    bn_stats: str = "both"

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
