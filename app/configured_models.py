"""The providers and models that a configuration and an environment amount to."""

from collections.abc import Callable, Mapping

import msgspec

from app.catalogue_file import CatalogueFile, FixedSource
from app.config_layers import Mistakes
from app.settings import Settings
from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import CatalogueSource
from domain.clock import Clock
from domain.telemetry.ports import Telemetry
from infra.catalogue.validation import validate_catalogue
from infra.providers.defaults import defaults_from_environment
from infra.providers.registry import InvalidProviders, ProviderRegistry, build_providers


def configured_models(
    settings: Settings, env: Mapping[str, str], clock: Clock, telemetry: Telemetry, when_refused: Callable[[], None]
) -> tuple[ProviderRegistry, tuple[ModelSpec, ...], CatalogueSource]:
    """Without models in the configuration, what the environment and the scripted models offer; `when_refused` is called
    when a provider does not accept its key. Raises Mistakes for what cannot be used.
    """
    found_providers, found_models = defaults_from_environment(env)
    common = settings.deadline.for_calls()
    models = settings.models or tuple(msgspec.structs.replace(each, deadlines=common) for each in found_models)
    try:
        providers = build_providers({**found_providers, **settings.providers}, env, clock, telemetry, when_refused)
    except InvalidProviders as invalid:
        raise Mistakes(tuple(invalid.faults)) from None
    if settings.policy.catalog_file is not None:
        file = CatalogueFile(settings.policy.catalog_file, common, providers.kinds)
        return providers, file.load(), file
    faults = validate_catalogue(models, providers.kinds)
    if faults:
        raise Mistakes(tuple(faults))
    return providers, models, FixedSource(models)
