"""Reward functions of trainers: what counts as the answer, and that no completion harms another."""

import asyncio
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rstar_fast import rewards
from rstar_fast.errors import ConfigError
from rstar_fast.rewards import MathReward, answer_in, compute_score, math_reward

SOLUTION = """<code>
# Step 1
x = 6
<end_of_step>
# Step 2: not \\boxed{9}
print('<answer>\\\\boxed{8}<end_of_answer>', x)
<end_of_code>
<output><\\answer>\\boxed{8}<\\end_of_answer> 6<end_of_output>
<answer>It is $\\boxed{6}$.<end_of_answer>"""

SLOW = "\\sum_{k=1}^{10^{7}} \\sum_{j=1}^{10^{7}} \\frac{\\sin(jk)}{\\ln(j+k+1)}"
"""An answer that is compared for as long as it may."""


@pytest.fixture(scope="module")
def reward() -> Iterator[MathReward]:
    with MathReward(workers=2) as found:
        yield found


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (SOLUTION, "6"),
        ("first \\boxed{1}, then \\boxed{2}", "2"),
        ("\\boxed{1} and then \\boxed{2", ""),
        ("<think>\\boxed{1}</think>no box", None),
        ("<think>\\boxed{1}", None),
        ("The answer is 5.", None),
        ("", None),
        ("<code>\ny = '\\\\boxed{5}'\n<end_of_code>\n<output>5<end_of_output>", None),
        (SOLUTION + "\nAnd more: \\boxed{7}", "7"),
        ("<answer>\\boxed{3} or \\boxed{4}<end_of_answer>", "3, 4"),
        ([{"role": "assistant", "content": "\\boxed{5}"}], "5"),
        (
            [
                {"role": "assistant", "content": "\\boxed{5}"},
                {"role": "tool", "content": "..."},
                {"role": "assistant", "content": [{"type": "text", "text": "\\boxed{6}"}]},
            ],
            "6",
        ),
        (
            [
                {"role": "assistant", "content": "Let me see."},
                {"role": "tool", "content": "\\boxed{5}"},
            ],
            None,
        ),
        ([{"role": "user", "content": "Is it \\boxed{5}?"}], None),
        ([{"role": "assistant", "content": None}], None),
        ([], None),
    ],
)
def test_the_answer_of_a_completion(completion: Any, answer: str | None) -> None:
    assert answer_in(completion) == answer


def test_right_wrong_and_unsure(reward: MathReward) -> None:
    completions = ["\\boxed{0.5}", "\\boxed{3}", "nothing", "\\boxed{about 5}", "\\boxed{6}"]
    golds: list[Any] = ["\\frac{1}{2}", 4, "5", "5", ["7", "\\frac{12}{2}"]]
    assert reward(completions, answer=golds, prompts=["?"] * 5) == [1.0, 0.0, 0.0, None, 1.0]
    assert reward(["\\boxed{3}"], [None]) == [None]
    assert reward(["\\boxed{3}"], [3.0]) == [1.0]
    assert reward([], []) == []


def test_units_come_from_the_question(reward: MathReward) -> None:
    answers = {"answer": ["30"], "question": ["How many cm are 300 mm?"]}
    assert reward(["\\boxed{30 \\text{ cm}}"], **answers) == [1.0]


def test_hostile_completions_are_graded_alone(reward: MathReward) -> None:
    hostile = [
        f"\\boxed{{__import__('os').kill({os.getpid()}, 9)}}",
        "\\boxed{9**9**9**9**9}",
        "\\boxed{" * 20_000,
        "\\boxed{" + "{" * 50_000 + "}" * 50_000 + "}",
        "\\boxed{\ud800 \x00}",
        "<code>" * 20_000 + "<end_of_step>" * 20_000,
        "<answer><end_of_answer>" * 100_000,
        "\\boxed{" + "9" * 1_000_000 + "}",
    ]
    found = reward([*hostile, "\\boxed{1/2}"] * 2, ["0.5"] * 18)
    assert found[8] == found[17] == 1.0
    assert not any(found[:8]) and not any(found[9:17])


