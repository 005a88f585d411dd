"""OpenRLHF 0.11.0: its command line, prompts, rollout executor, experiences and advantages, with our reward.

Real: everything but vLLM and flash-attention, which need a GPU; see ``openrlhf_standins.py``. The engine is a stand-in
that gives back the tokens of a chosen text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openrlhf_standins
import pytest
import ray
import torch
from contract_parts import SITUATIONS, answers, expected, good_answer, row_of, run_example
from transformers import AutoTokenizer

openrlhf_standins.install()
from openrlhf.datasets import PromptDataset  # noqa: E402
from openrlhf.datasets.utils import blending_datasets  # noqa: E402
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker  # noqa: E402
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator  # noqa: E402
from openrlhf.utils.agent import SingleTurnAgentExecutor  # noqa: E402

import overton.integrations.openrlhf as adapter  # noqa: E402
from overton.testing import tiny_policy  # noqa: E402

TERMS = {"coverage", "precision", "relevance", "uniqueness", "f", "form", "valid_tags", "perspectives"}
FUNCTION = """
import torch

def reward_func(queries, prompts, labels):
    assert len(queries) == len(prompts) == len(labels) == 1
    return {}
"""


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_policy(tmp_path_factory.mktemp("policy"), max_length=512, chat=True)


@pytest.fixture(scope="module")
def tokenizer(policy: Path) -> Any:
    return AutoTokenizer.from_pretrained(policy)


@pytest.fixture(scope="module")
def args(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The settings that the example's script makes, after OpenRLHF's own parser and checks."""
    folder = tmp_path_factory.mktemp("example data")
    settings = folder / "settings.json"
    start = str(Path(__file__).parent / "openrlhf_start")
    extra = ("--rollout.n_samples_per_prompt", "4", "--train.batch_size", "32")
    run_example("openrlhf", folder, *extra, MODEL=str(policy), PYTHONPATH=start, OPENRLHF_SETTINGS=str(settings))
    return json.loads(settings.read_text(encoding="utf-8"), object_hook=lambda found: SimpleNamespace(**found))


class Engine:
    """Takes the place of vLLM: gives back the tokens of one text, as vLLM with the end token among them."""

    def __init__(self, tokenizer: Any, text: str, finished: bool = True) -> None:
        self.ids = tokenizer(text)["input_ids"] + ([tokenizer.eos_token_id] if finished else [])
        self.finished = finished

    async def generate(self, prompt_token_ids: list[int], params: Any, multi_modal_data: Any = None) -> Any:
        output = SimpleNamespace(
            token_ids=list(self.ids), finish_reason="stop" if self.finished else "length", logprobs=None
        )
        return SimpleNamespace(outputs=[output])


def execute(executor: Any, tokenizer: Any, prompt: str, label: Any, text: str, max_length: int = 4000) -> Any:
    params = openrlhf_standins.SamplingParams(max_tokens=1000)
    return asyncio.run(executor.execute(prompt, label, params, max_length, tokenizer, Engine(tokenizer, text)))


def experience_of(output: Any) -> Any:
    return object.__new__(SamplesGenerator)._process_response_into_experience(output, max_len=4000)


def strategy_of(args: Any) -> Any:
    return SimpleNamespace(args=args, is_rank_0=lambda: True, print=lambda *_: None)


def maker_of(args: Any, tokenizer: Any) -> RemoteExperienceMaker:
    return RemoteExperienceMaker(None, None, None, None, SimpleNamespace(value=0.0), strategy_of(args), tokenizer)


# ------------------------------------------------------------------ the whole way


