# PUT on one node.

use v5.36;
use Filedist 'no_plan';
use Digest::MD5 qw(md5_base64);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Time::HiRes qw(sleep time);

no_root_location();
prepare_dirs('root');

# A block without a configuration has a node without children, and no block leaves a temporary
# file behind.
my $node = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
END
add_block_preprocessor(sub ($block) {
    $block->set_value(config => $node) if !defined $block->config;
    my $no_files = $block->no_files // '';
    $block->set_value(no_files => "$no_files root/.filedist* root/*/.filedist* root/*/*/.filedist*")
        if !ref $no_files;
});

# Some blocks change how nginx is started, or mount something.
my @mounted;
sub unmount () { system('umount', '-l', pop @mounted) while @mounted }
add_test_cleanup_handler(sub (@) {
    unmount();
    umask 022;
    preload(undef);
    master_off();
});
END { unmount() }

# A small file system in the data directory. Only root can do that.
sub mount_tmpfs ($name, $options) {
    my $dir = data_dir() . "/$name";
    mkdir $dir;
    system('mount', '-t', 'tmpfs', '-o', $options, 'tmpfs', $dir) == 0 or bail_out("cannot mount $dir");
    push @mounted, $dir;
}

sub may_mount () {
    state $may = $> == 0 && system('unshare -m mount -t tmpfs tmpfs /mnt >/dev/null 2>&1') == 0;
    return $may;
}

# Where the tests run as root: workers run as a user that may not write to a directory of 0555.
sub as_nobody () {
    return if $>;
    master_on();
    set_user(nobody());
}

# Can that user come to the data directory?
sub nobody_may_enter () {
    return 1 if $>;
    my $dir = '';
    for my $name (grep {length} split '/', server_root() =~ s{/[^/]*$}{}r) {
        $dir .= "/$name";
        return 0 if !((stat $dir)[2] & 1);
    }
    return defined nobody();
}

# Sends pieces, strings or patterns to wait for, and returns all that comes back until nginx closes
# the connection or falls silent.
sub exchange (@pieces) {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 2) or die "connect: $!";
    my $got = '';
    my $read = sub ($patience, $done) {
        while (!$done->()) {
            vec(my $bits = '', fileno $socket, 1) = 1;
            select $bits, undef, undef, length $got ? $patience : 2 or return;
            sysread $socket, $got, 65536, length $got or return;
        }
    };
    local $SIG{PIPE} = 'IGNORE';
    for my $piece (@pieces) {
        if (ref $piece) { $read->(2, sub { $got =~ $piece }) }
        else            { $socket->printflush($piece) }
    }
    $read->(0.15, sub { 0 });
    return $got;
}

# The head of a PUT.
sub put_head ($path, @fields) { return join "\r\n", "PUT $path HTTP/1.1", 'Host: localhost', @fields, '', '' }

# The numbers of the status lines in what came back.
sub statuses ($got) { return join ' ', $got =~ m{^HTTP/1\.1 (\d+)}mg }

# A library that is loaded before nginx's own; nothing where there is no compiler, or where nginx is
# not started for the block.
sub library ($name, $code) {
    state %built;
    $built{$name} //= do {
        my $dir = tempdir(CLEANUP => 1);
        open my $file, '>', "$dir/$name.c" or die $!;
        print $file "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <errno.h>\n#include <fcntl.h>\n#include <stdarg.h>\n"
            . "#include <string.h>\n#include <sys/stat.h>\n$code";
        close $file;
        system("cc -shared -fPIC -o $dir/$name.so $dir/$name.c -ldl >$dir/log 2>&1") == 0 ? "$dir/$name.so" : '';
    };
    return !$ENV{TEST_NGINX_USE_HUP} && $built{$name};
}

# nginx sees a file system without O_TMPFILE.
sub without_tmpfile () {
    return library('tmpfile', <<'END');
#define REPLACE(name) \
    int name(const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = va_arg(arguments, mode_t); \
        va_end(arguments); \
        if ((flags & O_TMPFILE) == O_TMPFILE) { errno = EOPNOTSUPP; return -1; } \
        int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, #name); \
        return next(path, flags, mode); \
    }
REPLACE(open)
REPLACE(open64)
END
}

# nginx sees no /proc.
sub without_proc () {
    return library('proc', <<'END');
static int is_proc(const char *path) { return path && !strncmp(path, "/proc/", 6) && (errno = ENOENT); }
int statx(int fd, const char *path, int flags, unsigned mask, struct statx *to) {
    int (*next)(int, const char *, int, unsigned, struct statx *) = (int (*)(int, const char *, int, unsigned, struct statx *)) dlsym(RTLD_NEXT, "statx");
    return is_proc(path) ? -1 : next(fd, path, flags, mask, to);
}
int linkat(int fd, const char *path, int to, const char *name, int flags) {
    int (*next)(int, const char *, int, const char *, int) = (int (*)(int, const char *, int, const char *, int)) dlsym(RTLD_NEXT, "linkat");
    return is_proc(path) ? -1 : next(fd, path, to, name, flags);
}
END
}

# Calls for a path with "eio" in it do what they should, and fail, as on a network file system; what has a temporary name
# in a directory "eio" cannot be removed the first three times.
sub with_errors () {
    return library('errors', <<'END');
#include <unistd.h>
static int failed(int rc) { errno = EIO; return rc ? rc : -1; }
static int is_eio(const char *path) { return path && strstr(path, "eio") != 0; }
int rename(const char *from, const char *to) {
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *)) dlsym(RTLD_NEXT, "rename");
    return is_eio(to) ? failed(next(from, to)) : next(from, to);
}
int renameat(int fd, const char *from, int to_fd, const char *to) {
    int (*next)(int, const char *, int, const char *) = (int (*)(int, const char *, int, const char *)) dlsym(RTLD_NEXT, "renameat");
    if (to && !strcmp(to, "stays")) { return failed(-1); }
    return is_eio(to) ? failed(next(fd, from, to_fd, to)) : next(fd, from, to_fd, to);
}
int linkat(int fd, const char *path, int to_fd, const char *to, int flags) {
    int (*next)(int, const char *, int, const char *, int) = (int (*)(int, const char *, int, const char *, int)) dlsym(RTLD_NEXT, "linkat");
    return is_eio(to) ? failed(next(fd, path, to_fd, to, flags)) : next(fd, path, to_fd, to, flags);
}
int unlink(const char *path) {
    int (*next)(const char *) = (int (*)(const char *)) dlsym(RTLD_NEXT, "unlink");
    return is_eio(path) ? failed(next(path)) : next(path);
}
int unlinkat(int fd, const char *path, int flags) {
    static int calls;
    int (*next)(int, const char *, int) = (int (*)(int, const char *, int)) dlsym(RTLD_NEXT, "unlinkat");
    return path && !strncmp(path, ".filedist.", 10) && ++calls < 4 ? failed(-1) : next(fd, path, flags);
}
END
}

