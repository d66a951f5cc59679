import subprocess
import sys

from headrace.version import __version__

# grpc comes with `import headrace` itself.
HEAVY = ("asyncpg", "numpy", "orjson", "pyarrow", "pydantic", "rich", "starlette", "structlog")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_the_package_s(headrace):
    assert headrace("--version").output == f"headrace {__version__}\n"


def test_help_names_every_verb(headrace):
    output = headrace("--help").output
    for verb in ("serve", "db", "models", "publish", "doctor"):
        assert verb in output


def test_an_unknown_verb_is_a_misuse(headrace):
    assert headrace("sreve").exit_code == 2


def test_help_loads_nothing_that_takes_long():
    loaded = python(
        f"import sys; from headrace_server.cli import application;print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert (loaded.stdout, loaded.stderr) == ("[]\n", "")


def test_without_the_server_extra_it_says_what_to_install():
    # None in sys.modules is an import that fails as a package that is not there does.
    told = python("import sys; sys.modules['typer'] = None; from headrace_server.__main__ import main; main()")
    assert told.returncode == 1
    assert 'pip install "headrace[server]"' in told.stderr
    assert "Traceback" not in told.stderr


def test_a_defect_of_ours_is_not_taken_for_a_missing_extra():
    told = python(
        "import sys; sys.modules['headrace_server.cli.serve'] = None;from headrace_server.__main__ import main; main()"
    )
    assert "Traceback" in told.stderr
    assert "pip install" not in told.stderr
