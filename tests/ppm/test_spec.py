"""Process reward models of other kinds: the packed scorer against a plain forward of every text."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ppm_cases import REQUESTS, SIZES, make_policy, make_tokenizer, request_of
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2ForCausalLM
from trees import small_tree

from rstar_fast.errors import ScoreError
from rstar_fast.ppm import MATH_SHEPHERD, PPM, QWEN_MATH_PRM, SKYWORK_PRM, PackedScorer, ScoreSpec

WIDTH = int(SIZES["hidden_size"])
Read = Callable[[Tensor], Tensor]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Plain:
    """Probabilities of a text's steps by the whole model, read as its makers do."""

    def __init__(self, folder: Path, spec: ScoreSpec, probability: Read) -> None:
        self.folder, self.spec, self._probability = folder, spec, probability
        config = json.loads((folder / "config.json").read_text())
        kind: Any = LlamaForCausalLM if config["model_type"] == "llama" else Qwen2ForCausalLM
        self._model = kind.from_pretrained(folder)
        self._tokenizer = PPM.from_pretrained(folder, device="cpu", spec=spec).tokenizer

    def probabilities(self, question: str, steps: Sequence[str]) -> list[float]:
        bos = self._tokenizer.bos_token or ""
        ids = self._tokenizer(
            self.spec.prompt.replace("{bos}", bos).replace("{question}", question)
        ).input_ids
        marks = []
        for step in steps:
            ids += self._tokenizer(
                step.replace("\ud800", "\ufffd") + self.spec.mark, add_special_tokens=False
            ).input_ids
            marks.append(len(ids) - 1)
        with torch.no_grad():
            output = self._model(input_ids=torch.tensor([ids]), output_hidden_states=True)
            read = output.logits if self.spec.labels else output.hidden_states[-1]
            found: list[float] = self._probability(read[0, marks]).tolist()
        return found


def shrunk(folder: Path, head: dict[str, Tensor]) -> None:
    """Put a head into a causal model's checkpoint, in place of its own."""
    make_policy(folder)
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_0>"], "bos_token": "<bos>"})
    tokenizer.save_pretrained(folder)
    weights = Qwen2ForCausalLM.from_pretrained(folder).state_dict()
    kept = {key: value.clone() for key, value in weights.items() if not key.startswith("lm_head.")}
    save_file({**kept, **head}, folder / "model.safetensors", metadata={"format": "pt"})


def qwen_math_prm(folder: Path) -> Plain:
    torch.manual_seed(3)
    one, two, biases = torch.randn(WIDTH, WIDTH) / 4, torch.randn(2, WIDTH), torch.randn(WIDTH + 2)
    head = {
        "score.0.weight": one,
        "score.0.bias": biases[:WIDTH],
        "score.2.weight": two,
        "score.2.bias": biases[WIDTH:],
    }
    shrunk(folder, head)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps({**config, "architectures": ["Qwen2ForProcessRewardModel"]})
    )

    def probability(hidden: Tensor) -> Tensor:
        return (torch.relu(hidden @ one.T + biases[:WIDTH]) @ two.T + biases[WIDTH:]).softmax(-1)[
            :, 1
        ]

    return Plain(folder, QWEN_MATH_PRM, probability)


def skywork_prm(folder: Path) -> Plain:
    torch.manual_seed(4)
    weight, bias = torch.randn(1, WIDTH), torch.randn(1)
    shrunk(folder, {"v_head.summary.weight": weight, "v_head.summary.bias": bias})
    return Plain(folder, SKYWORK_PRM, lambda hidden: torch.sigmoid(hidden @ weight[0] + bias))


def math_shepherd(folder: Path, tied: bool) -> Plain:
    """A causal model as it is, in several files."""
    torch.manual_seed(5)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).save_pretrained(
        folder, max_shard_size="30KB"
    )
    assert (folder / "model.safetensors.index.json").exists()
    wrong, right = (tokenizer(label).input_ids[0] for label in "-+")
    return Plain(folder, MATH_SHEPHERD, lambda logits: logits[:, [right, wrong]].softmax(-1)[:, 0])


KINDS: dict[str, Callable[[Path], Plain]] = {
    "qwen": qwen_math_prm,
    "skywork": skywork_prm,
    "shepherd": lambda folder: math_shepherd(folder, tied=False),
    "shepherd, tied": lambda folder: math_shepherd(folder, tied=True),
}


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return KINDS[request.param](tmp_path_factory.mktemp("prm"))


