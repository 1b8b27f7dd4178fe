"""GRU4Rec on Keras, retrained: `python -m benchmarks.quality.peer_programs.gru4rec EVERY`.

A recurrent network reads a user's last items and predicts the next among all (Hidasi et al.,
Session-based recommendations with recurrent neural networks, ICLR 2016), with cross-entropy over
all items, as its author's later versions have, instead of sampled ones, since there are few. Each
training starts anew. A list is made from the user's current history. Rate and passes were chosen on
the YooChoose sample's validation part: more passes overfit.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence, Set
from typing import Any, Final

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.peer_programs.windows import LENGTH, TARGETS, batches
from benchmarks.quality.peer_programs.wire import serve

_UNITS: Final = 64
_PASSES: Final = 5
_DROPOUT: Final = 0.25
_LEARN_RATE: Final = 0.01


class GRU4Rec:
    """A network whose outputs are items, remade when there are more of them than it has."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self._numbers: dict[str, int] = {}
        # Number 0 is the padding's.
        self._ids = [""]
        self._histories: dict[str, list[int]] = {}
        self._draws = np.random.default_rng(0)
        self._learner: Any = None
        self._model: Any = None
        self._first: list[NDArray[Any]] = []
        self._outputs = 0
        self._trained = 1

    def learn(self, user: str, item: str) -> None:
        """Stores a positive."""
        number = self._numbers.setdefault(item, len(self._ids))
        if number == len(self._ids):
            self._ids.append(item)
        self._histories.setdefault(user, []).append(number)

    def retrain(self) -> None:
        """Trains the network from its first state."""
        if len(self._ids) > self._outputs:
            # Room for a quarter more, as each new size is compiled anew.
            self._outputs = len(self._ids) * 5 // 4
            self._learner, self._model = _networks(self._outputs)
            self._first = [np.array(variable) for variable in self._variables()]
        for variable, value in zip(self._variables(), self._first, strict=True):
            variable.assign(value)
        for _ in range(_PASSES):
            for items, places, targets in batches(self._histories.values(), self._draws):
                self._learner.train_on_batch([items, places], targets)
        self._trained = len(self._ids)

    def _variables(self) -> list[Any]:
        return [*self._learner.variables, *self._learner.optimizer.variables]

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        """Returns the items that the network expects next."""
        history = [one for one in self._histories.get(user, ()) if one < self._trained]
        if not history:
            return None
        last = history[-LENGTH:]
        inputs = np.zeros((1, LENGTH), dtype=np.int32)
        inputs[0, : len(last)] = last
        scores = np.array(self._model.predict_on_batch(inputs)[0, len(last) - 1])
        scores[0] = -np.inf
        scores[self._trained :] = -np.inf
        # Some may have come after the last training, beyond what the network has outputs for.
        hidden = [self._numbers[item] for item in excluded]
        scores[[item for item in hidden if item < self._trained]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        return [self._ids[item] for item in best.tolist() if scores[item] > -np.inf]


def _networks(outputs: int) -> tuple[Any, Any]:
    """Returns two networks of the same layers.

    The first learns, and scores what follows at some places; the second scores what follows at
    each place.
    """
    layers = keras.layers
    items = keras.Input((LENGTH,), dtype="int32")
    places = keras.Input(batch_shape=(TARGETS,), dtype="int32")
    vectors = layers.Dropout(_DROPOUT)(layers.Embedding(outputs, _UNITS)(items))
    states = layers.GRU(_UNITS, return_sequences=True)(vectors)
    score = layers.Dense(outputs)
    followed = keras.ops.take(keras.ops.reshape(states, (-1, _UNITS)), places, axis=0)
    learner = keras.Model([items, places], score(followed))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    learner.compile(keras.optimizers.Adam(_LEARN_RATE), loss)
    learner.optimizer.build(learner.trainable_variables)
    return learner, keras.Model(items, score(states))


if __name__ == "__main__":
    serve(GRU4Rec(), sys.argv[1])
