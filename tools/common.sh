# Sourced by the scripts in tools/ and demo/: where we are, what we say, how we fail.

set -euo pipefail
cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
REPO=$PWD
: "${FILEDIST_STARTED:=$(date +%s)}"
export FILEDIST_STARTED
unset NGINX                     # nginx would take it for inherited sockets
MODULE=ngx_http_filedist_module.so
GENERATOR=nginx.filedist

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
    BOLD=$'\e[1m' RED=$'\e[31m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' PLAIN=''
fi

# A line per stage, with the time since `make` started.
say() {
    local t=$(($(date +%s) - FILEDIST_STARTED))
    printf '%s==> [%d:%02d] %s%s\n' "$BOLD" $((t / 60)) $((t % 60)) "$*" "$PLAIN" >&2
}

# die MESSAGE [LINE...]: what is wrong, then what to do.
die() {
    printf '\n%serror: %s%s\n' "$RED" "$1" "$PLAIN" >&2
    shift
    [ $# = 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

[ ! -d target ] || [ -w target ] ||
    die "$REPO/target belongs to $(stat -c %U target): an earlier make ran as that user." "sudo rm -r $REPO/target"

# bounded SECONDS WHAT COMMAND...: the command, ended after that time, or by our own end.
bounded() {
    local secs=$1 what=$2 rc=0 pid
    shift 2
    timeout -k 10 "$secs" "$@" </dev/null &
    pid=$!
    trap 'kill "$pid" 2>/dev/null; wait "$pid" || true; exit 130' INT TERM
    wait "$pid" || rc=$?
    trap - INT TERM
    [ "$rc" != 124 ] || die "$what: still not done after $secs s, so ended."
    return "$rc"
}

# The nginx that loads the module: named by the user, of the tree given, or installed.
nginx_binary() {
    if [ -n "${TEST_NGINX_BINARY:-}" ]; then
        printf '%s\n' "$TEST_NGINX_BINARY"
    elif [ -x "${NGINX_BUILD_DIR:-/nonexistent}/nginx" ]; then
        printf '%s\n' "$NGINX_BUILD_DIR/nginx"
    elif [ -n "${NGINX_SOURCE_DIR:-}${NGINX_BUILD_DIR:-}" ]; then
        return 1                # the installed one is another
    else
        PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx
    fi
}

nginx_version() {
    "$1" -v 2>&1 | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p'
}

# copy_source DIR: this tree, as far as git does not ignore it, in place of what is in DIR; but DIR/target stays.
copy_source() {
    mkdir -p "$1"
    find "$1" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +
    {
        git ls-files -z -co --exclude-standard 2>/dev/null ||
            find . -mindepth 1 \( -path ./target -o -path ./.git \) -prune -o ! -type d -print0
    } | while IFS= read -r -d '' file; do
        [ ! -e "$file" ] || printf '%s\0' "$file"
    done | tar -c --null -T - | tar -x -C "$1" --no-same-owner
}
