"""A plug-in of `verifiers`: problems as tasks, each rollout a search.

    PYTHONPATH=examples vf-eval rstar_search --env.taskset.problems problems.jsonl \
        --env.agent.harness.tokenizer policy --client.base_url http://127.0.0.1:8000/v1 -m policy
"""

from rstar_fast.trainers.search_harness import ProblemTaskset, SearchHarness

__all__ = ["ProblemTaskset", "SearchHarness"]
