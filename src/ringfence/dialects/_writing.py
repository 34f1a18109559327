"""Writes policies of any shape, and keeps which rule of a written object says what."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ringfence.dialects._emission import Body, Emitter, Telling
from ringfence.model.document import Path
from ringfence.model.proposal import GENERATED, Emission, EmittedFile, ProposedPolicy
from ringfence.model.rule import Action

CONVERTED: Final = "Written by ringfence convert: change the policies that it reads, not this file."
"""The first line of every file, as a comment: only such files are ever replaced or removed."""

Place = tuple[str, str, str]
"""Namespace and name of a written policy, and the rule as evidence has it: `ingress[0]`."""


class Writing(msgspec.Struct, frozen=True):
    """Written files, and what each of their rules was written for."""

    emission: Emission
    rules: Mapping[Place, Path]
    """The `path` of the rule that was to be written, by where it stands now."""


class Recording(Emitter):
    """An emitter that keeps where it wrote the rules."""

    denials_apart = False
    """Whether rules that deny have a section of their own (`ingressDeny`)."""

    def start(self) -> None:
        """Begin to keep where rules are written."""
        self._counts: dict[tuple[str, str, str], int] = {}
        self._places: dict[Place, Path] = {}

    def record(self, telling: Telling, bodies: Sequence[Body]) -> None:
        """Keep that a rule comes to some bodies, which stand behind those before it."""
        policy, rule = telling.proposed.policy, telling.rule
        section = rule.direction.value
        if self.denials_apart and rule.action is Action.DENY:
            section += "Deny"
        key = (policy.namespace, policy.name, section)
        first = self._counts.get(key, 0)
        for number in range(first, first + len(bodies)):
            self._places[policy.namespace, policy.name, f"{section}[{number}]"] = rule.path
        self._counts[key] = first + len(bodies)

    def writing(self, policies: Sequence[ProposedPolicy]) -> Writing:
        """Return all files."""
        self.start()
        emission = self.emission(policies)
        files = tuple(
            EmittedFile(file.path, file.text.replace(f"# {GENERATED}\n", f"# {CONVERTED}\n", 1))
            for file in emission.files
        )
        return Writing(msgspec.structs.replace(emission, files=files), self._places)
