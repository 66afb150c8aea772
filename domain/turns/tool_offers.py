"""Which tools a message gets from each model that may answer it."""

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.assembler import ToolTexts
from domain.context.tool_texts import Guards, texts_of
from domain.providers.capabilities import Capabilities
from domain.tools.calls import ToolCalls, ToolLimits
from domain.tools.offered import NO_FILES, ChatFiles, Occasion, ToolSet, offered
from domain.turns.switch_gate import SwitchGate


class ToolOffers:
    """`files` is what every chat has at every provider: nothing, as long as none can be uploaded."""

    def __init__(
        self,
        switches: SwitchGate,
        limits: ToolLimits,
        guards: Guards,
        files: ChatFiles = NO_FILES,
    ) -> None:
        self._switches = switches
        self._limits = limits
        self._guards = guards
        self._files = files

    def of(self, model: ModelSpec, can: Capabilities, taken: ToolCalls, *, web_search: bool) -> ToolSet:
        """`taken` is what the user's messages of today have called or hold."""
        occasion = Occasion(
            web_search=web_search,
            withheld=self._switches.withheld_tools(),
            left=self._limits.for_one_message(taken),
            files=self._files,
        )
        return offered(model, can, occasion)

    def texts(self, tools: ToolSet, budgets: Estimation) -> ToolTexts:
        return texts_of(tools, self._guards, budgets)
