"""A budget over time: streams, their segments, and tables that are sized anew for each."""

from bet.stream.events import Events, arrange
from bet.stream.methods import STREAM_METHODS
from bet.stream.now import refit_now
from bet.stream.policy import StreamMethod
from bet.stream.result import SegmentResult
from bet.stream.run import StreamTask, run_stream, segment_context
from bet.stream.segments import StreamSettings, cut, recurring_users, segment_data
from bet.stream.sources import STREAMS, load_events, read_events

__all__ = [
    "STREAMS",
    "STREAM_METHODS",
    "Events",
    "SegmentResult",
    "StreamSettings",
    "StreamMethod",
    "StreamTask",
    "arrange",
    "cut",
    "load_events",
    "read_events",
    "recurring_users",
    "refit_now",
    "run_stream",
    "segment_context",
    "segment_data",
]
