"""Folders of Qwen2 and Llama models as GGUF files, which llama.cpp reads."""

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors.torch import load_file

_PRETOKENIZERS = {"qwen2": "qwen2", "llama": "smollm"}
"""How llama.cpp splits text, by the kind of the model. Prompts of token ids do without."""
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
_OF_LAYER = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def write_gguf(folder: Path, file: Path) -> None:
    """Write the model of a folder, with tied embeddings and a byte-level BPE tokenizer."""
    config = json.loads((folder / "config.json").read_text())
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    architecture = config["model_type"]
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    writer = gguf.GGUFWriter(str(file), architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    _add_tokens(writer, config, tokenizer)
    for name, weights in load_file(folder / "model.safetensors").items():
        tensor = weights.float().numpy()
        module, kind = name.rsplit(".", 1)
        if module not in _WHOLE:
            _, _, layer, part = module.split(".", 3)
            if architecture == "llama" and (projection := part.rpartition(".")[2]) in heads:
                tensor = _paired(tensor, heads[projection])
            module = f"blk.{layer}.{_OF_LAYER[part]}"
        writer.add_tensor(f"{_WHOLE.get(module, module)}.{kind}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _paired(rows: np.ndarray, heads: int) -> np.ndarray:
    """Return the rows of queries or keys in the order of llama.cpp's Llama.

    It rotates neighbours, where transformers rotates the halves of a head.
    """
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def _add_tokens(writer: gguf.GGUFWriter, config: dict, tokenizer: dict) -> None:  # type: ignore[type-arg]
    count = config["vocab_size"]
    tokens = [f"[unused {i}]" for i in range(count)]
    kinds = [gguf.TokenType.UNUSED] * count
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], kinds[i] = token, gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], kinds[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_PRETOKENIZERS[config["model_type"]])
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    pairs = tokenizer["model"]["merges"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in pairs]
    # There has to be a merge. This one is of bytes that no text has.
    writer.add_token_merges(merges or ["\u0142 \u0143"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(False)
