"""TRL's own GRPO loop calls the environment of the example."""

import json
from pathlib import Path
from typing import Any

import pytest

CALLS = [{"code": "x = 6\nprint('set')"}, {"code": "print(x * 7)"}]
MARKS = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>")


@pytest.mark.slow
def test_grpo_runs_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trl, datasets = pytest.importorskip("trl"), pytest.importorskip("datasets")
    from tiny_models import byte_tokenizer, tiny_model

    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    from trl_environment import PythonEnvironment, executor

    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    templates = Path(trl.__file__).parent / "chat_templates"
    tokenizer = byte_tokenizer(MARKS)
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    tokenizer.chat_template = (templates / "qwen3.jinja").read_text()
    turns = [
        f"<tool_call>\n{json.dumps({'name': 'run_python', 'arguments': call})}\n</tool_call>"
        for call in CALLS
    ]
    left = iter([*turns, "It is 42."])
    seen: list[str] = []

    class Scripted(trl.GRPOTrainer):
        """Writes the scripted turns in place of what the model would write."""

        def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
            seen.extend(tokenizer.decode(ids) for ids in prompt_ids)
            ids = tokenizer.encode(f"{next(left)}<|im_end|>", add_special_tokens=False)
            return [list(ids) for _ in prompt_ids], None

    trainer = Scripted(
        model=tiny_model("qwen3", tokenizer, max_position_embeddings=8192),
        processing_class=tokenizer,
        reward_funcs=lambda completions, **_: [float(len(one)) for one in completions],
        train_dataset=datasets.Dataset.from_list(
            [{"prompt": [{"role": "user", "content": "What is 6 * 7?"}]}] * 2
        ),
        environment_factory=PythonEnvironment,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=2000,
            max_steps=1,
            bf16=False,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
        ),
    )
    try:
        trainer.train()
    finally:
        executor().close()
        executor.cache_clear()
    # Two rollouts of three turns, each with a program of its own.
    assert len(seen) == 6
    assert all("<tool_response>\nset\n</tool_response>" in text for text in seen[2:])
    assert all("<tool_response>\n42\n</tool_response>" in text for text in seen[4:])
