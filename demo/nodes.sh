# Sourced by demo/start and demo/stop: the demo's nodes, and how they are ended.

. "$(dirname -- "${BASH_SOURCE[0]}")/../tools/common.sh"

NODES=(root child1 child2)

# Where the demo's files are. May be a link: see demo/start.
demo_dir() {
    realpath -q -- "$REPO/target/demo"
}

# node_pid DIR NODE: its master's process id, if it runs, and if it is ours.
node_pid() {
    local pid
    pid=$(cat "$1/$2/nginx.pid" 2>/dev/null) && [ -n "$pid" ] &&
        tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "-p $1/$2 " && printf '%s\n' "$pid"
}

# stop_nodes DIR: ends those that run, waits for their end, and says which they were.
stop_nodes() {
    local node pid stopped=()
    for node in "${NODES[@]}"; do
        pid=$(node_pid "$1" "$node") || continue
        kill "$pid" 2>/dev/null || die "may not end the demo's $node (process $pid)." "It was started by another user: sudo kill $pid"
        for _ in $(seq 100); do
            [ -e "$1/$node/nginx.pid" ] || break
            sleep 0.05
        done
        [ ! -e "$1/$node/nginx.pid" ] || die "the demo's $node (process $pid) does not end." "kill -9 $pid"
        stopped+=("$node")
    done
    printf '%s' "${stopped[*]-}"
}
