#!/usr/bin/env bash
# Formats the Swift sources that people write, in place. With --check says what is not formatted, and fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mapfile -d '' sources < <(
    find Package.swift Sources Tests -name '*.swift' -not -path 'Sources/Protocol/Generated/*' -print0
    if [[ -d Benchmarks ]]; then
        find Benchmarks -name '*.swift' -not -path '*/.build/*' -print0
    fi
)
if ((${#sources[@]} == 0)); then
    echo "format: found no sources" >&2
    exit 1
fi
if [[ ${1:-} == --check ]]; then
    swift format lint --strict --parallel "${sources[@]}"
else
    swift format --in-place --parallel "${sources[@]}"
fi
