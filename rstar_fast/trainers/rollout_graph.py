"""Trees as the rollout graphs of `verifiers`, and back.

A rollout of `verifiers` (a `Trace`) holds a graph of messages. Each message stands once, with the
tokens that it adds, and every leaf is a branch. Here the question is the root, each step is an
assistant's message, and what running it showed is a tool's message.
"""

import struct
from collections import Counter, defaultdict
from typing import Any, Literal, get_args

from verifiers.v1 import (
    AgentInfo,
    AssistantMessage,
    MessageNode,
    ModelCall,
    ToolMessage,
    Trace,
    TraceTask,
    Usage,
    UserMessage,
    WireTaskData,
    WireTrace,
)
from verifiers.v1.configs.agent import WireAgentConfig

from rstar_fast.checks import check_choice
from rstar_fast.errors import DataError
from rstar_fast.policy.prefix_tokens import PrefixTokens
from rstar_fast.store.records import record_to_tree, tree_to_record
from rstar_fast.training_samples import TreeValues
from rstar_fast.training_samples.credit import step_credit
from rstar_fast.training_samples.sequences import NOT_DRAWN, End, TokenSequence, TokenSequences
from rstar_fast.tree import Node, Tree

StepCredit = Literal["siblings", "q", "q_gain", "tree_rl", "tree_adv"]
"""Rules of credit by which a step has the same credit in all solutions through it."""

_INFO = "rstar_fast"


def trace_of(
    tree: Tree, prefix: PrefixTokens, credit: StepCredit = "siblings", end: End = "none"
) -> Trace[Any, Any, Any]:
    """Return a tree as a rollout. `tree_of` gives it back.

    The tokens of a branch are those of the sample of its leaf (`training_samples.samples`), and
    their mask and log-probabilities too. `advantages` are the credit of the step, in such a
    proportion that a trainer which takes every branch as one sample counts each step by its share.
    They are None where the problem has no accepted answers.

    Args:
        tree: Finished tree of a policy that tells token ids.
        prefix: Way in which the search put questions and paths to the policy.
        credit: Rule by which the steps share the reward.
        end: What stands behind a finished solution.

    Raises:
        ConfigError: There is no such rule or end.
        DataError: A step has no token ids, or an answer was not graded.
    """
    problem = tree.problem
    data = WireTaskData(id=problem.key, prompt=problem.question)
    trace = WireTrace(
        task=TraceTask(type="Task", data=data), agent=AgentInfo(config=WireAgentConfig())
    )
    fill(trace, tree, prefix, credit, end)
    trace.is_completed = trace.ok = True
    return trace


def fill(
    trace: Trace[Any, Any, Any],
    tree: Tree,
    prefix: PrefixTokens,
    credit: StepCredit = "siblings",
    end: End = "none",
) -> None:
    """Put a tree into a rollout that has no message yet. See `trace_of`."""
    check_choice("credit", credit, get_args(StepCredit))
    question = tree.problem.question
    prompt = list(prefix.of_prompt(question))
    graph = _Graph(trace)
    graph.root = graph.add(None, 0, UserMessage(content=question), prompt, [False] * len(prompt))
    sequences = TokenSequences(tree, prefix, end)
    parents = {node.parent for node in tree.nodes}
    ends: dict[int, int] = {}
    for leaf in tree.nodes[1:]:
        if leaf.id not in parents:
            ends[leaf.id] = graph.add_path(tree, tree.path(leaf.id), sequences.of(leaf.id))
    if tree.problem.answers:
        _credit(trace, tree, credit, ends)
        trace.record_reward("value", TreeValues.of(tree).values.get(0, 0.0))
    trace.record_metric("solved", float(tree.solved))
    best = tree.best()
    trace.root_reply = tree.text(best.id) if best else ""
    trace.info[_INFO] = graph.record(tree)


def tree_of(trace: Trace[Any, Any, Any]) -> Tree:
    """Return the tree of a rollout that `trace_of` or `fill` has made.

    It is equal to the first, also after `Trace.to_record(float_decimals=None)`. With the decimals
    that `verifiers` keeps by itself, log-probabilities are rounded.

    Raises:
        DataError: The rollout is of something else.
        StoreError: It is damaged.
    """
    record = trace.info.get(_INFO)
    if not isinstance(record, dict) or not isinstance(record.get("nodes"), list):
        raise DataError(f"rollout {trace.id}: expected one that holds a tree (info[{_INFO!r}])")
    try:
        nodes = [_whole(node, trace.nodes) for node in record["nodes"]]
    except (KeyError, IndexError, OverflowError, TypeError, ValueError, struct.error) as error:
        raise DataError(
            f"rollout {trace.id}: its messages are not those of its tree: {error!r}"
        ) from error
    return record_to_tree({**record, "nodes": nodes})