def test_the_example_goes_from_prompts_to_advantages(args: Any, tokenizer: Any) -> None:
    strategy = strategy_of(args)
    rows = blending_datasets(args.data.prompt_dataset, None, strategy)
    data = PromptDataset(rows, tokenizer, strategy)
    assert len(data) == len(SITUATIONS)
    assert args.reward.remote_url == [adapter.__file__]
    executor = SingleTurnAgentExecutor(args.reward.remote_url)
    experiences, wanted = [], []
    for index, situation in enumerate(SITUATIONS[:2]):
        _, prompt, label, images = data[index]
        assert situation.text in prompt and images is None
        for text in answers(situation):
            output = execute(executor, tokenizer, prompt, label, text)
            experiences.append(experience_of(output))
            wanted.append(expected(situation, text))
    for found, score in zip(experiences, wanted, strict=True):
        assert found.rewards.shape == found.scores.shape == (1,)
        assert found.rewards.item() == pytest.approx(score.value, abs=1e-6)
        assert found.scores.item() == pytest.approx(max(0.0, score.value), abs=1e-6)
        assert set(found.info) >= TERMS | {"unscored", "reward", "score"}
        assert {name: found.info[name].item() for name in TERMS} == pytest.approx(dict(score.terms), abs=1e-6)
        assert found.info["unscored"].item() == 0
    for index, found in enumerate(experiences):
        found.index, found.kl = [index], torch.zeros(1, found.action_mask.shape[1])
    maker_of(args, tokenizer).compute_advantages_and_returns(experiences)
    rewards = torch.tensor([score.value for score in wanted]).reshape(2, 4)
    normalized = (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-9)
    for found, one in zip(experiences, normalized.reshape(-1), strict=True):
        assert found.advantages[found.action_mask.bool()].unique().item() == pytest.approx(one.item(), abs=1e-4)


def test_a_prompt_that_is_cut_on_the_left_still_leaves_the_answer_alone(tokenizer: Any) -> None:
    situation = SITUATIONS[0]
    text = good_answer(situation)
    prompt = "user: " + "word " * 200 + situation.text + tokenizer.eos_token + "assistant: "
    executor = SingleTurnAgentExecutor(adapter.__file__)
    size = len(tokenizer(situation.text)["input_ids"]) + 40
    output = execute(executor, tokenizer, prompt, row_of(situation), text, max_length=1000 + size)
    assert output["action_ranges"][0][0] == size  # OpenRLHF has cut it
    assert output["reward"].item() == pytest.approx(expected(situation, text).value, abs=1e-6)


@pytest.mark.parametrize("label", ["", None, {}, {"situation": "?", "references": []}, "no JSON", {"references": [1]}])
def test_a_bad_row_breaks_nothing_and_has_the_same_logs(tokenizer: Any, label: Any) -> None:
    found = experience_of(execute(SingleTurnAgentExecutor(adapter.__file__), tokenizer, "May he?", label, "x"))
    assert found.rewards.tolist() == found.scores.tolist() == [0.0]
    assert found.info["unscored"].item() == 1.0
    assert set(found.info) >= TERMS


def test_labels_as_json_text(tokenizer: Any) -> None:
    situation = SITUATIONS[0]
    text = good_answer(situation, 2)
    executor = SingleTurnAgentExecutor(adapter.__file__)
    for label in (json.dumps(row_of(situation)), row_of(situation)):
        output = execute(executor, tokenizer, situation.text, label, text)
        assert output["reward"].item() == pytest.approx(expected(situation, text).value, abs=1e-6)


