"""Memory, parameter counts and tokens of a training: against real tensors, and computed by hand."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, GenerationConfig, LlamaConfig, Qwen2Config, Qwen3Config

from overton.sections_training import PolicySection, TrainingSection
from overton.training import memory
from overton.training.adapters import lora_config
from overton.training.cost import GPUS, at_once, step_seconds, update_flops
from overton.training.memory import SHARDINGS, Load
from overton.training.shapes import PUBLISHED, Shape, find_shape, shape_of
from overton.training.shrink import fast_generate

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
CONFIGS = [Qwen2Config(**SIZES, tie_word_embeddings=True), LlamaConfig(**SIZES), Qwen3Config(**SIZES)]
FULL, LORA = PolicySection(model="m"), PolicySection(model="m", lora_rank=4)
# A round model: 1,000 parameters, of which 800 in the linear layers of 2 layers.
ROUND = Shape("llama", "here", 1000, 800, 40, 2, 10, 20, 2, 1, 5, 20, 64, False, 2)


def in_bfloat16(config: Any) -> Any:
    found = copy.deepcopy(config)
    found.dtype = torch.bfloat16
    return found


def training(**keys: Any) -> TrainingSection:
    grpo = keys.pop("grpo", {})
    return TrainingSection(grpo=grpo, **keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_parameters_are_those_of_the_real_model(config: Any) -> None:
    model = AutoModelForCausalLM.from_config(config)
    shape = shape_of(config, "here")
    assert shape.parameters == model.num_parameters()
    adapted = get_peft_model(model, lora_config(PolicySection(model="m", lora_rank=4)))
    assert shape.adapter * 4 == sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    base = [m.weight for n, m in adapted.named_modules() if n.endswith("base_layer")]
    assert shape.linear == sum(w.numel() for w in base)


def test_the_published_sizes_are_those_of_the_model_cards() -> None:
    # Weights of the published files: 1.54 and 3.09 billion (1.31 and 2.77 without embedding), 8.2 (6.95) and 3.21.
    found = {name: find_shape(PolicySection(model=name)) for name in PUBLISHED}
    billions = {name: (round(s.parameters / 1e9, 2), round(s.linear / 1e9, 2)) for name, s in found.items()}
    assert billions == {
        "Qwen/Qwen2.5-1.5B-Instruct": (1.54, 1.31),
        "Qwen/Qwen2.5-3B-Instruct": (3.09, 2.77),
        "Qwen/Qwen3-8B": (8.19, 6.95),
        "meta-llama/Llama-3.2-3B-Instruct": (3.21, 2.82),
    }


def tensors(model: Any) -> dict[str, int]:
    """Bytes of weights, gradients and optimizer states after one step of AdamW."""
    learnt = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learnt)
    model(input_ids=torch.arange(8).unsqueeze(0), labels=torch.arange(8).unsqueeze(0)).loss.backward()
    optimizer.step()
    kept = [v for state in optimizer.state.values() for v in state.values() if v.ndim]
    return {
        "weights": sum(p.nbytes for p in {id(p): p for p in model.parameters()}.values()),
        "gradients": sum(p.grad.nbytes for p in learnt),
        "optimizer": sum(v.nbytes for v in kept),
    }


@pytest.mark.parametrize("policy", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_weights_gradients_and_states_are_those_of_real_tensors(config: Any, policy: PolicySection) -> None:
    config = in_bfloat16(config)
    shape = shape_of(config, "here")
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16 if policy.lora_rank else torch.float32)
    if policy.lora_rank:
        model = get_peft_model(model, lora_config(policy))
    found = memory.states(shape, policy, training(), Load(1, 8))
    assert {k: found[k] for k in ("weights", "gradients", "optimizer")} == tensors(model)
    adapter = 4 * memory.trained(shape, policy) if policy.lora_rank else 0
    assert memory.model_bytes(shape, policy) == 4 * shape.parameters + adapter
    plain = memory.checkpoint_bytes(shape, policy, "ddp", bf16=False)
    assert plain == (tensors(model)["gradients"] + tensors(model)["optimizer"])
    assert memory.checkpoint_bytes(shape, policy, "fsdp2", bf16=True) == plain
    # What DeepSpeed 0.19.5 and transformers write (float32: 12 + 4 with ZeRO 3; bfloat16's engine: 12 + 2 with ZeRO 2).
    extra = {("zero2", True): 4, ("zero3", True): 2, ("zero2", False): 8, ("zero3", False): 4}
    for (sharding, bf16), each in extra.items():
        found = memory.checkpoint_bytes(shape, policy, sharding, bf16)  # type: ignore[arg-type]
        assert found - plain == each * memory.trained(shape, policy)


def kept_by_autograd(config: Any, policy: PolicySection, checkpointing: bool, bf16: bool, tokens: int) -> int:
    """Bytes of what the decoder's forward pass keeps for the backward pass, parameters not counted."""
    lora = policy.lora_rank
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(
        torch.bfloat16 if lora else torch.float32
    )
    if lora:
        model = get_peft_model(model, LoraConfig(r=lora, target_modules="all-linear", task_type="CAUSAL_LM"))
        if checkpointing:
            model.enable_input_require_grads()
    model.train()
    if checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    decoder = (model.get_base_model() if lora else model).model
    ids = torch.zeros(2, tokens // 2, dtype=torch.long)
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t),
        torch.autocast("cpu", torch.bfloat16, enabled=bf16),
    ):
        decoder(input_ids=ids, use_cache=False)
    return sum(seen.values())


