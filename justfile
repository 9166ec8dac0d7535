# The commands of daily work; .ci/run calls the same ones in a fresh environment.

export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# what is cheap: formatting, lint, types, the direction of imports, dependencies, generated parts of papers
check:
    ruff check .
    ruff format --check .
    mypy
    lint-imports
    deptry .
    for folder in papers/*/; do reproof paper sync --check "$(basename "$folder")" || exit 1; done

# the tests that take seconds, two files at a time
test *words:
    pytest {{words}}

# the tests that take longer, and those that need a browser or a database server
slow *words:
    pytest -m "(slow or browser) and not agents and not exchange" --ignore=tests/benchmarks --ignore=tests/gateway {{words}}
    pytest -n 0 -m "(slow or browser) and not agents and not exchange" tests/benchmarks tests/gateway

# the pages in Chromium (Debian's); REPROOF_SHOTS=FOLDER keeps the screenshots
browser *words:
    pytest -n 0 -m browser {{words}}

# the real programs of agents, with a scripted model: those of REPROOF_TRY_AGENTS, or all six; skipped where not installed
agents *words:
    pytest -n 0 -m agents {{words}}

# the longest papers' whole validation; CI has no time for it
validation *words:
    pytest -n 0 -m validation {{words}}

# Harbor and Inspect for real, from environments of their own: REPROOF_HARBOR_PYTHON, REPROOF_INSPECT_PYTHON
exchange *words:
    pytest -n 0 -m exchange {{words}}

# a reader of bytes under libFuzzer for so long: outputs, archive, stream, ... (tests/fuzzing/guided.py lists them)
fuzz target seconds="60":
    python tests/fuzzing/guided.py {{target}} {{seconds}}

# the properties of tests/fuzzing, each for so many seconds
soak seconds="30":
    REPROOF_FUZZ_SECONDS={{seconds}} pytest -n 0 -m slow tests/fuzzing

# figures against peers; each script prints JSON
bench:
    for script in $(grep -l __main__ benchmarks/*.py | grep -v -e validity -e curtailment); do python "$script" || exit 1; done

# what the score is worth, over all papers: two hours the first time, resumed where it was stopped
validity:
    python benchmarks/validity.py
    python benchmarks/curtailment.py

# the lock, held against known vulnerabilities; 3: nobody could be asked about some of it
audit:
    python -m supply.audit

# the documentation: its examples run, its links resolve
docs:
    pytest -n 0 tests/docs
