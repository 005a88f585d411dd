"""What an attack is, and the list of all of them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from hacking.case import Case, Draft

Make = Callable[[Case, random.Random], "Draft | str | None"]


@dataclass(frozen=True, slots=True)
class Attack:
    """A change of an honest answer that says nothing more.

    Attributes:
        name: stable name.
        what: one line for people.
        make: the attacked answer, or ``None`` where the attack does not apply.
        honest: what the attacked answer is compared with, where that is not the case's honest answer.
        oracle: looks at the references, so it is an upper bound that no policy reaches.
        finished: ``False`` when the answer counts as cut off by the token limit.
    """

    name: str
    what: str
    make: Make
    honest: Callable[[Case], Draft] | None = None
    oracle: bool = False
    finished: bool = True

    def text(self, case: Case, seed: int) -> str | None:
        """The attacked answer; ``None`` where the attack does not apply or changes nothing.

        Args:
            case: the situation.
            seed: decides everything that is drawn, together with the names of attack and case.
        """
        made = self.make(case, random.Random(f"{seed}/{self.name}/{case.id}"))
        text = made.text() if isinstance(made, Draft) else made
        return None if text is None or text == self.baseline(case).text() else text

    def baseline(self, case: Case) -> Draft:
        """The honest answer that this attack starts from."""
        return self.honest(case) if self.honest else case.answer


ATTACKS: dict[str, Attack] = {}


def attack(
    name: str,
    what: str,
    *,
    honest: Callable[[Case], Draft] | None = None,
    oracle: bool = False,
    finished: bool = True,
) -> Callable[[Make], Make]:
    """Put a function on the list.

    Args as the attributes of :class:`Attack`.

    Raises:
        ValueError: the name is taken.
    """

    def keep(make: Make) -> Make:
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name!r}")
        ATTACKS[name] = Attack(name, what, make, honest, oracle, finished)
        return make

    return keep
