# What becomes of a delivery when the child misbehaves: the client has the local status, the receipt and
# the missing log say what happened, in the time that the proxy_* directives give, and the other child
# has the file as soon as if nothing were wrong.

use v5.36;
use Filedist;
use Filedist::Tree qw(slurp);

use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root good));

# GOOD is a node that works, BAD is what the block makes of it.
$ENV{"TEST_NGINX_$_"} = free_port() for qw(GOOD BAD);

# One long timeout would hide which of them did it: the block sets one to 0.4 s, the rest take 10 s.
our $http_config = <<'END';
    server {
        listen 127.0.0.1:$TEST_NGINX_GOOD;
        filedist_state $TEST_NGINX_DATA/good-state;
        filedist_name good;
        location / { filedist on; root $TEST_NGINX_DATA/good; client_max_body_size 0; }
    }
    upstream children {
        server 127.0.0.1:$TEST_NGINX_BAD max_fails=0;
        server 127.0.0.1:$TEST_NGINX_GOOD;
        filedist_fanout;
    }
END

sub node ($more = '') {
    my %timeout = map { $_ => "proxy_${_}_timeout 10s;" } qw(connect send read);
    $more =~ /proxy_\Q$_\E_timeout/ and delete $timeout{$_} for qw(connect send read);
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            @{[ join ' ', sort values %timeout ]}
            $more
        }
        END
}

my ($began, @pids, @held);

add_block_preprocessor(sub ($block) {
    $block->set_value(http_config => $http_config) if !defined $block->http_config;
    $block->set_value(config => node())            if !defined $block->config;
    $block->set_value(error_code => 201)           if !defined $block->error_code;
    $began = time;
});

add_test_cleanup_handler(sub {
    kill KILL => @pids;
    waitpid $_, 0 for @pids;
    @pids = @held = ();
});

# A child that does with each connection what the code says.
sub child ($code) {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_BAD}, Listen => 5, ReuseAddr => 1)
        or die "cannot listen: $!";
    $began = time;
    push @pids, my $pid = fork // die "fork: $!";
    return if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    setsockopt $listener, SOL_SOCKET, SO_RCVBUF, 8192;
    while (my $connection = $listener->accept) {
        eval { $code->($connection) };
        close $connection;
    }
    POSIX::_exit(0);
}

sub read_head ($connection) {
    my $got = '';
    while ($got !~ /\r\n\r\n/) { sysread $connection, $got, 65536, length $got or last }
    return $got;
}

sub read_all ($connection) {
    my $got = read_head($connection);
    my ($length) = $got =~ /^Content-Length: (\d+)/mi;
    my $rest = ($length // 0) - (length($got) - index($got, "\r\n\r\n") - 4);
    while ($rest > 0) { $rest -= sysread($connection, $got, 65536) || last }
}

# A child that reads the request and answers this.
sub answers (@pieces) {
    child(sub ($c) { read_all($c); syswrite $c, $_ for @pieces });
}

sub reset_connection ($connection) { setsockopt $connection, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0 }

# A child that no packet reaches: connections fill the queue of a socket that accepts none.
sub black_hole () {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_BAD}, Listen => 1, ReuseAddr => 1)
        or die "cannot listen: $!";
    push @held, $listener;
    for (1 .. 4) {
        push @held, IO::Socket::INET->new(
            PeerAddr => "127.0.0.1:$ENV{TEST_NGINX_BAD}", Blocking => 0);
    }
    sleep 0.05;
    $began = time;
}

sub missing_log () { return join '', map { slurp($_) } glob data_dir() . '/state/missing/*/*.log.html' }

