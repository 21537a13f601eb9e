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
    expect 2 "test.sh: no kind of test is called 'units': scripts, unit, integration, api, browser, instructions" units
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

# counts COMPILER KERNEL=N…: a file of counts, as `instructions.py measure` writes it and as the baseline is.
counts() {
    local compiler=$1 kernel members=""
    shift
    for kernel in "$@"; do members+=", \"${kernel%=*}\": ${kernel#*=}"; done
    printf '{"compiler": "%s", "architecture": "x86", "instructions": {%s}}' "$compiler" "${members#, }"
}

# compares STATUS LINE KERNEL=N… -- KERNEL=N…: new counts against a baseline; LINE is a line of what is said.
compares() {
    local want_status=$1 want_line=$2 status=0 new=()
    shift 2
    while [[ $1 != -- ]]; do
        new+=("$1")
        shift
    done
    shift
    counts "${compiler:-6.3}" "${new[@]}" >"$scratch/new.json"
    counts 6.3 "$@" >"$scratch/old.json"
    python3 "$root/infra/scripts/instructions.py" check "$scratch/new.json" "$scratch/old.json" \
        --report "$scratch/report.xml" >"$scratch/output" || status=$?
    if [[ $status != "$want_status" ]] || ! grep -qxF "$want_line" "$scratch/output"; then
        printf '    status %s, not %s, and "%s" is wanted of\n' "$status" "$want_status" "$want_line"
        sed 's/^/    | /' "$scratch/output"
        return 1
    fi
    python3 "$root/infra/scripts/count_tests.py" "$scratch/report.xml" >"$scratch/counted" || true
}

case_instructions_pass_within_5_percent() {
    compares 0 "instructions: 2 kernels, 0 failed" a=1050 b=960 -- a=1000 b=1000
}
case_instructions_fail_when_a_kernel_takes_more() {
    compares 1 "instructions: FAIL b: 1000 -> 1060 instructions (+6.0%)" a=1000 b=1060 -- a=1000 b=1000 &&
        [[ $(tail -n 1 "$scratch/counted") == "1 passed, 1 failed, 0 skipped" ]]
}
case_instructions_tell_when_a_kernel_takes_less() {
    compares 0 "instructions: a: 1000 -> 900 instructions (-10.0%): better, record it" a=900 -- a=1000
}
case_instructions_fail_when_a_kernel_is_new() {
    compares 1 "instructions: FAIL b: 5 instructions, and none in the baseline: record it" a=1 b=5 -- a=1
}
case_instructions_fail_when_a_kernel_is_gone() {
    compares 1 "instructions: FAIL b: it is in the baseline and was not run; record the baseline anew" a=1 -- a=1 b=5
}
case_instructions_fail_without_kernels() {
    compares 1 "instructions: there is no kernel" --
}
case_instructions_of_another_compiler_are_skipped() {
    compiler=6.4 compares 0 "instructions: not compared: compiler 6.4, the baseline is of 6.3" a=2000 -- a=1000 &&
        grep -q "0 passed, .* 1 skipped" "$scratch/counted"
}

# stage_instructions N: the whole way of the kind `instructions`, with a program of two kernels, one of which takes N
# instructions where the baseline says 1000, and a `valgrind` that counts them.
stage_instructions() {
    stage true
    # shellcheck disable=SC2016
    {
        echo '#!/usr/bin/env bash'
        echo '[[ $1 == --version ]] && echo "Swift version 6.3"'
        echo '[[ " $* " == *" --show-bin-path "* ]] && dirname "$0"'
        echo 'exit ${BUILD:-0}'
    } >"$scratch/bin/swift"
    printf '#!/bin/sh\necho same 10\necho other 10\n' >"$scratch/bin/InstructionCounts"
    {
        echo '#!/usr/bin/env bash'
        echo 'n=1000 start=777'
        echo "[[ \$4 == other ]] && n=$1"
        # shellcheck disable=SC2016
        echo '[[ $n == crash ]] && exit 139'
        # shellcheck disable=SC2016
        echo 'echo "==1== Collected : $((start + n * $5))" >&2'
    } >"$scratch/bin/valgrind"
    chmod +x "$scratch/bin/"*
    mkdir -p "$scratch/project/Benchmarks"
    counts 6.3 same=1000 other=1000 | sed "s/\"x86\"/\"$(uname -m)\"/" >"$scratch/project/Benchmarks/instructions.json"
}

case_test_counts_a_kernel_as_a_test() {
    stage_instructions 1040
    expect 0 "2 passed, 0 failed, 0 skipped" instructions
}
case_test_fails_when_a_kernel_takes_more() {
    stage_instructions 1070
    expect 1 "1 passed, 1 failed, 0 skipped" instructions &&
        grep -qxF "instructions: FAIL other: 1000 -> 1070 instructions (+7.0%)" "$scratch/output"
}
case_test_fails_when_a_kernel_crashes() {
    stage_instructions crash
    expect 1 "1 passed, 1 failed, 0 skipped" instructions
}
case_test_fails_when_the_kernels_do_not_build() {
    stage_instructions 1000
    BUILD=1 expect 1 "0 passed, 1 failed, 0 skipped" instructions
}
case_instructions_are_recorded() {
    stage_instructions 1234
    (cd "$scratch/project" && PATH="$scratch/bin:$PATH" infra/scripts/instructions.sh record) >"$scratch/output" 2>&1 &&
        grep -q '"other": 1234' "$scratch/project/Benchmarks/instructions.json"
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
