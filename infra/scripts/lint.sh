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

# `nginx -t` of the rendered configuration is a test of LocalCluster's; here: no placeholder without a value.
gateway_placeholders() {
    local used known
    used=$(grep -o '@@[a-z_]*@@' infra/nginx/nginx.conf.template | sort -u)
    known=$(grep -oh '"@@[a-z_]*@@"' Sources/LocalCluster/GatewayConfiguration.swift | tr -d '"' | sort -u)
    [[ -n $used ]] && diff <(echo "$used") <(echo "$known")
}

check "swift format" infra/scripts/format.sh --check
check "shellcheck" shell_scripts
check "gateway template" gateway_placeholders

if ((${#failed[@]} > 0)); then
    printf 'lint: failed: %s\n' "${failed[*]}" >&2
    exit 1
fi
echo "lint: all is well"
