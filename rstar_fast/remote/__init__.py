"""What engines outside this thread have in common: an event loop, and what outages cost."""

from rstar_fast.remote.loop import EventLoop
from rstar_fast.remote.retries import Retries

__all__ = ["EventLoop", "Retries"]
