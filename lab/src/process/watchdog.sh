# Runs one program of PostgreSQL, and stops it when the process that holds our standard input is gone.
#   sh -c "$script" watchdog LAST program arguments…
# Each line of standard input is a signal to send, or `frozen` and the ids of the frozen processes.
# When standard input ends, because the other process closed it or died, the program gets the signal LAST until it has ended.
trap "" INT TERM HUP
last=$1
shift
exec 3<&0
# Standard output may be a pipe that tells the remover of the temporary folder that we still run. The program must not hold it.
"$@" </dev/null >&2 3<&- &
program=$!
{
    frozen=
    while read -r signal processes; do
        if [ "$signal" = frozen ]; then frozen=$processes; else kill -"$signal" "$program"; fi
    done
    tries=0
    # Repeated, because a signal is lost if it comes before the program handles signals.
    while kill -"$last" "$program"; do
        # A frozen process reacts to KILL only.
        for process in $frozen; do kill -CONT "$process"; done
        sleep 1
        tries=$((tries + 1))
        if [ "$tries" -ge 15 ]; then last=QUIT; fi
        if [ "$tries" -ge 20 ]; then last=KILL; fi
    done
} <&3 >/dev/null 2>&1 &
listener=$!
exec 3<&- </dev/null
wait "$program"
status=$?
kill -KILL "$listener" 2>/dev/null
wait "$listener" 2>/dev/null
exit "$status"
