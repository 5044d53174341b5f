#!/bin/sh
# Run HAProxy, and reload it when the kubelet has changed its files, or when the storage becomes nearly full or has
# space again. HAProxy does not load a configuration with an error.
# HAProxy is a child of this shell. If this shell were a child of HAProxy, HAProxy would not end before this shell.
cd "$(dirname "$0")" || exit

checksum() {
    sha256sum haproxy.cfg ./*.pem ./*.map ${CERTIFICATE:+"$CERTIFICATE" "${CERTIFICATE%.crt}.key"} \
        ${STORAGE_STATE:+"$STORAGE_STATE"} 2>/dev/null
}

# Print the free percent of space, or with -i of inodes. Some file systems count no inodes: for these print 100.
free_percent() {
    for column in $(df -P "$@" "$STORAGE" | tail -n 1); do
        case $column in
            [0-9]%|[0-9][0-9]%|100%) echo $((100 - ${column%\%})); return ;;
        esac
    done
    echo 100
}

# Write whether less than MIN_FREE percent of the storage is free. After that, the storage has space again only if one
# more percent is free.
check_storage() {
    [ -n "$STORAGE_STATE" ] || return 0
    state=ok
    [ "$(free_percent)" -lt "$least" ] || [ "$(free_percent -i)" -lt "$least" ] && state=full
    [ "$state" = full ] && least=$((MIN_FREE + 1)) || least=$MIN_FREE
    [ "$state" = "$written" ] || echo "storage $state" >"$STORAGE_STATE"
    written=$state
}

least=$MIN_FREE
check_storage
loaded=$(checksum)
haproxy -W -db -f haproxy.cfg &
proxy=$!

# Let open requests finish for DRAIN_SECONDS, then end the proxy.
stop() {
    stopping=yes
    kill -USR1 "$proxy"
    (sleep "${DRAIN_SECONDS:-20}"; kill -TERM "$proxy") &
}

# Kubernetes sends USR1 if the image asks for it, as the official image does, and otherwise TERM.
trap stop TERM USR1

# Compare the files each second. Loading them takes no connection away: the new process inherits the sockets.
while [ -z "$stopping" ] && kill -0 "$proxy" 2>/dev/null; do
    sleep 1 &
    wait "$!"
    check_storage
    current=$(checksum)
    if [ -z "$stopping" ] && [ "$current" != "$loaded" ]; then
        loaded=$current
        haproxy -c -q -f haproxy.cfg && kill -USR2 "$proxy"
    fi
done

# A signal ends `wait` early.
wait "$proxy"
status=$?
while kill -0 "$proxy" 2>/dev/null; do
    wait "$proxy"
    status=$?
done
exit "$status"
