# Keeps a long command on a node: it runs in a session of its own, its output goes into a spool, and whoever wants it
# follows the spool, loses the connection, and follows on. Sent to the standard input of `sh -s VERB NAME …`:
#
#   start NAME PROGRAM …   begins it unless it was begun; says started, running, ended or lost
#   follow NAME OUT ERR    its output from these offsets to its end, in frames; status 4 without a spool
#   stop NAME SECONDS      TERM to all of it, and KILL to what is left after so long
#   drop NAME              removes the spool
#   forget PREFIX          removes the spools under PREFIX that have ended
#   list PREFIX            the spools under PREFIX: name, state and command, between tabs
#
# A spool is a directory of mode 0700: command, out, err, pid (process, group, start, boot) and in the end exit.
if [ "$(id -u)" = 0 ]; then
    spools=/var/lib/quarterdeck/spool
else
    spools=${XDG_STATE_HOME:-${HOME:-/tmp}/.local/state}/quarterdeck/spool
fi
verb=$1
name=$2
dir=$spools/$name

boot() {
    cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -
}

# Is what `pid` names still that process? A number alone may belong to somebody else by now.
alive() {
    [ -s "$dir/pid" ] || return 1
    read -r pid group born booted <"$dir/pid"
    [ "$booted" = "$(boot)" ] || return 1
    kill -0 "$pid" 2>/dev/null || return 1
    [ "$born" = - ] || [ "$born" = "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)" ]
}

# running, ended or lost; waits a moment for one that is just being begun.
state() {
    tries=0
    while :; do
        if [ -f "$dir/exit" ]; then echo ended; return; fi
        if alive; then echo running; return; fi
        # It may have ended between these two looks.
        if [ -f "$dir/exit" ]; then echo ended; return; fi
        if [ -s "$dir/pid" ] || [ "$tries" -ge 3 ]; then echo lost; return; fi
        tries=$((tries + 1))
        sleep 1
    done
}

# The process that keeps the spool; a process group of its own, begun with its directory and the command.
keeper='
dir=$1
shift
trap "" HUP
fields=$(sed "s/.*) //" "/proc/$$/stat" 2>/dev/null)
group=$(echo "$fields" | cut -d " " -f 3)
born=$(echo "$fields" | cut -d " " -f 20)
booted=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
# What cannot be found again is not begun.
echo "$$ ${group:-$$} ${born:--} ${booted:--}" >"$dir/pid.new" && mv -f "$dir/pid.new" "$dir/pid" || exit 1
"$@" </dev/null >"$dir/out" 2>"$dir/err"
status=$?
echo "$status" >"$dir/exit.new" && mv -f "$dir/exit.new" "$dir/exit"
'

start() {
    # Only the spools are nobody else's; what lies beside them may be.
    mkdir -p "${spools%/*}" && (umask 077 && mkdir -p "$spools") || exit 125
    # Ended two weeks ago, and nobody came for it.
    find "$spools" -name exit -mtime +14 2>/dev/null | while read -r old; do rm -rf "${old%/exit}"; done
    # Begun, but never as far as the command: as if it had not been.
    if [ -d "$dir" ] && [ ! -s "$dir/pid" ] && [ "$(state)" = lost ]; then rm -rf "$dir"; fi
    # One of several who come at once makes the directory, and it begins the command.
    if mkdir -m 700 "$dir" 2>/dev/null; then
        : >"$dir/out" && : >"$dir/err" && printf '%s\n' "$*" >"$dir/command" || { rm -rf "$dir"; exit 125; }
        unset QUARTERDECK_JOB
        QUARTERDECK_SPOOL=$name
        export QUARTERDECK_SPOOL
        if command -v setsid >/dev/null 2>&1; then
            setsid sh -c "$keeper" quarterdeck "$dir" "$@" </dev/null >/dev/null 2>&1 &
            echo started
        else
            # Then it shares the session of the login, which ends without a hangup where there is no terminal.
            sh -c "$keeper" quarterdeck "$dir" "$@" </dev/null >/dev/null 2>&1 &
            echo started without setsid
        fi
        exit 0
    fi
    [ -d "$dir" ] || { echo "cannot make $dir" >&2; exit 125; }
    state
}

# One frame: what a file has beyond an offset, behind a line with a letter and the number of bytes. `to` is how far it went.
frame() {
    to=$(($(wc -c <"$2")))
    [ "$to" -gt "$3" ] || return 1
    printf '%s %s\n' "$1" "$((to - $3))" || exit 1
    tail -c "+$(($3 + 1))" "$2" | head -c "$((to - $3))" || exit 1
}

# Frames on standard output: O and E with bytes of out and err, `.` that there is nothing new, X with the exit status in the
# end, or L when it is lost. A login shell may have talked before; the first line of ours says where we begin.
follow() {
    out=$1
    err=$2
    [ -d "$dir" ] || exit 4
    printf '\n@follow\n' || exit 1
    idle=0
    while :; do
        # Before the last look at the files: what it wrote until then is there.
        now=$(state)
        idle=$((idle + 1))
        if frame O "$dir/out" "$out"; then out=$to; idle=0; fi
        if frame E "$dir/err" "$err"; then err=$to; idle=0; fi
        case $now in
        ended) printf 'X %s\n' "$(cat "$dir/exit")"; exit 0 ;;
        lost) printf 'L 0\n'; exit 0 ;;
        esac
        if [ "$idle" -gt 10 ]; then
            # So that a reader who is gone is noticed.
            printf '. 0\n' || exit 1
            sleep 1
        elif [ "$idle" -gt 0 ]; then
            sleep 0.3 2>/dev/null || sleep 1
        fi
    done
}

# Everybody who carries the spool's name, whatever group they have made themselves.
marked() {
    grep -ls "QUARTERDECK_SPOOL=$name" /proc/[0-9]*/environ 2>/dev/null | sed 's|/proc/||; s|/environ||'
}

send() {
    if [ "$leads" = yes ]; then kill "-$1" "-$group" 2>/dev/null; else kill "-$1" "$pid" 2>/dev/null; fi
    for one in $(marked); do
        [ "$one" = $$ ] || kill "-$1" "$one" 2>/dev/null
    done
}

# Is anything of it still there?
left() {
    { [ "$leads" = yes ] && kill -0 "-$group" 2>/dev/null; } || alive || [ -n "$(marked)" ]
}

stop() {
    [ -s "$dir/pid" ] || exit 0
    alive || { [ -z "$(marked)" ] && exit 0; }
    read -r pid group born booted <"$dir/pid"
    leads=no
    [ "$pid" = "$group" ] && leads=yes
    send TERM
    tries=0
    while left; do
        if [ "$tries" -ge "$1" ]; then
            send KILL
            # It takes effect when the process is next to run.
            for pause in 1 2 3; do
                left || break
                sleep 0.3 2>/dev/null || sleep 1
            done
            exit 0
        fi
        tries=$((tries + 1))
        sleep 1
    done
}

case $verb in
start) shift 2 && start "$@" ;;
follow) follow "$3" "$4" ;;
stop) stop "$3" ;;
drop) rm -rf "$dir" ;;
forget)
    for dir in "$spools/$name".*; do
        if [ -f "$dir/exit" ]; then rm -rf "$dir"; fi
    done
    ;;
list)
    for dir in "$spools/$name".*; do
        [ -d "$dir" ] || continue
        printf '%s\t%s\t%s\n' "${dir##*/}" "$(state)" "$(head -n 1 "$dir/command" 2>/dev/null)"
    done
    ;;
esac
exit
