"""The peers: other libraries that train the same networks, each written as its users write it, one file a peer.

A peer starts from the same parameters and batch, and its step computes the same update, which the tests check.
"""

from retroprop.bench.peers.peer import HAND_WRITTEN, PEERS, Peer, prepare

__all__ = ["HAND_WRITTEN", "PEERS", "Peer", "prepare"]
