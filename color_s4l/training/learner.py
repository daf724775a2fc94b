"""The Keras model that `fit` trains: a network, views and a sum of terms."""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from color_s4l import backend
from color_s4l.networks.network import Network
from color_s4l.terms.passes import StepBatch
from color_s4l.terms.term import Outcome, Progress, Term
from color_s4l.views.step import SOURCES, Arrays, StepViews, view

# Upper limit of the number of random draws in one step. In step t, the counter of the
# random state starts at `DRAWS_PER_STEP` * t.
DRAWS_PER_STEP = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and constants that the compiled step needs.

    Attributes:
        groups: Number of equal groups of the images of a step; every device gets
            whole groups.
        epochs: Number of passes over the unlabelled images.
        steps_per_epoch: Number of steps of one pass.
        num_examples: Number of unlabelled images.
        weight_decay: Factor on the sum of squares of the kernels. The published
            5e-4 is Keras' `l2(5e-4)`, whose gradient is 1e-3 times the weight.
        compiled_views: Whether XLA compiles the views even if it does not compile the
            whole step (by default, Keras compiles the step on GPUs only).
        seed: Seed of all random draws in the step.
    """

    groups: int
    epochs: int
    steps_per_epoch: int
    num_examples: int
    weight_decay: float
    compiled_views: bool
    seed: int


class Learner(backend.TrainStep, keras.Model):
    """A model that trains a network on the sum of its terms.

    Args:
        network: A built network.
        views: The views that the terms read.
        terms: The terms of the method.
        plan: Sizes and constants.
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
        self.joint: tuple[str, ...] = ()
        if any(term.joins_passes for term in self.terms):
            read = (name for term in self.terms for name in term.views())
            self.joint = tuple(n for n in dict.fromkeys(read) if view(n).copies)
        self.apply_views = views.apply
        if plan.compiled_views:
            self.apply_views = backend.compiled(views.apply)
        self.draws_seed = keras.random.SeedGenerator(plan.seed, name="draws")
        self.states = [
            term.create_state(network, plan.num_examples) for term in self.terms
        ]
        self.means: dict[str, keras.metrics.Mean] = {}
        self.built = True

    def build_metrics(self, batch: Arrays) -> None:
        """Creates one metric per named scalar, without computing anything.

        Args:
            batch: A batch of `StepBatches`; only its shapes and types are read.
        """
        like = {
            name: keras.KerasTensor(array.shape, dtype=str(array.dtype))
            for name, array in batch.items()
        }
        outcome = self.compute_output_spec(like)
        names = ("loss", *outcome.terms, *outcome.watch)
        self.means = {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """One mean per named scalar; `fit` resets them at the start of an epoch."""
        return list(self.means.values())

    def call(self, data: Arrays) -> Outcome:
        """Returns the named scalars of a batch, as in the training step."""
        return self.losses(self.views_of(data))[0]

    def _begin_draws(self) -> None:
        """Sets the random state to a function of seed and step only.

        The draws for labelled images come first, so that they are the same in all
        methods with the same number of labelled images.
        """
        state = self.draws_seed.state
        first = DRAWS_PER_STEP * ops.cast(self.optimizer.iterations, state.dtype)
        state.assign(ops.stack([state.value[0], first]))

    def views_of(self, data: Arrays) -> dict:
        """Returns the views of one device's part of a batch.

        No gradient flows through the views. The key `draws` holds the random draws of
        each term.
        """
        # Every device makes all draws of the step, and uses its own part of them.
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
        return {**self.apply_views(self._sized(data), drawn), "draws": own}

    def _sized(self, data: Arrays) -> dict:
        """Restores the static shape, which is lost when a batch is divided."""
        groups = backend.share_of(ops.arange(self.plan.groups)).shape[0]
        return {
            name: ops.reshape(array, (groups, *array.shape[1:]))
            for name, array in data.items()
        }

    def losses(self, batch: Arrays) -> tuple[Outcome, backend.Tensor]:
        """Returns the scalars of all terms and of weight decay, and the loss."""
        progress, batch = self._progress(), StepBatch(batch, self.joint)
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
        """Updates the state of every term."""
        progress, kept = self._progress(), backend.gathered(outcome.kept)
        for term, state in zip(self.terms, self.states, strict=True):
            term.after_update(self.network, state, kept, progress)

    def evaluated(self) -> dict[str, list]:
        """Returns the results of `Term.evaluated` of all terms, in one dictionary.

        Raises:
            ValueError: Two terms have weights of the same name.
        """
        found: dict[str, list] = {}
        for term, state in zip(self.terms, self.states, strict=True):
            own = term.evaluated(self.network, state)
            if found.keys() & own.keys():
                raise ValueError(f"Two terms have weights of the same name: {[*own]}.")
            found |= {name: list(values) for name, values in own.items()}
        return found

    def record(self, outcome: Outcome, loss: backend.Tensor) -> dict:
        """Updates the metrics with the scalars of a step and returns their means."""
        for name, value in {"loss": loss, **outcome.terms, **outcome.watch}.items():
            self.means[name].update_state(value)
        return {name: mean.result() for name, mean in self.means.items()}

    def get_config(self) -> dict:
        """Raises an error: the inference model and checkpoints are saved instead."""
        raise NotImplementedError("Save the inference model, or a checkpoint.")


def _merge(whole: Outcome, outcome: Outcome) -> None:
    """Adds the outcome of one term to the outcome of the step."""
    known = {name for part in whole for name in part or ()}
    new = {name for part in outcome for name in part or ()}
    if known & new:
        raise ValueError(f"Two terms report the same name: {sorted(known & new)}.")
    for part, added in zip(whole, outcome, strict=True):
        if part is not None:
            part.update(added or {})
