"""The command ``headfit``: finds the command, turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import warnings
from typing import Any

import click

from headfit import __version__
from headfit.cli.command import describe_click_error
from headfit.cli.echo import echo
from headfit.errors import HeadfitError, UnknownNameError
from headfit.util.child import hide_tensorflow

# module and help line, so that `headfit --help` imports none of them
COMMANDS = {
    "compare": "Compare heads on your images, and train the best one.",
    "demo": "Run a comparison on data that comes with headfit.",
    "rank": "Rank backbones by a quick test on your images.",
    "finetune": "Train parts of the backbone too, and see whether that pays.",
    "lr-find": "Find a learning rate for fine-tuning.",
    "board": "Run a list of comparisons, and put their results side by side.",
    "ui": "Serve the live page of a run.",
    "report": "Write the report of a run again, from its results.",
    "predict": "Classify images with a model written by compare.",
    "explain": "Draw where a model looks: heat maps over your images.",
    "inspect": "Show what a backbone or a saved model consists of, and find mistakes.",
    "convert": "Give a trained model another top: gap, flatten or low_rank.",
    "serve": "Answer HTTP requests with saved models.",
    "export": "Write a model for other runtimes: ONNX, OpenVINO, plain Keras.",
    "heads": "List heads with their formula and parameter count.",
    "backbones": "List backbones with their input size and weights.",
    "cache": "List, verify and prune the cached results of earlier runs.",
    "diagram": "Draw what Flatten and global average pooling make of a feature map.",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """Imports a command's module when it is called, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Give the names in the order of a first visit."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """Import the module of one command."""
        if cmd_name not in COMMANDS:
            raise UnknownNameError("command", cmd_name, COMMANDS)
        module = importlib.import_module(f"headfit.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: headfit demo, or: headfit compare my-photos",
)
@click.version_option(__version__, prog_name="headfit")
def group() -> None:
    """Measure which head suits a pretrained backbone, and whether Flatten is necessary.

    Exit codes: 0 done; 1 failed; 2 wrong call; 130 interrupted.
    """


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    hide_tensorflow()
    sys.exit(main(arguments))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    # Pillow warns of damaged metadata, which nobody needs to know who looks at the result
    warnings.filterwarnings("ignore", module="PIL")
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        result: Any = group.main(args=arguments, prog_name="headfit", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        print_error(f"Error: {describe_click_error(error)}")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print_error("Interrupted. Finished work is kept: run the same command to continue.")
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output has gone; the interpreter must not complain about it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HeadfitError as error:
        if debug:
            traceback.print_exc()
        print_error(f"Error: {error}")
        return error.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        hint = "" if debug else " Run it again with --debug to see where, and please report it."
        print_error(f"Error: {type(error).__name__}: {error}.{hint}")
        return 1


def print_error(text: str) -> None:
    """Print one line to stderr, whatever characters the text holds."""
    echo(" ".join(text.split()), err=True)


if __name__ == "__main__":
    run()