run_tests();

__DATA__

=== TEST 1: put, new file - 201, stored, with a receipt
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_headers
Content-Type: text/plain
--- response_body
success: root/a.txt stored: 5 bytes
--- files_like
root/a.txt hello



=== TEST 2: put, over a file - 200, replaced
--- data_files
>>> root/a.txt
a longer text than the new one
--- request
PUT /a.txt
hello
--- error_code: 200
--- response_body
success: root/a.txt stored: 5 bytes
--- files_like
root/a.txt hello



=== TEST 3: put, twice - 201, then 200
--- request eval
["PUT /a.txt\none", "PUT /a.txt\nthree"]
--- error_code eval
[201, 200]
--- files_like
root/a.txt three



=== TEST 4: put, new directories - made, 0755, files 0644, whatever the umask of who has started nginx
--- post_setup_server_root
package main;
umask 077;
--- request eval
["PUT /a/b/c.txt\nhello", "PUT /a/large\n" . 'x' x 100_000]
--- error_code eval
[201, 201]
--- files_like
root/a/b/c.txt hello
--- after
my %mode = ('root/a' => 0755, 'root/a/b' => 0755, 'root/a/b/c.txt' => 0644, 'root/a/large' => 0644);
for (sort keys %mode) {
    is(sprintf('%04o', (stat data_dir() . "/$_")[2] & 07777), sprintf('%04o', $mode{$_}), "mode of $_");
}



=== TEST 5: put, over a file - a file of its own, a reader keeps the old one
--- data_files
>>> root/a.txt
old
--- init
package main;
open $main::reader, '<', data_dir() . '/root/a.txt';
--- request
PUT /a.txt
new
--- error_code: 200
--- files_like
root/a.txt new
--- after
my ($old, $new) = map { (stat $_)[1] } $main::reader, data_dir() . '/root/a.txt';
isnt($new, $old, 'another inode');
is(readline $main::reader, "old\n", 'the reader reads on');



=== TEST 6: put, over a file with another name - the other name keeps the old one
--- data_files
>>> root/a.txt
old
--- init
package main;
link data_dir() . '/root/a.txt', data_dir() . '/root/b.txt';
--- request
PUT /a.txt
new
--- error_code: 200
--- files_like
root/a.txt new
root/b.txt /^old$/



=== TEST 7: put, empty - stored
--- request
PUT /a.txt
--- more_headers
Content-Length: 0
--- error_code: 201
--- response_body
success: root/a.txt stored: 0 bytes
--- files_like
root/a.txt /^\z/



=== TEST 8: put, empty, over a file - emptied
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
--- more_headers
Content-Length: 0
--- error_code: 200
--- files_like
root/a.txt /^\z/



=== TEST 9: put, one byte
--- request
PUT /a.txt
x
--- error_code: 201
--- files_like
root/a.txt x



=== TEST 10: put, around client_body_buffer_size
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    client_body_buffer_size 1k;
--- request eval
[map "PUT /$_\n" . CORE::join('', map chr(33 + $_ % 90), 1 .. $_), 1022 .. 1026, 2048, 2049, 4096]
--- error_code eval
[(201) x 8]
--- files_like eval
+{ map { ("root/$_" => CORE::join '', map chr(33 + $_ % 90), 1 .. $_) } 1022 .. 1026, 2048, 2049, 4096 }



=== TEST 11: put, larger than all buffers
--- request eval
"PUT /a.txt\n" . CORE::join ' ', 1 .. 300_000
--- error_code: 201
--- files_like eval
+{ 'root/a.txt' => CORE::join ' ', 1 .. 300_000 }



=== TEST 12: put, binary - as it is
--- raw_request eval
"PUT /a.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 260\r\n\r\n" . CORE::join('', map chr, 0 .. 255) . "\r\n\r\n"
--- error_code: 201
--- files_like eval
+{ 'root/a.bin' => CORE::join('', map chr, 0 .. 255) . "\r\n\r\n" }



=== TEST 13: put, body in small pieces
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 11\r\n\r", "\nhel", "lo ", "wor", "ld"]
--- raw_request_middle_delay
0.02
--- error_code: 201
--- files_like
root/a.txt hello world



=== TEST 14: put, client_body_in_file_only, client_body_in_single_buffer - stored all the same
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    client_body_buffer_size 1k;
    client_body_in_file_only clean;
    client_body_in_single_buffer on;
--- request eval
["PUT /a.txt\n" . 'x' x 5000, "PUT /b.txt\nhello"]
--- error_code eval
[201, 201]
--- files_like eval
+{ 'root/a.txt' => 'x' x 5000, 'root/b.txt' => 'hello' }



=== TEST 15: put, chunked
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
--- error_code: 201
--- response_body
success: root/a.txt stored: 11 bytes
--- files_like
root/a.txt hello world



=== TEST 16: put, chunked, in small pieces
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5", "\r\nhe", "llo\r", "\n1\r\n!\r\n0\r\n", "\r\n"]
--- error_code: 201
--- files_like
root/a.txt hello!



=== TEST 17: put, chunked, empty
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- error_code: 201
--- response_body
success: root/a.txt stored: 0 bytes
--- files_like
root/a.txt /^\z/



=== TEST 18: put, chunked, larger than all buffers
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
. ("3e8\r\n" . 'abcdefghij' x 100 . "\r\n") x 500 . "0\r\n\r\n"
--- error_code: 201
--- files_like eval
+{ 'root/a.txt' => 'abcdefghij' x 50_000 }



=== TEST 19: put, chunked, malformed - 400, nothing stored
--- data_files
>>> root/a.txt
old
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "x\r\nworld\r\n0\r\n\r\n"]
--- raw_request_middle_delay
0.05
--- error_code: 400
--- files_like
root/a.txt /^old$/



=== TEST 20: put, HTTP/1.0
--- request
PUT /a.txt HTTP/1.0
hello
--- error_code: 201
--- files_like
root/a.txt hello



=== TEST 21: put, neither Content-Length nor chunked - 411
--- request eval
["PUT /a.txt", "PUT /a.txt HTTP/1.0"]
--- error_code eval
[411, 411]
--- no_files
root/a.txt



=== TEST 22: put, Content-Range - 501, the old file stays
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
hello
--- more_headers
Content-Range: bytes 0-4/10
--- error_code: 501
--- response_body
error: root/a.txt failed to store: 501 (PUT takes whole files, no ranges)
--- files_like
root/a.txt /^old$/



