"""A layer over the file operations of a save that counts them and does something at one of them."""

import os

OPERATIONS = ("open", "write", "chmod", "fsync", "replace", "close", "unlink")


class Layer:
    """A context in which the k-th operation of the process on files calls `act` with its name, counted from 0.

    Half of a write is done before; a close is done before, since it closes even where it fails; the rest is not done.
    """

    def __init__(self, at=None, act=None):
        self.at, self.act, self.done = at, act, []

    def __enter__(self):
        self.plain = {name: getattr(os, name) for name in OPERATIONS}
        for name in OPERATIONS:
            setattr(os, name, self.wrapped(name, self.plain[name]))
        return self

    def __exit__(self, *error):
        for name, function in self.plain.items():
            setattr(os, name, function)

    def wrapped(self, name, function):
        def operation(*args, **kwargs):
            k = len(self.done)
            self.done.append(name)
            if k != self.at:
                return function(*args, **kwargs)
            if name == "write":
                function(args[0], args[1][: len(args[1]) // 2])
            if name == "close":
                function(*args)
            return self.act(name)

        return operation
