"""Text with more columns and nothing abbreviated: one line per pair, for `grep`."""

from typing import Final

from ringfence.model.connectivity import Connectivity
from ringfence.outputs import Output
from ringfence.outputs._text_connectivity import wide_text

OUTPUT: Final = Output({Connectivity: wide_text})
