"""``overton serve``: servers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

serve_app = typer.Typer(no_args_is_help=True, help="Serve the reward over HTTP.")


@serve_app.callback()
def serve() -> None:
    """Serve the reward over HTTP."""


@serve_app.command()
def reward(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Settings file, run directory, estimator folder or hub name; default: what OVERTON_REWARD names, "
            "or the untuned MiniLM.",
            show_default=False,
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="A field of the preset, e.g. beta=0.5, or preset=op-grpo. Repeatable."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; one that others reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8311,
    token_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Environment variable that holds the token.", show_default=False)
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File that holds the token.", show_default=False)
    ] = None,
    group_size: Annotated[
        int, typer.Option(min=0, help="Answers to a prompt that /get_reward scores together; 0 = each alone.")
    ] = 0,
    group_wait: Annotated[float, typer.Option(min=0, help="Seconds an answer waits for its siblings.")] = 10.0,
    request_timeout: Annotated[float, typer.Option(min=0, help="Seconds until a request is given up.")] = 170.0,
    batch_timeout: Annotated[float, typer.Option(min=0, help="Seconds until a worker counts as hung.")] = 120.0,
    drain: Annotated[float, typer.Option(min=0, help="Seconds to go on with what is held when it is stopped.")] = 30.0,
    max_batch: Annotated[int, typer.Option(min=1, help="Answers scored in one call.")] = 256,
    max_queue: Annotated[int, typer.Option(min=1, help="Answers held at one time.")] = 8192,
    max_answers: Annotated[int, typer.Option(min=1, help="Answers of one request, and of one group.")] = 1024,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 8 << 20,
    max_chars: Annotated[int, typer.Option(min=1, help="Characters of a text.")] = 50_000,
    max_references: Annotated[int, typer.Option(min=1, help="References of a group.")] = 200,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of the encoder; 0 = as many as it takes.")] = 0,
) -> None:
    """Score answers over HTTP, for trainers in other processes or on other machines.

    Stops gracefully on Ctrl-C and SIGTERM. Routes, limits and errors: docs/serving.md.
    """
    from overton.serving import ServeSettings, serve
    from overton.serving.settings import read_token

    settings = ServeSettings(
        source=source,
        overrides=dict(_field(text) for text in overrides or ()),
        host=host,
        port=port,
        group_size=group_size,
        group_wait=group_wait,
        request_timeout=request_timeout,
        batch_timeout=batch_timeout,
        drain=drain,
        max_batch=max_batch,
        max_queue=max_queue,
        max_answers=max_answers,
        max_body=max_body,
        max_chars=max_chars,
        max_references=max_references,
        threads=threads,
    )
    serve(settings, read_token(token_env, token_file))


def _field(text: str) -> tuple[str, Any]:
    import yaml

    from overton.errors import RecipeError
    from overton.strict_yaml import read_yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise RecipeError(f"--set {text}: FIELD=VALUE is wanted")
    try:
        return name.strip(), read_yaml(value, f"--set {text}")
    except yaml.YAMLError:
        raise RecipeError(f"--set {text}: the value is not YAML") from None
