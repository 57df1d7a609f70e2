"""Waiting for something that may not come."""

import asyncio


async def is_set_within(event: asyncio.Event, seconds: float) -> bool:
    """Returns when the event is set, or in time; whether it was set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except asyncio.TimeoutError:
        return False
    return True
