"""What a catalogue has to fulfil before it may come into force (engine.md 5.2)."""

from collections import Counter
from collections.abc import Iterator, Mapping

from domain.catalogue.models import ModelSpec
from domain.providers.request import Purpose
from infra.providers.adapters.scripted.name import MalformedName, parse_name
from infra.providers.settings import ProviderKind

_MAX_PROMPT_BYTES = 32 * 1024
_PARAMS = {
    "temperature",
    "top_p",
    "top_k",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "seed",
    "reasoning_effort",
    "extra_body",
}


def validate_catalogue(models: tuple[ModelSpec, ...], provider_kinds: Mapping[str, ProviderKind]) -> list[str]:
    """Everything wrong at once, one line each; empty if the catalogue can be served."""
    faults = [f"models: {id_!r} is there {count} times" for id_, count in _repeated(models)]
    defaults = [model.id for model in models if model.is_default and model.enabled]
    if len(defaults) != 1:
        faults.append(f"models: exactly one enabled model must be the default, not {len(defaults)}")
    faults += [f"models.{model.id}.{fault}" for model in models for fault in _faults(model, provider_kinds)]
    by_id = {model.id: model for model in models}
    faults += [
        f"models.{model.id}.fallback_model: {fault}" for model in models for fault in _fallback_faults(model, by_id)
    ]
    return faults


def _fallback_faults(model: ModelSpec, by_id: Mapping[str, ModelSpec]) -> Iterator[str]:
    """Of one tier, so that a turn counts in the same buckets whichever of the two answers it."""
    if model.fallback_model is None:
        return
    other = by_id.get(model.fallback_model)
    if other is None:
        yield f"there is no model {model.fallback_model!r}"
        return
    if other.tier is not model.tier:
        yield f"{other.id!r} is not of the same tier"
    if Purpose.CHAT not in other.purposes:
        yield f"{other.id!r} is not meant for chats"
    if _leads_back(model, by_id):
        yield "leads back to this model"


def _leads_back(model: ModelSpec, by_id: Mapping[str, ModelSpec]) -> bool:
    seen: set[str] = set()
    following = model.fallback_model
    while following is not None and following in by_id and following not in seen:
        if following == model.id:
            return True
        seen.add(following)
        following = by_id[following].fallback_model
    return False


def _repeated(models: tuple[ModelSpec, ...]) -> Iterator[tuple[str, int]]:
    counts = Counter(model.id for model in models)
    return ((id_, count) for id_, count in counts.items() if count > 1)


def _faults(model: ModelSpec, provider_kinds: Mapping[str, ProviderKind]) -> Iterator[str]:
    kind = provider_kinds.get(model.provider_id)
    if kind is None:
        yield f"provider_id: there is no provider {model.provider_id!r}"
    if not model.provider_model_id:
        yield "provider_model_id: is empty"
    elif kind is ProviderKind.SCRIPTED:
        yield from _name_faults(model.provider_model_id)
    yield from _size_faults(model)
    yield from _param_faults(model)
    if model.is_default and model.enabled and Purpose.CHAT not in model.purposes:
        yield "purposes: the default model must be meant for chats"
    for phase in model.deadlines.__struct_fields__:
        if getattr(model.deadlines, phase).total_seconds() <= 0:
            yield f"deadlines.{phase}: must be longer than nothing"


def _size_faults(model: ModelSpec) -> Iterator[str]:
    if model.max_output_tokens >= model.context_window:
        yield "max_output_tokens: must be less than context_window"
    if model.max_input_tokens > model.context_window:
        yield "max_input_tokens: must not be more than context_window"
    floor = model.estimation_budgets.minimal_generation_floor
    if floor is not None and floor > model.max_output_tokens:
        yield "estimation_budgets.minimal_generation_floor: must not be more than max_output_tokens"
    for prompt in ("system_prompt", "thread_summary_prompt"):
        if len(getattr(model, prompt).encode()) > _MAX_PROMPT_BYTES:
            yield f"{prompt}: must not be longer than {_MAX_PROMPT_BYTES} bytes"


def _param_faults(model: ModelSpec) -> Iterator[str]:
    for name in model.api_params.keys() - _PARAMS:
        yield f"api_params.{name}: there is no such parameter; other members of a request go into extra_body"
    if not isinstance(model.api_params.get("extra_body", {}), dict):
        yield "api_params.extra_body: must be a table"


def _name_faults(name: str) -> Iterator[str]:
    try:
        parse_name(name)
    except MalformedName as fault:
        yield f"provider_model_id: {name!r} {fault}"
