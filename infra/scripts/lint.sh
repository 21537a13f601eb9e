#!/usr/bin/env bash
# Checks what can be checked without running Roost. Runs every check, names the ones that fail, and fails then.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

failed=()
check() {
    local name=$1
    shift
    printf 'lint: %s\n' "$name"
    "$@" || failed+=("$name")
}

shell_scripts() {
    local scripts
    mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
    ((${#scripts[@]} > 0)) && shellcheck "${scripts[@]}"
}

# LocalCluster's tests run nginx with the rendered configuration; here: who renders it knows each placeholder.
gateway_placeholders() {
    local used file
    used=$(grep -o '@@[a-z_]*@@' infra/nginx/nginx.conf.template | sort -u)
    [[ -n $used ]] || return 1
    for file in Sources/LocalCluster/GatewayConfiguration.swift infra/docker/gateway.sh; do
        diff <(echo "$used") <(grep -o '@@[a-z_]*@@' "$file" | sort -u) || return 1
    done
}

check "swift format" infra/scripts/format.sh --check
check "shellcheck" shell_scripts
check "gateway template" gateway_placeholders

if ((${#failed[@]} > 0)); then
    printf 'lint: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
echo "lint: all is well"
