# Sourced by scripts that try things in other releases of Debian: each SUITE (bookworm, trixie, sid) is a directory of its
# own, in which nothing of this machine runs or changes, but for its Rust, which is lent. It needs root, debootstrap, and
# Debian's mirror. The directories are target/roots/*-SUITE, or below FILEDIST_ROOTS. They are kept; remove them to begin anew.

[ "$(id -u)" = 0 ] || die "this makes and enters root directories." "sudo make $FILEDIST_GOAL"
for tool in debootstrap unshare ip; do
    command -v $tool >/dev/null || die "$tool is missing." "apt-get install debootstrap util-linux iproute2"
done
roots=${FILEDIST_ROOTS:-$REPO/target/roots}
mkdir -p "$roots"

# enter ROOT COMMAND...: with processes and mounts of its own, which end with it. OFFLINE=1: with a network of its own.
enter() {
    local root=$1 net=()
    shift
    [ -z "${OFFLINE:-}" ] || net=(--net)
    # shellcheck disable=SC2016
    unshare --mount --propagation private --pid --fork --kill-child "${net[@]}" bash -euc '
        root=$1 rust=$2 cargo=$3; shift 3
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/tmp"
        mount -t tmpfs tmpfs "$root/run"
        mkdir -p "$root/run/lock"
        for pair in "$rust:/opt/rust" "$cargo:/opt/cargo"; do
            [ -d "$root${pair#*:}" ] || continue
            mount --bind "${pair%%:*}" "$root${pair#*:}"
        done
        [ -z "${OFFLINE:-}" ] || ip link set lo up
        exec chroot "$root" env -i TERM=dumb LC_ALL=C.UTF-8 HOME=/root DEBIAN_FRONTEND=noninteractive \
            CARGO_HOME=/opt/cargo CARGO_NET_OFFLINE=true PATH="$ROOT_PATH" "$@"
    ' - "$root" "$rust" "$cargo" "$@"
}

# quiet LOG WHAT COMMAND...: prints the end of what it says if it fails.
quiet() {
    local log=$1 what=$2
    shift 2
    "$@" >"$log" 2>&1 </dev/null || {
        tail -n 25 "$log" | sed 's/^/      /' >&2
        die "$what failed." "All it said is in $log"
    }
}

# installing ROOT COMMAND...: what the command does there is to install packages, over the network; no daemon of the
# suite is started meanwhile.
installing() {
    local root=$1
    shift
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    quiet "$root.apt.log" "installing packages in $root" enter "$root" "$@"
    rm "$root/usr/sbin/policy-rc.d"
}

# apt ROOT PACKAGE...
apt() {
    local root=$1
    shift
    installing "$root" sh -c 'apt-get -qq update && apt-get -qq -y --no-install-recommends install "$@"' - "$@"
}

# has_rust ROOT: the suite's Rust can build this.
has_rust() {
    local have need
    quiet "$1.apt.log" "apt-get update" enter "$1" apt-get -qq update
    have=$(enter "$1" apt-cache policy cargo | sed -n 's/ *Candidate: //p')
    need=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)
    dpkg --compare-versions "$have" ge "$need"
}

base() {
    local root=$roots/deb-$1
    if [ ! -d "$root" ]; then
        say "$1: debootstrap (once)"
        rm -rf "$root.new"
        quiet "$root.log" debootstrap debootstrap --variant=minbase "$1" "$root.new"
        # debootstrap leaves none.
        echo '127.0.0.1 localhost' >"$root.new/etc/hosts"
        # A mirror may be as of some day.
        echo 'Acquire::Check-Valid-Until "false";' >"$root.new/etc/apt/apt.conf.d/99valid"
        mv "$root.new" "$root"
    fi
}

rust=$(rustc --print sysroot) cargo=${CARGO_HOME:-$HOME/.cargo}
[ "$rust" != /usr ] || die "Rust of a suite may be too old, and this machine's is the distribution's, which cannot be lent." "https://rustup.rs"
export ROOT_PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
quiet "$roots/fetch.log" "cargo fetch" cargo fetch --locked