AGGREGATES: dict[str, Callable[[list[float]], float]] = {
    "last": lambda values: values[-1],
    "min": min,
    "mean": lambda values: sum(values) / len(values),
    "product": math.prod,
}


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_scores_are_those_of_its_makers(plain: Plain, aggregate: Any) -> None:
    spec = replace(plain.spec, aggregate=aggregate)
    scorer = PackedScorer(
        PPM.from_pretrained(plain.folder, device="cpu", spec=spec),
        batch_tokens=150,
        cache_bytes=100_000,
    )
    spread = []
    # The second time ancestors are known already.
    for request, found in [
        *zip(REQUESTS, scorer.score(REQUESTS), strict=True),
        (REQUESTS[2], *scorer.score(REQUESTS[2:3])),
    ]:
        assert found.error is None
        for child, score in zip(request.children, found.values, strict=True):
            steps = [*(segment.text for segment in request.path), child]
            expected = AGGREGATES[aggregate](plain.probabilities(request.question, steps))
            assert (1 + score) / 2 == pytest.approx(expected, abs=1e-5)
            spread.append(score)
    assert np.std(spread) > 1e-2


def test_whole_trees(plain: Plain) -> None:
    tree = small_tree()
    ppm = PPM.from_pretrained(plain.folder, device="cpu", spec=replace(plain.spec, aggregate="min"))
    (found,) = PackedScorer(ppm).score_trees([tree])
    for node in tree.nodes[1:]:
        steps, at = [], node
        while at.id:
            steps.insert(0, at.text)
            at = tree.nodes[at.parent]
        expected = min(plain.probabilities(tree.problem.question, steps))
        assert (1 + found.values[node.id]) / 2 == pytest.approx(expected, abs=1e-5)


def test_our_own_ppm_can_be_aggregated(tmp_path: Path) -> None:
    ppm = PPM.from_policy(make_policy(tmp_path), device="cpu")
    ppm.save_pretrained(tmp_path / "ppm")
    last = PackedScorer(PPM.from_pretrained(tmp_path / "ppm", device="cpu"))
    steps = [
        last.score([request_of(0, "q", ["a", "b"][:i], ["a", "b", "c"][i])])[0].values[0]
        for i in range(3)
    ]
    least = PackedScorer(
        PPM.from_pretrained(tmp_path / "ppm", device="cpu", spec=ScoreSpec(aggregate="min"))
    )
    assert least.score([request_of(0, "q", ["a", "b"], "c")])[0].values[0] == pytest.approx(
        min(steps), abs=1e-6
    )


def test_it_is_not_saved_without_its_spec(plain: Plain, tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="expected a PPM with the default ScoreSpec to save"):
        PPM.from_pretrained(plain.folder, device="cpu", spec=plain.spec).save_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("head", "spec", "says"),
    [
        (
            {"score.weight": torch.zeros(3, WIDTH)},
            QWEN_MATH_PRM,
            "score: expected one output, or two for wrong and right, got 3",
        ),
        (
            {"score.weight": torch.zeros(2, 8)},
            QWEN_MATH_PRM,
            f"expected a head of {WIDTH} columns; got weight",
        ),
        (
            {"score.1.weight": torch.zeros(2, WIDTH)},
            QWEN_MATH_PRM,
            "expected weight and bias of one layer, or of 0 and 2",
        ),
        ({}, SKYWORK_PRM, "v_head.summary: expected weight and bias of one layer.*got nothing"),
        (
            {"lm_head.weight": torch.zeros(270, WIDTH)},
            replace(MATH_SHEPHERD, labels=("no", "+")),
            "labels: expected a token below",
        ),
    ],
)
def test_other_heads_are_refused(
    tmp_path: Path, head: dict[str, Tensor], spec: ScoreSpec, says: str
) -> None:
    shrunk(tmp_path, head)
    with pytest.raises(ScoreError, match=says) as caught:
        PPM.from_pretrained(tmp_path, device="cpu", spec=spec)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt": "no place"}, "prompt: expected a text with {question} in it, got 'no place'"),
        ({"aggregate": "max"}, "aggregate: expected one of last, min, mean, product, got 'max'"),
        ({"labels": ("-", "+")}, "labels: expected `weights`"),
    ],
)
def test_other_specs_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(ScoreError, match=says):
        ScoreSpec(**options)
