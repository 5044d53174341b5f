#!/bin/sh
# Keep files on a node: copy /wanted/KIND/HOST/FILE to /node/KIND/HOST/FILE.
#
#   keep   copy the files, restore lost ones until SIGTERM, then remove the files of this Pod
#   check  check that all files are in place: the readiness probe, whose output becomes an event of the Pod
#
# The first line of each file names its owner: a NodeTrust by its NAMESPACE, and a Pod of it by its POD_UID. Below,
# files of this NodeTrust are "ours", and those of this Pod are "mine". A file that is not ours is not changed. During
# an update the new Pod takes the files over before the old Pod ends, and the old Pod does not remove files of the new
# Pod.
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

# Print the content of a file below the line of its owner.
with_owner() {
    printf '%s\n' "$mine"
    cat "$1"
}

is_in_place() {
    with_owner "$1" | cmp -s - "$2"
}

temporary_path() {
    echo "${1%/*}/.${1##*/}.$NAMESPACE"
}

# Replace the file at once, so that a reader sees the whole old or the whole new file.
write() {
    mkdir -p "${2%/*}" && with_owner "$1" > "$(temporary_path "$2")" && mv -f "$(temporary_path "$2")" "$2"
}

remove() {
    rm -f "$1" "$(temporary_path "$1")"
    rmdir "${1%/*}" 2> /dev/null || true
}

place() {
    if exists "$2"; then
        is_ours "$2" || return 1
        is_in_place "$1" "$2" && return 0
        # After the first round, a file of ours that is not mine belongs to a newer Pod.
        [ -n "$took_over" ] && ! is_mine "$2" && return 0
    fi
    write "$1" "$2"
}

# Copy in the order of the names, so that ca.crt is in place before the hosts.toml that names it.
place_all() {
    for source in /wanted/*/*/*; do
        place "$source" "/node${source#/wanted}"
    done
    took_over=yes
}

# Print hosts.toml before the ca.crt that it names, so that they are removed in this order.
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

# Remove the temporary files of a Pod that was killed while it wrote, unless the next copy replaces them.
remove_unfinished() {
    for folder in /node/*/*; do
        for name in ca.crt hosts.toml; do
            half=$(temporary_path "$folder/$name")
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

# After SIGTERM finish the current file, because half a file would stay on the node.
keep() {
    took_over= stopping=
    trap stopping=yes TERM INT
    until [ -n "$stopping" ]; do
        remove_unwanted
        place_all
        [ -n "$stopping" ] && break
        sleep 5 &
        wait $!
    done
    remove_mine
}

check() {
    for source in /wanted/*/*/*; do
        file=/node${source#/wanted}
        is_in_place "$source" "$file" && continue
        echo "$file: $(problem_of "$file")"
        return 1
    done
}

problem_of() {
    if exists "$1" && ! is_ours "$1"; then
        echo "another program's file is in its place and is not changed. Move it away, or remove this registry"
    else
        echo "not in place. $(try_to_write "$(nearest_folder "$1")" 2>&1)"
    fi
}

# `test -w` of busybox is always true for root, so only a write shows the problem.
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
