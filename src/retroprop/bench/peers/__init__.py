"""Who else trains these networks: each peer as its own users write it, one file a peer.

A peer starts from the same parameters and batch, and its step computes what ours does; the tests hold each to it.
"""

from retroprop.bench.peers.table import HAND_WRITTEN, PEERS, Peer, prepare

__all__ = ["HAND_WRITTEN", "PEERS", "Peer", "prepare"]