def test_a_slow_answer_is_unsure_and_others_are_graded(reward: MathReward) -> None:
    with MathReward(workers=1, limit_s=0.5) as grader:
        began = time.monotonic()
        found = grader([f"\\boxed{{{SLOW}}}"] * 3 + ["\\boxed{1/2}"], ["0.5"] * 4)
    assert found == [None, None, None, 1.0]
    # Three limits, the start of a worker, and a generous wait.
    assert time.monotonic() - began < 120


def test_bad_columns_are_refused(reward: MathReward) -> None:
    with pytest.raises(ConfigError, match=r"answer: expected a list of 2, .* got 1"):
        reward(["a", "b"], ["1"])
    with pytest.raises(ConfigError, match="got str"):
        reward(["a"], "1")
    with pytest.raises(ConfigError, match="answer: expected a text, a number or a list"):
        reward(["a"], [{"text": "1"}])
    with pytest.raises(ConfigError, match="completion: expected a text, or messages"):
        reward([3], ["1"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("ab", ["1", "2"]), "completions: expected a list, got str"),
        ((["a"], None), "answer: expected a list of 1, .* got NoneType"),
        ((["a", "b"], ["1", "2"], ["?"]), "question: expected a list of 2, .* got 1"),
        ((["a"], [10**5000]), "expected a number of at most 8192 bits"),
        ((["a"], [[True]]), "expected a text, a number or a list of them, got bool"),
    ],
)
def test_columns_of_another_form_are_refused(
    reward: MathReward, columns: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        reward(*columns)


def test_answers_as_tables_hold_them(reward: MathReward) -> None:
    completions = ["\\boxed{1/2}"] * 3
    assert reward(completions, np.array([0.5, 1.0, math.nan])) == [1.0, 0.0, None]
    golds = [np.array(["2", "0.5"]), np.int64(1), np.array([])]
    assert reward(completions, golds) == [1.0, 0.0, None]
    # What is missing is no answer that a completion can give.
    assert reward(["\\boxed{nan}", "\\boxed{inf}"], [math.nan, math.inf]) == [None, None]
    assert reward.compute_score("math", "\\boxed{0.5}", np.float64(0.5), "?")["score"] == 1.0


def test_the_form_of_verl(reward: MathReward) -> None:
    assert reward.compute_score("math", SOLUTION, "6.0", {"split": "train"}) == {
        "score": 1.0,
        "acc": 1.0,
        "unsure": 0.0,
    }
    assert reward.compute_score("math", "\\boxed{about 5}", "5", None, step=3)["unsure"] == 1.0

    async def many() -> list[dict[str, float]]:
        texts = [f"\\boxed{{{i}/2}}" for i in range(20)]
        return await asyncio.gather(
            *(reward.compute_score_async("math", text, "3.5", {}) for text in texts)
        )

    assert [found["score"] for found in asyncio.run(many())].index(1.0) == 7


def test_the_functions_share_a_grader_that_ends_with_the_process() -> None:
    assert math_reward(["\\boxed{1/2}"], answer=["0.5"]) == [1.0]
    assert compute_score("math", "\\boxed{1/2}", "0.5")["score"] == 1.0
    assert asyncio.run(rewards.compute_score_async("math", "\\boxed{1/3}", "0.5"))["score"] == 0.0
    rewards.close()
    rewards.close()
    assert math_reward(["\\boxed{1/2}"], answer=["0.5"]) == [1.0]
    rewards.close()


def test_nothing_is_left_when_the_process_ends() -> None:
    code = (
        "from rstar_fast import rewards\n"
        "assert rewards.math_reward(['\\\\boxed{1/2}'], answer=['0.5']) == [1.0]\n"
        "print(*rewards._grader()._verifier.worker_pids())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True
    )
    pids = ran.stdout.split()
    assert pids
    deadline = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_forked_process_has_a_grader_of_its_own() -> None:
    code = (
        "import os\n"
        "from rstar_fast.rewards import math_reward\n"
        "def right(): return math_reward(['\\\\boxed{1/2}'], answer=['0.5']) == [1.0]\n"
        "assert right()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(0 if right() else 1)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 and right()\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=300, check=True)
