#!/usr/bin/env bash
# setup.sh [run|test|develop]: installs the Debian packages that Roost needs and this machine lacks.
#
#   run      the servers that `roost up` starts and the libraries that Roost links (the default)
#   test     the same, a browser with its driver, and what counts instructions
#   develop  the same, and what `make protos` and `make lint` call
#
# Nothing is installed, and no right is asked for, when nothing is missing. ROOST_SETUP=skip leaves all of it out.
set -euo pipefail

purpose=${1:-run}

say() { printf 'setup: %s\n' "$*"; }
die() {
    printf 'setup: %s\n' "$*" >&2
    exit 1
}

case $purpose in
    run | test | develop) ;;
    *) die "what for? setup.sh run|test|develop" ;;
esac
[[ ${ROOST_SETUP:-} == skip ]] && exit 0

if ! command -v swift >/dev/null; then
    die "Swift 6.2 or newer is needed and 'swift' is not in PATH: see https://www.swift.org/install/linux"
fi

packages=(
    zookeeper default-jre-headless postgresql redis-server # servers that \`roost up\` starts privately
    libzookeeper-mt-dev libpq-dev libhiredis-dev libssl-dev # libraries that Roost links
    pkg-config git ca-certificates util-linux make
)
[[ $purpose == run ]] || packages+=(python3 python3-venv chromium chromium-driver valgrind)
[[ $purpose == develop ]] && packages+=(protobuf-compiler shellcheck)

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    die "this machine has no apt-get. Install by its own means what these Debian packages hold, then set" \
        "ROOST_SETUP=skip: ${packages[*]} nginx (with the auth_request module)"
fi

installed() { [[ $(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]; }

# Ubuntu names the browser's driver otherwise, and a Java from elsewhere will do.
have() {
    case $1 in
        default-jre-headless) command -v java >/dev/null ;;
        chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null ;;
        chromium-driver) command -v chromedriver >/dev/null ;;
        *) installed "$1" ;;
    esac
}

nginx_program() { command -v nginx || { [[ -x /usr/sbin/nginx ]] && echo /usr/sbin/nginx; }; }
nginx_can_route() {
    local program
    program=$(nginx_program) || return 1
    "$program" -V 2>&1 | grep -q -- --with-http_auth_request_module
}

missing=()
for package in "${packages[@]}"; do
    have "$package" || missing+=("$package")
done
nginx_can_route || missing+=(nginx-light)
if ((${#missing[@]} == 0)); then
    exit 0
fi

root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "not root, and there is no sudo. As root: apt-get install ${missing[*]}"
    fi
}

log=$(mktemp -t roost-setup.XXXXXX)
trap 'rm -f "$log"' EXIT

# Runs a command quietly; what it said is shown when it fails.
quietly() {
    if ! root env DEBIAN_FRONTEND=noninteractive "$@" >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        return 1
    fi
}
install() { quietly apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$@"; }

say "installing ${missing[*]}"
quietly apt-get -o DPkg::Lock::Timeout=120 update || die "apt-get update failed"

if [[ " ${missing[*]} " == *" chromium "* ]] && ! apt-cache show chromium 2>/dev/null | grep -q '^Filename:'; then
    say "this distribution has no package 'chromium': the browser tests will say that they lack it"
    kept=()
    for package in "${missing[@]}"; do
        [[ $package == chromium* ]] || kept+=("$package")
    done
    missing=("${kept[@]}")
fi

for package in "${missing[@]}"; do
    say "  $package"
    install "$package" || die "could not install $package"
done

# Where nginx-light is built without the module that asks discovery for each request's node, the whole nginx has it.
if ! nginx_can_route; then
    say "  nginx"
    install nginx || die "could not install nginx"
    nginx_can_route || die "this distribution's nginx lacks http_auth_request_module"
fi
say "done"
