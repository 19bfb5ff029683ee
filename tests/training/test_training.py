"""Training on tiny models: what is learnt, what is left out, and that the same arguments give the same weights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from evolve_trees import GOLDEN, PROBLEM, make_tree
from tiny_models import answers, byte_tokenizer, request, tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from rstar_fast.data import PairGroup, pair_group_row, pair_groups, sft_rows, trajectory_rows
from rstar_fast.errors import ConfigError, DataError, PolicyError, StoreError, TrainError
from rstar_fast.policy import Sampling, TransformersPolicy
from rstar_fast.ppm import PPM
from rstar_fast.ppm.packed_model import PackedModel
from rstar_fast.ppm.texts import Texts
from rstar_fast.prompts import finetuned_prompt
from rstar_fast.steps import MARKS
from rstar_fast.training import TrainConfig
from rstar_fast.training.marks import add_marks
from rstar_fast.training.objectives import num_groups, objective_loss
from rstar_fast.training.pair_accuracy import likelihood_accuracy, pair_accuracy
from rstar_fast.training.token_trees import Objective, pack_trees, pair_trees, target_trees
from rstar_fast.training.train_policy import tokenized, train_policy
from rstar_fast.training.train_ppm import train_ppm
from rstar_fast.tree import Tree

pytest.importorskip("trl")

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 2, "precision": "float32", "max_length": 256}
SOLUTION = "<code>\nprint(5)\n<end_of_code>"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokenizer has no marks."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = byte_tokenizer()
    tiny_model("llama", tokenizer, spread=0.05).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def row(completion: str, question: str = "How many?") -> dict[str, str]:
    return {"prompt": finetuned_prompt(question), "completion": completion}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32
    ).state_dict()
    return state


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_policy_learns_its_solution_and_stops(base: Path, tmp_path: Path, precision: str) -> None:
    config = TrainConfig.preset(
        "cpu-policy", epochs=60, learning_rate=1e-2, precision=precision, batch_size=2
    )
    before = weights(base)
    report = train_policy(base, [row(SOLUTION), row(SOLUTION)], tmp_path / "out", config)
    assert (report.rows, report.too_long, report.steps, report.new_marks) == (2, 0, 60, MARKS)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert [len(tokenizer(mark).input_ids) for mark in MARKS] == [1] * len(MARKS)
    assert set(MARKS) <= set(tokenizer.all_special_tokens)
    policy = TransformersPolicy(tmp_path / "out", device="cpu")
    greedy = Sampling(temperature=0.0, max_tokens=40)
    (expansion,) = answers(policy, [request(0, sampling=greedy)]).values()
    assert [(one.text, one.finish) for one in expansion.candidates] == [(SOLUTION, "mark")]
    after = weights(base)
    assert all(torch.equal(before[name], after[name]) for name in before), (
        "the base stays as it was"
    )


def test_the_same_arguments_give_the_same_policy(base: Path, tmp_path: Path) -> None:
    rows = [row(SOLUTION, f"question {'x' * i}") for i in range(6)]
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        train_policy(
            base, rows, tmp_path / name, TrainConfig(**QUICK, learning_rate=1e-3, seed=seed)
        )
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


def test_the_loss_is_the_mean_over_completion_tokens_however_it_is_cut(
    base: Path, tmp_path: Path
) -> None:
    rows = [row(SOLUTION * (1 + i), f"question {'x' * i}") for i in range(4)]
    fixed: dict[str, Any] = {**QUICK, "batch_size": 4, "max_length": 512}
    reports = [
        train_policy(
            base,
            rows,
            tmp_path / name,
            TrainConfig(**fixed, micro_batch_tokens=tokens, learning_rate=1e-3),
        )
        for name, tokens in (("whole", 4096), ("cut", 1))
    ]
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    add_marks(model, tokenizer)
    losses = []
    for one in tokenized(tokenizer, rows):
        logits = model(torch.tensor([one["input_ids"]])).logits[0, :-1].detach()
        losses.append(
            torch.nn.functional.cross_entropy(
                logits, torch.tensor(one["labels"][1:]), reduction="none"
            )
        )
    told = torch.cat(losses)
    told = told[told > 0]
    for report in reports:
        assert report.steps == 1
        assert report.loss == pytest.approx(told.mean().item(), rel=1e-4)
    whole, cut = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.allclose(whole[name], cut[name], atol=2e-4) for name in whole)


def test_a_full_disk_is_told(
    base: Path, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", full)
    with pytest.raises(StoreError, match=r"out: could not write the model: .*No space left"):
        train_policy(base, [row(SOLUTION)], tmp_path / "out", TrainConfig(**QUICK))
    with pytest.raises(StoreError, match=r"ppm: could not write the model: .*No space left"):
        train_ppm(policy, pair_data()[1], tmp_path / "ppm", TrainConfig(**QUICK))


def test_only_completions_are_learnt_behind_the_prompts_own_tokens() -> None:
    tokenizer = byte_tokenizer(MARKS, merges=[("a", "b")])
    (one,) = tokenized(tokenizer, [{"prompt": "a", "completion": "b<end_of_step>"}])
    ids = [
        tokenizer.convert_tokens_to_ids(token)
        for token in ("a", "b", "<end_of_step>", tokenizer.eos_token)
    ]
    assert one == {"input_ids": ids, "labels": [-100, *ids[1:]]}
    assert tokenized(tokenizer, []) == []


def test_long_rows_are_left_out_and_counted(base: Path, tmp_path: Path) -> None:
    rows = [row(SOLUTION), row(SOLUTION * 20)]
    report = train_policy(base, rows, tmp_path / "out", TrainConfig(**QUICK))
    assert (report.rows, report.too_long) == (1, 1)
    with pytest.raises(TrainError, match="at most 16 tokens"):
        train_policy(base, rows, tmp_path / "none", TrainConfig(**{**QUICK, "max_length": 16}))
    assert not (tmp_path / "none").exists()
    with pytest.raises(PolicyError, match=r"no config\.json"):
        train_policy(tmp_path, rows, tmp_path / "none", TrainConfig(**QUICK))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_adapters_are_merged(tmp_path: Path, tied: bool, precision: str) -> None:
    pytest.importorskip("peft")
    base, tokenizer = tmp_path / "base", byte_tokenizer()
    tiny_model("llama", tokenizer, spread=0.05, tie_word_embeddings=tied).save_pretrained(base)
    tokenizer.save_pretrained(base)
    config = TrainConfig(
        **{**QUICK, "epochs": 40, "precision": precision}, learning_rate=2e-2, lora_rank=4
    )
    train_policy(base, [row(SOLUTION)], tmp_path / "out", config)
    before, after = weights(base), weights(tmp_path / "out")
    assert set(after) == set(before)
    assert sorted(
        path.name for path in (tmp_path / "out").iterdir() if path.suffix == ".safetensors"
    ) == ["model.safetensors"]
    changed = [
        name
        for name in before
        if after[name].shape != before[name].shape
        or not torch.allclose(after[name], before[name], atol=1e-2)
    ]
    assert any("q_proj" in name for name in changed)
    assert not any("norm" in name for name in changed)
    rounded = (
        before["model.embed_tokens.weight"]
        .to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
        .float()
    )
    assert torch.equal(after["model.embed_tokens.weight"][: len(rounded)], rounded), (
        "of the embeddings only the marks' are trained"
    )
    (mark,) = AutoTokenizer.from_pretrained(tmp_path / "out")("<end_of_code>").input_ids
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        spelt = before[name][tokenizer("<end_of_code>").input_ids].mean(0)
        assert (after[name][mark] - spelt).abs().max() > 1e-2


def test_new_marks_begin_as_the_mean_of_what_spelt_them(base: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(base)
    tokenizer: Any = AutoTokenizer.from_pretrained(base)
    spelt = tokenizer("<code>").input_ids
    old = model.get_input_embeddings().weight.detach().clone()
    assert add_marks(model, tokenizer) == list(MARKS)
    (token,) = tokenizer("<code>").input_ids
    assert torch.allclose(model.get_input_embeddings().weight[token], old[spelt].mean(0))
    assert torch.allclose(
        model.get_output_embeddings().weight[token], model.get_input_embeddings().weight[token]
    ) == bool(model.config.tie_word_embeddings)
    assert add_marks(model, tokenizer) == []
    assert len(tokenizer) == model.get_input_embeddings().num_embeddings


# -- PPM --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def policy(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    train_policy(base, [row(SOLUTION)], folder, TrainConfig(**QUICK))
    return folder


def plain_values(ppm: PPM, group: PairGroup, side: tuple[tuple[str, ...], ...]) -> torch.Tensor:
    """Values of a group's texts, each text by a forward of its own."""
    texts = Texts(ppm, None)
    found = []
    for steps in side:
        ids = [
            token
            for piece in texts.pieces(group.problem.question, (*group.prefix, *steps))
            for token in piece
        ]
        found.append(ppm.forward(torch.tensor([ids]), torch.tensor([len(ids) - 1])))
    return torch.cat(found)


