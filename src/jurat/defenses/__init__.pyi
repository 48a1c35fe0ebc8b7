from .defense import DefendedModel as DefendedModel
from .defense import Defense as Defense
from .procedure import Event as Event
from .procedure import Steered as Steered
from .procedure import Steps as Steps
from .registry import DEFENSES as DEFENSES
from .registry import defend as defend
from .registry import open_defense as open_defense
