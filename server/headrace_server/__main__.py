"""The `headrace` command. Installed with the light client too, so it first sees whether the service is there."""

import gc
import sys

MISSING = 'the headrace command needs the service, which is not installed: pip install "headrace[server]"'


def main() -> None:
    """Run the command line."""
    gc.disable()  # importing leaves nothing to collect, and looking for it takes a tenth of the start
    try:
        from headrace_server.cli.application import application  # noqa: PLC0415 — it may not be installed
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in {"headrace", "headrace_server"}:
            # A module of ours that is not there is a defect, and no extra would help.
            raise
        sys.exit(f"{MISSING}\n({error})")
    gc.enable()
    application(prog_name="headrace")


if __name__ == "__main__":
    main()
