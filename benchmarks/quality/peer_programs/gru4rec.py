"""GRU4Rec on Keras, retrained: `python -m benchmarks.quality.peer_programs.gru4rec EVERY`.

A recurrent network reads a user's last items and predicts the next among all (Hidasi et al.,
Session-based recommendations with recurrent neural networks, ICLR 2016), with cross-entropy over
all items, as its author's later versions have, instead of sampled ones, since there are few. The
first training makes several passes; each later one goes on from there with one more pass over
everything. A list is made from the user's current history.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence, Set
from typing import Any, Final

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np

from benchmarks.quality.peer_programs.wire import serve

_UNITS: Final = 100
_LENGTH: Final = 20
_FIRST_PASSES: Final = 10
_LATER_PASSES: Final = 1
_BATCH: Final = 64
_DROPOUT: Final = 0.25
_LEARN_RATE: Final = 2e-3


class GRU4Rec:
    """A network whose outputs are items, remade when there are more of them than it has."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(0)
        self._numbers: dict[str, int] = {}
        # Number 0 is the padding's.
        self._ids = [""]
        self._histories: dict[str, list[int]] = {}
        self._model: Any = None
        self._outputs = 0
        self._trained = 1

    def learn(self, user: str, item: str) -> None:
        """Stores a positive."""
        number = self._numbers.setdefault(item, len(self._ids))
        if number == len(self._ids):
            self._ids.append(item)
        self._histories.setdefault(user, []).append(number)

    def retrain(self) -> None:
        """Goes on training, or starts anew if the network has no output for each item."""
        passes = _LATER_PASSES
        if len(self._ids) > self._outputs:
            # Room for a quarter more, as each new size is compiled anew.
            self._outputs = len(self._ids) * 5 // 4
            self._model = _network(self._outputs)
            passes = _FIRST_PASSES
        inputs, targets = self._windows()
        self._model.fit(inputs, targets, batch_size=_BATCH, epochs=passes, verbose=0)
        self._trained = len(self._ids)

    def _windows(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Returns inputs and targets, shape (n, _LENGTH); 0 where there is nothing."""
        pairs = [
            (history[start : start + _LENGTH], history[start + 1 : start + 1 + _LENGTH])
            for history in self._histories.values()
            for start in range(0, len(history) - 1, _LENGTH)
        ]
        # Whole batches, as a smaller one would be compiled anew.
        rows = -(-len(pairs) // _BATCH) * _BATCH
        inputs, targets = np.zeros((2, rows, _LENGTH), dtype=np.int32)
        for row, (items, following) in enumerate(pairs):
            inputs[row, : len(following)] = items[: len(following)]
            targets[row, : len(following)] = following
        return inputs, targets

    def best(self, user: str, n: int, excluded: Set[str]) -> Sequence[str] | None:
        """Returns the items that the network expects next."""
        history = [one for one in self._histories.get(user, ()) if one < self._trained]
        if not history:
            return None
        last = history[-_LENGTH:]
        inputs = np.zeros((1, _LENGTH), dtype=np.int32)
        inputs[0, : len(last)] = last
        scores = np.array(self._model.predict_on_batch(inputs)[0, len(last) - 1])
        scores[0] = -np.inf
        scores[self._trained :] = -np.inf
        scores[[self._numbers[item] for item in excluded]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        return [self._ids[item] for item in best.tolist() if scores[item] > -np.inf]


def _network(outputs: int) -> Any:
    items = keras.Input((_LENGTH,), dtype="int32")
    vectors = keras.layers.Embedding(outputs, _UNITS)(items)
    vectors = keras.layers.Dropout(_DROPOUT)(vectors)
    states = keras.layers.GRU(_UNITS, return_sequences=True)(vectors)
    model = keras.Model(items, keras.layers.Dense(outputs)(states))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.Adam(_LEARN_RATE), loss)
    return model


if __name__ == "__main__":
    serve(GRU4Rec(), sys.argv[1])
