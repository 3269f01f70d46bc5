"""Waiting for a crowd: who comes together goes together, and shares what is dear."""

import asyncio
from collections.abc import Sized

ROUNDS = 40
"""Turns of the event loop that are waited at most, also while callers go on coming."""


async def gather_crowd(waiting: Sized, most: int, patience: int) -> None:
    """Let the event loop go round until nobody joined for ``patience`` turns, or ``most`` wait.

    A turn without anything to do takes some microseconds. Requests that were answered together come back together, one
    every few turns, and each of them would else begin a flush of its own just before the next one comes.
    """
    seen, quiet = len(waiting), 0
    for _ in range(ROUNDS):
        if seen >= most or quiet >= patience:
            return
        await asyncio.sleep(0)
        quiet = quiet + 1 if len(waiting) == seen else 0
        seen = len(waiting)
