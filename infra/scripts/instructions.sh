#!/usr/bin/env bash
# instructions.sh [check|record] [REPORT]: builds the hot path's kernels, counts the instructions of each, and
#
#   check   fails when one takes over 5% more than Benchmarks/instructions.json says (the default); writes the verdicts
#           to REPORT as JUnit XML
#   record  writes Benchmarks/instructions.json anew
#
# Benchmarks/README.md says when to record.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

command=${1:-check}
case $command in
    check | record) ;;
    *)
        echo "instructions: what for? instructions.sh check|record" >&2
        exit 2
        ;;
esac
if ! command -v valgrind >/dev/null; then
    echo "instructions: valgrind is needed: infra/scripts/setup.sh test" >&2
    exit 1
fi

# Only what is counted: without the benchmarks by the clock and what they need, so in a folder of its own. Valgrind
# can't read all of the debug information that the compiler writes.
export ROOST_BENCHMARKS=instructions
build=(
    swift build --package-path Benchmarks --scratch-path Benchmarks/.build/instructions
    -c release -debug-info-format none --product InstructionCounts
)
"${build[@]}"
program=$("${build[@]}" --show-bin-path)/InstructionCounts

counts=$(mktemp -t roost-instructions.XXXXXX)
trap 'rm -f "$counts"' EXIT
python3 infra/scripts/instructions.py measure "$program" "$counts"
python3 infra/scripts/instructions.py "$command" "$counts" Benchmarks/instructions.json ${2:+--report "$2"}
