from .columns import Columns as Columns
from .layout import Layout as Layout
from .layout import write_page as write_page
from .page_files import Place as Place
from .page_files import Store as Store
from .thumbnails import Picture as Picture
from .thumbnails import Thumbnail as Thumbnail
from .thumbnails import thumbnail as thumbnail