def test_wrong_settings_are_logged_as_an_error(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OVERTON_REWARD", "/nowhere/estimator")
    with caplog.at_level(logging.ERROR):
        output = execute(SingleTurnAgentExecutor(adapter.__file__), tokenizer, "?", row_of(SITUATIONS[0]), "x")
    assert output["reward"] is None
    assert "training cannot go on" in caplog.text and "/nowhere/estimator" in caplog.text


# ------------------------------------------------------------------ what OpenRLHF does, and we rely on or warn of


def written(folder: Path, reply: str) -> Any:
    path = folder / "reward.py"
    path.write_text(FUNCTION.replace("return {}", f"return {reply}"), encoding="utf-8")
    return SingleTurnAgentExecutor(str(path))


@pytest.mark.parametrize("value", ["0.5", "torch.tensor(0.5)", "torch.tensor([0.5])"])
def test_a_function_may_reply_with_a_number_or_a_tensor_of_one(tmp_path: Path, tokenizer: Any, value: str) -> None:
    executor = written(tmp_path, f'{{"rewards": {value}, "extra_logs": {{"a": {value}}}}}')
    found = experience_of(execute(executor, tokenizer, "?", "", "x"))
    assert found.rewards.tolist() == found.scores.tolist() == [0.5]  # without scores, the rewards
    assert found.info["a"].tolist() == [0.5]


def test_a_list_in_a_reply_gets_a_dimension_too_many(tmp_path: Path, tokenizer: Any) -> None:
    executor = written(tmp_path, '{"rewards": [0.5], "extra_logs": {"a": [0.5]}}')
    found = experience_of(execute(executor, tokenizer, "?", "", "x"))
    assert found.rewards.shape == found.info["a"].shape == (1, 1)


def test_an_exception_and_a_coroutine_leave_no_reward_and_fail_later(tmp_path: Path, args: Any, tokenizer: Any) -> None:
    failing = written(tmp_path, "1 / 0")
    output = execute(failing, tokenizer, "?", "", "x")
    assert output["reward"] is None
    ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    try:
        with pytest.raises(ValueError, match="reward_model_group is required"):
            maker_of(args, tokenizer).make_experience([experience_of(output)])
    finally:
        ray.shutdown()
    path = tmp_path / "reward.py"
    path.write_text("async def reward_func(queries, prompts, labels):\n    return {'rewards': 1.0}\n", encoding="utf-8")
    assert execute(SingleTurnAgentExecutor(str(path)), tokenizer, "?", "", "x")["reward"] is None


class Server:
    """A server that writes down what it is asked and gives one reply, or none."""

    def __init__(self, reply: Any) -> None:
        self.asked: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps(reply).encode()
                self.send_response(200 if reply is not None else 500)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/get_reward"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def serve() -> Iterator[Any]:
    servers: list[Server] = []

    def start(reply: Any) -> Server:
        servers.append(Server(reply))
        return servers[-1]

    yield start
    for one in servers:
        one.server.shutdown()


def test_over_http_one_sample_a_request_and_numbers_are_safest(serve: Any, tokenizer: Any) -> None:
    number = serve({"rewards": 0.5, "scores": 0.25, "extra_logs": {"a": 1}})
    found = experience_of(execute(SingleTurnAgentExecutor([number.url]), tokenizer, "Q", {"b": 1}, "x"))
    assert number.asked == [{"query": [f"Qx{tokenizer.eos_token}"], "prompts": ["Q"], "labels": [{"b": 1}]}]
    assert (found.rewards.tolist(), found.scores.tolist(), found.info["a"].tolist()) == ([0.5], [0.25], [1])
    listed = serve({"rewards": [0.5], "scores": [0.25]})
    found = experience_of(execute(SingleTurnAgentExecutor([listed.url]), tokenizer, "Q", "", "x"))
    assert found.rewards.shape == (1, 1)


def test_of_several_urls_the_first_does_all_the_work_and_the_others_get_empty_lists(serve: Any, tokenizer: Any) -> None:
    first, second = serve({"rewards": 0.5}), serve({"rewards": 0.9})
    output = execute(SingleTurnAgentExecutor([first.url, second.url]), tokenizer, "Q", "", "x")
    assert output["reward"] == 0.5
    assert first.asked == [{"query": [f"Qx{tokenizer.eos_token}"], "prompts": ["Q"], "labels": [""]}]
    assert second.asked == [{"query": [], "prompts": [], "labels": []}]


def test_one_url_that_fails_loses_the_reward_of_the_others(serve: Any, tokenizer: Any) -> None:
    first, broken = serve({"rewards": 0.5}), serve(None)
    output = execute(SingleTurnAgentExecutor([first.url, broken.url]), tokenizer, "Q", "", "x")
    assert output["reward"] is None
    assert len(broken.asked) == 5  # tries