@pytest.mark.parametrize("bf16", [True, False], ids=["bf16", "float32"])
@pytest.mark.parametrize("policy", [FULL, LORA], ids=["full", "lora"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_activations_are_those_that_autograd_keeps(config: Any, policy: PolicySection, bf16: bool) -> None:
    if policy.lora_rank and not bf16:
        pytest.skip("bfloat16 weights without autocast are not what LoRA is for")
    config = in_bfloat16(config)
    shape, section = shape_of(config, "here"), training(bf16=bf16)
    more, less = (kept_by_autograd(config, policy, False, bf16, tokens) for tokens in (256, 128))
    estimated = memory.activations(shape, policy, section, 128)
    # Beside the layers there are the last norm and the rotation.
    assert more - less == pytest.approx(estimated, rel=0.06)
    assert more - less >= estimated
    if bf16 and not policy.lora_rank:
        fixed = 2 * less - more
        assert fixed == memory.weight_copies(shape, policy, section, Load(1, 1))
    section = training(bf16=bf16, gradient_checkpointing=True)
    stream = kept_by_autograd(config, policy, True, bf16, 256) - kept_by_autograd(config, policy, True, bf16, 128)
    layer = 128 * memory.layer_bytes(shape, policy, section)
    # The last norm is kept whole: its input, itself and a scale.
    last = 128 * (8 if not policy.lora_rank else 4) * shape.hidden
    assert memory.activations(shape, policy, section, 128) - layer == pytest.approx(stream - last, rel=0.05)


def test_keys_and_values_of_generation_are_in_float32_where_all_weights_are_trained() -> None:
    config = CONFIGS[0]
    model = AutoModelForCausalLM.from_config(config)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        cache = model(input_ids=torch.zeros(3, 10, dtype=torch.long), use_cache=True).past_key_values
    real = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    shape = shape_of(config, "here")
    assert real == 30 * memory.cache_bytes(shape, 4)
    load = Load(1, 10, sampled=3)
    assert memory.estimate(shape, FULL, training(), load)["cache"] == real + 3 * 4 * shape.vocabulary


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.model_type)
def test_weights_that_stand_twice_while_answers_are_generated(config: Any) -> None:
    class Rounded(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = func(*args, **(kwargs or {}))
            if func is torch.ops.aten._to_copy.default and isinstance(args[0], torch.nn.Parameter):
                self.total += found.nbytes
            return found

    load = Load(1, 10, sampled=3)
    model = AutoModelForCausalLM.from_config(config)
    wanted = GenerationConfig(max_new_tokens=4, do_sample=True, top_k=0, pad_token_id=0, eos_token_id=1)
    ids = torch.full((3, 5), 7)
    with Rounded() as seen, torch.no_grad(), fast_generate(model, torch.autocast("cpu", torch.bfloat16)):
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=wanted)
    shape = shape_of(config, "here")
    assert memory.estimate(shape, FULL, training(), load)["rounded"] == pytest.approx(seen.total, rel=0.005)
    for policy, section in ((LORA, training()), (FULL, training(bf16=False))):
        assert memory.estimate(shape, policy, section, load)["rounded"] == 0


def test_sharding_by_hand() -> None:
    four = {s: memory.states(ROUND, FULL, training(), Load(1, 1, processes=4, sharding=s)) for s in SHARDINGS}
    keys = ("weights", "gradients", "buckets", "optimizer")
    # ZeRO: 2 bytes a weight and a gradient, 12 of states with the float32 copy; 4, 4 and 8 without DeepSpeed.
    assert [four["ddp"][k] for k in keys] == [4000, 4000, 4000, 8000]
    assert [four["zero2"][k] for k in keys] == [2000, 500, 0, 3000]
    assert [four["zero3"][k] for k in keys] == [500, 500, 0, 3000]
    assert [four["fsdp2"][k] for k in keys] == [1000, 1000, 0, 2000]
    assert memory.states(ROUND, FULL, training(), Load(1, 1))["buckets"] == 0


def test_each_part_has_its_own_optimizer() -> None:
    section = training(sft={"optimizer": "muon"})
    assert memory.states(ROUND, FULL, section, Load(1, 1))["optimizer"] == 8000
    # One number less for each of the 800 weights in matrices; none less for an adapter's.
    assert memory.states(ROUND, FULL, section, Load(1, 1, optimizer="muon"))["optimizer"] == 8000 - 3200
    assert memory.states(ROUND, LORA, section, Load(1, 1, optimizer="muon"))["optimizer"] == 1280


def test_methods_by_hand() -> None:
    lora, qlora = LORA, PolicySection(model="m", lora_rank=4, load_in_4bit=True)
    # 40 x 4 = 160 adapter parameters; 800 weights in 4.127 bits, 200 in bfloat16.
    assert memory.states(ROUND, lora, training(), Load(1, 1, reference=True)) == {
        "weights": 2000 + 640,
        "reference": 0,
        "gradients": 640,
        "buckets": 0,
        "optimizer": 1280,
    }
    found = memory.states(ROUND, qlora, training(), Load(1, 1))
    assert found["weights"] == pytest.approx(800 * 4.127 / 8 + 400 + 320)
    assert (found["gradients"], found["optimizer"]) == (320, 640)
    # FSDP2 shares out the 400 bytes that are not in 4 bits and the adapter's 320.
    shared = memory.states(ROUND, qlora, training(), Load(1, 1, processes=4, sharding="fsdp2"))
    assert shared["weights"] == pytest.approx(800 * 4.127 / 8 + (400 + 320) / 4)
    # ZeRO-3 shares out all of it, and gathers what is no adapter while answers are generated.
    load = Load(1, 1, sampled=1, processes=4, sharding="zero3")
    assert memory.states(ROUND, qlora, training(), load)["weights"] == pytest.approx((800 * 4.127 / 8 + 720) / 4)
    caches = [memory.estimate(ROUND, policy, training(), load)["cache"] for policy in (lora, qlora)]
    assert caches[0] - caches[1] == pytest.approx(2000 - (800 * 4.127 / 8 + 400))
    assert memory.states(ROUND, FULL, training(), Load(1, 1, reference=True))["reference"] == 4000


def test_parts_add_up_and_the_greater_of_update_and_generation_counts() -> None:
    load = Load(2, 16, sampled=8, processes=1, memory=1e9, estimator=100, reference=True)
    found = memory.estimate(ROUND, FULL, training(), load)
    always = sum(found[k] for k in ("weights", "reference", "optimizer", "estimator", "vllm", "buckets"))
    update = sum(found[k] for k in ("gradients", "copies", "activations", "logits"))
    assert found["update"] == pytest.approx(always + update + found["allowance"])
    assert found["generation"] == pytest.approx(always + found["cache"] + found["rounded"] + found["allowance"])
    assert found["total"] == max(found["update"], found["generation"])
    assert found["estimator"] == 600
    vllm = memory.estimate(ROUND, FULL, training(grpo={"rollout": "vllm"}), load)
    assert vllm["vllm"] == pytest.approx(0.3e9) and vllm["cache"] == vllm["rounded"] == 0


@given(
    rows=st.integers(1, 64),
    tokens=st.integers(1, 4000),
    sampled=st.integers(0, 500),
    processes=st.integers(1, 64),
    sharding=st.sampled_from(SHARDINGS),
    checkpointing=st.booleans(),
)
def test_more_work_never_takes_less_memory(
    rows: int, tokens: int, sampled: int, processes: int, sharding: Any, checkpointing: bool
) -> None:
    section = training(gradient_checkpointing=checkpointing)

    def total(**changes: Any) -> float:
        keys = {"rows": rows, "tokens": tokens, "sampled": sampled, "processes": processes, "sharding": sharding}
        return memory.estimate(ROUND, FULL, section, Load(**(keys | changes)))["total"]

    assert total(rows=rows + 1) >= total()
    assert total(tokens=tokens + 1) >= total()
    assert total(sampled=sampled + 1) >= total()
    if sharding != "ddp":
        assert total(processes=processes + 1) <= total()
    whole = memory.activations(ROUND, FULL, training(), rows * tokens)
    assert memory.activations(ROUND, FULL, training(gradient_checkpointing=True), rows * tokens) <= whole


def test_operations_by_hand() -> None:
    # 800 + 20 x 10 = 1,000 matrix parameters; attention 2 x 2 layers x 2 heads x 5 wide x 8 tokens.
    forward = 2 * 1000 + 2 * 2 * 2 * 5 * 8
    assert update_flops(ROUND, FULL, training(), 8) == 3 * forward
    assert update_flops(ROUND, LORA, training(), 8) == 2 * forward
    section = training(gradient_checkpointing=True, grpo={"beta": 0.1, "rollout": "vllm"})
    assert update_flops(ROUND, FULL, section, 8) == 6 * forward
    # Log-probabilities before the update are asked for once, be it for vLLM or for the later steps of a generation.
    assert update_flops(ROUND, FULL, training(grpo={"steps_per_generation": 2}), 8) == 4 * forward
    both = training(grpo={"steps_per_generation": 2, "rollout": "vllm"})
    assert update_flops(ROUND, FULL, both, 8) == 4 * forward


def test_answers_that_vllms_share_holds_by_hand() -> None:
    shape = find_shape(PolicySection(model="Qwen/Qwen2.5-3B-Instruct"))
    section = training(grpo={"rollout": "vllm", "vllm_gpu_memory_utilization": 0.3})
    # 24 GB less 6.17 of weights and 2 of its own; an answer of 1,312 tokens takes 36 x 2 x 128 x 4 bytes each.
    assert at_once(shape, section, 1312, 10240, 80e9) == int((24e9 - 2 * 3085938688 - 2e9) / (1312 * 36864))
    assert at_once(shape, section, 1312, 100, 80e9) == 100
    shared = training(grpo={"rollout": "vllm", "vllm_tensor_parallel_size": 4})  # four devices for the answers of four
    assert at_once(shape, shared, 1312, 10240, 80e9) == int((24e9 - 2 * 3085938688 / 4 - 2e9) / (1312 * 36864))
    assert at_once(shape, section, 1312, 100, 24e9) == 0
    assert at_once(shape, training(), 1312, 10240, 24e9) == 10240


def test_time_grows_with_answers_and_length() -> None:
    shape = find_shape(PolicySection(model="Qwen/Qwen2.5-3B-Instruct"))
    section = training(grpo={"rollout": "vllm"})

    def seconds(rows: int, answer: int) -> float:
        return sum(step_seconds(shape, FULL, section, GPUS["h100"], rows, 512, answer).values())

    assert seconds(1000, 800) < seconds(2000, 800) < 2.01 * seconds(1000, 800)
    assert seconds(1000, 800) < seconds(1000, 1600)
    assert step_seconds(shape, FULL, section, GPUS["l4"], 10, 512, 8000)["update"] == float("inf")
    # More answers side by side read the weights once for all of them: generation costs less a step.
    longer = training(grpo={"rollout": "vllm", "steps_per_generation": 2})
    once, shared = (step_seconds(shape, FULL, s, GPUS["h100"], 8, 512, 800) for s in (section, longer))
    assert shared["update"] == once["update"] and 0.5 < shared["generation"] / once["generation"] < 0.6


def test_transformers_takes_its_time_for_each_token_however_few_the_answers() -> None:
    shape = find_shape(PolicySection(model="Qwen/Qwen2.5-3B-Instruct"))
    few, many = (step_seconds(shape, FULL, training(), GPUS["h100"], n, 512, 800)["generation"] for n in (8, 80))
    assert few == pytest.approx(36 * 1.2e-3 * 800, rel=0.01) and many < 1.02 * few
    assert (
        step_seconds(shape, FULL, training(grpo={"rollout": "vllm"}), GPUS["h100"], 8, 512, 800)["generation"]
        < 0.2 * few
    )