# The receipt and the missing log have one line on the bad child, and this node and the good child have the file.
sub failed_with ($receipt, $reason, $path = '/a') {
    my $bad = "127.0.0.1:$ENV{TEST_NGINX_BAD}";
    is(join('', grep {/^error/} split /^/, $receipt), "error: $bad$path failed to store: $reason\n", 'receipt: the bad child');
    like($receipt, qr{\Asuccess: root\Q$path\E stored: \d+ bytes$}m, 'receipt: this node first');
    like($receipt, qr{^success: good\Q$path\E stored: \d+ bytes$}m, 'receipt: the good child');
    like(missing_log(), qr{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ PUT <a href="\Q$path\E">\Q$path\E</a> \d{19} \Q$reason\E<br>\n\z},
        'missing log: one line');
    ok(-d data_dir() . "/state/missing/$bad", 'missing log: of the bad child');
    for my $node (qw(root good)) {
        ok(-e data_dir() . "/$node$path", "$node has the file");
    }
}

# How long the request took, and that the good child did not wait for the bad one: it had the file long before the
# answer came, however late a busy machine has begun.
sub took ($least, $before_answer = 0.1) {
    my $end  = time;
    my $took = $end - $began;
    cmp_ok($took, '>=', $least, 'not before its time');
    # All other times are 10 s or more.
    cmp_ok($took, '<=', 9, 'and not long after') if !$ENV{TEST_NGINX_USE_VALGRIND};
    my $good = (Time::HiRes::stat(data_dir() . '/good/a'))[10];
    cmp_ok($good, '<', $end - $before_answer, 'the good child had it long before') if !$ENV{TEST_NGINX_USE_VALGRIND};
}

# Whatever is made of a strange answer, receipt and missing log agree on it.
sub consistent ($receipt) {
    my $bad    = "127.0.0.1:$ENV{TEST_NGINX_BAD}";
    my $failed = $receipt =~ m{^error: \Q$bad\E/a failed to store: \S+$}m;
    my $stored = $receipt =~ m{^success: \Q$bad\E/a stored: \d+ bytes$}m;
    ok(!!$failed ne !!$stored, 'the receipt has a line on the child') or diag($receipt);
    is(missing_log() ne '', !!$failed, 'and the missing log agrees');
    is(scalar(() = $receipt =~ /^/mg), 3, 'three lines for three nodes') or diag($receipt);
}

run_tests();

__DATA__

=== TEST 1: refused - 502
--- request
PUT /a
hello
--- error_log
connect() failed (111: Connection refused)
--- after: failed_with($_[1], 502)



=== TEST 2: refused, large body - 502
--- request eval
"PUT /a\n" . "0123456789abcdef" x 65536
--- after: failed_with($_[1], 502)



=== TEST 3: connect timeout - timeout, when proxy_connect_timeout says
--- init: black_hole()
--- config eval: main::node('proxy_connect_timeout 1s;')
--- request
PUT /a
hello
--- after: took(0.95); failed_with($_[1], 'timeout')



=== TEST 4: connect timeout, large body - the good child has it at once
--- init: black_hole()
--- config eval: main::node('proxy_connect_timeout 1s;')
--- request eval
"PUT /a\n" . "0123456789abcdef" x 65536
--- after: took(0.95); failed_with($_[1], 'timeout')



=== TEST 5: no answer - timeout, when proxy_read_timeout says
--- init: child(sub ($c) { read_all($c); sleep 20 })
--- config eval: main::node('proxy_read_timeout 1s;')
--- request
PUT /a
hello
--- after: took(0.95); failed_with($_[1], 'timeout')



