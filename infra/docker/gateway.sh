#!/bin/bash
# Runs the gateway in a container. ROOST_DISCOVERY: discovery's HTTP addresses, separated by blanks.
set -eu
: "${ROOST_DISCOVERY:?the addresses of discovery, host:port}"
files=$(ulimit -n)
servers=""
for address in $ROOST_DISCOVERY; do
    servers="$servers server $address max_fails=0;"
done
directory=/var/lib/roost-gateway
mkdir -p "$directory/temp"
sed -e "s|@@user@@|www-data|" \
    -e "s|@@workers@@|${ROOST_GATEWAY_WORKERS:-auto}|" \
    -e "s|@@files@@|$files|" \
    -e "s|@@connections@@|$((files - 100))|" \
    -e "s|@@discovery@@|$servers|" \
    -e "s|@@listen@@|listen ${ROOST_GATEWAY_PORT:-8080} reuseport backlog=4096;|" \
    -e "s|@@pages@@|/usr/share/roost/pages|" \
    -e "s|@@connect@@|'self'|" \
    /usr/share/roost/nginx.conf.template >"$directory/nginx.conf"
exec nginx -p "$directory" -c "$directory/nginx.conf" -e stderr -g 'daemon off;'
