"""GRPO of TRL over trees: the forms of its hooks, and a few steps on the CPU."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("trl")

from datasets import Dataset
from trl import GRPOConfig

from rstar_fast.config import SearchConfig
from rstar_fast.embedded import policy_path
from rstar_fast.errors import ConfigError, ProblemError
from rstar_fast.models.loading import load_tokenizer
from rstar_fast.policy.loading import load
from rstar_fast.problems import Problem, read_problems
from rstar_fast.training.tree_grpo import TreeGRPOTrainer, TreeRollouts

CONFIG = SearchConfig(
    strategy="best_of_n",
    candidates=4,
    max_depth=12,
    temperature=1.0,
    use_scores=False,
    annotate_terminals_with_ground_truth=True,
)


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Any, list[Problem]]:
    torch.set_num_threads(1)
    model = load(policy_path(), torch.float32, torch.device("cpu"))
    return model, load_tokenizer(policy_path()), list(read_problems("graded:train:2"))


def stand_in(model: Any, temperature: float = 1.0) -> Any:
    """What the rollouts look at in a trainer."""
    accelerator = SimpleNamespace(unwrap_model=lambda one: one, num_processes=1, process_index=0)
    return SimpleNamespace(
        model=model,
        accelerator=accelerator,
        args=SimpleNamespace(temperature=temperature),
        state=SimpleNamespace(global_step=3),
    )


def test_a_run_of_prompts_is_one_search(parts: tuple[Any, Any, list[Problem]]) -> None:
    model, tokenizer, problems = parts
    one, two = problems[0].question, problems[1].question
    with TreeRollouts(problems, tokenizer, CONFIG) as rollouts:
        first = rollouts([one] * 4 + [two] * 4, stand_in(model))
        trees = rollouts.trees
        again = rollouts([one] * 6, stand_in(model))
    assert sorted(len(tree.finals()) for tree in trees) and len(trees) == 2
    for columns, count in ((first, 8), (again, 6)):
        assert {len(values) for values in columns.values() if values is not None} == {count}
    assert first["logprobs"] is None
    for ids, mask in zip(first["completion_ids"], first["env_mask"], strict=True):
        assert len(ids) == len(mask) and ids[-1] == tokenizer.eos_token_id
    assert first["prompt_ids"][0] == first["prompt_ids"][3] != first["prompt_ids"][4]
    # The next search of a problem draws anew. Four chains give four leaves, for six prompts.
    assert first["completion_ids"][:4] != again["completion_ids"][:4]
    assert again["completion_ids"][4:] == again["completion_ids"][:2]
    assert {node.version for tree in trees for node in tree.nodes[1:]} == {3}
    assert rollouts.reward(**first, prompts=[]) == first["tree_reward"]


def test_credit_counts_by_share_and_repeats_share_it(
    parts: tuple[Any, Any, list[Problem]],
) -> None:
    model, tokenizer, problems = parts
    with TreeRollouts(problems[:1], tokenizer, CONFIG, credit="outcome") as rollouts:
        columns = rollouts([problems[0].question] * 6, stand_in(model))
    found = rollouts.advantages(500)
    assert found.shape == (6, 500)
    # Each of four chains has a quarter of the weight of six completions, two of them in halves.
    for i, reward in enumerate(columns["tree_reward"]):
        weight = 6 / 4 / (2 if i in (0, 1, 4, 5) else 1)
        drawn = torch.tensor(columns["env_mask"][i], dtype=torch.bool)
        assert found[i, : len(drawn)][drawn].unique().tolist() == [reward * weight]
        assert not found[i, len(drawn) :].any()


def test_a_search_without_a_graded_leaf_is_left_out(
    parts: tuple[Any, Any, list[Problem]],
) -> None:
    model, tokenizer, problems = parts
    # Its prompt does not fit the model.
    long = Problem("long", "many " * 3000, ("1",))
    with TreeRollouts([*problems, long], tokenizer, CONFIG) as rollouts:
        columns = rollouts([long.question] * 2, stand_in(model))
    assert columns["completion_ids"] == [[tokenizer.eos_token_id]] * 2
    assert (columns["env_mask"], columns["tree_reward"]) == ([[0], [0]], [None, None])
    assert not rollouts.advantages(3).any() and rollouts.trees == []


def test_bad_input_is_refused(parts: tuple[Any, Any, list[Problem]]) -> None:
    model, tokenizer, problems = parts
    with pytest.raises(ProblemError, match="a question of its own"):
        TreeRollouts([problems[0], problems[0]], tokenizer, CONFIG)
    with pytest.raises(ProblemError, match="expected an accepted answer"):
        TreeRollouts([Problem("p", "q")], tokenizer, CONFIG)
    with pytest.raises(ConfigError, match="use_scores: expected False"):
        TreeRollouts(problems, tokenizer, replace(CONFIG, use_scores=True))
    with pytest.raises(ConfigError, match="credit: expected one of"):
        TreeRollouts(problems, tokenizer, CONFIG, credit="luck")  # type: ignore[arg-type]
    with TreeRollouts(problems, tokenizer, CONFIG) as rollouts:
        with pytest.raises(ProblemError, match="prompt 'What': expected the question"):
            rollouts(["What"], stand_in(model))
        with pytest.raises(ConfigError, match=r"temperature: .* got 1.0 and 0.7"):
            rollouts([problems[0].question], stand_in(model, temperature=0.7))


def test_a_few_steps_of_training(tmp_path: Path, parts: tuple[Any, Any, list[Problem]]) -> None:
    """As TRL is by default: bfloat16 by autocast, which the search does without."""
    model, tokenizer, problems = parts
    before = {name: one.clone() for name, one in model.state_dict().items()}
    arguments = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        num_generations=4,
        max_steps=3,
        learning_rate=1e-4,
        mask_truncated_completions=True,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
    )
    assert arguments.bf16
    data = Dataset.from_list([{"prompt": problem.question} for problem in problems])
    with TreeRollouts(problems, tokenizer, CONFIG) as rollouts:
        trainer = TreeGRPOTrainer(
            model, rollouts, args=arguments, processing_class=tokenizer, train_dataset=data
        )
        trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(steps) == 3 and {entry["completions/clipped_ratio"] for entry in steps} == {0.0}
    learnt = any(entry["grad_norm"] > 0 for entry in steps)
    moved = any(bool((one != before[name]).any()) for name, one in model.state_dict().items())
    assert learnt and moved
    # Mixed precision has its forward back.
    assert "forward" in model.__dict__
    assert {node.version for tree in rollouts.trees for node in tree.nodes[1:]} == {2}
