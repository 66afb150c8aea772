# The project's face: `just` lists what it can do. Everything runs in .venv, made on demand.
set shell := ["bash", "-euo", "pipefail", "-c"]

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

[private]
default:
    @just --list --unsorted

# start the server on http://127.0.0.1:8080 with its own PostgreSQL under ./.mini-chat/
serve *args: _runtime
    mini-chat serve {{ args }}

# every test: unit, contract, integration, e2e, fault, house; files side by side, one core each
test *args: _dev
    @pytest -n auto --maxprocesses 4 --dist loadfile -m "$(just _runnable)" {{ args }}

# turns through the LiteLLM proxy, a server that others wrote, in an environment of its own (700 MB)
test-upstream *args: _dev _litellm
    TESTS_LITELLM="$PWD/.litellm/bin/litellm" pytest -m third_party {{ args }} tests/e2e/test_third_party_upstream.py

# formatter, linters, import contracts, both type checkers, then the tests that need no server
check: _dev
    ruff format --check .
    ruff check .
    flake8-async --enable ASYNC102,ASYNC103,ASYNC104,ASYNC120 $(git ls-files 'app/*.py' 'domain/*.py' 'infra/*.py' 'api/*.py')
    lint-imports
    mypy
    pyright
    pytest -q tests/unit tests/house tests/contract -m "not postgres and not redis"

# rewrite the sources into the project's format
fmt: _dev
    ruff format .
    ruff check --fix .

# CPU time per relayed delta and memory per stream, beside two yardsticks
bench *args: _dev
    python -m bench {{ args }}

# how fast a turn is stopped and joined, and what many readers of one turn cost
bench-turns *args: _dev
    python -m bench.turns {{ args }}

# CPU time of a delta of the Responses API from its bytes to ours, beside chat completions
bench-responses *args: _dev
    python -m bench.responses {{ args }}

# CPU time from the text of a filter to its tree and to SQL
bench-filters *args: _dev
    python -m bench.filters {{ args }}

# what a page of a list costs among a million messages, first and far down
bench-lists *args: _dev
    python -m bench.lists {{ args }}

# what the prompt of a chat of 10 000 messages costs to assemble
bench-context *args: _dev
    python -m bench.context {{ args }}

# random filters, orders, selections and cursors for so many seconds; TESTS_SEED repeats a run
fuzz seconds="60": _dev
    python -m tests.fuzz {{ seconds }}

# a token for the development server: just token --tenant acme --user ada
token *args: _runtime
    @mini-chat token {{ args }}

# bring the configured database to the newest schema
migrate *args: _runtime
    mini-chat migrate {{ args }}

# what CI runs
ci: check test

# resolve pyproject.toml again into the two lock files
lock:
    uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "just lock" --extra embedded -o requirements.lock
    uv pip compile -q pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "just lock" --extra embedded --group dev -c requirements.lock -o requirements-dev.lock
    uv pip compile -q --group litellm --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "just lock" -o requirements-litellm.lock

# the ten largest files and functions, for the review
sizes:
    @wc -l $(git ls-files '*.py') | sort -rn | head -11

# The mark expression of what this machine can run.
[private]
_runnable:
    #!/usr/bin/env bash
    PATH="$PATH:/usr/sbin"
    without() { echo "no $1 on this machine: the tests that need one are left out" >&2; marks+=" and not $2"; }
    command -v nginx >/dev/null || without nginx nginx
    command -v redis-server >/dev/null || docker info >/dev/null 2>&1 || without redis-server redis
    echo "not third_party${marks-}"

# Each environment remembers the lock it was made from, so a second start costs nothing.
[private]
_runtime:
    @cmp -s requirements-dev.lock .venv/made-from || just _install requirements.lock

[private]
_dev:
    @just _install requirements-dev.lock

[private]
_litellm:
    @cmp -s requirements-litellm.lock .litellm/made-from || { \
        test -x .litellm/bin/python || uv venv -q .litellm; \
        uv pip sync -q --python .litellm/bin/python --compile-bytecode --require-hashes requirements-litellm.lock; \
        cp requirements-litellm.lock .litellm/made-from; }

[private]
_install lock:
    @cmp -s {{ lock }} .venv/made-from || { \
        test -x .venv/bin/python || uv venv -q .venv; \
        uv pip sync -q --compile-bytecode --require-hashes {{ lock }}; \
        uv pip install -q --no-deps -e .; \
        cp {{ lock }} .venv/made-from; }
