"""Text for a person at a terminal, or in a log."""

from typing import Final

from ringfence.model.connectivity import Connectivity
from ringfence.model.diff import Diff
from ringfence.model.exposure import Exposure
from ringfence.model.mtls import Mtls
from ringfence.outputs import Output
from ringfence.outputs._text_connectivity import connectivity_text
from ringfence.outputs._text_diff import diff_text
from ringfence.outputs._text_exposure import exposure_text
from ringfence.outputs._text_mtls import mtls_text

OUTPUT: Final = Output(
    {
        Connectivity: connectivity_text,
        Diff: diff_text,
        Exposure: exposure_text,
        Mtls: mtls_text,
    }
)
