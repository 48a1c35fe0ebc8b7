from .constitution import Constitution as Constitution
from .constitution import load_constitution as load_constitution
from .judge import Judge as Judge
from .judge import Verdict as Verdict
from .models import open_model as open_model

__version__: str
