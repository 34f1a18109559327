"""Markdown as GitHub and GitLab show it, for pull requests and wikis."""

from typing import Final

from ringfence.model.connectivity import Connectivity
from ringfence.model.diff import Diff
from ringfence.model.exposure import Exposure
from ringfence.outputs import Output
from ringfence.outputs._markdown_connectivity import connectivity_markdown
from ringfence.outputs._markdown_diff import diff_markdown
from ringfence.outputs._markdown_exposure import exposure_markdown

OUTPUT: Final = Output(
    {Connectivity: connectivity_markdown, Diff: diff_markdown, Exposure: exposure_markdown}
)
