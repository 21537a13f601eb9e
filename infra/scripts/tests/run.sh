#!/usr/bin/env bash
# run.sh [REPORT]: tests the scripts that check things, above all that they can fail. Each case runs in a copy of the
# scripts with a `swift` of its own that does what the case is about. REPORT is written as JUnit XML.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.." || exit 1
root=$PWD
report=${1:-/dev/null}

scratch=$(mktemp -d -t roost-scripts.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
cases=""

# stage: an empty project with our scripts, and a `swift` that answers as $1 says.
stage() {
    rm -rf "$scratch/project"
    mkdir -p "$scratch/project/infra" "$scratch/project/Tests/ATests" "$scratch/bin"
    cp -r "$root/infra/scripts" "$scratch/project/infra/scripts"
    # shellcheck disable=SC2016 # it is the staged program that expands these
    {
        echo '#!/usr/bin/env bash'
        echo '[[ $1 == build ]] && exit ${BUILD:-0}'
        echo 'while (($#)); do [[ $1 == --xunit-output ]] && xml=$2; shift; done'
        echo "$1"
    } >"$scratch/bin/swift"
    chmod +x "$scratch/bin/swift"
}

# expect STATUS LAST-LINE ARGUMENTS…: runs the staged test.sh.
expect() {
    local want_status=$1 want_line=$2 status=0 line
    shift 2
    (cd "$scratch/project" && env -u ROOST_TEST_REPORTS PATH="$scratch/bin:$PATH" infra/scripts/test.sh "$@") \
        >"$scratch/output" 2>&1 || status=$?
    line=$(tail -n 1 "$scratch/output")
    if [[ $status != "$want_status" || $line != "$want_line" ]]; then
        printf '    status %s and "%s", not %s and "%s"\n' "$status" "$line" "$want_status" "$want_line"
        sed 's/^/    | /' "$scratch/output" | tail -n 15
        return 1
    fi
}

suite() { printf '<testsuites><testsuite name="s">%s</testsuite></testsuites>' "$1"; }
good='<testcase classname="A" name="works()"/>'
bad='<testcase classname="A" name="breaks()"><failure message="no"/></testcase>'
skipped='<testcase classname="A" name="waits()"><skipped/></testcase>'

case_counts_what_passes() {
    stage "echo '$(suite "$good$good$skipped")' >\$xml"
    expect 0 "4 passed, 0 failed, 2 skipped" unit integration
}
case_fails_when_a_test_fails() {
    stage "echo '$(suite "$good$bad")' >\$xml; exit 1"
    expect 1 "1 passed, 1 failed, 0 skipped" unit
}
case_fails_when_a_test_fails_and_swift_says_nothing() {
    stage "echo '$(suite "$good$bad")' >\$xml; exit 0"
    expect 1 "1 passed, 1 failed, 0 skipped" unit
}
case_fails_when_the_test_process_crashes() {
    # shellcheck disable=SC2016
    stage 'kill -SEGV $$'
    expect 1 "0 passed, 1 failed, 0 skipped" unit
}
case_a_crash_costs_one_target() {
    # shellcheck disable=SC2016
    stage '[[ $xml == *BTests.xml ]] && kill -SEGV $$'"; echo '$(suite "$good")' >\$xml"
    mkdir "$scratch/project/Tests/BTests" "$scratch/project/Tests/CTests"
    expect 1 "2 passed, 1 failed, 0 skipped" unit
}
case_fails_when_it_crashes_after_its_report() {
    stage "echo '$(suite "$good")' >\$xml; kill -SEGV \$\$"
    expect 1 "1 passed, 1 failed, 0 skipped" unit
}
case_fails_when_a_report_is_cut_off() {
    stage "echo '<testsuites><testsuite>$good' >\$xml; exit 1"
    expect 1 "0 passed, 1 failed, 0 skipped" unit
}
case_fails_when_no_test_ran() {
    stage "echo '$(suite "")' >\$xml"
    expect 1 "0 passed, 1 failed, 0 skipped" unit
}
case_fails_when_the_build_fails() {
    stage "echo '$(suite "$good")' >\$xml"
    BUILD=1 expect 1 "0 passed, 1 failed, 0 skipped" unit integration
}
case_fails_when_a_test_hangs() {
    stage 'exec sleep 60'
    ROOST_TEST_TIMEOUT=1 expect 1 "0 passed, 1 failed, 0 skipped" unit
}
case_refuses_a_kind_it_does_not_know() {
    stage true
    expect 2 "test.sh: no kind of test is called 'units': scripts, unit, integration, api, browser" units
}
case_lint_fails_on_a_bad_script() {
    command -v shellcheck >/dev/null || return 0
    stage 'exit 0'
    (
        cd "$scratch/project" && git init --quiet . && mkdir -p Sources
        # shellcheck disable=SC2016
        printf '#!/bin/bash\nrm -rf $1/*\n' >infra/scripts/bad.sh
        PATH="$scratch/bin:$PATH" infra/scripts/lint.sh
    ) >"$scratch/output" 2>&1 && return 1
    grep -q '^lint: failed:.*shellcheck' "$scratch/output"
}
case_format_fails_on_bad_format() {
    stage 'exit 1'
    mkdir -p "$scratch/project/Sources" && touch "$scratch/project/Package.swift"
    ! (cd "$scratch/project" && PATH="$scratch/bin:$PATH" infra/scripts/format.sh --check) >"$scratch/output" 2>&1
}

for name in $(compgen -A function case_); do
    if "$name"; then
        passed=$((passed + 1))
        echo "  ok    ${name#case_}"
        cases+="<testcase classname=\"scripts\" name=\"${name#case_}\"/>"
    else
        failed=$((failed + 1))
        echo "  FAIL  ${name#case_}"
        cases+="<testcase classname=\"scripts\" name=\"${name#case_}\"><failure/></testcase>"
    fi
done
suite "$cases" >"$report"
echo "scripts: $passed passed, $failed failed"
((failed == 0 && passed > 0))