=== TEST 6: answer too late - timeout
--- init: child(sub ($c) { read_all($c); sleep 15; syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" })
--- config eval: main::node('proxy_read_timeout 1s;')
--- request
PUT /a
hello
--- after: took(0.95); failed_with($_[1], 'timeout')



=== TEST 7: late answer, but in time - success
--- init: child(sub ($c) { read_all($c); sleep 0.3; syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" })
--- config eval: main::node('proxy_read_timeout 3s;')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 5 bytes
success: good/a stored: 5 bytes
--- after: is(missing_log(), '', 'nothing missing')



=== TEST 8: half an answer, then nothing - timeout
--- init: child(sub ($c) { read_all($c); syswrite $c, "HTTP/1.1 201 Cre"; sleep 20 })
--- config eval: main::node('proxy_read_timeout 1s;')
--- request
PUT /a
hello
--- after: took(0.95); failed_with($_[1], 'timeout')



=== TEST 9: closed without an answer - 502
--- init: child(sub ($c) { read_all($c) })
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 10: closed before the request - 502
--- init: child(sub ($c) { })
--- request eval
"PUT /a\n" . "0123456789abcdef" x 65536
--- after: failed_with($_[1], 502)



=== TEST 11: reset in the middle of the body - 502
--- init: child(sub ($c) { read_head($c); sysread $c, my $part, 8192; reset_connection($c) })
--- request eval
"PUT /a\n" . "0123456789abcdef" x 262144
--- after: failed_with($_[1], 502)



=== TEST 12: reset instead of an answer - 502
--- init: child(sub ($c) { read_all($c); reset_connection($c) })
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 13: 403 - 403
--- init: answers("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 403)



=== TEST 14: 500 - 500
--- init: answers("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 500)



=== TEST 15: 503 with a page - 503
--- init: answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6\r\n\r\n<html>")
--- request
PUT /a
hello
--- after: failed_with($_[1], 503)



=== TEST 16: 507 - 507
--- init: answers("HTTP/1.1 507 Insufficient Storage\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 507)



=== TEST 17: 504 of the child's own - 504
--- init: answers("HTTP/1.1 504 Gateway Time-out\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 504)



=== TEST 18: 302 - is not followed
--- init: answers("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 302)



=== TEST 19: 404 to a PUT - 404
--- init: answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 404)



=== TEST 20: 404 to a PUT, proxy_next_upstream http_404 - the same
--- init: answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
--- config eval: main::node('proxy_next_upstream error timeout http_404;')
--- request
PUT /a
hello
--- after: failed_with($_[1], 404)



=== TEST 21: 503, proxy_next_upstream http_503 - the same
--- init: answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
--- config eval: main::node('proxy_next_upstream error timeout http_503;')
--- request
PUT /a
hello
--- after: failed_with($_[1], 503)



=== TEST 22: proxy_next_upstream off - the same
--- config eval: main::node('proxy_next_upstream off;')
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 23: 413 of a real node - 413
--- dirs: bad
--- http_config eval
$::http_config . <<'END'
    server {
        listen 127.0.0.1:$TEST_NGINX_BAD;
        filedist_state $TEST_NGINX_DATA/bad-state;
        location / { filedist on; root $TEST_NGINX_DATA/bad; client_max_body_size 1k; }
    }
END
--- request eval
"PUT /a\n" . "0123456789abcdef" x 131072
--- after: failed_with($_[1], 413)



=== TEST 24: 413, and the connection closed at once - 413 or 502
--- init: child(sub ($c) { read_head($c); syswrite $c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"; })
--- request eval
"PUT /a\n" . "0123456789abcdef" x 131072
--- after: my ($reason) = $_[1] =~ /failed to store: (413|502)$/m; failed_with($_[1], $reason // '413 or 502')



=== TEST 25: garbage - 502
--- init: answers("SSH-2.0-OpenSSH_9.2\r\n")
--- request
PUT /a
hello
--- error_log
upstream sent no valid HTTP/1.0 header
--- after: failed_with($_[1], 502)



=== TEST 26: binary garbage, endless - 502
--- init: child(sub ($c) { read_all($c); while (syswrite $c, "\xff\0" x 4096) { } })
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 27: garbage in the head - 502
--- init: answers("HTTP/1.1 201 Created\r\n\x00\x01\x02 nonsense\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 28: head larger than proxy_buffer_size - 502
--- init: answers("HTTP/1.1 201 Created\r\nX: " . "x" x 70000 . "\r\n\r\n")
--- request
PUT /a
hello
--- after: failed_with($_[1], 502)



=== TEST 29: 403 before the body - 403
--- init: child(sub ($c) { read_head($c); syswrite $c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"; sleep 1 })
--- request eval
"PUT /a\n" . "0123456789abcdef" x 262144
--- after: failed_with($_[1], 403)



=== TEST 30: 403 while the client still sends - 403, and the upload goes on
--- init: child(sub ($c) { read_head($c); syswrite $c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"; sleep 1 })
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "lo", delay_before => 0.3}]]
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_BAD/a failed to store: 403
success: good/a stored: 5 bytes
--- after: failed_with($_[1], 403)



=== TEST 31: 201 before the body - no success, for the child has not got the file
--- init: child(sub ($c) { read_head($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"; sleep 1 })
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "lo", delay_before => 0.3}]]
--- response_body_like: (?m)^error: \S+ failed to store: \S+$
--- after: like(missing_log(), qr{ PUT <a href="/a">}, 'missing log')



=== TEST 32: child that reads 1 KB/s - timeout, when proxy_send_timeout says
--- init: child(sub ($c) { read_head($c); for (1 .. 20) { sysread $c, my $piece, 1024; sleep 1 } })
--- config eval: main::node('proxy_send_timeout 400ms;')
--- request eval
"PUT /a\n" . "0123456789abcdef" x 1048576
--- timeout: 10
--- after: took(0.39, 0); failed_with($_[1], 'timeout')



=== TEST 33: child that reads nothing - the good child has it at once
--- init: child(sub ($c) { sleep 20 })
--- config eval: main::node('proxy_send_timeout 4s;')
--- request eval
"PUT /a\n" . "0123456789abcdef" x 1048576
--- timeout: 10
--- after: took(3.9); failed_with($_[1], 'timeout')



=== TEST 34: huge answer - receipt and log agree
--- init: child(sub ($c) { read_all($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 4000000\r\n\r\n"; for (1 .. 1000) { syswrite $c, "success: x" x 400 or last } })
--- request
PUT /a
hello
--- after: consistent($_[1])



=== TEST 35: answer cut off - receipt and log agree
--- init: answers("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nsuccess: child/a")
--- request
PUT /a
hello
--- after: consistent($_[1])



=== TEST 36: chunked answer cut off - receipt and log agree
--- init: answers("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nsuccess: child/a")
--- request
PUT /a
hello
--- after: consistent($_[1])



=== TEST 37: answer that stalls in its body - receipt and log agree, in time
--- init: child(sub ($c) { read_all($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nsuccess"; sleep 20 })
--- config eval: main::node('proxy_read_timeout 1s;')
--- request
PUT /a
hello
--- after: took(0.95); consistent($_[1])



=== TEST 38: a page instead of a receipt - success in our words
--- init: answers("HTTP/1.1 201 Created\r\nContent-Length: 23\r\n\r\n<html>error: no</html>\n")
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 5 bytes
success: good/a stored: 5 bytes



=== TEST 39: 204, as stock nginx says over an existing file - success
--- init: answers("HTTP/1.1 204 No Content\r\n\r\n")
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 5 bytes
success: good/a stored: 5 bytes



=== TEST 40: answer without a length - success
--- init: answers("HTTP/1.0 200 OK\r\n\r\nsuccess: bad/a stored: 5 bytes\n")
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: bad/a stored: 5 bytes
success: good/a stored: 5 bytes



=== TEST 41: a grandchild that failed - named, and in no log of ours
--- init: answers("HTTP/1.1 201 Created\r\nContent-Length: 73\r\n\r\nsuccess: bad/a stored: 5 bytes\nerror: 10.0.0.9:80/a failed to store: 502\n")
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: bad/a stored: 5 bytes
error: 10.0.0.9:80/a failed to store: 502
success: good/a stored: 5 bytes
--- after: is(missing_log(), '', 'it is in the log of its parent')



=== TEST 42: all children dead - the local status
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_BAD;
        server 127.0.0.1:$TEST_NGINX_GOOD;
        filedist_fanout;
    }
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_BAD/a failed to store: 502
error: 127.0.0.1:$TEST_NGINX_GOOD/a failed to store: 502
--- after: is(scalar(() = missing_log() =~ / 502<br>$/mg), 2, 'both are logged')



=== TEST 43: overwriting, a dead child - 200, as without it
--- data_files
>>> root/a
old
--- request
PUT /a
hello
--- error_code: 200
--- after: failed_with($_[1], 502)



=== TEST 44: the client pauses longer than proxy_send_timeout and proxy_read_timeout - no timeout
--- init: child(sub ($c) { read_all($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" })
--- config eval: main::node('client_body_buffer_size 2; proxy_send_timeout 300ms; proxy_read_timeout 300ms;')
--- request eval
[[{value => "PUT /a\nhe"}, {value => "l", delay_before => 0.8}, {value => "lo", delay_before => 0.8}]]
--- response_body
success: root/a stored: 5 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 5 bytes
success: good/a stored: 5 bytes



=== TEST 45: the client pauses after many bytes - no timeout
--- init: child(sub ($c) { read_all($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" })
--- config eval: main::node('proxy_send_timeout 300ms; proxy_read_timeout 300ms;')
--- request eval
[[{value => "PUT /a\n" . "0123456789abcdef" x 65536}, {value => "lo", delay_before => 0.8}]]
--- response_body
success: root/a stored: 1048578 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 1048578 bytes
success: good/a stored: 1048578 bytes



=== TEST 46: the client pauses, and a child is dead - the upload goes on
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhe"}, {value => "llo", delay_before => 0.4}]]
--- after: failed_with($_[1], 502)



=== TEST 47: the client pauses, and a child does not read - no timeout
--- init: child(sub ($c) { sleep 0.9; read_all($c); syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" })
--- config eval: main::node('client_body_buffer_size 2; proxy_send_timeout 300ms; proxy_read_timeout 300ms;')
--- request eval
[[{value => "PUT /a\nhe"}, {value => "llo", delay_before => 0.8}]]
--- response_body
success: root/a stored: 5 bytes
success: 127.0.0.1:$TEST_NGINX_BAD/a stored: 5 bytes
success: good/a stored: 5 bytes



=== TEST 48: delete, refused - 502
--- data_files
>>> root/a
old
>>> good/a
old
--- request
DELETE /a
--- error_code: 200
--- response_body
success: root/a deleted
error: 127.0.0.1:$TEST_NGINX_BAD/a failed to delete: 502
success: good/a deleted
--- after: like(missing_log(), qr{\A\S+Z DELETE /a \d{19} 502<br>\n\z}, 'missing log')
--- no_files: root/a good/a



=== TEST 49: delete, no answer - timeout
--- init: child(sub ($c) { read_head($c); sleep 20 })
--- config eval: main::node('proxy_read_timeout 400ms;')
--- data_files
>>> root/a
old
--- request
DELETE /a
--- error_code: 200
--- response_body_like: (?m)^error: \S+/a failed to delete: timeout$
--- after: like(missing_log(), qr{\A\S+Z DELETE /a \d{19} timeout<br>\n\z}, 'missing log')



=== TEST 50: delete, 404 - the child is where it should be
--- init: answers("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
--- data_files
>>> root/a
old
>>> good/a
old
--- request
DELETE /a
--- error_code: 200
--- response_body_unlike: (?m)^error
--- after: is(missing_log(), '', 'nothing missing')



=== TEST 51: delete, 409 - 409
--- init: answers("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
--- data_files
>>> root/a
old
--- request
DELETE /a
--- error_code: 200
--- response_body_like: (?m)^error: \S+/a failed to delete: 409$
--- after: like(missing_log(), qr{ DELETE /a \d{19} 409<br>$}, 'missing log')



=== TEST 52: delete of nothing, refused - 404, and delivered or logged all the same
--- request
DELETE /a
--- error_code: 404
--- response_body_like: (?m)^error: \S+/a failed to delete: 502$
--- after: like(missing_log(), qr{ DELETE /a \d{19} 502<br>$}, 'missing log')



=== TEST 53: a refused upload - is not in the missing log
--- init: child(sub ($c) { read_all($c) })
--- data_files
>>> root/a/b
kept
--- request
PUT /a
hello
--- error_code: 409
--- after: is(missing_log(), '', 'nothing missing')
