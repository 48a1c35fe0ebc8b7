from .arrow import ArrowSchema as ArrowSchema
from .rows import read_rows as read_rows
from .sinks import Sink as Sink
from .sinks import check_sink as check_sink
from .sinks import open_sink as open_sink