def test_the_packed_loss_is_the_papers(policy: Path) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    groups = pair_groups(GOLDEN)
    trees, left_out = pair_trees(groups, Texts(ppm, None))
    assert left_out == 0
    assert len(trees) == 1
    packed = pack_trees(trees)
    expected = torch.zeros((), dtype=torch.float64)
    for group in groups:
        chosen, rejected = (
            plain_values(ppm, group, group.chosen),
            plain_values(ppm, group, group.rejected),
        )
        for i, j in group.pairs:
            expected -= torch.nn.functional.logsigmoid(chosen[i] - rejected[j]) / (
                len(chosen) * len(rejected)
            )
    loss = objective_loss(PackedModel(ppm).values(packed.packed), packed, "ppm")
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    assert num_groups(packed) == pytest.approx(0.75 + 1 + 1)
    # The prompt and the nodes on the way to a picked one, each once: nobody picked C1's sibling answers twice.
    texts = Texts(ppm, None)
    all_steps = {
        (*group.prefix, *one)
        for group in groups
        for side in (group.chosen, group.rejected)
        for one in side
    }
    prefixes = {steps[: i + 1] for steps in all_steps for i in range(len(steps))}
    distinct = sum(len(texts.pieces("How many?", steps)[-1]) for steps in prefixes)
    assert trees[0].num_tokens == distinct + len(texts.pieces("How many?", ())[0])


