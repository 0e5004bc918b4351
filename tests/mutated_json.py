"""Changes of a value of JSON at one place, as of a description in a file that somebody forged."""

import json

VALUES = (None, True, False, 0, 1, -1, 2, 3, 0.5, 1.0, 1e308, -0.0, 2**31, 2**63, 10**400, "", "relu", "F64",
          "\x1b[31m", "\u202e\n", [], {}, [0], [1, 2], [[1]], {"name": "tanh"}, {"name": "elu", "alpha": -1},
          {"custom": "x"}, {"name": "softmax"}, {"name": "huber", "delta": "1"}, "theta.0",
          "__metadata__", "retroprop")  # fmt: skip


def inside(value):
    """Yield every list and object in a value, with itself."""
    if isinstance(value, (dict, list)):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from inside(one)


def mutate(value, rng):
    """Change one place of an object in place: an entry is replaced, removed, doubled, renamed or moved."""
    holder = rng.choice([one for one in inside(value) if one])
    key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    old, kind = holder[key], rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, old)
    elif kind == 1:
        holder[str(rng.choice(VALUES))] = old
    elif kind == 2 and isinstance(old, (int, float)) and not isinstance(old, bool):
        holder[key] = old + rng.choice((-4, -1, 1, 4)) if rng.random() < 0.5 else old * rng.choice((-1, 2, 0.5))
    elif kind == 3:
        holder[key] = rng.choice(list(inside(value)))
        json.dumps(value)  # ValueError for a circle
    else:
        holder[key] = rng.choice(VALUES)
