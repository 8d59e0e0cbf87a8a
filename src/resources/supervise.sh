#!/bin/sh
# Keeps one program running on a host without systemd. Written by Quarterdeck, which replaces changes.
#
#   supervise start | stop | status | run
#
# Beside this file: `settings` says what to run and as whom; `log` takes its output; `pid` is this script at work,
# `child` the program. The time of `child` is the program's start.
# shellcheck disable=SC1091,SC2154
set -u
# The names below are not those of a program's environment, which `settings` exports.
qd_dir=$(cd "$(dirname "$0")" && pwd) || exit 1
qd_self=$qd_dir/supervise

# Is the process in `pid` this script? A number alone may belong to somebody else by now.
alive() {
    [ -s "$qd_dir/pid" ] || return 1
    qd_pid=$(cat "$qd_dir/pid" 2>/dev/null) || return 1
    [ -r "/proc/$qd_pid/cmdline" ] || return 1
    tr '\0' '\n' 2>/dev/null <"/proc/$qd_pid/cmdline" | grep -Fqx "$qd_self"
}

running() {
    alive && [ -s "$qd_dir/child" ] && kill -0 "$(cat "$qd_dir/child")" 2>/dev/null
}

case ${1-} in
start)
    alive && exit 0
    rm -f "$qd_dir/pid" "$qd_dir/child"
    # Nothing of the login that starts it: a program gets the environment that its unit declares.
    env -i PATH="$PATH" setsid "$qd_self" run </dev/null >>"$qd_dir/log" 2>&1 &
    qd_tries=0
    until running; do
        qd_tries=$((qd_tries + 1))
        [ "$qd_tries" -le 5 ] || { echo "the program does not start" >&2; exit 1; }
        sleep 1
    done
    ;;

stop)
    alive || exit 0
    qd_group=$(cat "$qd_dir/pid")
    kill -TERM "$qd_group"
    qd_tries=0
    while alive; do
        qd_tries=$((qd_tries + 1))
        # The supervisor leads its own session: everything in its group is its program.
        [ "$qd_tries" -le 15 ] || kill -KILL -"$qd_group"
        sleep 1
    done
    rm -f "$qd_dir/pid" "$qd_dir/child"
    ;;

status)
    if running; then
        echo "active $(cat "$qd_dir/child")"
    elif alive; then
        echo "restarting"
        exit 3
    else
        echo "inactive"
        exit 3
    fi
    ;;

run)
    . "$qd_dir/settings"
    echo $$ >"$qd_dir/pid"
    qd_child=
    # shellcheck disable=SC2317
    finish() {
        trap '' TERM INT
        if [ -n "$qd_child" ]; then
            kill -TERM "$qd_child" 2>/dev/null
            wait "$qd_child"
        fi
        rm -f "$qd_dir/pid" "$qd_dir/child"
        exit 0
    }
    trap finish TERM INT
    while :; do
        # Kept small: one old log of a megabyte at most is put aside at each start.
        if [ -f "$qd_dir/log" ] && [ "$(wc -c <"$qd_dir/log")" -gt 1048576 ]; then
            mv "$qd_dir/log" "$qd_dir/log.1"
        fi
        "$qd_self" child </dev/null >>"$qd_dir/log" 2>&1 &
        qd_child=$!
        echo "$qd_child" >"$qd_dir/child"
        wait "$qd_child"
        qd_status=$?
        rm -f "$qd_dir/child"
        case $qd_restart in
        no) break ;;
        on-failure) [ "$qd_status" -ne 0 ] || break ;;
        esac
        echo "supervise: the program ended with status $qd_status; again in $qd_delay s" >>"$qd_dir/log"
        sleep "$qd_delay" &
        qd_child=$!
        wait "$qd_child"
    done
    rm -f "$qd_dir/pid"
    exit "$qd_status"
    ;;

child)
    # Becomes the program. As another user it comes here twice: first as root, then as that user.
    . "$qd_dir/settings"
    if [ -n "$qd_user" ] && [ "$(id -un)" != "$qd_user" ]; then
        [ -n "$qd_group" ] || qd_group=$(id -gn "$qd_user") || exit 1
        if setpriv --reuid "$qd_user" --regid "$qd_group" --init-groups true 2>/dev/null; then
            exec setpriv --reuid "$qd_user" --regid "$qd_group" --init-groups "$qd_self" child
        fi
        # BusyBox has no such setpriv. The path holds nothing that a shell would read otherwise.
        exec su -s /bin/sh "$qd_user" -c "exec $qd_self child"
    fi
    cd "$qd_workdir" || exit 1
    exec "$@"
    ;;

*)
    echo "usage: supervise start | stop | status" >&2
    exit 2
    ;;
esac
