"""Calls side by side in threads, drawn only when there is room for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(call: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[tuple[T, R]]:
    """Call a function on each item, several at once; results come as they are ready.

    The threads are daemons, so Ctrl-C does not wait for calls under way, as an executor of the library would.

    Args:
        call: runs in the threads.
        items: drawn in the caller's thread, and not before a thread is free.
        workers: threads at most.

    Raises:
        Exception: what a call raised; no further item is drawn then.
    """
    todo: SimpleQueue[T | None] = SimpleQueue()
    done: SimpleQueue[tuple[T, R | None, Exception | None]] = SimpleQueue()

    def work() -> None:
        while (item := todo.get()) is not None:
            try:
                done.put((item, call(item), None))
            except Exception as error:
                done.put((item, None, error))

    threads = under_way = 0
    source = iter(items)
    more = True
    try:
        while more or under_way:
            while more and under_way < workers:
                item = next(source, None)
                if item is None:
                    more = False
                    break
                if threads <= under_way:
                    Thread(target=work, daemon=True).start()
                    threads += 1
                todo.put(item)
                under_way += 1
            if under_way:
                item, result, error = done.get()
                under_way -= 1
                if error is not None:
                    raise error
                yield item, result  # type: ignore[misc]
    finally:
        for _ in range(threads):
            todo.put(None)