=== TEST 23: put, Content-MD5 of the body - stored
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\n"]
--- more_headers eval
['Content-MD5: ' . Digest::MD5::md5_base64('hello') . '==',
 "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\nContent-Length: 0"]
--- error_code eval
[201, 201]
--- files_like
root/a.txt hello
root/b.txt /^\z/



=== TEST 24: put, Content-MD5 of something else - 400, the old file stays
--- data_files
>>> root/a.txt
old
--- request eval
["PUT /a.txt\nhello", "PUT /b/b.txt\nhello"]
--- more_headers eval
['Content-MD5: ' . Digest::MD5::md5_base64('hellO') . '==', 'Content-MD5: ' . Digest::MD5::md5_base64('hellO') . '==']
--- error_code eval
[400, 400]
--- response_body eval
["error: root/a.txt failed to store: 400 (the body does not match Content-MD5)\n",
 "error: root/b/b.txt failed to store: 400 (the body does not match Content-MD5)\n"]
--- files_like
root/a.txt /^old$/
--- no_files
root/b



=== TEST 25: put, Content-MD5 that is none - 400, the old file stays
--- data_files
>>> root/a.txt
old
--- request eval
[("PUT /a.txt\nhello") x 4]
--- more_headers eval
["Content-MD5: garbage", "Content-MD5: 5d41402abc4b2a76b9719d911017c592", "Content-MD5: XUFAKrxLKna5cZ2REBfFkg=",
 "Content-MD5: XUFAKrxLKna5cZ2REBfFk*=="]
--- error_code eval
[400, 400, 400, 400]
--- files_like
root/a.txt /^old$/



=== TEST 26: put, chunked, Content-MD5 of something else - 400, nothing stored
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
. "Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- error_code: 400
--- no_files
root/a.txt



=== TEST 27: put, over a directory - 409
--- data_files
>>> root/d/kept.txt
kept
--- request eval
["PUT /d\nhello", "PUT /d/\nhello", "PUT /\nhello", "PUT /d/.\nhello", "PUT /d/..\nhello"]
--- error_code eval
[(409) x 5]
--- files_like
root/d/kept.txt /^kept$/



=== TEST 28: put, over an empty directory - 409, it stays
--- dirs: root/d
--- request
PUT /d
hello
--- error_code: 409
--- response_body
error: root/d failed to store: 409 (a directory is there)
--- after
ok(-d data_dir() . '/root/d', 'it is a directory');



=== TEST 29: put, a slash at the end of a new name - 409, nothing stored
--- request
PUT /new/
hello
--- error_code: 409
--- no_files
root/new



=== TEST 30: put, a slash at the end of a file's name - 409, the old file stays
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt/
hello
--- error_code: 409
--- files_like
root/a.txt /^old$/



=== TEST 31: put, below a file - 409, the file stays
--- data_files
>>> root/f
old
--- request eval
["PUT /f/a.txt\nhello", "PUT /f/a/b/c.txt\nhello"]
--- error_code eval
[409, 409]
--- response_body eval
["error: root/f/a.txt failed to store: 409 (a part of the path is a file)\n",
 "error: root/f/a/b/c.txt failed to store: 409 (a part of the path is a file)\n"]
--- files_like
root/f /^old$/



=== TEST 32: put, over client_max_body_size by Content-Length - 413
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; client_max_body_size 10; }
--- data_files
>>> root/a.txt
old
--- request eval
["PUT /b.txt\n0123456789", "PUT /a.txt\n0123456789a"]
--- error_code eval
[201, 413]
--- files_like
root/a.txt /^old$/
root/b.txt 0123456789
--- wait_for_log
client intended to send too large body



=== TEST 33: put, over client_max_body_size by chunks - 413, the old file stays
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; client_max_body_size 10; }
--- data_files
>>> root/a.txt
old
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", "6\r\n567890\r\n0\r\n\r\n"]
--- raw_request_middle_delay
0.05
--- error_code: 413
--- response_body
error: root/a.txt failed to store: 413 (the body is too large)
--- files_like
root/a.txt /^old$/
--- error_log
client intended to send too large chunked body



=== TEST 34: put, client_max_body_size by chunks - just fits
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; client_max_body_size 10; }
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", "5\r\n56789\r\n0\r\n\r\n"]
--- error_code: 201
--- files_like
root/a.txt 0123456789



=== TEST 35: put, Expect - "100 Continue", then stored
--- request: HEAD /a.txt
--- error_code: 404
--- after
my $got = exchange(put_head('/a.txt', 'Expect: 100-continue', 'Content-Length: 5', 'Connection: close'),
    qr/100 Continue\r\n\r\n$/, 'hello');
is(statuses($got), '100 201', 'statuses');
is(read_data('root/a.txt'), 'hello', 'the file');



=== TEST 36: put, Expect, refused - the final status at once, no "100 Continue", the connection ends
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; client_max_body_size 1k; }
--- data_files
>>> root/d/f
old
--- request: GET /d/f
--- after
my @expect = ('Expect: 100-continue', 'Content-Length: 5');
my @cases = (
    ['a directory',    409, put_head('/d', @expect)],
    ['below a file',   409, put_head('/d/f/g', @expect)],
    ['a reserved name', 403, put_head('/.filedist.x', @expect)],
    ['too large',      413, put_head('/a', $expect[0], 'Content-Length: 2000')],
    ['another method', 405, put_head('/a', @expect) =~ s/PUT/POST/r],
    ['no length',      411, put_head('/a', $expect[0])],
    ['a part',         501, put_head('/a', @expect, 'Content-Range: bytes 0-4/5')],
    ['a bad digest',   400, put_head('/a', @expect, 'Content-MD5: garbage')],
    ['a bad version',  400, put_head('/a', @expect, 'Filedist-Version: garbage')],
    ['delete with a body', 415, put_head('/d/f', @expect) =~ s/PUT/DELETE/r],
);
for (@cases) {
    my ($name, $status, $head) = @$_;
    my $start = time;
    is(statuses(exchange($head)), $status, "$name - $status");
    cmp_ok(time - $start, '<', 1, "$name - at once");
}
--- files_like
root/d/f /^old$/
--- no_files
root/a



=== TEST 37: put, Expect, refused, the body comes all the same - it is no request
--- data_files
>>> root/d/f
old
--- request: GET /d/f
--- after
my $smuggled = "GET /d/f HTTP/1.1\r\nHost: a\r\n\r\n";
my $got = exchange(put_head('/d', 'Expect: 100-continue', 'Content-Length: ' . length $smuggled) . $smuggled);
is(statuses($got), 409, 'one answer');



