#!/bin/sh
# Runs `roost` in a container: by default it serves on, and tells ZooKeeper, the container's own address.
set -eu
address=$(hostname -i | cut -d ' ' -f 1)
export ROOST_RPC_HOST="${ROOST_RPC_HOST:-$address}"
export ROOST_HTTP_HOST="${ROOST_HTTP_HOST:-$address}"
export ROOST_NODE_ID="${ROOST_NODE_ID:-${ROOST_ROLES:-roost}-$(hostname)}"
exec roost "$@"
