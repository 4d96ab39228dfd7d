"""Zachary's karate club: the social network that graph methods are tried on first."""

from __future__ import annotations

from .graph import Graph

# Who met outside the club, each pair under the lower number.
MET = {0: [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31], 1: [2, 3, 7, 13, 17, 19, 21, 30],
       2: [3, 7, 8, 9, 13, 27, 28, 32], 3: [7, 12, 13], 4: [6, 10], 5: [6, 10, 16], 6: [16], 8: [30, 32, 33], 9: [33],
       13: [33], 14: [32, 33], 15: [32, 33], 18: [32, 33], 19: [33], 20: [32, 33], 22: [32, 33],
       23: [25, 27, 29, 32, 33], 24: [25, 27, 31], 25: [31], 26: [29, 33], 27: [33], 28: [31, 33], 29: [32, 33],
       30: [32, 33], 31: [32, 33], 32: [33]}
WITH_MR_HI = {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21}


def karate_club() -> Graph:
    """The 34 members of a karate club, the 78 pairs that met outside it, and as labels the side that each took when the
    club split: "Mr. Hi", the instructor (node 0), or "Officer", its president (node 33).

    (Zachary 1977, "An information flow model for conflict and fission in small groups"; members are numbered from 0)

    >>> club = karate_club()
    >>> club, club.labels.count("Mr. Hi")
    (Graph(34 nodes, 78 edges), 17)
    """
    return Graph([(a, b) for a, others in MET.items() for b in others], nodes=34,
                 labels=["Mr. Hi" if node in WITH_MR_HI else "Officer" for node in range(34)])
