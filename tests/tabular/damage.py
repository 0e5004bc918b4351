"""Damaged copies of a file's bytes: cut off, with bits flipped, with pieces swapped, doubled, zeroed or inserted."""

INSERTED = [
    b'"',
    b'""',
    b"\r",
    b"\n",
    b",",
    b";",
    b"\t",
    b"#",
    b"|",
    b" ",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"1e999",
    b"9" * 400,
    b"NaN",
]


def damaged(data, rng):
    """Return a damaged copy of `data`, by a way that `rng` (random.Random) draws."""
    data = bytearray(data)
    way = rng.randrange(7)
    n = len(data)
    if way == 0:
        return bytes(data[: rng.randrange(n)])
    if way == 1:
        for _ in range(rng.choice((1, 1, 2, 8))):
            data[rng.randrange(n)] ^= 1 << rng.randrange(8)
    elif way == 2:
        data[rng.randrange(n)] = rng.choice((0, 255, 127, rng.randrange(256)))
    elif way == 3:
        a, b, size = rng.randrange(n), rng.randrange(n), rng.randrange(1, 1 + max(1, n // 10))
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    elif way == 4:
        a, size = rng.randrange(n), rng.randrange(1, 1 + max(1, n // 10))
        data[a:a] = data[a : a + size]
    elif way == 5:
        a = rng.randrange(n)
        data[a:a] = rng.choice(INSERTED)
    else:
        a, size = rng.randrange(n), rng.randrange(1, 1 + max(1, n // 4))
        data[a : a + size] = bytes(len(data[a : a + size]))
    return bytes(data)
