"""`math_reward` as a reward function of TRL's GRPOTrainer."""

from pathlib import Path
from typing import Any

import pytest
from tiny_models import byte_tokenizer, tiny_model

pytest.importorskip("trl")

from datasets import Dataset
from trl import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from rstar_fast.rewards import MathReward


class Seen(MathReward):
    """Keeps what TRL gave it, and grades other completions."""

    calls: list[tuple[Any, Any]]

    def __call__(self, completions: Any, answer: Any, *_: Any, **columns: Any) -> Any:
        self.calls.append((completions, answer))
        assert {"prompts", "completion_ids", "trainer_state"} <= set(columns)
        texts = ["\\boxed{1/2}", "\\boxed{3}", "\\boxed{about 5}", "none"]
        return super().__call__(texts[: len(completions)], answer, **columns)


@pytest.mark.parametrize("conversational", [False, True])
def test_rewards_reach_the_trainer(tmp_path: Path, conversational: bool) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = "{% for one in messages %}{{ one['content'] }}{% endfor %}"
    model = tiny_model("qwen2", tokenizer, spread=0.05)
    prompt: Any = [{"role": "user", "content": "Half?"}] if conversational else "Half?"
    arguments = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=4,
        max_steps=1,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
    )
    with Seen() as reward:
        reward.calls = []
        trainer = GRPOTrainer(
            model,
            reward_funcs=reward,
            args=arguments,
            processing_class=tokenizer,
            train_dataset=Dataset.from_list([{"prompt": prompt, "answer": "0.5"}] * 4),
        )
        trainer.train()
    ((completions, answers),) = reward.calls
    assert answers == ["0.5"] * 4
    assert all(isinstance(one, list if conversational else str) for one in completions)
    (step,) = [entry for entry in trainer.state.log_history if "reward" in entry]
    # One of three is right; the unsure one is left out.
    assert step["reward"] == pytest.approx(1 / 3, abs=1e-3)
    assert "rewards/math_reward/mean" in step
