# Counts what a user does in a first hour: the commands they run, the lines they write, the minutes that it takes.
# Sourced by the scripts beside it, which run in a new folder with the `open-r1` of $PATH, or else of the checkout's .venv.

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PATH=$PATH:$REPO/.venv/bin
num_commands=0 num_lines=0 started=$SECONDS

# run COMMAND...: what a user types.
run() {
    num_commands=$((num_commands + 1))
    echo "\$ $*" >&2
    "$@"
}

# stop_when PATTERN COMMAND...: what a user types and stops by Ctrl-C once its output has the pattern.
stop_when() {
    local pattern=$1 log
    shift
    log=$(mktemp)
    num_commands=$((num_commands + 1))
    echo "\$ $*   (stopped)" >&2
    setsid "$@" >"$log" 2>&1 &
    local pid=$!
    until grep -q "$pattern" "$log" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
    kill -INT "$pid" 2>/dev/null || true
    wait "$pid" || true
    tail -n 2 "$log" >&2
    grep -q "stopped at step" "$log" && ! grep -q Traceback "$log"
}

# write FILE: what a user writes, from standard input; blank lines don't count.
write() {
    cat >"$1"
    num_lines=$((num_lines + $(grep -c . "$1")))
}

# finish NAME: the counts, as a line of a Markdown table.
finish() {
    printf '| %s | %d:%02d | %d | %d |\n' "$1" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) \
        "$num_commands" "$num_lines"
}

cd "$(mktemp -d)" || exit 1
