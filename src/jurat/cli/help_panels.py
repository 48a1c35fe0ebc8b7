"""The help of a command with many options: in panels, as plain text that is readable without a terminal."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

PANELS = {
    "How it is judged": (
        "constitution", "model", "defense", "preset", "without", "detector", "matcher", "calibration",
        "allow_unknown",
    ),
    "Where verdicts go": ("out", "overwrite", "retry_errors", "fresh"),
    "What is printed": ("fail_on", "show", "quiet"),
    "What is judged": (
        "column", "id_column", "caption_column", "conversation_column", "prompt_column", "response_column",
        "root", "allow_private_hosts", "shard", "known", "reuse_near",
    ),
    "Images and videos": ("fps", "max_frames", "frames_needed", "max_image_pixels"),
    "Models on this machine": ("device", "dtype", "trust_remote_code", "batch_size"),
    "Models behind a server": (
        "base_url", "concurrency", "questions_per_call", "max_pixels", "image_format", "thinking_field",
        "deadline", "input_price", "output_price", "dry_run",
    ),
    "A cluster of machines": ("engine", "replicas", "gpus"),
}  # fmt: skip
"""Panel -> parameters of `jurat judge`, in the order of the help."""


class PanelCommand(TyperCommand):
    """A command whose options are listed in `PANELS`; those in none come last."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panel_of = {name: panel for panel, names in PANELS.items() for name in names}
        records: dict[str, list[tuple[str, str]]] = {"Arguments": []} | {panel: [] for panel in PANELS}
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is not None:
                is_argument = param.param_type_name == "argument"
                panel = "Arguments" if is_argument else panel_of.get(str(param.name), "Options")
                records.setdefault(panel, []).append(record)
        for panel, lines in records.items():
            if lines:
                with formatter.section(panel):
                    formatter.write_dl(lines)


__all__ = ["PANELS", "PanelCommand"]
