"""The texts that a policy continues, made of questions.

A mark that a question spells is escaped, see `rstar_fast.marks`.
"""

from typing import Literal

from rstar_fast.errors import PolicyError
from rstar_fast.marks import escape

PromptStyle = Literal["finetuned", "few_shot", "chat"]

_INSTRUCTION = r"""Solve each math problem with Python, one small step at a time.
Every step is one comment that says what is computed and the code that computes it, and ends with <end_of_step>.
The last step prints the answer and ends with <end_of_code>. Its output is shown behind it, and the answer is given in \boxed{}."""  # noqa: E501

_ONLY_STEPS = """Write nothing but the steps. A solution begins with <code>.
Use no Markdown, and explain only in the comments."""

_EXAMPLES = (
    (
        """A bakery packs 6 boxes with 8 muffins each. It sells 19 muffins, bakes 13 more and then shares all it has equally among
3 schools. How many muffins does each school get?""",  # noqa: E501
        r"""<code>
# Step 1: Find how many muffins were packed, 8 in each of 6 boxes
muffins = 6 * 8
<end_of_step>
# Step 2: Take away the 19 muffins that were sold and add the 13 that were baked later
muffins = muffins - 19 + 13
<end_of_step>
# Step 3: Share the muffins equally among the 3 schools
per_school = muffins // 3
<end_of_step>
# Step 4: Print the answer
print(per_school)
<end_of_code>
<output>14<end_of_output>
<answer>Each school gets $\boxed{14}$ muffins.<end_of_answer>""",
    ),
    (
        "Nora is 4 years older than twice the age of her cousin Ben. Together they are 31 years "
        "old. How old is Nora?",
        r"""<code>
# Step 1: Ben's age b and Nora's age 2 * b + 4 add up to 31, so 3 * b = 31 - 4
ben = (31 - 4) / 3
<end_of_step>
# Step 2: Compute Nora's age from Ben's age
nora = 2 * ben + 4
<end_of_step>
# Step 3: Print the answer
print(nora)
<end_of_code>
<output>22.0<end_of_output>
<answer>Nora is $\boxed{22}$ years old.<end_of_answer>""",
    ),
)


def finetuned_prompt(question: str) -> str:
    """Return the prompt of a policy or a PPM that was trained on the paper's format."""
    return (
        f"<|user|>:\n{escape(question)}\n"
        "<|assistant|>: Let's think step by step and solve the problem with code."
    )


def few_shot_prompt(question: str) -> str:
    """Return the prompt of any other policy: instruction, two solved problems, question."""
    solved = "".join(f"Question: {one}\n{solution}\n\n" for one, solution in _EXAMPLES)
    return f"{_INSTRUCTION}\n\n{solved}Question: {escape(question)}\n"


def chat_messages(question: str) -> list[dict[str, str]]:
    """Return the conversation with a chat model: instruction, two solved problems, question.

    The solution is the assistant's next turn. `models.chat_template` makes a text of it.

    Args:
        question: Text of the problem. Blanks around it are left out, as by many templates.

    >>> [message["role"] for message in chat_messages("What is 6 * 7?")]
    ['system', 'user', 'assistant', 'user', 'assistant', 'user']
    """
    turns = [("system", f"{_INSTRUCTION}\n{_ONLY_STEPS}")]
    for one, solution in _EXAMPLES:
        turns += [("user", one), ("assistant", solution)]
    turns.append(("user", chat_question(question)))
    return [{"role": role, "content": content} for role, content in turns]


def chat_question(question: str) -> str:
    """Return the content of the turn that asks a question, see `chat_messages`."""
    return escape(question.strip())


def make_prompt(style: PromptStyle, question: str) -> str:
    """Return the prompt of a question.

    Args:
        style: "finetuned" or "few_shot".
        question: Text of the problem.

    Raises:
        PolicyError: The style is "chat", whose text depends on a tokenizer, or there is no such
            style.
    """
    if style == "finetuned":
        return finetuned_prompt(question)
    if style == "few_shot":
        return few_shot_prompt(question)
    if style == "chat":
        raise PolicyError(
            "prompt 'chat': its text depends on the model's chat template; expected an engine that "
            'takes `chat_messages(question)`, or `PrefixTokens(tokenizer, "chat")`'
        )
    raise PolicyError(f"prompt: expected 'finetuned', 'few_shot' or 'chat', got {style!r}")


def step_lead(style: PromptStyle) -> str:
    """Return the text between two steps that the policy does not write itself.

    A finetuned policy has its marks as single tokens, and writes the line end itself. In the solved
    problems of the other prompts, a tokenizer may join the last character of a mark and the line
    end into one token. The model then never sees that line end as a token of its own. Asked for it
    after a mark, it writes something else.
    """
    return "" if style == "finetuned" else "\n"
