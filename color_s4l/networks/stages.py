"""A trunk in pieces, for what has to be done between them."""

import keras
from keras import layers


def stages(trunk: keras.Model) -> tuple[keras.Model, ...]:
    """Cuts a trunk where the features' resolution is about to change.

    Args:
        trunk: Functional, with one input and one output.

    Returns:
        Models that share the trunk's layers; one after another they are the trunk.
        A change of resolution through which more than one tensor leads is no cut.
    """
    cuts = _cuts(trunk)
    pairs = zip([trunk.inputs[0], *cuts], [*cuts, trunk.outputs[0]], strict=True)
    return tuple(keras.Model(start, end) for start, end in pairs)


def _cuts(trunk: keras.Model) -> list:
    """The last tensor of each resolution, but for the features' own."""
    last = {}
    for tensor in _bottlenecks(trunk):
        last[tuple(tensor.shape[1:3])] = tensor
    last.pop(tuple(trunk.outputs[0].shape[1:3]), None)
    return list(last.values())


def _bottlenecks(trunk: keras.Model) -> list:
    """Tensors that everything after them is made of, in the order of the graph."""
    made_of = [
        (keras.tree.flatten(operation.input), keras.tree.flatten(operation.output))
        for operation in trunk.operations
        if not isinstance(operation, layers.InputLayer)
    ]
    uses = [id(tensor) for inputs, _ in made_of for tensor in inputs]
    waiting = {id(tensor): uses.count(id(tensor)) for tensor in trunk.inputs}
    found = []
    for inputs, outputs in made_of:
        for tensor in inputs:
            waiting[id(tensor)] -= 1
        for tensor in outputs:
            waiting[id(tensor)] = uses.count(id(tensor))
        waiting = {key: count for key, count in waiting.items() if count}
        if len(outputs) == 1 and set(waiting) == {id(outputs[0])}:
            found.append(outputs[0])
    return found
