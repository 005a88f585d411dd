"""Against real servers on a loopback port: what comes back, what is tried again, and what stops everything."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest
from llm_server import Answer, Open, ask, completion, echo, serving

from overton.errors import MissingDependencyError, ModelError
from overton.llm import Reply, Request
from overton.llm.completion import Failure, read_answer


def test_replies_come_in_the_order_of_the_requests(open_llm: Open) -> None:
    texts = [f"question {i}" for i in range(12)]
    with serving(Answer(echo, wait=0.05)) as endpoint:
        replies = open_llm(endpoint.url, concurrency=3).complete(ask(*texts))
        assert endpoint.most_at_once == 3
    assert replies == [Reply(f"to {text}", "", 7, 3) for text in texts]


def test_the_request_is_sent_as_asked(open_llm: Open) -> None:
    request = Request((("system", "be brief"), ("user", "why?")), max_tokens=9, temperature=0.5, seed=4)
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url, extra={"reasoning_effort": "low", "max_tokens": None}).complete([request])
        assert endpoint.keys == ["Bearer key-of-a-test"]
        assert endpoint.bodies == [
            {
                "model": "m",
                "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}],
                "temperature": 0.5,
                "seed": 4,
                "reasoning_effort": "low",
            }
        ]


def test_429_waits_as_long_as_it_is_told(open_llm: Open) -> None:
    busy = Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "1.5"})
    with serving(busy, Answer(completion("fine"))) as endpoint:
        [reply] = open_llm(endpoint.url, retries=2).complete(ask("a"))
        assert reply.text == "fine"
        assert 1.5 <= endpoint.times[1] - endpoint.times[0] < 4


def test_an_error_says_what_the_endpoint_said_and_when_to_come_back(open_llm: Open) -> None:
    full = Answer({"error": {"message": "quota used"}}, 429, {"Retry-After": "3599"})
    with serving(full, Answer("", 500)) as endpoint:
        llm = open_llm(endpoint.url, retries=0)
        [busy], [broken] = llm.complete(ask("a")), llm.complete(ask("b"))
    assert busy.reason == "HTTP 429: quota used; it wants to be asked again in 60 minutes"
    assert broken.reason == "HTTP 500: no reason given"


def test_500_twice_is_tried_again_and_longer_each_time(open_llm: Open) -> None:
    broken = Answer("oh", 500)
    with serving(broken, broken, Answer(completion("fine"))) as endpoint:
        [reply] = open_llm(endpoint.url, retries=2).complete(ask("a"))
        first, second, third = endpoint.times
    assert reply.text == "fine"
    assert third - second > second - first > 0.3


def test_500_always_is_given_up_with_a_reason(open_llm: Open) -> None:
    with serving(Answer({"error": {"message": "out of order"}}, 500)) as endpoint:
        replies = open_llm(endpoint.url, retries=1).complete(ask("a", "b"))
        assert len(endpoint.bodies) == 4
    assert all(reply.text is None and "HTTP 500" in reply.reason for reply in replies)
    assert "out of order" in replies[0].reason


def test_after_many_failures_alike_the_rest_is_not_asked_until_the_next_time(open_llm: Open) -> None:
    with serving(Answer("oh", 503)) as endpoint:
        llm = open_llm(endpoint.url)
        replies = llm.complete(ask(*map(str, range(40))))
        assert len(endpoint.bodies) < 12
        assert all(reply.text is None and "HTTP 503" in reply.reason for reply in replies)
        assert "not asked" in replies[-1].reason
        endpoint.answers = [Answer(echo)]
        assert llm.complete(ask("7"))[0].text == "to 7"


RUBBISH = (
    Answer("<html>welcome</html>", headers={"Content-Type": "text/html"}),
    Answer("{not json"),
    Answer(""),
    Answer("[" * 100_000),
    Answer({"object": "list", "data": []}),
    Answer({"choices": []}),
    Answer({"choices": None}),
    Answer({"choices": [None]}),
    Answer({"choices": [{"message": None}]}),
    Answer(["choices"]),
    Answer(completion("")),
    Answer(completion(" \n")),
    Answer(completion(None)),
    Answer(completion([{"type": "image_url", "image_url": {"url": "data:"}}])),
    Answer(completion(["words"])),
    Answer(completion({"type": "text", "text": "a part alone"})),
    Answer(completion(5)),
    Answer(completion("- Honesty mat", "error")),
    Answer({"error": {"message": "bad request"}}, 400),
)


@pytest.mark.parametrize("rubbish", RUBBISH, ids=lambda answer: str(answer.body)[:30])
def test_rubbish_costs_only_its_own_reply(open_llm: Open, rubbish: Answer) -> None:
    fine = Answer(completion("fine"))
    with serving(fine, rubbish, fine) as endpoint:
        replies = open_llm(endpoint.url, concurrency=1).complete(ask("a", "b", "c"))
    assert [reply.text for reply in replies] == ["fine", None, "fine"]
    assert replies[1].reason


def test_text_in_parts_is_joined_without_its_thoughts(open_llm: Open) -> None:
    thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts = [thoughts, {"type": "text", "text": "One view. "}, {"type": "text", "text": "Another."}]
    with serving(Answer(completion(parts)), Answer(completion([thoughts]))) as endpoint:
        replies = open_llm(endpoint.url, concurrency=1).complete(ask("a", "b"))
    assert replies[0] == Reply("One view. Another.", "", 7, 3)
    assert replies[1].declined, "nothing but thoughts is an empty reply"


def test_a_reply_that_cannot_be_used_says_what_it_holds_and_is_asked_for_again(open_llm: Open) -> None:
    broken = completion("- Honesty mat", "error")
    broken["choices"][0]["error"] = {"code": 502, "message": "the provider hung up"}
    image = completion([{"type": "image_url"}])
    with serving(Answer(broken), Answer(image), Answer(completion(5)), Answer(echo)) as endpoint:
        llm = open_llm(endpoint.url, concurrency=1)
        replies = llm.complete(ask("a", "b", "c"))
        assert not any(reply.declined for reply in replies)
        assert [reply.text for reply in llm.complete(ask("a", "b", "c"))] == ["to a", "to b", "to c"]
    for reply, wanted in zip(replies, ("the provider hung up", "image_url", "int"), strict=True):
        assert wanted in reply.reason


def test_odd_usage_and_half_characters_do_no_harm(open_llm: Open) -> None:
    body = completion("half \ud83d", usage={"prompt_tokens": "many", "completion_tokens": -1})
    with serving(Answer(body)) as endpoint:
        [reply] = open_llm(endpoint.url).complete(ask("a"))
        assert reply == Reply("half ?", "", None, None)
        assert open_llm(endpoint.url).complete(ask("a"))[0].text == "half ?"


def test_a_refusal_a_filter_and_a_cut_are_told_apart() -> None:
    def read(message: str, finish: str) -> Reply:
        return read_answer(f'{{"choices": [{{"message": {message}, "finish_reason": "{finish}"}}]}}')

    assert read('{"content": null, "refusal": "I will not"}', "stop").reason == "refused: I will not"
    assert read('{"content": null, "refusal": "I will not"}', "stop").declined
    assert "filter" in read('{"content": "so"}', "content_filter").reason
    for finish in ("length", "model_length"):  # the latter is Mistral's where the window ends
        assert read('{"content": "so"}', finish) == Reply("so", "cut off")
    with pytest.raises(Failure):
        read_answer("null")


def test_no_answer_within_the_timeout(open_llm: Open) -> None:
    with serving(Answer(completion("late"), wait=3)) as endpoint:
        [reply] = open_llm(endpoint.url, timeout=0.3).complete(ask("a"))
    assert reply == Reply(None, "no answer within 0.3 s")


def test_a_server_that_accepts_and_says_nothing(open_llm: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        assert open_llm(url, timeout=0.3).complete(ask("a")) == [Reply(None, "no answer within 0.3 s")]


def test_no_server_at_all(open_llm: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    [reply] = open_llm(f"http://localhost:{port}/v1").complete(ask("a"))
    assert reply.text is None
    assert "cannot be reached" in reply.reason


@pytest.mark.parametrize(
    ("status", "wanted"),
    [(401, "the key in OPENAI_API_KEY"), (403, "the key in OPENAI_API_KEY"), (404, "has no model 'm'")],
)
def test_a_refused_key_and_an_unknown_model_stop_at_once(open_llm: Open, status: int, wanted: str) -> None:
    said = {"error": {"message": "no: key-of-a-test; your account was flagged"}}
    with serving(Answer(echo), Answer(said, status)) as endpoint:
        with pytest.raises(ModelError) as caught:
            open_llm(endpoint.url, concurrency=1, retries=3).complete(ask(*map(str, range(20))))
        assert len(endpoint.bodies) == 2
        assert wanted in str(caught.value)
        assert "no: ***" in str(caught.value), "the key is never shown"
        endpoint.answers = [Answer("", 500)]
        assert open_llm(endpoint.url).complete(ask("0"))[0] == Reply("to 0", "", 7, 3, cached=True)


def test_a_redirect_takes_no_text_along(open_llm: Open) -> None:
    """The address was checked, and the one behind it was not: it may be http on another machine."""
    with serving(Answer(echo)) as other:
        elsewhere = Answer("", 307, {"Location": f"{other.url}/chat/completions"})
        with serving(elsewhere) as first, pytest.raises(ModelError, match=rf"sends on to .{other.url}.* \(base_url\)"):
            open_llm(base_url=first.url).complete(ask("a secret"))
        assert len(first.bodies) == 1 and not other.bodies


def test_what_an_endpoint_says_commands_no_terminal(open_llm: Open, capfd: pytest.CaptureFixture[str]) -> None:
    with serving(Answer({"error": {"message": "\x1b]0;title\x07 is full"}}, 400)) as endpoint:
        open_llm(base_url=endpoint.url).complete(ask("a"))
    said = capfd.readouterr().err
    assert "is full" in said and not {"\x1b", "\x07"} & set(said)


def test_a_missing_key_is_named_unless_the_endpoint_is_here(open_llm: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ModelError, match="OPENAI_API_KEY is not set"):
        open_llm("https://llm.invalid/v1").complete(ask("a"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # no proxy has a way to this machine
    with serving(Answer(echo)) as endpoint:
        assert open_llm(endpoint.url).complete(ask("a"))[0].text == "to a"


@pytest.mark.parametrize("key", ["secret-one\nsecret-two", "“secret”"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_shown(
    open_llm: Open, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with serving(Answer(echo)) as endpoint:
        with pytest.raises(ModelError, match="OPENAI_API_KEY holds more than a key") as error:
            open_llm(endpoint.url).complete(ask("a"))
        assert not endpoint.bodies
    assert "secret" not in str(error.value)


def test_the_missing_package_is_named(open_llm: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingDependencyError, match=r"overton\[llm\]"):
        open_llm("http://localhost:1/v1").complete(ask("a"))


def test_the_nucleus_is_sent_and_seconds_are_measured_and_kept(open_llm: Open) -> None:
    with serving(Answer(echo, wait=0.1)) as endpoint:
        [first] = open_llm(endpoint.url).complete(ask("a", top_p=0.9))
        [again] = open_llm(endpoint.url).complete(ask("a", top_p=0.9))
        open_llm(endpoint.url).complete(ask("a"))
        assert [body.get("top_p") for body in endpoint.bodies] == [0.9, None]
    assert first.seconds is not None and first.seconds >= 0.1
    assert again.cached and again.seconds == first.seconds


LONG = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
BOTH = "This model's maximum context length is {0} tokens. However, you requested {1} tokens ({2} in the messages)."
VLLM = "This model's maximum context length is {0} tokens and your request has {1} input tokens ({2} > {0} - {1})."
TGI = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {0}. Given: {1} `inputs` tokens and {2}"
FILTER = {"code": "content_filter", "message": "The response was filtered due to the prompt", "status": 400}
FLAGGED = {
    "code": 403,
    "message": "Your chosen model requires moderation and your input was flagged",
    "metadata": {"reasons": ["violence"], "flagged_input": "May I ...", "provider_name": "X"},
}


@pytest.mark.parametrize(
    ("status", "error", "declined"),
    [
        (400, {"message": "no"}, False),
        (400, {"message": "Your credit balance is too low to access the API."}, False),
        (400, {"message": "Unsupported parameter: 'max_tokens' is not supported with this model."}, False),
        (422, {"message": "response_format: Extra inputs are not permitted"}, False),
        (400, FILTER, True),
        (400, {"message": "Output blocked by content filtering policy"}, True),
        (400, {"message": LONG, "code": "context_length_exceeded"}, True),
        (400, {"message": "x" * 300 + LONG}, True),
        (400, {"message": "prompt is too long: 210000 tokens > 200000 maximum"}, True),
        (422, {"message": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"}, True),
        # The question fits; only a reply of 256 tokens, the most that is asked for, does not.
        (400, {"message": BOTH.format(8192, 8300, 8044), "code": "context_length_exceeded"}, False),
        (400, {"message": BOTH.format(8192, 8441, 8185), "code": "context_length_exceeded"}, True),
        (400, {"message": VLLM.format(2048, 2000, 256)}, False),
        (400, {"message": VLLM.format(2048, 2041, 256)}, True),
        (422, {"message": TGI.format(4096, 4000, 256)}, False),
        (422, {"message": TGI.format(4096, 5000, 256)}, True),
        (413, {"message": "no"}, True),
        (403, FLAGGED, True),
        (403, {"message": "This prompt violates our content policy."}, True),
        (500, {"message": LONG}, False),
    ],
    ids=str,
)
def test_a_question_that_is_refused_is_not_a_failure_on_the_way(
    open_llm: Open, status: int, error: dict[str, object], declined: bool
) -> None:
    with serving(Answer({"error": error}, status)) as endpoint:
        [reply] = open_llm(endpoint.url).complete(ask("a"))
    assert reply.text is None and reply.declined is declined
    with serving(Answer(completion(""))) as endpoint:
        assert open_llm(endpoint.url).complete(ask("b"))[0].declined


def test_many_refused_questions_do_not_stop_the_rest(open_llm: Open) -> None:
    held = Answer({"error": FILTER}, 400)
    with serving(*[held] * 10, Answer(echo)) as endpoint:
        replies = open_llm(endpoint.url, concurrency=1).complete(ask(*map(str, range(12))))
    assert [reply.declined for reply in replies] == [True] * 10 + [False] * 2
    assert replies[-1].text == "to 11"
    with serving(Answer({"error": {"message": "Your credit balance is too low"}}, 400)) as endpoint:
        replies = open_llm(endpoint.url, concurrency=1).complete(ask(*(f"x{i}" for i in range(12))))
        assert len(endpoint.bodies) == 8
    assert not any(reply.declined for reply in replies)


def test_the_key_is_written_nowhere(open_llm: Open, tmp_path: Path) -> None:
    with serving(Answer(echo)) as endpoint:
        open_llm(endpoint.url).complete(ask("a"))
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not any("key-of-a-test" in text for text in written)
