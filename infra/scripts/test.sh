#!/usr/bin/env bash
# test.sh [scripts|unit|integration|api|browser|instructions]…: builds once, runs every test (or those named), and ends with the line
#
#   N passed, N failed, N skipped
#
# Exit status 0 only when something was tested and all of it passed. A build that fails, a test process that crashes,
# hangs or writes no report, and a run that finds no test each count as a failure.
#
# ROOST_TEST_TIMEOUT  seconds that one run of a test program may take (900)
# ROOST_TEST_REPORTS  folder for the JUnit reports and logs (.build/reports)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

limit=${ROOST_TEST_TIMEOUT:-900}
reports=${ROOST_TEST_REPORTS:-.build/reports}
failures=() # what failed beside the tests that a report names

if (($# == 0)); then
    set -- scripts unit integration api browser instructions
fi
for kind in "$@"; do
    case $kind in
        scripts | unit | integration | api | browser | instructions) ;;
        *)
            echo "test.sh: no kind of test is called '$kind': scripts, unit, integration, api, browser, instructions" >&2
            exit 2
            ;;
    esac
done
wanted() { [[ " $kinds " == *" $1 "* ]]; }
kinds="$*"

rm -rf "$reports"
mkdir -p "$reports"
reports=$(cd "$reports" && pwd)

# run NAME COMMAND…: one test program, which writes $reports/NAME.xml.
run() {
    local name=$1 status=0
    shift
    printf '\n== %s\n' "$name"
    timeout --kill-after=15 "$limit" "$@" || status=$?
    if ((status == 124 || status == 137)); then
        failures+=("$name: no end within $limit s")
    elif [[ ! -s $reports/$name.xml ]]; then
        failures+=("$name: ended with status $status and no report (a crash?)")
    elif ((status != 0)) && python3 infra/scripts/count_tests.py --all-passed "$reports/$name.xml"; then
        failures+=("$name: every test passed, but it ended with status $status")
    elif ! python3 infra/scripts/count_tests.py --any "$reports/$name.xml"; then
        failures+=("$name: it ran no test")
    fi
}

swift_tests() {
    local name=$1
    shift
    # With XCTest the report would be called NAME-swift-testing.xml, beside an empty one; Roost has no XCTest cases.
    run "$name" swift test --skip-build --disable-xctest --xunit-output "$reports/$name.xml" "$@"
}

# One target at a time: a crash costs the results of one, and real servers are not started by the dozen at once.
unit_tests() {
    local folder target
    for folder in Tests/*Tests/; do
        target=$(basename "$folder")
        case $target in
            IntegrationTests | APITests | BrowserTests) ;;
            *) swift_tests "$target" --filter "^$target\\." ;;
        esac
    done
}

# python_tests NAME FOLDER: tests in Python, in an environment of their own with what FOLDER/requirements.txt pins.
python_tests() {
    local name=$1 folder=$2 environment=.build/$1-tests
    if [[ ! -x $environment/bin/pytest ]] || ! cmp -s "$folder/requirements.txt" "$environment/requirements.txt"; then
        rm -rf "$environment"
        if ! python3 -m venv "$environment" ||
            ! "$environment/bin/pip" install --quiet --disable-pip-version-check -r "$folder/requirements.txt"; then
            failures+=("$name: could not set up its Python environment")
            return
        fi
        cp "$folder/requirements.txt" "$environment/requirements.txt"
    fi
    run "$name" "$environment/bin/pytest" -q -p no:cacheprovider --junit-xml="$reports/$name.xml" "$folder"
}

if wanted scripts; then
    run scripts infra/scripts/tests/run.sh "$reports/scripts.xml"
fi
if wanted unit || wanted integration || wanted api || wanted browser; then
    printf '\n== build\n'
    if swift build --build-tests; then
        if wanted unit; then unit_tests; fi
        wanted integration && swift_tests integration --filter '^IntegrationTests\.'
        wanted api && [[ -f Tests/APITests/requirements.txt ]] && python_tests api Tests/APITests
        wanted browser && [[ -f Tests/BrowserTests/requirements.txt ]] && python_tests browser Tests/BrowserTests
    else
        failures+=("build: it failed")
    fi
fi
# A release build of its own, and last: a bad commit fails sooner on the others.
if wanted instructions; then
    run instructions infra/scripts/instructions.sh check "$reports/instructions.xml"
fi

echo
for failure in ${failures[@]+"${failures[@]}"}; do
    echo "test.sh: $failure"
done
shopt -s nullglob
exec python3 infra/scripts/count_tests.py --also-failed "${#failures[@]}" "$reports"/*.xml
