"""The model that `fit` trains: a network, the views, and a sum of terms."""

import dataclasses
import typing
from collections.abc import Sequence

import keras
from keras import ops

from color_s4l import backend
from color_s4l.networks.network import Network
from color_s4l.terms import Outcome, Progress, Term
from color_s4l.terms.passes import StepBatch
from color_s4l.training.schedules import Schedule
from color_s4l.views.step import SOURCES, StepViews

# More than any step draws.
DRAWS_PER_STEP = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and numbers of a training that the compiled step needs.

    Attributes:
        groups: Of the images of a step, over all devices: they share whole groups.
        epochs: Passes over the unlabelled images.
        steps_per_epoch: Steps of one pass.
        num_examples: Number of unlabelled images.
        weight_decay: Factor on the sum of squares of the kernels. The published
            5e-4 is Keras' `l2(5e-4)`, gradient 1e-3 times the weight.
        seed: Of every draw in the step.
    """

    groups: int
    epochs: int
    steps_per_epoch: int
    num_examples: int
    weight_decay: float
    seed: int


class Learner(backend.TrainStep, keras.Model):
    """Trains a network on the sum of its terms; Keras' `fit` runs it.

    Args:
        network: Built.
        views: Makes what the terms read.
        terms: Of `methods.terms_of`.
        plan: Sizes and numbers.
    """

    def __init__(
        self, network: Network, views: StepViews, terms: Sequence[Term], plan: Plan
    ):
        super().__init__(name="learner")
        self.network = network
        self.preprocessing = views.preprocessing
        self.views = views
        self.terms = tuple(terms)
        self.plan = plan
        self.draws_seed = keras.random.SeedGenerator(plan.seed, name="draws")
        self.states = [
            term.create_state(network, plan.num_examples) for term in self.terms
        ]
        self.means: dict[str, keras.metrics.Mean] = {}
        self.built = True

    def build_metrics(self, batch) -> None:
        """Learns the names of what the terms report, without computing anything.

        Args:
            batch: Of `StepBatches`; only shapes and types are read.
        """
        like = {
            name: keras.KerasTensor(array.shape, dtype=str(array.dtype))
            for name, array in batch.items()
        }
        outcome = self.compute_output_spec(like)
        names = ("loss", *outcome.terms, *outcome.watch)
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self):
        """One mean per named scalar; `fit` resets them every epoch."""
        return list(self.means.values())

    def call(self, data) -> Outcome:
        """A batch's named scalars, as the training step computes them."""
        return self.losses(self.views_of(data))[0]

    def _begin_draws(self) -> None:
        """Makes a step's draws a function of seed and step alone.

        Those of the labelled images come first: they are the same in every method
        with as many of these.
        """
        state = self.draws_seed.state
        first = DRAWS_PER_STEP * ops.cast(self.optimizer.iterations, state.dtype)
        state.assign(ops.stack([state.value[0], first]))

    def views_of(self, data) -> dict:
        """The views of one device's part of a batch, outside the gradient.

        With them `draws`: each term -> what it drew.
        """
        # The whole step's shape: every device draws for all, and takes its part.
        shapes = {s: (self.plan.groups, *data[s].shape[1:]) for s in SOURCES}
        self._begin_draws()
        drawn = self.views.draw(self.draws_seed, shapes)
        terms = [term.draw(self.draws_seed, shapes) for term in self.terms]
        drawn, terms = backend.share_of((drawn, terms))
        own = {
            term: draws
            for term, draws in zip(self.terms, terms, strict=True)
            if draws is not None
        }
        return {**self.views.apply(self._sized(data), drawn), "draws": own}

    def _sized(self, data) -> dict:
        """One device's part of a batch, with its size: dividing a batch forgets it."""
        groups = backend.share_of(ops.arange(self.plan.groups)).shape[0]
        return {
            name: ops.reshape(array, (groups, *array.shape[1:]))
            for name, array in data.items()
        }

    def losses(self, batch) -> tuple[Outcome, typing.Any]:
        """Every term's scalars, weight decay among them, and their sum."""
        progress, batch = self._progress(), StepBatch(batch)
        whole = Outcome({}, {}, {})
        for term, state in zip(self.terms, self.states, strict=True):
            outcome = term.loss(self.network, batch, state, progress)
            _merge(whole, outcome)
        whole.terms["weight_decay"] = self._weight_decay()
        return whole, sum(whole.terms.values())

    def _weight_decay(self):
        squares = [ops.sum(ops.square(kernel)) for kernel in self.network.kernels]
        return self.plan.weight_decay * sum(squares)

    def _progress(self) -> Progress:
        steps = self.plan.epochs * self.plan.steps_per_epoch
        return Progress(self.optimizer.iterations, steps, self.plan.steps_per_epoch)

    def after_update(self, outcome: Outcome) -> None:
        """Lets every term change its state."""
        progress, kept = self._progress(), backend.gathered(outcome.kept)
        for term, state in zip(self.terms, self.states, strict=True):
            term.after_update(self.network, state, kept, progress)

    def evaluated(self) -> dict[str, list]:
        """Further weights that terms offer: name -> pairs of a variable and a value."""
        found = {}
        for term, state in zip(self.terms, self.states, strict=True):
            own = term.evaluated(self.network, state)
            if found.keys() & own.keys():
                raise ValueError(f"Two terms offer weights by one name: {[*own]}.")
            found |= own
        return found

    def record(self, outcome: Outcome, loss) -> dict:
        """Adds a step's scalars to the means, and reads them."""
        for name, value in {"loss": loss, **outcome.terms, **outcome.watch}.items():
            self.means[name].update_state(value)
        return {name: mean.result() for name, mean in self.means.items()}

    def get_config(self):
        """A learner is not saved: its network is, as the inference model."""
        raise NotImplementedError("Save the inference model, or a checkpoint.")


def _merge(whole: Outcome, outcome: Outcome) -> None:
    """Adds one term's outcome to the step's."""
    known = {name for part in whole for name in part}
    new = {name for part in outcome for name in part or ()}
    if known & new:
        raise ValueError(f"Two terms report the same name: {sorted(known & new)}.")
    for part, added in zip(whole, outcome, strict=True):
        part.update(added or {})


def compile_learner(
    learner: Learner,
    *,
    schedule: Schedule,
    jit_compile: bool | None,
    steps_per_execution: int,
) -> None:
    """SGD with Nesterov momentum 0.9 (Tran 2019).

    Args:
        learner: To be compiled; what is frozen in it gets no momentum.
        schedule: Of the learning rate.
        jit_compile: XLA; None: Keras' own choice.
        steps_per_execution: Steps per call of the compiled function.
    """
    learner.compile(
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        jit_compile="auto" if jit_compile is None else jit_compile,
        steps_per_execution=steps_per_execution,
    )
    learner.optimizer.build(learner.trainable_variables)
