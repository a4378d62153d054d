"""Rotary position embeddings described: what they are, their frequencies, and their exact phase. NumPy only."""

from .checks import check_positions as check_positions
from .checks import check_rotation as check_rotation
from .frequencies import Frequencies as Frequencies
from .frequencies import inverse_frequencies as inverse_frequencies
from .huggingface import context_length as context_length
from .huggingface import read_config as read_config
from .huggingface import reference_arithmetic as reference_arithmetic
from .huggingface import spec_from_config as spec_from_config
from .phase import cos_sin as cos_sin
from .rules import DynamicNTK as DynamicNTK
from .rules import Explicit as Explicit
from .rules import Linear as Linear
from .rules import Llama3 as Llama3
from .rules import LongRope as LongRope
from .rules import Proportional as Proportional
from .rules import Rule as Rule
from .rules import Yarn as Yarn
from .spec import Angles as Angles
from .spec import Arithmetic as Arithmetic
from .spec import Layout as Layout
from .spec import Pairs as Pairs
from .spec import RopeSpec as RopeSpec
from .spec import RotateIn as RotateIn
