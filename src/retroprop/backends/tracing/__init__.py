"""A step recorded once as a graph of array operations, planned into buffers, and replayed.

`graph` and `namespace` record what a formula does to symbols in place of arrays; `tree` takes arguments and results
apart; `operations` joins the leaves of the parameters; `fusion` finds what one loop can do; `plan` puts it in order
and `memory` gives every number a place; `program` writes the replay as Python source.
"""
