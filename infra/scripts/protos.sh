#!/usr/bin/env bash
# Generates Sources/Protocol/Generated from Protos/. With --check: fails if what is committed differs.
# Needs protoc (Debian: protobuf-compiler).
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v protoc >/dev/null || { echo "protoc is missing: apt-get install protobuf-compiler" >&2; exit 1; }
out=Sources/Protocol/Generated
if [[ "${1:-}" == --check ]]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi

swift build --product protoc-gen-swift >&2
swift build --product protoc-gen-roost >&2
bin=$(swift build --show-bin-path)
mapfile -t protos < <(cd Protos && find . -name '*.proto' -printf '%P\n' | sort)

mkdir -p "$out"
find "$out" -name '*.swift' -delete
protoc -I Protos \
    --plugin=protoc-gen-swift="$bin/protoc-gen-swift" \
    --swift_out="$out" --swift_opt=Visibility=Package,UseAccessLevelOnImports=true \
    --plugin=protoc-gen-roost="$bin/protoc-gen-roost" \
    --roost_out="$out" \
    "${protos[@]}"

if [[ "${1:-}" == --check ]]; then
    diff -r Sources/Protocol/Generated "$out" || {
        echo "generated code is not what Protos/ says: run infra/scripts/protos.sh" >&2
        exit 1
    }
fi
