from .open_scorers import closing_scorers as closing_scorers
from .provider import JuratModel as JuratModel
from .provider import serve as serve
from .scoring import scorer_named as scorer_named
from .task import evaluation as evaluation
