#!/bin/sh
# Keeps files on a node: /wanted/KIND/HOST/FILE shall be /node/KIND/HOST/FILE.
#
#   keep   put them there, and again when they are lost, until told to stop; then take them away
#   check  whether all are there: the readiness probe, whose words end in the Pod's events
#
# The first line of each file says who keeps it: a NodeTrust, named by its NAMESPACE, and one Pod of it, POD_UID. A file
# without the line of this NodeTrust is somebody else's and is left alone. A file that a younger Pod has signed is that
# Pod's affair: so an update puts the new files there before the old Pod goes, and the old Pod takes none of them away.
set -u
umask 022
ours="# Kept by NodeTrust $NAMESPACE for Pod "
mine="$ours$POD_UID"

first_line() {
    line=
    IFS= read -r line 2> /dev/null < "$1" || [ -n "$line" ]
}

is_ours() {
    first_line "$1" || return 1
    case $line in "$ours"*) ;; *) return 1 ;; esac
}

is_mine() {
    first_line "$1" && [ "$line" = "$mine" ]
}

exists() {
    [ -e "$1" ] || [ -L "$1" ]
}

signed() {
    printf '%s\n' "$mine"
    cat "$1"
}

is_in_place() {
    signed "$1" | cmp -s - "$2"
}

temporary() {
    echo "${1%/*}/.${1##*/}.$NAMESPACE"
}

# Whoever reads the file sees the old one or the new one, whole.
write() {
    mkdir -p "${2%/*}" && signed "$1" > "$(temporary "$2")" && mv -f "$(temporary "$2")" "$2"
}

remove() {
    rm -f "$1" "$(temporary "$1")"
    rmdir "${1%/*}" 2> /dev/null || true
}

place() {
    if exists "$2"; then
        is_ours "$2" || return 1
        is_in_place "$1" "$2" && return 0
        [ -n "$took_over" ] && ! is_mine "$2" && return 0
    fi
    write "$1" "$2"
}

# By name, so that ca.crt is there before the hosts.toml that mentions it.
place_all() {
    for source in /wanted/*/*/*; do
        place "$source" "/node${source#/wanted}"
    done
    took_over=yes
}

# And the other way round.
ours_on_the_node() {
    for file in /node/*/*/hosts.toml /node/*/*/ca.crt; do
        is_ours "$file" && echo "$file"
    done
}

remove_unwanted() {
    ours_on_the_node | while IFS= read -r file; do
        [ -e "/wanted${file#/node}" ] || remove "$file"
    done
    remove_unfinished
}

# A Pod that was killed while it wrote: what it leaves goes too, unless the next write of that file replaces it.
remove_unfinished() {
    for folder in /node/*/*; do
        for name in ca.crt hosts.toml; do
            half=$(temporary "$folder/$name")
            exists "$half" && [ ! -e "/wanted${folder#/node}/$name" ] && rm -f "$half" && rmdir "$folder" 2> /dev/null
        done
    done
}

remove_mine() {
    ours_on_the_node | while IFS= read -r file; do
        is_mine "$file" && remove "$file"
    done
    exit 0
}

# Told to stop, it finishes the file that it writes: half of one would stay on the node.
keep() {
    took_over= told=
    trap told=yes TERM INT
    until [ -n "$told" ]; do
        remove_unwanted
        place_all
        [ -n "$told" ] && break
        sleep 5 &
        wait $!
    done
    remove_mine
}

check() {
    for source in /wanted/*/*/*; do
        file=/node${source#/wanted}
        is_in_place "$source" "$file" && continue
        echo "$file: $(hindrance "$file")"
        return 1
    done
}

hindrance() {
    if exists "$1" && ! is_ours "$1"; then
        echo "somebody else's, so it stays as it is: move it away, or leave this registry out"
    else
        echo "not in place. $(try_to_write "$(nearest_folder "$1")" 2>&1)"
    fi
}

# busybox takes root for somebody who may write everywhere, so `test -w` does not tell.
try_to_write() {
    touch "$1/.$NAMESPACE" && rm -f "$1/.$NAMESPACE"
}

nearest_folder() {
    folder=${1%/*}
    until exists "$folder"; do
        folder=${folder%/*}
    done
    echo "$folder"
}

"$1"
