"""Tokenizers with small chat templates, in the shapes that those of well-known models have."""

from typing import NamedTuple

from tiny_models import byte_tokenizer
from tokenizers import AddedToken, processors
from transformers import PreTrainedTokenizerFast


class Shape(NamedTuple):
    """A template and its tokens.

    Attributes:
        template: Template.
        specials: Special tokens.
        others: Added tokens that are not called special.
        tail: End of the prompt, behind the question.
        knows_system: Whether it has a system message.
    """

    template: str
    specials: tuple[str, ...]
    tail: str
    others: tuple[str, ...] = ()
    knows_system: bool = True


_ROLES = "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
_ALTERNATE = (
    "{%- for m in messages -%}"
    "{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('expected turns in turn') }}"
    "{%- endif -%}{%- endfor -%}"
)

SHAPES = {
    "qwen2.5": Shape(
        "{%- if tools -%}Answer in <tool_call></tool_call>.{%- endif -%}"
        "{%- if messages[0].role != 'system' -%}<|im_start|>system\nBe kind.<|im_end|>\n"
        "{%- endif -%}{%- for m in messages -%}" + _ROLES + "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>\n<|im_start|>assistant\n",
        ("<tool_call>", "</tool_call>"),
    ),
    "qwen3": Shape(
        "{%- set at = namespace(last=0) -%}{%- for m in messages -%}"
        "{%- if m.role == 'user' and not m.content.startswith('<tool_response>') -%}"
        "{%- set at.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
        "{%- for m in messages -%}"
        "{%- if m.role == 'assistant' -%}"
        "{%- set said = m.content.split('</think>')[-1].lstrip('\\n') -%}"
        "{{ '<|im_start|>assistant\\n' }}"
        "{%- if loop.index0 > at.last -%}{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif -%}"
        "{{ said + '<|im_end|>\\n' }}"
        "{%- else -%}" + _ROLES + "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false -%}"
        "{{ '<think>\\n\\n</think>\\n\\n' }}{%- endif -%}{%- endif -%}",
        ("<|im_start|>", "<|im_end|>"),
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        ("<think>", "</think>", "<tool_response>"),
    ),
    "llama3": Shape(
        "{{- bos_token -}}{%- for m in messages -%}"
        "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' }}"
        "{%- if m.role == 'system' -%}"
        "{{ 'Today Date: ' + strftime_now('%d %b %Y') + '\\n\\n' }}{%- endif -%}"
        "{{ (m.content | trim) + '<|eot_id|>' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}"
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}",
        ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "gemma2": Shape(
        "{{- bos_token -}}{%- if messages[0].role == 'system' -%}"
        "{{ raise_exception('no system message here') }}{%- endif -%}"
        + _ALTERNATE
        + "{%- for m in messages -%}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else 'user') + '\\n' }}"
        "{{ (m.content | trim) + '<end_of_turn>\\n' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}",
        ("<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>\n<start_of_turn>model\n",
        knows_system=False,
    ),
    "forgets the system message": Shape(
        "{{- bos_token -}}{%- for m in messages if m.role != 'system' -%}"
        "{{ '[INST]' + m.content + '[/INST]' if m.role == 'user' else m.content + eos_token }}"
        "{%- endfor -%}",
        ("[INST]", "[/INST]"),
        "[/INST]",
        knows_system=False,
    ),
    "mistral": Shape(
        "{%- if messages[0].role == 'system' -%}{%- set words = messages[0].content -%}"
        "{%- set messages = messages[1:] -%}{%- endif -%}" + _ALTERNATE + "{{- bos_token -}}"
        "{%- for m in messages -%}{%- if m.role == 'user' -%}"
        "{{ '[INST]' + (words + '\\n\\n' if loop.last and words is defined else '') }}"
        "{{ m.content + '[/INST]' }}"
        "{%- else -%}{{ m.content + eos_token }}{%- endif -%}{%- endfor -%}",
        ("[INST]", "[/INST]"),
        "[/INST]",
    ),
    "deepseek-r1": Shape(
        "{{- bos_token -}}{%- for m in messages -%}"
        "{%- if m.role == 'system' -%}{{ m.content }}"
        "{%- elif m.role == 'user' -%}{{ '<｜User｜>' + m.content }}"
        "{%- else -%}{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] }}"
        "{{ '<｜end▁of▁sentence｜>' }}{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<｜Assistant｜><think>\\n' }}{%- endif -%}",
        ("<｜end▁of▁sentence｜>",),
        "<｜Assistant｜><think>\n\n</think>\n\n",
        ("<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"),
    ),
    "gpt-oss": Shape(
        "<|start|>system<|message|>Current date: {{ strftime_now('%Y-%m-%d') }}<|end|>"
        "{%- for m in messages -%}"
        "{{ '<|start|>' + ('developer' if m.role == 'system' else m.role) }}"
        "{{ '<|channel|>final' if m.role == 'assistant' else '' }}"
        "{{ '<|message|>' + m.content + '<|end|>' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}<|start|>assistant{%- endif -%}",
        ("<|start|>", "<|message|>", "<|channel|>", "<|end|>"),
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "phi4": Shape(
        "{%- for m in messages -%}"
        "{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant<|im_sep|>' }}{%- endif -%}",
        ("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
        "<|im_end|><|im_start|>assistant<|im_sep|>",
    ),
    "phi4-mini": Shape(
        "{%- for m in messages -%}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{%- endfor -%}"
        "{{ '<|assistant|>' if add_generation_prompt else eos_token }}",
        ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|end|><|assistant|>",
    ),
}


def chat_tokenizer(name: str, *marks: str) -> PreTrainedTokenizerFast:
    """Return a byte tokenizer of a shape. It puts <bos> in front of other texts.

    Args:
        name: Name of the shape.
        marks: More special tokens.
    """
    shape = SHAPES[name]
    tokenizer = byte_tokenizer(["<bos>", *shape.specials, *marks])
    tokenizer.bos_token = "<bos>"
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in shape.others])
    begin = tokenizer.convert_tokens_to_ids("<bos>")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", begin)]
    )
    tokenizer.chat_template = shape.template
    return tokenizer
