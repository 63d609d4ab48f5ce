"""Students as people bring them: each is right, or one clear line before a teacher is paid."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    BloomForCausalLM,
    Gemma3Config,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from ded_ray.errors import BadInput
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.generate.preflight import check_model
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.models.sampling import Row
from ded_ray.recipe import Chat, Student, Train
from ded_ray.train.export import write_generation_config
from ded_ray.train.preflight import check_student, longest_sequence, takes_positions

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def folder(tmp_path) -> Path:
    """An untied Llama with the tiny student's tokenizer, which may be damaged."""
    torch.manual_seed(0)
    tokenizer = ChatTokenizer("tiny/student").tokenizer
    tokenizer.save_pretrained(tmp_path)
    config = LlamaConfig(vocab_size=len(tokenizer), tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id, **SMALL)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    return tmp_path


def refused(folder: Path, match: str, **train) -> None:
    with pytest.raises(BadInput, match=match) as raised:
        check_student(Student(model=str(folder)), Train(**train))
    assert "\n" not in str(raised.value)


def test_what_can_be_trained_passes(folder):
    check_student(Student(model=str(folder)), Train())
    check_student(Student(model="tiny/student"), Train(max_length=256))


def test_weights_that_are_not_there_or_cut_off(folder):
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(folder, "cannot be trained: its weights cannot be read")
    file.unlink()
    refused(folder, r"its folder has no weights \(\*.safetensors\)")


def test_a_head_that_is_missing_would_be_random(folder):
    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "its files lack lm_head.weight, which would be random")
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    check_student(Student(model=str(folder)), Train())


def test_shapes_that_are_not_the_configurations(folder):
    config = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 96}
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "mlp.gate_proj.weight is .64, 32. in its files and .96, 32. by its configuration")


def test_tokens_beyond_the_embedding(folder):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<new turn>"]})
    tokenizer.chat_template = "{% for m in messages %}<new turn>{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    refused(folder, "its tokenizer writes '<new turn>' as")


def test_sequences_beyond_the_context(folder):
    config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 100}
    (folder / "config.json").write_text(json.dumps(config))
    student = Student(model=str(folder))
    check_student(student, Train(max_length=200))
    assert longest_sequence(student, Train(max_length=200)) == 100
    assert longest_sequence(student, Train(max_length=50)) == 50
    stretched = config | {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}
    (folder / "config.json").write_text(json.dumps(stretched))
    assert longest_sequence(student, Train(max_length=200)) == 200


def test_a_model_of_text_and_images(folder):
    (folder / "config.json").write_text(json.dumps(Gemma3Config().to_dict()))
    refused(folder, "gemma3 is a model of text and more")


def test_a_model_without_positions_is_padded_and_serves(tmp_path):
    tokenizer = ChatTokenizer("tiny/student").tokenizer
    tokenizer.save_pretrained(tmp_path)
    config = BloomConfig(vocab_size=len(tokenizer), hidden_size=32, n_layer=1, n_head=2, eos_token_id=tokenizer.eos_token_id)
    BloomForCausalLM(config).save_pretrained(tmp_path)
    assert not takes_positions(config)
    check_student(Student(model=str(tmp_path)), Train())
    refused(tmp_path, "train.packing: bloom takes no positions", packing=True)
    assert TransformersModel(str(tmp_path)).context > 1000


def test_no_end_token_at_all(folder):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=ChatTokenizer("tiny/student").tokenizer.backend_tokenizer)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    shutil.rmtree(folder)
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **SMALL)).save_pretrained(folder)
    with pytest.raises(BadInput, match="no end token"):
        check_model(Student(model=str(folder)), "student")


TURNS = (
    "{% for m in messages %}<|turn|>{{ m.content }}<|done|>\n{% endfor %}{% if add_generation_prompt %}<|turn|>{% endif %}"
)


@pytest.fixture
def turns(folder) -> Path:
    """Ends its turns with another token than the tokenizer's own, as Gemma does."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>", "<|done|>", "<think>", "</think>"]})
    tokenizer.chat_template = TURNS
    tokenizer.save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    return folder


def trained_text(folder: Path, completion: str, **chat) -> str:
    tokens = ChatTokenizer(str(folder), Chat(**chat))
    prompt_ids, completion_ids = tokens.sequence_ids("1+1", completion)
    assert prompt_ids == tokens.prompt_ids("1+1")
    return tokens.tokenizer.decode(completion_ids)


def test_the_end_that_is_learnt_is_the_templates(turns):
    assert trained_text(turns, "2") == "2<|done|>"
    write_generation_config(str(turns), turns, ChatTokenizer(str(turns)).end_id)
    ends = json.loads((turns / "generation_config.json").read_text())["eos_token_id"]
    assert ends == [ChatTokenizer("tiny/student").end_id, ChatTokenizer(str(turns)).end_id]


def test_an_end_in_the_text_is_the_only_one(turns):
    assert trained_text(turns, "2<|done|> and more <|done|>") == "2<|done|>"


def test_a_thought_that_the_template_opens_is_not_opened_twice(turns):
    opens = re.sub(r"<\|turn\|>\{% endif %\}$", "<|turn|><think>\n{% endif %}", TURNS)
    assert trained_text(turns, "<think>\nso\n</think>\n2", template=opens) == "so\n</think>\n2<|done|>"
    assert trained_text(turns, "so\n</think>\n2", template=opens) == "so\n</think>\n2<|done|>"
    assert trained_text(turns, "<think>\nso\n</think>\n2") == "<think>\nso\n</think>\n2<|done|>"


def test_thinking_tags_that_are_special_tokens_stay_in_a_completion(turns):
    model = TransformersModel(str(turns))
    for text in ("<think>\nso\n</think>\n2", "<think>maybe"):
        ids = [*model.chat.encode(text), model.chat.end_id]
        row = Row(0, 99, model.end_ids, tokens=ids, logprobs=[0.0] * len(ids), finish_reason="stop")
        assert model._rollout(0, row).completion == text


def test_settings_that_can_be_loaded_but_not_saved_go_along(folder):
    (folder / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6, "eos_token_id": 5}))
    (folder / "out").mkdir()
    write_generation_config(str(folder), folder / "out", 7)
    kept = json.loads((folder / "out" / "generation_config.json").read_text())
    assert kept == {"do_sample": False, "temperature": 0.6, "eos_token_id": [5, 7]}


def test_the_tiny_student_is_as_it_was():
    """What it is trained on has not changed: its template ends a turn with its tokenizer's own end token."""
    chat = ChatTokenizer("tiny/student")
    assert chat.end_id == chat.tokenizer.eos_token_id
    assert model_path("tiny/student") in str(chat.tokenizer.name_or_path)
