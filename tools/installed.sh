# Sourced by tools/install and tools/uninstall: which files there are, and where. Either may be given MODULES_DIR,
# BINDIR (PREFIX/bin if not), PREFIX (/usr/local if not), and DESTDIR, below which all of it is.

binary=$(nginx_binary) || binary=
# What nginx was configured with: its value of --NAME=.
configured() {
    [ -z "$binary" ] || "$binary" -V 2>&1 | sed -n "s/.*--$1=\([^ ]*\).*/\1/p"
}

: "${PREFIX:=/usr/local}" "${BINDIR:=$PREFIX/bin}" "${DESTDIR:=}"
if [ -z "${MODULES_DIR:-}" ]; then
    [ -n "$binary" ] || die "nginx is not installed, so where do its modules stand?" "make $FILEDIST_GOAL MODULES_DIR=/usr/lib/nginx/modules"
    MODULES_DIR=$(configured modules-path)
    [ -n "$MODULES_DIR" ] || die "$binary does not say where its modules stand." "make $FILEDIST_GOAL MODULES_DIR=/usr/lib/nginx/modules"
fi

# Of ours: completions by shell, and the manual page.
share=$DESTDIR$PREFIX/share
declare -A completions=(
    [bash]=$share/bash-completion/completions/$GENERATOR
    [zsh]=$share/zsh/site-functions/_$GENERATOR
    [fish]=$share/fish/vendor_completions.d/$GENERATOR.fish
)
manual=$share/man/man1/$GENERATOR.1

# Debian's nginx.conf includes modules-enabled/*.conf. The package's link there has the same name.
conf=$(configured conf-path)
: "${conf:=/etc/nginx/nginx.conf}"
enabled=$DESTDIR${conf%/*}/modules-enabled
snippet=$enabled/50-mod-http-filedist.conf

# A package's files are the package's.
if [ -z "$DESTDIR" ] && command -v dpkg-query >/dev/null; then
    ! owner=$(dpkg-query -S "$MODULES_DIR/$MODULE" 2>/dev/null) || die \
        "$MODULES_DIR/$MODULE belongs to the package ${owner%%:*}." "apt-get purge ${owner%%:*}, or leave it to the package."
fi
