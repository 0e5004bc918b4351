"""Rows on their way to any backend: what was moved stays, while the other buffer is filled."""

import numpy as np
from harness import assert_close


def test_what_was_moved_holds_while_the_next_turn_is_filled(backend):
    staging = backend.staging((5, 3), np.dtype("uint8"))
    before = None
    for turn in range(5):
        rows = 5 if turn < 4 else 2
        room = staging.room(turn, rows)
        assert room.shape == (rows, 3)
        room[...] = turn
        if before is not None:
            assert_close(before, np.full((5, 3), turn - 1), backend=backend, dtype="uint8", rtol=0.0)
        with backend.active():
            before = staging.moved(turn, rows)
        assert_close(before, np.full((rows, 3), turn), backend=backend, dtype="uint8", rtol=0.0)
