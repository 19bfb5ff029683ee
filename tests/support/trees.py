"""Finished trees made by hand."""

from rstar_fast.problems import Problem
from rstar_fast.tree import Node, Tree

EVIL = "\x1b[31m[bold]red[/bold]\r\x07:smile:\u202eabc"


def small_tree(problem_id: str = "p-1", answer: str = "5", copy: int | None = None) -> Tree:
    """Return a tree of two first steps.

    Below the first one are a right and a wrong answer, and below the second one a step that fails.
    """
    closing = "\nprint(apples)\n<end_of_code>"
    nodes = [
        Node(0, -1, 0, q=0.25, visits=4),
        Node(
            1,
            0,
            1,
            "<code>\n# Step 1: start with 2 apples\napples = 2\n<end_of_step>",
            observation="",
            status="ok",
            q=0.5,
            visits=3,
        ),
        Node(2, 0, 1, "<code>\n# Step 1: start\napples = x\n<end_of_step>", q=-1.0, visits=1),
        Node(
            3,
            1,
            2,
            closing,
            "\n<output>5<end_of_output>",
            observation="5",
            status="ok",
            score=0.5,
            q=0.5,
            visits=2,
        ),
        Node(
            4,
            3,
            3,
            "\n<answer>It is \\boxed{5}.<end_of_answer>",
            end="answer",
            answer="5",
            correct=answer == "5",
            score=0.9,
            q=0.9,
            visits=1,
        ),
        Node(
            5,
            3,
            3,
            "\n<answer>It is \\boxed{6}.<end_of_answer>",
            end="answer",
            answer="6",
            correct=answer == "6",
            score=0.1,
            q=0.1,
            visits=1,
        ),
        Node(
            6,
            2,
            2,
            "\nprint(y)\n<end_of_code>",
            observation="NameError: y",
            status="error",
            end="errors",
            q=-1.0,
            visits=1,
        ),
    ]
    counts = {"generated_tokens": 1234}
    return Tree(
        Problem(problem_id, "Ann has 2 apples and gets 3. How many?", (answer,), copy),
        nodes,
        0,
        {"total": 1.5},
        counts,
    )


def odd_tree(
    problem_id: str = "p",
    question: str = "How many?",
    step: str = "<code>\nx = 1<end_of_step>",
    copy: int | None = None,
) -> Tree:
    """Return a tree with values that a record must keep: odd texts, long fractions, tokens."""
    nodes = [
        Node(0, -1, 0, q=1 / 3, visits=3),
        Node(1, 0, 1, step, q=-0.1 - 0.2, visits=2, observation="", status="ok", score=0.1),
        Node(
            2,
            0,
            1,
            "é\u2028\\boxed{7}\0",
            "\n<output>\ttext<end_of_output>",
            finish="eos",
            exact=False,
            end="answer",
            answer="7",
        ),
        Node(
            3,
            1,
            2,
            end="errors",
            consecutive_errors=2,
            correct=False,
            exhausted=True,
            observation="NameError: é",
            status="error",
        ),
    ]
    nodes[1].token_ids, nodes[1].logprobs = (5, 6), (-0.123456789, -2.0)
    return Tree(
        Problem(problem_id, question, ("7", "seven"), copy),
        nodes,
        2**63 - 1,
        {"policy": 0.1},
        {"expansions": 2},
        "sure",
        0.9375,
    )


def evil_tree() -> Tree:
    """Return a tree in which every text tries to steer the terminal or the markup."""
    nodes = [
        Node(0, -1, 0),
        Node(1, 0, 1, f"<code>\n{EVIL}\nx = 1\n<end_of_step>", observation=EVIL, status="error"),
        Node(
            2,
            1,
            2,
            f"\n<answer>{EVIL}<end_of_answer>",
            end="answer",
            answer=EVIL,
            correct=False,
            score=0.5,
        ),
    ]
    return Tree(Problem(f"id{EVIL}", f"What is {EVIL}?", (EVIL,)), nodes)
