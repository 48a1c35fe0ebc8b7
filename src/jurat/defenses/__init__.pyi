from .defended_model import DefendedModel as DefendedModel
from .defense import Defense as Defense
from .defense import Event as Event
from .defense import Steps as Steps
from .registry import DEFENSES as DEFENSES
from .registry import defend as defend
from .registry import open_defense as open_defense
