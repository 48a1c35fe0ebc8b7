from .base import FileSource as FileSource
from .base import Source as Source
from .base import SourceChanged as SourceChanged
from .base import SourceOptions as SourceOptions
from .find import count_items as count_items
from .find import find_items as find_items
from .openers import read_file as read_file
from .passed_over import PassedOver as PassedOver
