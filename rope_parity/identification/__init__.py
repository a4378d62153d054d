"""What is this function? Its description, read back from calls: `identify`."""

from .describe import identify as identify
from .options import Options as Options
from .result import (
    NAMES as NAMES,
    Departure as Departure,
    Evidence as Evidence,
    Identification as Identification,
    Measured as Measured,
    NotMeasured as NotMeasured,
)
