from .find import count_items as count_items
from .find import find_items as find_items
from .openers import read_file as read_file
from .passed_over import PassedOver as PassedOver
from .protocol import FileSource as FileSource
from .protocol import Source as Source
from .protocol import SourceChanged as SourceChanged
from .protocol import SourceOptions as SourceOptions
