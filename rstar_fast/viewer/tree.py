"""Views of one tree: all of it, one of its solutions, or its problem."""

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree as RichTree

from rstar_fast.steps import MARKS
from rstar_fast.terminal_text import clean, counted, one_line
from rstar_fast.tree import Node, Tree, children_of

MAX_LINE = 160
MAX_ANSWER = 40

_DEAD_ENDS = {
    "errors": "too many code errors",
    "depth": "too many steps",
    "stuck": "can't go on",
    "budget": "cut for want of tokens",
}
_ENDED = {
    "rollouts": "all rollouts made",
    "paths": "all paths ended",
    "exhausted": "nothing left to select",
    "budget": "its tokens spent",
    "sure": "sure enough of its answer",
    "settled": "no other answer able to win",
    "price": "too little to gain",
}


def tree_view(tree: Tree, max_depth: int | None = None) -> RenderableType:
    """Return a view of the problem, the outcome and every node.

    The line of a node has its statistics, how it ended, and the first line of its step.

    Args:
        tree: Tree to show.
        max_depth: Number of levels of steps that are shown. None shows all.
    """
    best = tree.best()
    chosen = {node.id for node in tree.path(best.id)} if best else set()
    children = children_of(tree.nodes)
    num_below = [0] * len(tree.nodes)
    for node in reversed(tree.nodes[1:]):
        num_below[node.parent] += 1 + num_below[node.id]

    root = RichTree(Text(f"root  N {tree.nodes[0].visits}"), guide_style="dim")
    drawn = {0: root}
    for node in tree.nodes[1:]:
        parent = drawn.get(node.parent)
        if parent is None:
            continue
        if max_depth is not None and node.depth > max_depth:
            if node is children[node.parent][0]:
                parent.add(_line(f"… {counted(num_below[node.parent], 'node')} below", "dim"))
            continue
        drawn[node.id] = parent.add(_node_view(node, node.id in chosen))
    legend = "Q mean value   N visits   ppm score   * on the way to the chosen answer"
    return Group(problem_view(tree), Text(""), Text(legend, "dim"), root)


def trajectory_view(tree: Tree, node: int) -> RenderableType:
    """Return a view of the solution up to a node, as text, and of how it ended.

    Args:
        tree: The tree.
        node: Id of the node.
    """
    end = tree.nodes[node]
    outcome = _outcome(end).plain if end.end else "not finished"
    return Group(
        Text(clean(tree.text(node)).strip("\n")), Text(""), Text(f"node {node}: {outcome}")
    )


def problem_view(tree: Tree) -> RenderableType:
    """Return a view of the problem and of how its search went."""
    problem = tree.problem
    best, finals = tree.best(), tree.finals()
    header = Text(f"problem {clean(problem.key)}\n{clean(problem.question).strip()}\n\n")
    expected = ", ".join(one_line(answer, MAX_ANSWER) for answer in problem.answers)
    header.append(f"expected  {expected or 'not known'}\n")
    header.append("chosen    ")
    header.append(_outcome(best) if best else Text("no answer was found"))
    answers = counted(len(finals), "answer")
    if problem.answers:
        answers += f" ({sum(node.correct is True for node in finals)} correct)"
    tokens = counted(tree.counts.get("generated_tokens", 0), "token")
    seconds = f"{tree.timings.get('total', 0.0):.1f} s"
    nodes = counted(len(tree.nodes) - 1, "node")
    header.append(f"\nsearched  {nodes}, {answers}, {tokens}, {seconds}")
    if tree.ended:
        header.append(f"\nended     {_ENDED[tree.ended]}")
    if tree.sure is not None:
        header.append(f"\nsure      {tree.sure:.1%} that the leading answer stays the leader")
    return header


def _node_view(node: Node, chosen: bool) -> RenderableType:
    line = _line(f"{node.id}{'*' if chosen else ''}", "bold" if chosen else "")
    line.append(f"  Q {node.q:+.2f}  N {node.visits}", "cyan")
    if node.score is not None:
        line.append(f"  ppm {node.score:+.2f}", "magenta")
    line.append("  ")
    if node.end:
        line.append(_outcome(node))
        line.append("  ")
    line.append(_first_line(node.step), "bold" if chosen else "")
    if not node.observation:
        return line
    style = "dim" if node.status == "ok" else "yellow"
    status = one_line(node.status, MAX_ANSWER)
    return Group(line, _line(f"   {status}: {one_line(node.observation, MAX_LINE)}", style))


def _outcome(node: Node) -> Text:
    if node.end != "answer":
        return Text(_DEAD_ENDS.get(node.end, ""), "yellow")
    words = {True: ("correct", "green"), False: ("wrong", "red"), None: ("not graded", "")}
    word, style = ("unsure", "yellow") if node.unsure else words[node.correct]
    return Text(f"answer {one_line(node.answer, MAX_ANSWER) or '(none)'}, {word}", style)


def _first_line(step: str) -> str:
    for mark in MARKS:
        step = step.replace(mark, " ")
    lines = step.strip().split("\n")
    return one_line(lines[0], MAX_LINE) or "(empty step)"


def _line(text: str, style: str) -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis")
