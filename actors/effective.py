"""The settings that are in force, each with where it came from: what operators are shown."""

from collections.abc import Iterator, Mapping

from actors.domain.operating import SettingShown
from actors.settings import Settings
from runtime.config import describe
from runtime.setting import shown


def shown_settings(settings: Settings, sources: Mapping[str, str]) -> Iterator[SettingShown]:
    """Yield every setting as it is in force, and where it came from; secrets as ``***``."""
    for setting in describe(Settings):
        value: object = settings
        for part in setting.key.split("."):
            value = getattr(value, part)
        text = "" if value is None else shown(value)
        text_of_default = setting.default_text
        source = sources.get(setting.key, "default" if text == text_of_default else "")
        yield SettingShown(setting.key, text, text_of_default, setting.description, source)