=== TEST 38: put, keep-alive, refused before the body - the next request on the connection is understood
--- data_files
>>> root/d/f
old
--- pipelined_requests eval
["PUT /d\nhello", "PUT /d/f/g\n" . 'x' x 100_000, "POST /a\nhello", "PUT /.filedist.x\nhello", "PUT /\nGET /a HTTP/1.1",
 "DELETE /d/f\nhello", "DELETE /d", "GET /d/f"]
--- error_code_like eval
[map qr/^$_$/, 409, 409, 405, 403, 409, 415, 409, 200]
--- response_body_like eval
[(qr/^error: /) x 7, qr/^old$/]



=== TEST 39: put, keep-alive, refused with header fields - the next request on the connection is understood
--- request: PUT /f
--- more_headers
Content-Length: 0
--- error_code: 201
--- after
my $next = "GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
for (
    ['a part',        501, put_head('/a', 'Content-Length: 5', 'Content-Range: bytes 0-4/5') . 'hello'],
    ['no length',     411, put_head('/a')],
    ['a bad digest',  400, put_head('/a', 'Content-Length: 5', 'Content-MD5: garbage') . 'hello'],
    ['another digest', 400, put_head('/a', 'Content-Length: 5', 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==') . 'hello'],
    ['a bad version', 400, put_head('/a', 'Content-Length: 5', 'Filedist-Version: garbage') . 'hello'],
    ['a chunked body', 409, put_head('/', 'Transfer-Encoding: chunked') . "5\r\nhello\r\n0\r\n\r\n"],
    ['a chunked body with DELETE', 415,
        put_head('/f', 'Transfer-Encoding: chunked') =~ s/PUT/DELETE/r . "5\r\nhello\r\n0\r\n\r\n"],
) {
    my ($name, $status, $request) = @$_;
    is(statuses(exchange($request . $next)), "$status 200", $name);
}



=== TEST 40: put, chunked, refused in the middle - the rest is no request
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; client_max_body_size 10; }
--- request: HEAD /a
--- error_code: 404
--- after
my $head = put_head('/a', 'Transfer-Encoding: chunked');
is(statuses(exchange("${head}b\r\n0123456789a\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")), '413', '413 ends the connection');
is(statuses(exchange("${head}x\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")), '400', '400 ends the connection');
--- no_files
root/a



=== TEST 41: put, pipelined - one after the other
--- pipelined_requests eval
["PUT /a\n1", "PUT /b\n22", "PUT /a\n333", "GET /a", "GET /b"]
--- error_code_like eval
[map qr/^$_$/, 201, 201, 200, 200, 200]
--- response_body eval
["success: root/a stored: 1 bytes\n", "success: root/b stored: 2 bytes\n", "success: root/a stored: 3 bytes\n", "333", "22"]



=== TEST 42: other methods - 405 with Allow
--- data_files
>>> root/a
old
--- request eval
["POST /a\nhello", "PATCH /a\nhello", "MKCOL /a", "OPTIONS /a", "PROPFIND /a", "MOVE /a", "BREW /a"]
--- error_code eval
[(405) x 7]
--- response_headers eval
[("Allow: GET, HEAD, PUT, DELETE") x 7]
--- files_like
root/a /^old$/



=== TEST 43: put, names with blanks, percent signs, question marks, control characters, UTF-8 and other bytes
--- request eval
[map "PUT /$_\n$_", 'a%20b', 'a%25b', 'a%3Fb', 'a%0Ab', 'a%22%3C%26%3Eb', '%C3%BC', '%FF', '%7F', 'a+b', '...', 'a..', '~', '%2Dx', '%2A']
--- error_code eval
[(201) x 14]
--- response_body_like eval
[map qr{^success: root/\S+ stored: \d+ bytes\n\z}, 1 .. 14]
--- files_like eval
+{ map { ("root/" . s/%(..)/chr hex $1/ger => $_) } 'a%20b', 'a%25b', 'a%3Fb', 'a%0Ab', 'a%22%3C%26%3Eb', '%C3%BC', '%FF', '%7F', 'a+b', '...', 'a..', '~', '%2Dx', '%2A' }



=== TEST 44: put, arguments - no part of the name
--- request
PUT /a.txt?b=c
hello
--- error_code: 201
--- response_body
success: root/a.txt stored: 5 bytes
--- files_like
root/a.txt hello



=== TEST 45: put, dots within the root, encoded or not - the path that they mean
--- request eval
["PUT /x/../a\na", "PUT /x/%2e%2e/b\nb", "PUT /./c\nc", "PUT //d\nd", "PUT /e%2Fe\ne"]
--- error_code eval
[(201) x 5]
--- files_like
root/a a
root/b b
root/c c
root/d d
root/e/e e
--- no_files
root/x



=== TEST 46: put, out of the root - 400, nothing stored
--- request eval
["PUT /../a\na", "PUT /%2e%2e/a\na", "PUT /x/../../a\na", "PUT /x/%2e%2e%2f%2e%2e%2fa\na", "PUT /..\na", "PUT /x/..%2f..%2fa\na"]
--- error_code eval
[(400) x 6]
--- no_files
a root/a root/x



=== TEST 47: put, a NUL in the name - 400, nothing stored
--- request eval
["PUT /a%00b\na", "PUT /%00\na"]
--- error_code eval
[400, 400]
--- no_files
root/*



=== TEST 48: put, reserved names - 403, nothing stored
--- request eval
["PUT /.filedist.1.2\na", "PUT /%2efiledist%2ex\na", "PUT /d/.filedist.x\na", "PUT /.filedist.x/d\na", "PUT /.filedist.\na"]
--- error_code eval
[(403) x 5]
--- no_files
root/d root/.f*



=== TEST 49: put, names like reserved ones - stored
--- request eval
["PUT /filedist.x\na", "PUT /.filedis\na", "PUT /a.filedist.x\na"]
--- error_code eval
[(201) x 3]
--- files_like
root/filedist.x a
root/.filedis a
root/a.filedist.x a



=== TEST 50: put, a name of 255 bytes - stored
--- request eval
"PUT /" . 'a' x 255 . "\nhello"
--- error_code: 201
--- files_like eval
+{ 'root/' . 'a' x 255 => 'hello' }



=== TEST 51: put, a name of 256 bytes - 400, nothing stored
--- request eval
["PUT /" . 'a' x 256 . "\nhello", "PUT /" . 'a' x 256 . "/b\nhello", "PUT /d/e/" . 'a' x 256 . "\nhello"]
--- error_code eval
[(400) x 3]
--- response_body_like eval
[(qr/400 \(the name is too long\)$/) x 3]
--- no_files
root/*



=== TEST 52: put, a path of 5000 bytes - 400, nothing stored
--- request eval
"PUT /" . 'abcdefghi/' x 500 . "x\nhello"
--- error_code: 400
--- no_files
root/*



=== TEST 53: put, 300 directories deep - stored
--- request eval
["PUT /" . 'd/' x 300 . "a.txt\nhello", "GET /" . 'd/' x 300 . "a.txt"]
--- error_code eval
[201, 200]
--- files_like eval
+{ 'root/' . 'd/' x 300 . 'a.txt' => 'hello' }



=== TEST 54: put, the root is not there - 500, logged
--- config
    root $TEST_NGINX_DATA/nowhere;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- request
PUT /a.txt
hello
--- error_code: 500
--- response_body_like: ^error: .* failed to store: 500 \(see this node's error log\)$
--- error_log eval
qr/\[error\] .*failed \(2: No such file or directory\)/



=== TEST 55: put, into a directory that may not be written - 403, logged
--- skip_eval: 6: !main::nobody_may_enter()
--- dirs: root/d
--- post_setup_server_root
package main;
as_nobody();
chmod 0555, data_dir() . '/root/d';
--- request
PUT /d/a.txt
hello
--- error_code: 403
--- response_body
error: root/d/a.txt failed to store: 403 (this node may not write there)
--- error_log eval
qr/\[error\] .*failed \(13: Permission denied\)/
--- no_files
root/d/*



=== TEST 56: put, a new directory where none may be made - 403, logged
--- skip_eval: 5: !main::nobody_may_enter()
--- dirs: root/d
--- post_setup_server_root
package main;
as_nobody();
chmod 0555, data_dir() . '/root/d';
--- request
PUT /d/e/a.txt
hello
--- error_code: 403
--- error_log eval
qr/\[error\] .*failed \(13: Permission denied\)/
--- no_files
root/d/*



=== TEST 57: put, a file that may not be written, in a directory that may - replaced, as rename does
--- data_files
>>> root/a.txt
old
--- init
package main;
chmod 0444, data_dir() . '/root/a.txt';
--- request
PUT /a.txt
hello
--- error_code: 200
--- files_like
root/a.txt hello



=== TEST 58: put, disk full - 507, logged, the old file stays, room is free again
--- skip_eval: 12: !main::may_mount()
--- post_setup_server_root
package main;
mount_tmpfs('root', 'size=200k');
write_data('root/a.txt', 'old');
--- request eval
["PUT /a.txt\n" . 'x' x 500_000, "PUT /b/b.txt\n" . 'x' x 500_000, "PUT /c.txt\nhello"]
--- error_code eval
[507, 507, 201]
--- response_body_like eval
[qr{^error: root/a.txt failed to store: 507 \(no space left on this node\)$},
 qr{^error: root/b/b.txt failed to store: 507 \(no space left on this node\)$}, qr/^success/]
--- wait_for_log eval
[qr/\[(?:error|crit)\] .*\(28: No space left on device\)/]
--- allow_log: crit
--- files_like
root/a.txt old
root/c.txt hello
--- no_files
root/b



=== TEST 59: put, chunked, disk full - 507, the connection ends
--- skip_eval: 4: !main::may_mount()
--- post_setup_server_root
package main;
mount_tmpfs('root', 'size=200k');
--- request: HEAD /a
--- error_code: 404
--- allow_log: crit
--- after
my $got = exchange(put_head('/a', 'Transfer-Encoding: chunked') . ("3e8\r\n" . 'x' x 1000 . "\r\n") x 500 . "0\r\n\r\n");
is(statuses($got), '507', 'one answer');
--- no_files
root/a



=== TEST 60: put, no inode left for a directory - 507
--- skip_eval: 4: !main::may_mount()
--- post_setup_server_root
package main;
mount_tmpfs('root', 'size=200k,nr_inodes=3');
--- request
PUT /d/e/f/a.txt
hello
--- error_code: 507
--- allow_log: crit
--- no_files
root/d/e/f/a.txt



=== TEST 61: put, another file system below the root - stored there
--- skip_eval: 6: !main::may_mount()
--- post_setup_server_root
package main;
mount_tmpfs('root/m', 'size=200k');
--- request eval
["PUT /m/a.txt\nhello", "PUT /m/d/a.txt\nhello", "PUT /m/a.txt\nagain"]
--- error_code eval
[201, 201, 200]
--- files_like
root/m/a.txt again
root/m/d/a.txt hello



=== TEST 62: put, a read-only file system - refused, logged
--- skip_eval: 5: !main::may_mount()
--- post_setup_server_root
package main;
mount_tmpfs('root', 'size=200k');
write_data('root/a.txt', 'old');
system('mount', '-o', 'remount,ro', data_dir() . '/root');
--- request
PUT /a.txt
hello
--- error_code_like: ^(?:403|500)$
--- error_log eval
qr/\[error\] .*failed \(30: Read-only file system\)/
--- files_like
root/a.txt old



=== TEST 63: put, parallel, to one path - each is answered, one of them is there, whole
--- request: HEAD /a
--- error_code: 404
--- after
my (@sockets, %body);
for my $n (0 .. 9) {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port());
    $body{ chr(97 + $n) x (100_000 + $n) } = 1;
    $socket->printflush(put_head('/a', 'Content-Length: ' . (100_000 + $n), 'Connection: close'), chr(97 + $n) x 50_000);
    push @sockets, $socket;
}
$sockets[$_]->printflush(chr(97 + $_) x (50_000 + $_)) for reverse 0 .. 9;
my %count;
for (@sockets) {
    my $answer = do { local $/; <$_> };
    $count{ ($answer =~ m{^HTTP/1.1 (\d+)})[0] }++;
}
is_deeply(\%count, { 201 => 1, 200 => 9 }, 'statuses');
ok($body{ read_data('root/a') }, 'the file is one of them');



=== TEST 64: put, parallel, into one new directory - all are stored
--- request: HEAD /a
--- error_code: 404
--- after
my @sockets = map IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()), 0 .. 9;
$sockets[$_]->printflush(put_head("/d/e/f$_", 'Content-Length: 5', 'Connection: close'), 'hell') for 0 .. 9;
$_->printflush('o') for @sockets;
my @statuses = map { local $/; (readline($_) =~ m{^HTTP/1.1 (\d+)})[0] } @sockets;
is("@statuses", "201 " x 9 . '201', 'statuses');
is(CORE::join(' ', map { read_data("root/d/e/f$_") } 0 .. 9), 'hello ' x 9 . 'hello', 'the files');



=== TEST 65: put, alias
--- config
    location /pre/ {
        alias $TEST_NGINX_DATA/root/x/;
        filedist on;
    }
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
--- request eval
["PUT /pre/a.txt\nhello", "PUT /pre/d/a.txt\nhello", "PUT /pre/\nhello"]
--- error_code eval
[201, 201, 409]
--- response_body_like eval
[qr{^success: root/pre/a.txt stored: 5 bytes$}, qr{^success: root/pre/d/a.txt}, qr{^error}]
--- dirs: root/x
--- files_like
root/x/a.txt hello
root/x/d/a.txt hello



=== TEST 66: put, alias without a slash, beside its directory by the location's name - 400, nothing stored
--- config
    location /pre {
        alias $TEST_NGINX_DATA/root/x;
        filedist on;
    }
    filedist_state $TEST_NGINX_DATA/state;
--- dirs: root/x root/x-y
--- request eval
["PUT /pre../a.txt\nhello", "PUT /pre-y/a.txt\nhello", "PUT /pre/../a.txt\nhello", "PUT /pre/a.txt\nhello"]
--- error_code_like eval
[qr/^400$/, qr/^400$/, qr/^4\d\d$/, qr/^201$/]
--- files_like
root/x/a.txt hello
--- no_files
root/a.txt root/x-y/a.txt a.txt root/x../a.txt



=== TEST 67: put, alias in a location by regular expression
--- config
    location ~ ^/u/(\w+)/(.+)$ {
        alias $TEST_NGINX_DATA/root/$1/www/$2;
        filedist on;
    }
    filedist_state $TEST_NGINX_DATA/state;
--- dirs: root/joe
--- request
PUT /u/joe/d/a.txt
hello
--- error_code: 201
--- files_like
root/joe/www/d/a.txt hello



=== TEST 68: put, alias in a location by regular expression, out of its directory - 400, nothing stored
--- config
    location ~ ^/u(.*)$ {
        alias $TEST_NGINX_DATA/root/x/$1;
        filedist on;
    }
    filedist_state $TEST_NGINX_DATA/state;
--- dirs: root/x
--- request eval
["PUT /u../a.txt\nhello", "PUT /u.filedist.x\nhello"]
--- error_code eval
[400, 403]
--- no_files
root/a.txt root/x/.f*



=== TEST 69: put, root with variables
--- config
    root $TEST_NGINX_DATA/root/$host;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- dirs: root/a.example root/b.example
--- request
PUT /a.txt
hello
--- more_headers
Host: b.example
--- error_code: 201
--- files_like
root/b.example/a.txt hello
--- no_files
root/a.example/*



=== TEST 70: put, root with a variable of the client's, out of the root - refused
--- config
    location / {
        root $TEST_NGINX_DATA/root/$arg_dir;
        filedist on;
    }
    filedist_state $TEST_NGINX_DATA/state;
--- request
PUT /a.txt?dir=nowhere
hello
--- error_code: 500
--- error_log
No such file or directory
--- no_files
root/*



=== TEST 71: put, merge_slashes off - the same file
--- config
    merge_slashes off;
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- request eval
["PUT //d//a.txt\nhello", "PUT /d/a.txt\nagain", "PUT /d//../b.txt\nb"]
--- error_code eval
[201, 200, 201]
--- files_like
root/d/a.txt again



=== TEST 72: put, over a symbolic link - the link is replaced, what it points to stays
--- data_files
>>> kept.txt
old
--- init
package main;
symlink '../kept.txt', data_dir() . '/root/a.txt';
--- request
PUT /a.txt
hello
--- error_code: 200
--- files_like
kept.txt /^old$/
root/a.txt hello
--- after
ok(!-l data_dir() . '/root/a.txt', 'a.txt is a file');



=== TEST 73: put, over a symbolic link to nothing - replaced, nothing made elsewhere
--- init
package main;
symlink '../elsewhere.txt', data_dir() . '/root/a.txt';
--- request
PUT /a.txt
hello
--- error_code_like: ^20[01]$
--- files_like
root/a.txt hello
--- no_files
elsewhere.txt



=== TEST 74: put, over a symbolic link to a directory - 409, it stays
--- dirs: root/d
--- init
package main;
symlink 'd', data_dir() . '/root/a';
--- request
PUT /a
hello
--- error_code: 409
--- after
is(readlink data_dir() . '/root/a', 'd', 'it is a link');



=== TEST 75: put, through a symbolic link within the root
--- dirs: root/d
--- init
package main;
symlink 'd', data_dir() . '/root/l';
--- request
PUT /l/a.txt
hello
--- error_code: 201
--- files_like
root/d/a.txt hello



=== TEST 76: put, disable_symlinks on - 403 through and over a link, nothing changed
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
    disable_symlinks on from=$document_root;
--- data_files
>>> root/d/f
old
>>> root/e/g
old
--- init
package main;
symlink 'd', data_dir() . '/root/l';
symlink 'f', data_dir() . '/root/d/m';
--- request eval
["PUT /l/a.txt\nhello", "PUT /l/new/a.txt\nhello", "PUT /l/f\nhello", "PUT /d/m\nhello", "PUT /d/f\nhello", "PUT /d/new/a.txt\nhello"]
--- error_code eval
[403, 403, 403, 403, 200, 201]
--- response_body_like eval
[(qr/403 \(a symbolic link is in the way\)$/) x 4, (qr/^success/) x 2]
--- files_like
root/d/f hello
root/d/new/a.txt hello
--- no_files
root/d/a.txt



=== TEST 77: put, disable_symlinks on, a link to nothing - 403, it stays
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    disable_symlinks on from=$document_root;
--- init
package main;
symlink 'nothing', data_dir() . '/root/l';
--- request
PUT /l
hello
--- error_code: 403
--- after
is(readlink data_dir() . '/root/l', 'nothing', 'it is a link');



=== TEST 78: put, disable_symlinks if_not_owner - a link of the same owner is no obstacle
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    disable_symlinks if_not_owner from=$document_root;
--- dirs: root/d
--- init
package main;
symlink 'd', data_dir() . '/root/l';
--- request
PUT /l/a.txt
hello
--- error_code: 201
--- files_like
root/d/a.txt hello



=== TEST 79: put, aio threads
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    aio threads;
    client_body_buffer_size 1k;
--- request eval
["PUT /d/a.txt\nhello", "PUT /d/a.txt\nagain", "PUT /b\n" . CORE::join(' ', 1 .. 20_000), "PUT /d\nhello", "GET /d/a.txt"]
--- error_code eval
[201, 200, 201, 409, 200]
--- files_like eval
+{ 'root/d/a.txt' => 'again', 'root/b' => CORE::join ' ', 1 .. 20_000 }



=== TEST 80: put, aio threads, chunked, pipelined
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    aio threads;
--- request: HEAD /a
--- error_code: 404
--- after
my $put = sub { put_head("/$_[0]", 'Transfer-Encoding: chunked') . "5\r\n$_[1]\r\n0\r\n\r\n" };
my $got = exchange($put->('a', 'hello'), $put->('b', 'world') . $put->('a', 'again'), put_head('/', 'Content-Length: 1', 'Connection: close'), 'x');
is(statuses($got), '201 201 200 409', 'statuses');
is(read_data('root/a') . ' ' . read_data('root/b'), 'again world', 'the files');



=== TEST 81: put, aio threads in a pool with a variable name
--- main_config
    thread_pool small threads=1 max_queue=4;
--- config
    set $pool small;
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    aio threads=$pool;
--- request
PUT /a.txt
hello
--- error_code: 201
--- files_like
root/a.txt hello



=== TEST 82: put, aio threads, the client goes in the middle - nothing stored
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    aio threads;
--- request
PUT /a.txt
hel
--- more_headers
Content-Length: 5
--- timeout: 0.1
--- abort
--- error_code_like: ^$
--- no_files
root/*



=== TEST 83: put, the client goes in the middle - nothing stored, the old file stays
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
hel
--- more_headers
Content-Length: 5
--- timeout: 0.1
--- abort
--- error_code_like: ^$
--- files_like
root/a.txt /^old$/



=== TEST 84: put, the client shuts down its side in the middle - nothing stored
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
hel
--- more_headers
Content-Length: 5
--- shutdown: 1
--- error_code_like: ^(?:400)?$
--- files_like
root/a.txt /^old$/
--- no_files
root/b



=== TEST 85: put, client_body_timeout - 408 or nothing, nothing stored
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    client_body_timeout 100ms;
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
hel
--- more_headers
Content-Length: 5
--- timeout: 2
--- error_code_like: ^(?:408)?$
--- access_log eval
qr{"PUT /a.txt HTTP/1.1" 408 }
--- files_like
root/a.txt /^old$/



=== TEST 86: put, client_body_timeout - counts between two reads, not over all
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    client_body_timeout 600ms;
--- raw_request eval
["PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 6\r\n\r\n", 1, 2, 3, 4, 5, 6]
--- raw_request_middle_delay
0.2
--- error_code: 201
--- files_like
root/a.txt 123456



=== TEST 87: put, limit_rate - the answer is slow, not the upload
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    limit_rate 1k;
--- request eval
"PUT /a.txt\n" . 'x' x 100_000
--- error_code: 201
--- files_like eval
+{ 'root/a.txt' => 'x' x 100_000 }



=== TEST 88: put, keepalive_requests and lingering_close - honoured
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    keepalive_requests 2;
    lingering_close always;
--- request: HEAD /a
--- error_code: 404
--- after
is(statuses(exchange((put_head('/a', 'Content-Length: 1') . 'x') x 3)), '201 200', 'the third is not answered');



=== TEST 89: put, If-Match, If-None-Match and the like - not answered as a GET would be
--- data_files
>>> root/a.txt
old
--- request eval
[("PUT /a.txt\nhello") x 4]
--- more_headers eval
["If-None-Match: *", "If-Match: \"x\"", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"]
--- error_code eval
[200, 200, 200, 200]
--- response_body_like eval
[(qr/^success/) x 4]
--- files_like
root/a.txt hello



=== TEST 90: put, Range - no part of the receipt
--- data_files
>>> root/a.txt
old
--- request
PUT /a.txt
hello
--- more_headers
Range: bytes=0-2
--- error_code: 200
--- response_body
success: root/a.txt stored: 5 bytes



=== TEST 91: put, larger than a buffer - new directories, a file replaced, another name keeps the old one
--- data_files
>>> root/a.txt
old
--- init
package main;
link data_dir() . '/root/a.txt', data_dir() . '/root/b.txt';
--- request eval
["PUT /d/e/f.txt\n" . 'x' x 100_000, "PUT /a.txt\n" . 'y' x 100_000]
--- error_code eval
[201, 200]
--- response_body eval
["success: root/d/e/f.txt stored: 100000 bytes\n", "success: root/a.txt stored: 100000 bytes\n"]
--- files_like eval
+{ 'root/d/e/f.txt' => 'x' x 100_000, 'root/a.txt' => 'y' x 100_000, 'root/b.txt' => "old\n" }



=== TEST 92: put, larger than a buffer, refused - the old files stay, the connection goes on
--- data_files
>>> root/a.txt
old
>>> root/d/f
old
--- pipelined_requests eval
["PUT /a.txt\n" . 'x' x 100_000, "PUT /d\n" . 'x' x 100_000, "PUT /d/f/g\n" . 'x' x 100_000, "PUT /new/a.txt\n" . 'x' x 100_000, "GET /a.txt"]
--- more_headers
Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==
--- error_code_like eval
[map qr/^$_$/, 400, 409, 409, 400, 200]
--- files_like
root/d/f /^old$/
--- no_files
root/new



=== TEST 93: put, larger than a buffer, over a symbolic link - the link is replaced, what it points to stays
--- data_files
>>> kept.txt
old
--- init
package main;
symlink '../kept.txt', data_dir() . '/root/a.txt';
symlink '../elsewhere.txt', data_dir() . '/root/b.txt';
--- request eval
["PUT /a.txt\n" . 'x' x 100_000, "PUT /b.txt\n" . 'x' x 100_000]
--- error_code_like eval
[qr/^200$/, qr/^20[01]$/]
--- files_like eval
+{ 'kept.txt' => "old\n", 'root/a.txt' => 'x' x 100_000, 'root/b.txt' => 'x' x 100_000 }
--- no_files
elsewhere.txt



=== TEST 94: put, larger than a buffer, Content-MD5 of the body - stored
--- request eval
"PUT /a.txt\n" . 'x' x 100_000
--- more_headers eval
'Content-MD5: ' . Digest::MD5::md5_base64('x' x 100_000) . '=='
--- error_code: 201
--- files_like eval
+{ 'root/a.txt' => 'x' x 100_000 }



=== TEST 95: put, larger than a buffer, the client goes in the middle - nothing stored
--- data_files
>>> root/a.txt
old
--- request eval
["PUT /a.txt\n" . 'x' x 50_000, "PUT /d/b.txt\n" . 'x' x 50_000]
--- more_headers
Content-Length: 100000
--- timeout: 0.1
--- abort
--- error_code_like eval
[qr/^$/, qr/^$/]
--- files_like
root/a.txt /^old$/
--- no_files
root/d



=== TEST 96: put, a file system without O_TMPFILE - stored, no temporary file left
--- skip_eval: 17: !main::without_tmpfile()
--- post_setup_server_root
package main;
preload(without_tmpfile());
--- data_files
>>> root/old.txt
old
--- request eval
["PUT /a.txt\n" . 'a' x 100_000, "PUT /d/e/a.txt\n" . 'b' x 100_000, "PUT /old.txt\n" . 'c' x 100_000, "PUT /old.txt\n" . 'd' x 100_000,
 "PUT /d\n" . 'e' x 100_000, "PUT /small.txt\nhello"]
--- more_headers eval
['', '', '', 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==', '', '']
--- error_code eval
[201, 201, 200, 400, 409, 201]
--- files_like eval
+{ 'root/a.txt' => 'a' x 100_000, 'root/d/e/a.txt' => 'b' x 100_000, 'root/old.txt' => 'c' x 100_000, 'root/small.txt' => 'hello' }



=== TEST 97: put, a file system without O_TMPFILE, the client goes in the middle - no temporary file left
--- skip_eval: 4: !main::without_tmpfile()
--- post_setup_server_root
package main;
preload(without_tmpfile());
--- request eval
"PUT /a.txt\n" . 'x' x 50_000
--- more_headers
Content-Length: 100000
--- timeout: 0.1
--- abort
--- error_code_like: ^$
--- no_files
root/a.txt



=== TEST 98: put and delete, a signal comes while they wait for another change - no 500
--- main_config: timer_resolution 10ms;
--- data_files
>>> root/a.txt
old
--- request
PUT /b.txt
hello
--- error_code: 201
--- after
# Another process changes something in the directory, as another worker would.
sub hold ($name) {
    open my $directory, '<', data_dir() . "/$name" or die "$name: $!";
    flock $directory, 2 or die "flock: $!";
    my $pid = fork // die "fork: $!";
    return if $pid;
    sleep 0.3;
    POSIX::_exit(0);
}
for my $request ("PUT /a.txt HTTP/1.1\r\nContent-Length: 3\r\nHost: x\r\n\r\nnew", "DELETE /a.txt HTTP/1.1\r\nHost: x\r\n\r\n") {
    hold('root');
    my $start = time;
    is(statuses(exchange($request)), 200, (split ' ', $request)[0]);
    cmp_ok(time - $start, '>', 0.2, 'it has waited');
}



=== TEST 99: put and delete, a pipe and a socket - 409, they stay
--- post_setup_server_root
package main;
POSIX::mkfifo(data_dir() . '/root/pipe', 0666) or die $!;
our $at_socket = IO::Socket::UNIX->new(Local => data_dir() . '/root/socket', Listen => 1) or die $!;
--- request eval
[map { ("PUT /$_\nhello", "PUT /$_\n" . 'a' x 100_000, "DELETE /$_") } qw(pipe socket)]
--- error_code eval: [(409) x 6]
--- response_body_like eval
[map { my $name = $_; map qr{^error: root/$name failed to $_: 409 \(a socket, a pipe or a device is there\)$}, qw(store store delete) } qw(pipe socket)]
--- after eval
package main;
[(undef) x 5, sub { ok(-p data_dir() . '/root/pipe', 'a pipe'); ok(-S data_dir() . '/root/socket', 'a socket') }]



=== TEST 100: put, no /proc - stored, no temporary file left
--- skip_eval: 13: !main::without_proc()
--- post_setup_server_root
package main;
preload(without_proc());
--- data_files
>>> root/old.txt
old
--- request eval
["PUT /a.txt\n" . 'a' x 100_000, "PUT /d/e/a.txt\n" . 'b' x 100_000, "PUT /old.txt\n" . 'c' x 100_000, "PUT /small.txt\nhello"]
--- error_code eval
[201, 201, 200, 201]
--- files_like eval
+{ 'root/a.txt' => 'a' x 100_000, 'root/d/e/a.txt' => 'b' x 100_000, 'root/old.txt' => 'c' x 100_000, 'root/small.txt' => 'hello' }



=== TEST 101: put, a file system without O_TMPFILE, the worker is stopped in the middle - the next one removes the file
--- skip_eval: 5: !main::without_tmpfile()
--- post_setup_server_root
package main;
preload(without_tmpfile());
master_on();
--- request
PUT /b.txt
hello
--- error_code: 201
--- after
my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 2) or die "connect: $!";
$socket->printflush(put_head('/a.txt', 'Content-Length: 200000'), 'a' x 150_000);
my $left = sub { glob data_dir() . '/root/.filedist.*' };
ok(poll_until(sub { my @left = $left->(); @left == 1 }), 'it is being written');
my ($name) = $left->();
my ($worker) = $name =~ /\.filedist\.(\d+)-/;
kill TERM => $worker;
ok(poll_until(sub { my @left = $left->(); !@left }, 6), 'it is gone');



=== TEST 102: a worker was killed while it replaced a tombstone - what it left is removed
--- post_setup_server_root
package main;
# A number that no process has.
write_data('state/journal/4194305-1', '');
write_data('state/deleted/ab/.filedist.4194305-1.0', '');
chmod 0666, map { data_dir() . "/state/$_" } 'journal/4194305-1', 'deleted/ab/.filedist.4194305-1.0';
chmod 0777, map { data_dir() . "/state/$_" } qw(journal deleted deleted/ab);
--- request
PUT /a.txt
hello
--- error_code: 201
--- no_files
state/deleted/ab/.filedist* state/journal/4194305*



=== TEST 103: put and delete, a call that fails has done what it should - 500, and the child is owed it
--- skip_eval: 9: !main::with_errors()
--- post_setup_server_root
package main;
preload(with_errors());
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; root $TEST_NGINX_DATA/root; client_max_body_size 0; proxy_pass http://children; }
--- request eval
["PUT /eio.txt\nhello", "PUT /new/eio.txt\n" . 'x' x 100_000, "DELETE /eio.txt"]
--- error_code eval
[500, 500, 500]
--- after
my ($log) = map { Filedist::slurp($_) } glob data_dir() . '/state/missing/*/*.log.html';
like($log, qr{ PUT <a href="/eio.txt">}, 'the first PUT');
like($log, qr{ PUT <a href="/new/eio.txt">}, 'the second');
like($log, qr{ DELETE .*/eio.txt}, 'the DELETE');
is(-s data_dir() . '/root/new/eio.txt', 100_000, 'it is stored');
--- no_files
root/eio.txt root/.filedist* root/new/.filedist*



=== TEST 104: put, the file cannot be renamed, nor removed for a while - removed while the worker lives
--- skip_eval: 4: !main::with_errors()
--- post_setup_server_root
package main;
preload(with_errors());
--- request
PUT /stays
hello
--- error_code: 500
--- after
ok(poll_until(sub { my @left = glob data_dir() . '/root/.filedist.*'; !@left }, 6), 'nothing is left');
