#!/bin/sh
# Run HAProxy, and reload it when the kubelet has changed its files. It does not load a configuration with an error.
# HAProxy is a child of this shell: as its parent it would end only after all of its children.
cd "$(dirname "$0")" || exit

checksum() {
    sha256sum haproxy.cfg certificate.pem logins.map hashes.map
}

loaded=$(checksum)
haproxy -W -db -f haproxy.cfg &
proxy=$!

# Let open requests finish for DRAIN_SECONDS, then end the proxy.
stop() {
    stopping=yes
    kill -USR1 "$proxy"
    (sleep "${DRAIN_SECONDS:-20}"; kill -TERM "$proxy") &
}

# The official image asks for USR1, and others get TERM.
trap stop TERM USR1

# Compare the files each second. Loading them takes no connection away: the new process inherits the sockets.
while [ -z "$stopping" ] && kill -0 "$proxy" 2>/dev/null; do
    sleep 1 &
    wait "$!"
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