def test_the_losses_it_is_compared_with(policy: Path) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    rows = trajectory_rows([GOLDEN])
    texts, model = Texts(ppm, None), PackedModel(ppm)

    def value(steps: list[str]) -> torch.Tensor:
        ids = [token for piece in texts.pieces("How many?", steps) for token in piece]
        return ppm.forward(torch.tensor([ids]), torch.tensor([len(ids) - 1]))[0]

    trees, _ = target_trees(rows, texts, "orm")
    packed = pack_trees(trees)
    outcomes = [
        torch.nn.functional.logsigmoid(value(one["steps"]) * (1 if one["correct"] else -1))
        for one in rows
    ]
    loss = objective_loss(model.values(packed.packed), packed, "orm")
    assert loss.item() == pytest.approx(-sum(outcomes).item(), abs=1e-6)
    assert num_groups(packed) == 6
    trees, _ = target_trees(rows, texts, "pqm")
    packed = pack_trees(trees)
    steps = {tuple(one["steps"][: i + 1]): q for one in rows for i, q in enumerate(one["qs"])}
    errors = [(torch.tanh(value(list(path))) - q) ** 2 for path, q in steps.items()]
    loss = objective_loss(model.values(packed.packed), packed, "pqm")
    assert loss.item() == pytest.approx(sum(errors).item(), abs=1e-6)
    assert num_groups(packed) == len(steps) == 15


def with_logprobs() -> Tree:
    """The golden tree as a policy wrote it that tells log-probabilities."""
    tree = Tree(GOLDEN.problem, [replace(node) for node in GOLDEN.nodes], GOLDEN.seed)
    for node in tree.nodes[1:]:
        node.logprobs = (-0.5, -0.25 * node.id**0.5)
    return tree


