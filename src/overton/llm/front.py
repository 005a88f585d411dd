"""What stands before either back end: the cache, the budget, the dry run and the progress bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from overton.llm.cache import ReplyCache, cache_key
from overton.llm.endpoint import longest_reply, request_body
from overton.llm.types import Backend, Reply, Request
from overton.progress import progress, say
from overton.sections_model import LlmSection
from overton.weights import release

_BYTES_A_TOKEN = 4  # of English; other languages and code differ, so what is made of it is an estimate
_TURN_TOKENS = 4  # marks around a message
_REFUSED = ("HTTP 400", "HTTP 422", "HTTP 501")  # how servers turn down a field that they do not know


@dataclass(slots=True)
class Budget:
    """What may be spent, and what was; 0 is no cap."""

    max_calls: int = 0
    max_tokens: int = 0
    calls: int = 0
    tokens: int = 0

    def exhausted(self) -> str:
        """Why no further call may start; nothing when one may."""
        if self.max_calls and self.calls >= self.max_calls:
            return f"budget of llm.max_calls {self.max_calls} is used up"
        if self.max_tokens and self.tokens >= self.max_tokens:
            return f"budget of llm.max_budget_tokens {self.max_tokens} is used up"
        return ""

    def add(self, request: Request, reply: Reply) -> None:
        """Count the tokens of one call, estimated where the model does not say."""
        read, written = reply.prompt_tokens, reply.completion_tokens
        self.tokens += prompt_tokens(request) if read is None else read
        self.tokens += _tokens(reply.text or "") if written is None else written


class CarefulModel:
    """A language model that asks nothing twice and keeps to its budget.

    Args:
        section: of the recipe; the name, the caps and the dry run are read here.
        cache: of the replies.
        open_backend: makes the back end; called when something is asked that the cache does not hold.
        name: what the cache and the messages call the model; ``""`` = the section's.
        budget: shared with other models; ``None`` = one of its own, of the section's caps.
        keep: whether the back end stays between calls of :meth:`complete`; ``False`` gives its memory back, for the
            next model.
    """

    def __init__(
        self,
        section: LlmSection,
        cache: ReplyCache,
        open_backend: Callable[[], Backend],
        name: str = "",
        budget: Budget | None = None,
        keep: bool = True,
    ) -> None:
        self.name = name or section.model
        self._keep = keep
        self.budget = budget or Budget(section.max_calls, section.max_budget_tokens)
        self._section = section
        self._cache = cache
        self._open = open_backend
        self._backend: Backend | None = None
        self._takes_schema: bool | None = None  # not known before the first call with one
        self._counted: dict[str, Request] = {}  # by a dry run; a real one asks nothing twice

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        """One reply a request, in their order; see :class:`~overton.llm.types.LanguageModel`."""
        keys = [cache_key(self.name, request, self._section.extra) for request in requests]
        known = {key: reply for key in keys if (reply := self._cache.get(key)) is not None}
        asked = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        if self._section.dry_run:
            self._announce(asked, len(known))
            made = dict.fromkeys(asked, Reply(None, "dry run"))
        else:
            made = self._ask(asked, description or f"asking {self.name}") if asked else {}
        return [known[key] if key in known else made[key] for key in keys]

    def _ask(self, asked: dict[str, Request], description: str) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}
        if self._backend is None and not self.budget.exhausted():
            self._backend = self._open()
        if self._backend is not None:
            with progress() as bar:
                task = bar.add_task(description, total=len(asked))
                for key, reply in self._answers(self._backend, asked):
                    replies[key] = reply
                    bar.advance(task)
        if self._backend is not None and not self._keep:
            self._backend = None
            release()
        unasked = Reply(None, self.budget.exhausted())
        replies |= {key: unasked for key in asked if key not in replies}
        self._report(replies)
        return replies

    def _answers(self, backend: Backend, asked: dict[str, Request]) -> Iterator[tuple[str, Reply]]:
        """Replies as they come. What is turned down with a schema is asked without one; one call tries that first."""
        held = [key for key, request in asked.items() if request.schema is not None]
        first = min(held, key=lambda key: prompt_tokens(asked[key])) if held and self._takes_schema is None else None
        refused: dict[str, str] = {}
        if first is not None:
            yield from self._calls(backend, {first: asked[first]}, refused)
        rest = {key: request for key, request in asked.items() if key != first}
        if self._takes_schema is not False:
            yield from self._calls(backend, rest, refused)
            rest = {}
        if refused:
            say(
                f"{self.name}: {len(refused)} calls with a JSON schema were turned down "
                f"({next(iter(refused.values()))}); asked without one"
            )
        rest |= {key: asked[key] for key in refused}
        plain = {key: replace(request, schema=None) for key, request in rest.items()}
        for key, reply in self._calls(backend, plain, {}):
            both = f"{refused.get(key)}; without a schema: {reply.reason}"
            yield key, replace(reply, reason=both) if key in refused and reply.text is None else reply

    def _calls(
        self, backend: Backend, asked: dict[str, Request], refused: dict[str, str]
    ) -> Iterator[tuple[str, Reply]]:
        """Replies, counted and stored; calls that are turned down with a schema go into ``refused`` instead."""
        for key, reply in backend.replies(self._within_budget(asked)):
            reply, request = clean(reply), asked[key]
            if request.schema is not None and reply.text is None and reply.reason.startswith(_REFUSED):
                refused[key] = reply.reason
                self.budget.calls -= 1  # made again, which counts once
                if not reply.declined and self._takes_schema is None:
                    self._takes_schema = False
                continue
            self.budget.add(request, reply)
            if reply.text is not None:
                # Under the key of what was wanted, also when it was asked without its schema: not to be asked again.
                self._cache.put(key, self.name, request, reply)
                if request.schema is not None:
                    self._takes_schema = True
            yield key, reply

    def _within_budget(self, asked: dict[str, Request]) -> Iterator[tuple[str, Request]]:
        # A batch is as wide as its longest prompt, so prompts of like length go together.
        for key, request in sorted(asked.items(), key=lambda item: prompt_tokens(item[1])):
            if self.budget.exhausted():
                return
            self.budget.calls += 1
            yield key, request

    def _announce(self, asked: dict[str, Request], known: int) -> None:
        new = {key: request for key, request in asked.items() if key not in self._counted}
        self._counted |= new
        calls, first = len(self._counted), len(self._counted) == len(new)
        again = f", {len(asked) - len(new):,} counted before" if len(asked) > len(new) else ""
        so_far = "" if first else f"; so far {calls:,} calls, {self._volume(self._counted.values())}"
        say(
            f"dry run: {len(new):,} calls to {self.name}, {self._volume(new.values())}; "
            f"{known:,} replies are in the cache{again}{so_far}"
        )

    def _volume(self, requests: Collection[Request]) -> str:
        """Tokens and costs of calls, estimated."""
        read = sum(map(prompt_tokens, requests))
        limits = [self._longest(request) for request in requests]
        written, free = sum(limit or 0 for limit in limits), None in limits
        prices = self._section.input_price, self._section.output_price
        bound = "at least" if free else "at most"
        cost = f", {bound} about ${(read * prices[0] + written * prices[1]) / 1e6:,.2f}" if any(prices) else ""
        replies = "replies without a limit (extra.max_tokens is null)" if free else f"at most {written:,} to write"
        return f"about {read:,} tokens to read and {replies}{cost}"

    def _longest(self, request: Request) -> int | None:
        """Tokens that a reply may have; what ``extra`` sends to an endpoint goes before what the caller asks for."""
        return longest_reply(request_body(self._section, request)) if self._section.base_url else request.max_tokens

    def _report(self, replies: dict[str, Reply]) -> None:
        failed = Counter(reply.reason for reply in replies.values() if reply.text is None)
        if not failed:
            return
        shown = "; ".join(f"{count} x {reason}" for reason, count in failed.most_common(3))
        more = f"; and {len(failed) - 3} other reasons" if len(failed) > 3 else ""
        say(f"{self.name}: {failed.total()} of {len(replies)} calls brought no reply: {shown}{more}")


def clean(reply: Reply) -> Reply:
    """The reply as it can be stored: without half characters, and with no text where there is only white space."""
    if reply.text is None:
        return reply
    text = reply.text.encode("utf-8", "replace").decode().strip()
    if text:
        return replace(reply, text=text)
    reason = f"the reply is empty{' and ' * bool(reply.reason)}{reply.reason}"
    return replace(reply, text=None, reason=reason, declined=True)


def prompt_tokens(request: Request) -> int:
    """About how many tokens the messages have."""
    return sum(_TURN_TOKENS + _tokens(content) for _, content in request.messages)


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN)