class _Graph:
    """The messages of a rollout while a tree is put into it.

    Attributes:
        root: Place of the question.
        steps: Places of each step of the tree. It has several where its tokens differ by what comes
            behind it.
        shown: Place of what each step showed.
    """

    def __init__(self, trace: Trace[Any, Any, Any]) -> None:
        self.root = 0
        self.steps: dict[int, list[int]] = {}
        self.shown: dict[int, int] = {}
        self._trace = trace
        self._places: dict[Any, int] = {}

    def add(
        self,
        parent: int | None,
        node: int,
        message: Any,
        tokens: list[int],
        mask: list[bool],
        logprobs: list[float] | None = None,
    ) -> int:
        """Return the place of a message, which is new unless it stands there with these tokens."""
        sampled = isinstance(message, AssistantMessage)
        key = (parent, node, sampled, tuple(tokens), tuple(mask))
        if key not in self._places:
            self._places[key] = place = len(self._trace.nodes)
            self._trace.nodes.append(
                MessageNode(
                    parent=parent,
                    message=message,
                    sampled=sampled,
                    token_ids=tokens,
                    mask=mask,
                    logprobs=logprobs or [],
                )
            )
            if sampled:
                self.steps.setdefault(node, []).append(place)
            elif parent is not None:
                self.shown[node] = place
        return self._places[key]

    def add_path(self, tree: Tree, path: list[Node], sequence: TokenSequence) -> int:
        """Add the messages of a solution, and return the place of its last step."""
        tokens, steps = sequence.completion_ids, sequence.steps
        place, begin = self.root, 0
        before = len(sequence.prompt_ids)
        for number, node in enumerate(path):
            drawn = [i for i in range(begin, len(tokens)) if steps[i] == number]
            stop = drawn[-1] + 1 if drawn else begin
            if number == len(path) - 1:
                stop = len(tokens)
            mask = [steps[i] != NOT_DRAWN for i in range(begin, stop)]
            told = sequence.logprobs
            logprobs = None if told is None else [told[i] for i in drawn]
            known = len(self._trace.nodes)
            message = AssistantMessage(content=node.step)
            place = self.add(place, node.id, message, list(tokens[begin:stop]), mask, logprobs)
            if place == known:
                usage = Usage(prompt_tokens=before + begin, completion_tokens=len(node.token_ids))
                reason = "length" if node.finish == "length" else "stop"
                call = ModelCall(node=place, usage=usage, finish_reason=reason)
                self._trace.calls.append(call)
            begin = stop
            if node.suffix and number < len(path) - 1:
                later = (i for i in range(begin, len(tokens)) if steps[i] != NOT_DRAWN)
                stop = next(later, begin)
                shown = ToolMessage(
                    tool_call_id=f"step-{node.id}", name="python", content=node.suffix
                )
                mask = [False] * (stop - begin)
                place = self.add(place, node.id, shown, list(tokens[begin:stop]), mask)
                begin = stop
        return place

    def record(self, tree: Tree) -> dict[str, Any]:
        """Return the record of a tree without what the messages say."""
        record = tree_to_record(tree)
        for node, row in zip(tree.nodes, record["nodes"], strict=True):
            # Exact, where a run folder rounds.
            row["logprobs"] = list(node.logprobs)
            if node.id == 0:
                continue
            messages = self._trace.nodes
            whole = [i for i in self.steps[node.id] if _drawn(messages[i]) == _told(node)]
            row["at"] = (whole or self.steps[node.id])[0]
            row["shown"] = self.shown.get(node.id)
            del row["step"]
            if row["shown"] is not None:
                del row["suffix"]
            if whole:
                del row["token_ids"], row["logprobs"]
        return record


def _drawn(message: MessageNode) -> tuple[list[int], list[float]]:
    ids = [one for one, mask in zip(message.token_ids, message.mask, strict=True) if mask]
    return ids, message.logprobs


def _told(node: Node) -> tuple[list[int], list[float]]:
    return list(node.token_ids), list(node.logprobs)


def _whole(row: dict[str, Any], messages: list[MessageNode]) -> dict[str, Any]:
    """Return the record of a node with what the messages say."""
    row = dict(row)
    if "at" not in row:
        return row
    step, shown = _at(messages, row.pop("at")), row.pop("shown")
    row["step"] = step.message.content
    if shown is not None:
        row["suffix"] = _at(messages, shown).message.content
    if "token_ids" not in row:
        ids, logprobs = _drawn(step)
        row["token_ids"] = ids
        # As the core keeps them.
        row["logprobs"] = list(
            struct.unpack(f"{len(logprobs)}f", struct.pack(f"{len(logprobs)}f", *logprobs))
        )
    return row


def _at(messages: list[MessageNode], place: int) -> MessageNode:
    if place < 0:
        raise IndexError(place)
    return messages[place]


def _credit(
    trace: Trace[Any, Any, Any], tree: Tree, credit: StepCredit, ends: dict[int, int]
) -> None:
    """Set the advantages of the steps.

    Args:
        trace: Rollout with all messages.
        tree: Tree.
        credit: Rule.
        ends: Place of the last message of each leaf of the tree.
    """
    values = TreeValues.of(tree)
    graded = list(values.rewards)
    of_step = {
        node.id: one
        for leaf, credits in zip(graded, step_credit(tree, graded, credit, values), strict=True)
        for node, one in zip(tree.path(leaf), credits, strict=True)
    }
    shares: defaultdict[int, float] = defaultdict(float)
    branches: Counter[int] = Counter()
    of_place: dict[int, int] = {}
    for leaf, end in ends.items():
        ids = [node.id for node in tree.path(leaf)]
        place: int | None = end
        while place is not None and trace.nodes[place].parent is not None:
            branches[place] += 1
            shares[place] += values.shares[leaf] if leaf in values.rewards else 0.0
            if trace.nodes[place].sampled:
                of_place[place] = ids.pop()
            place = trace.nodes[place].parent
    for place, node in of_place.items():
        message = trace.nodes[place]
        weight = shares[place] * len(ends) / branches[place]
        message.advantages = [weight * of_step.get(node, 0.0)] * sum(message.mask)