@pytest.mark.parametrize("objective", ["ppm", "orm", "pqm"])
def test_the_likelihood_moves_the_values_that_are_compared(
    policy: Path, objective: Objective
) -> None:
    ppm = PPM.from_policy(policy, device="cpu", dtype=torch.float64, seed=3)
    texts, tree = Texts(ppm, None), with_logprobs()
    rows = trajectory_rows([tree])
    trees, _ = (
        pair_trees(pair_groups(tree), texts)
        if objective == "ppm"
        else target_trees(rows, texts, objective)
    )
    packed = pack_trees(trees)
    values = PackedModel(ppm).values(packed.packed).detach()
    moved = objective_loss(values, packed, objective, likelihood=0.5)
    # The same by hand: every node's value plus half of the log-probability of its path.
    by_pieces = {
        tuple(texts.pieces(tree.problem.question, [step.text for step in tree.path(node.id)])): sum(
            sum(step.logprobs) for step in tree.path(node.id)
        )
        for node in tree.nodes
    }
    paths = []
    for place in range(len(trees[0].parents)):
        chain, node = [], place
        while node >= 0:
            chain.append(trees[0].tokens[node])
            node = trees[0].parents[node]
        paths.append(by_pieces[tuple(chain[::-1])])
    by_hand = objective_loss(
        values + 0.5 * torch.tensor(paths, dtype=torch.float64), packed, objective
    )
    assert moved.item() == pytest.approx(by_hand.item(), abs=1e-6)
    assert abs(moved.item() - objective_loss(values, packed, objective).item()) > 1e-3


def test_a_likelihood_is_kept_with_the_ppm_and_must_be_known(policy: Path, tmp_path: Path) -> None:
    tree = with_logprobs()
    groups = pair_groups(tree)
    config = TrainConfig.preset("cpu-ppm", epochs=1, likelihood=1000.0)
    train_ppm(policy, [pair_group_row(group) for group in groups], tmp_path / "ppm", config)
    ppm = PPM.from_pretrained(tmp_path / "ppm", device="cpu")
    assert ppm.likelihood == 1000.0
    assert pair_accuracy(ppm, groups).right == likelihood_accuracy(groups).right, (
        "so much weight leaves nothing to the head"
    )
    with pytest.raises(DataError, match="log-probability of every step"):
        train_ppm(policy, pair_data()[1], tmp_path / "none", config)


def pair_data() -> tuple[list[PairGroup], list[dict[str, Any]]]:
    groups = pair_groups(GOLDEN)
    return groups, [pair_group_row(group) for group in groups]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_ppm_learns_its_pairs(policy: Path, tmp_path: Path, precision: str) -> None:
    groups, rows = pair_data()
    config = TrainConfig.preset("cpu-ppm", epochs=30, learning_rate=5e-3, precision=precision)
    report = train_ppm(policy, rows, tmp_path / "ppm", config)
    assert (report.problems, report.examples, report.too_long, report.steps) == (1, 9, 0, 30)
    ppm = PPM.from_pretrained(tmp_path / "ppm", device="cpu")
    assert ppm.scale == 5.0
    found = pair_accuracy(ppm, groups)
    assert (found.pairs, found.accuracy, found.left_out) == (9, 1.0, 0)
    fresh = PPM.from_policy(policy, device="cpu")
    assert pair_accuracy(fresh, groups).pairs == 9


def test_the_models_it_is_compared_with_learn_too(policy: Path, tmp_path: Path) -> None:
    groups, _ = pair_data()
    rows = trajectory_rows([GOLDEN])
    config = TrainConfig.preset("cpu-ppm", epochs=60, learning_rate=5e-3)
    for objective, scale in (("orm", 2.0), ("pqm", 1.0)):
        report = train_ppm(policy, rows, tmp_path / objective, config, objective)  # type: ignore[arg-type]
        assert report.examples == (6 if objective == "orm" else 15)
        ppm = PPM.from_pretrained(tmp_path / objective, device="cpu")
        assert ppm.scale == scale
        outcomes = [group for group in groups if group.kind == "trajectory"]
        assert pair_accuracy(ppm, outcomes).accuracy == 1.0


