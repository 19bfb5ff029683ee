"""Search with an engine of your own. Needs neither torch nor transformers.

Run it by `python examples/own_engine.py`.
"""

from rstar_fast import Failure, FunctionPolicy, Problem, SearchConfig, Searcher
from rstar_fast.policy import ExpandRequest

FORMULAS = {"6 rows of 7": ["6 + 7", "6 * 7"], "shared by 4": ["20 * 4", "20 // 4"]}


class ScriptedEngine:
    """Stands in for your server. It completes a text in up to `n` ways and stops behind a mark.

    Ask a real server to keep the stop string in its text, and for n samples of one prompt.
    """

    def complete(self, prompt: str, stop: tuple[str, ...], n: int) -> list[str]:
        if "<end_of_output>" in prompt:
            output = prompt.rpartition("<output>")[2].partition("<end_of_output>")[0]
            return [rf"<answer>The answer is $\boxed{{{output}}}$.<end_of_answer>"]
        formulas = [FORMULAS[words] for words in FORMULAS if words in prompt]
        if not formulas:
            raise LookupError("nobody wrote a script for it")
        return [f"<code>\nprint({formula})\n<end_of_code>" for formula in formulas[0]][:n]


def main() -> None:
    engine = ScriptedEngine()

    async def write_steps(request: ExpandRequest) -> list[str]:
        """Return the candidates of a request. Many such calls are under way at once."""
        # Here you would await an HTTP client. Raise `errors.TransientError` for what will pass.
        texts = engine.complete(request.text, stop=request.sampling.stop, n=request.num_candidates)
        return [request.lead + text for text in texts]

    problems = [
        Problem("eggs", "A tray has 6 rows of 7 eggs. How many eggs?", ("42",)),
        Problem("plums", "20 plums are shared by 4 friends. How many has each?", ("5",)),
        Problem("strange", "Nobody wrote a script for this one.", ("1",)),
    ]
    # Without a PPM the known answers tell the search which trajectories are good.
    config = SearchConfig.preset(
        "fast", use_scores=False, annotate_terminals_with_ground_truth=True
    )
    with Searcher(FunctionPolicy(write_steps, batch=None), config) as searcher:
        for ended in searcher.search(problems):
            if isinstance(ended, Failure):
                # One problem failed. The others go on.
                print(ended.problem.id, "failed:", ended.error_type, "-", ended.reason)
                continue
            best = ended.best()
            print(ended.problem.id, "solved" if ended.solved else "not solved", end=", ")
            print(f"best answer {best.answer if best else 'none'}, {len(ended.nodes) - 1} steps")


if __name__ == "__main__":
    main()
