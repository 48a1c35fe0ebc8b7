from .judgement import Answered as Answered
from .judgement import Judgement as Judgement
from .judgement import Scorer as Scorer
from .judgement import State as State
from .registry import SCORERS as SCORERS
from .registry import ScorerEntry as ScorerEntry
from .registry import open_scorer as open_scorer
from .reply_scorer import ReplyScorer as ReplyScorer