def test_the_same_arguments_give_the_same_ppm(policy: Path, tmp_path: Path) -> None:
    _, rows = pair_data()
    other = [{**one, "id": "q", "question": "How much?"} for one in rows]
    for name, micro in (("a", 4096), ("b", 4096), ("c", 1)):
        config = TrainConfig.preset("cpu-ppm", epochs=2, micro_batch_tokens=micro, max_length=256)
        report = train_ppm(policy, [*rows, *other], tmp_path / name, config)
        assert (report.problems, report.steps) == (2, 2)
    a, b, c = (
        PPM.from_pretrained(tmp_path / name, device="cpu").model.state_dict() for name in "abc"
    )
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert all(torch.allclose(a[name], c[name], atol=1e-4) for name in a), (
        "as many forwards as needed change nothing"
    )


def test_what_is_too_long_or_malformed(policy: Path, tmp_path: Path) -> None:
    _, rows = pair_data()
    length = len(Texts(PPM.from_policy(policy, device="cpu"), None).pieces("How many?", ())[0]) + 6
    report = train_ppm(
        policy, rows, tmp_path / "short", TrainConfig(**{**QUICK, "max_length": length})
    )
    assert (report.examples, report.too_long) == (5, 4), (
        "the whole solutions are too long, their steps are not"
    )
    with pytest.raises(TrainError, match="at most 3 tokens"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**{**QUICK, "max_length": 3}))
    with pytest.raises(DataError, match="got none"):
        train_ppm(policy, [], tmp_path / "none", TrainConfig(**QUICK))
    with pytest.raises(DataError, match="row of preference pairs"):
        train_ppm(policy, trajectory_rows([GOLDEN]), tmp_path / "none", TrainConfig(**QUICK))
    with pytest.raises(DataError, match="row of a trajectory"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**QUICK), "orm")
    with pytest.raises(ConfigError, match="objective"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig(**QUICK), "prm")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="precision"):
        train_ppm(policy, rows, tmp_path / "none", TrainConfig.preset("paper-policy"))


def test_likelihood_is_compared_where_it_is_known() -> None:
    tree = make_tree(
        ("a ", 0.5, ("x", 1.0, True)),
        ("b ", -0.5, ("y", -1.0, False)),
        ("c ", -0.4, ("z", -1.0, False)),
    )
    for node in tree.nodes:
        node.logprobs = {"a ": (-1.0,), "b ": (-2.0, -2.0), "x": (-1.0,)}.get(node.text, ())
    found = likelihood_accuracy(pair_groups(tree))
    assert (found.pairs, found.accuracy, found.left_out) == (1, 1.0, 3)
    with pytest.raises(DataError, match="got none; 9 were left out"):
        likelihood_accuracy(pair_groups(GOLDEN))


def test_training_options_are_checked() -> None:
    assert TrainConfig.from_dict(TrainConfig.preset("paper-ppm").to_dict()) == TrainConfig.preset(
        "paper-ppm"
    )
    paper = TrainConfig.preset("paper-policy")
    assert (
        paper.epochs,
        paper.batch_size,
        paper.max_length,
        paper.learning_rate,
        paper.schedule,
    ) == (2, 128, 4096, 7e-6, "linear")
    for options, error in (
        ({"epochs": 0}, "epochs"),
        ({"precision": "float16"}, "precision"),
        ({"learning_rate": 0.0}, "learning_rate above 0"),
        ({"warmup": 1.0}, "warmup below 1"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"likelihood": -1.0}, "likelihood"),
        ({"lr": 1.0}, "unknown option 'lr'"),
    ):
        with pytest.raises(ConfigError, match=error):
            TrainConfig.from_dict(options)
    with pytest.raises(ConfigError, match="presets: paper-policy"):
        TrainConfig.preset("paper")


def test_data_of_a_tree_are_what_is_trained_on(base: Path, tmp_path: Path) -> None:
    rows = sft_rows([GOLDEN])
    assert train_policy(base, rows, tmp_path / "out", TrainConfig(**QUICK)).rows == 2
    assert PROBLEM.question in rows[0]["prompt"]
