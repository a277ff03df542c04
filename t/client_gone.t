# Who leaves at any moment, the client or a worker, leaves nothing half-done: a change is whole on a node
# or not there, and what was accepted is delivered or in the missing log.

use v5.36;
use Filedist;
use Filedist::Tree qw(answer client leaf names slurp);

use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(2048);

# C1 and C2 are nodes in the same nginx, S a child that the block scripts, H2 the root over HTTP/2.
$ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 S H2 DEAD);

sub upstream (@servers) { return "upstream children { @{[ map \"server 127.0.0.1:$_ max_fails=0;\", @servers ]} filedist_fanout; }\n" }

sub node ($more = '') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        access_log \$TEST_NGINX_DATA/access;
        location = /alive { access_log off; return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            proxy_http_version 1.1;
            proxy_set_header Connection close;      # no descriptor stays
            $more
        }
        END
}

sub http2_node ($more = '') {
    return "server { listen 127.0.0.1:\$TEST_NGINX_H2 http2;\n" . node($more) . "}\n";
}

our $two_nodes  = leaf('c1') . leaf('c2') . upstream('$TEST_NGINX_C1', '$TEST_NGINX_C2');
our $scripted   = upstream('$TEST_NGINX_S');
our $other_http = 'location = /alive { return 204; }';

my ($began, @pids);

# Most blocks do all in --- after; the request itself is only to have one.
add_block_preprocessor(sub ($block) {
    if (!defined $block->request && !defined $block->raw_request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    $block->set_value(http_config => $two_nodes) if !defined $block->http_config;
    $block->set_value(config => node())          if !defined $block->config;
    $block->name =~ /worker|reload/ ? master_on() : master_off();
    # Valgrind hides the title that tells a worker.
    $block->set_value(skip_eval => '1: $ENV{TEST_NGINX_USE_VALGRIND}') if $block->name =~ /worker|reload/;
    $began = time;
});

add_test_cleanup_handler(sub {
    kill KILL => @pids;
    waitpid $_, 0 for @pids;
    @pids = ();
});

# A child that answers each request so many seconds after the last byte. What came is in the file
# "received", and a line a request in "requests".
sub child ($seconds = 0) {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_S}, Listen => 50, ReuseAddr => 1)
        or die "cannot listen: $!";
    push @pids, my $pid = fork // die "fork: $!";
    return if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    while (my $connection = $listener->accept) {
        my $got = '';
        while (sysread $connection, my $piece, 65536) {
            $got .= $piece;
            write_data('received', $got);
            my ($length) = $got =~ /^Content-Length: (\d+)/mi;
            my $end = index $got, "\r\n\r\n";
            next if $end < 0 || length($got) - $end - 4 < ($length // 0);
            write_data('requests', (read_data('requests') // '') . substr($got, 0, index $got, "\r\n") . "\n");
            sleep $seconds;
            syswrite $connection, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            last;
        }
        close $connection;
        write_data('closed', 'yes');
    }
    POSIX::_exit(0);
}

sub put ($path, $length, $body, $more = '') {
    my $socket = client();
    my $bytes = "PUT $path HTTP/1.1\r\nHost: x\r\nContent-Length: $length\r\n$more\r\n$body";
    while (length $bytes) { substr $bytes, 0, syswrite($socket, $bytes) // last, '' }
    return $socket;
}

sub leave ($socket, $how) {
    setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'll', 1, 0 if $how eq 'reset';
    close $socket;
}

sub master () { return slurp(server_root() . '/logs/nginx.pid') =~ s/\s+//gr }

sub workers_now () {
    my $master = master();
    my @children = grep { slurp("/proc/$_/cmdline") =~ /worker process/ } split ' ', slurp("/proc/$master/task/$master/children");
    return @children ? @children : $master;
}

# The worker that takes requests, not one that ends.
sub worker () { return (grep { slurp("/proc/$_/cmdline") !~ /shutting down/ } workers_now())[0] }

sub ended ($pid) { return poll_until(sub { !grep { $_ == $pid } workers_now() }, 5) }

# What the workers have open: as many as there are, and in detail.
sub opened ()      { return map { readlink // () } map { glob "/proc/$_/fd/*" } workers_now() }
sub descriptors () { return scalar(my @all = opened()) }

sub missing_log () {
    my @files = glob data_dir() . '/state/missing/*/*.log.html';
    return join '', map { slurp($_) } @files;
}

# The next request on another connection is served, and no descriptor is left open.
sub fine ($descriptors) {
    my $socket = put('/next', 4, 'next', "Connection: close\r\n");
    like(answer($socket), qr/\AHTTP\/1\.1 20[01] /, 'the next PUT is answered');
    close $socket;
    ok(poll_until(sub { descriptors() <= $descriptors }), 'no descriptor is left open') or diag(join "\n", descriptors() . " instead of $descriptors", opened());
}

# Nothing of those who have left is under way any more. Connections are accepted in their order: when a new one is
# served, so are all before it, and the worker after a reload gets none of them.
sub is_over ($descriptors) {
    is((http_get(server_port(), '/alive'))[0], 204, 'all are accepted');
    ok(poll_until(sub { descriptors() <= $descriptors }, 20), 'no descriptor is left open')
        or diag(join "\n", descriptors() . " instead of $descriptors", opened());
}

# A client that leaves after each of these numbers of bytes of the head, or of the body.
sub leave_everywhere ($how, $body, @points) {
    my $before = descriptors();
    my @paths;
    for my $n (0 .. $#points) {
        my $socket = put("/$n", length $body, substr $body, 0, $points[$n]);
        sleep 0.03;
        leave($socket, $how);
        push @paths, $n;
    }
    for my $part ('P', "PUT /head HTTP/1.1\r\n", "PUT /head HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n") {
        my $socket = client();
        syswrite $socket, $part;
        sleep 0.03;
        leave($socket, $how);
    }
    my @whole = map { $points[$_] == length $body ? "$_" : () } 0 .. $#points;
    # One after the other went: what a client sent whole is on all nodes, or was never seen by any.
    poll_until(sub { descriptors() <= $before });
    for my $node (qw(root c1 c2)) {
        is_deeply([names($node)], [names('root')], "$node has what the root has");
        for my $name (names($node)) {
            ok(grep({ $_ eq $name } @whole), "$node: $name was sent whole");
            is(read_data("$node/$name"), $body, "$node: $name is whole");
        }
    }
    is_deeply([names('root')], \@whole, 'and it is all that was sent whole') if $how eq 'close';
    is(missing_log(), '', 'nothing is missing');
    fine($before);
}

# curl over HTTP/2 that gives up.
sub curl_gives_up ($seconds, $path, $file, @more) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        exec 'curl', '-sS', '--http2-prior-knowledge', '--max-time', 10, '-T', $file, @more, "http://127.0.0.1:$ENV{TEST_NGINX_H2}$path"
            or POSIX::_exit(127);
    }
    sleep $seconds;
    kill KILL => $pid;
    waitpid $pid, 0;
}

run_tests();

__DATA__

=== TEST 1: small upload, client closes at each point
--- after: leave_everywhere('close', 'hello', 0, 1, 2, 4, 5)



=== TEST 2: small upload, client resets at each point
--- after: leave_everywhere('reset', 'hello', 0, 1, 2, 4, 5)



=== TEST 28: small upload that is not read whole, client closes at each point
--- config eval: main::node('client_body_buffer_size 2;')
--- after: leave_everywhere('close', 'hello', 0, 1, 2, 4, 5)



=== TEST 3: large upload, client closes at each point
--- after: leave_everywhere('close', '0123456789' x 50_000, 0, 1, 100, 16_384, 100_000, 499_999, 500_000)



=== TEST 4: large upload, client resets at each point
--- after: leave_everywhere('reset', '0123456789' x 50_000, 0, 1, 100, 16_384, 100_000, 499_999, 500_000)



=== TEST 5: threads, client closes at each point
--- config eval: main::node('aio threads; aio_write on;')
--- after: leave_everywhere('close', '0123456789' x 50_000, 0, 1, 100, 16_384, 100_000, 499_999, 500_000)



=== TEST 6: threads, client resets at each point
--- config eval: main::node('aio threads; aio_write on;')
--- after: leave_everywhere('reset', '0123456789' x 50_000, 0, 1, 100, 16_384, 100_000, 499_999, 500_000)



=== TEST 7: chunked upload, client closes at each point
--- after
my $before = descriptors();
my $whole  = "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n";
for my $length (map { length($whole) - $_ } 25, 22, 20, 18, 15, 12, 8, 5, 3, 1, 0) {
    my $socket = client();
    syswrite $socket, substr $whole, 0, $length;
    sleep 0.02;
    close $socket;
}
sleep 0.1;
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);
fine($before);



=== TEST 8: client that waits for 100 Continue, and leaves
--- after
my $before = descriptors();
my $socket = put('/a', 5, '', "Expect: 100-continue\r\n");
sysread $socket, my $got, 4096;
like($got, qr/\AHTTP\/1\.1 100 /, 'it was asked to go on');
close $socket;
sleep 0.1;
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);
fine($before);



=== TEST 9: client gone after the upload, a child still at work - it gets all
--- http_config eval: $::scripted
--- init: child(0.4)
--- after
for my $how (qw(close reset)) {
    my $socket = put("/$how", 5, 'hello');
    sleep 0.1;
    leave($socket, $how);
}
ok(poll_until(sub { (read_data('requests') // '') =~ m{^PUT /close .*^PUT /reset }ms }), 'both are with the child');
is(read_data("root/$_"), 'hello', "$_: the file is here") for qw(close reset);
sleep 0.5;
is(missing_log(), '', 'nothing is missing');



=== TEST 10: client gone after the upload, a child that fails later - it is logged
--- http_config eval: $::scripted
--- config eval: main::node('proxy_read_timeout 400ms;')
--- init: child(5)
--- after
my $socket = put('/a', 5, 'hello');
sleep 0.1;
leave($socket, 'reset');
ok(poll_until(sub { missing_log() =~ m{PUT <a href="/a">/a</a> \d+ timeout<br>} }), 'missing log');
ok(poll_until(sub { (read_data('access') // '') =~ m{"PUT /a HTTP/1\.1" (201|499) } }), 'access log');



=== TEST 11: client gone after the upload, one child dead - logged, and the other has it
--- http_config eval: main::leaf('c1') . main::upstream('$TEST_NGINX_DEAD', '$TEST_NGINX_C1')
--- after
leave(put('/a', 5, 'hello'), 'close');
ok(poll_until(sub { missing_log() =~ m{PUT <a href="/a">/a</a> \d+ 502<br>} }), 'missing log');
ok(poll_until(sub { (read_data('c1/a') // '') eq 'hello' }), 'the other child');



=== TEST 12: client gone during a DELETE - gone everywhere
--- data_files
>>> root/a
x
>>> c1/a
x
>>> c2/a
x
--- after
my $before = descriptors();
my $socket = client();
syswrite $socket, "DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n";
leave($socket, 'close');
ok(poll_until(sub { !names('root') && !names('c1') && !names('c2') }), 'gone');
fine($before);



=== TEST 13: client that only stops to send - has its answer
--- request
PUT /a
hello
--- shutdown
--- error_code: 201
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes
success: c2/a stored: 5 bytes



=== TEST 14: the next request on the connection, after a PUT with a dead child
--- http_config eval: main::upstream('$TEST_NGINX_DEAD')
--- after
my $socket = put('/a', 5, 'hello');
like(answer($socket), qr/\AHTTP\/1\.1 201 /, 'PUT');
syswrite $socket, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
like(answer($socket), qr/\AHTTP\/1\.1 200 .*\r\n\r\nhello\z/s, 'GET');
syswrite $socket, "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nworld";
like(answer($socket), qr/\AHTTP\/1\.1 201 /, 'PUT');
is(read_data('root/b'), 'world', 'file');



=== TEST 15: the next request on the connection, after a refused PUT whose body is not read
--- data_files
>>> root/d/x
x
--- after
my $socket = put('/d', 100_000, 'x' x 100_000);
like(answer($socket), qr/\AHTTP\/1\.1 409 /, 'PUT');
syswrite $socket, "GET /d/x HTTP/1.1\r\nHost: x\r\n\r\n";
my $got = answer($socket);
ok($got eq '' || $got =~ /\AHTTP\/1\.1 200 /, 'GET, or a connection that was closed') or diag($got);



=== TEST 16: an upload that stalls - ended by client_body_timeout, and nobody has it
--- http_config eval: $::scripted
--- config eval: main::node('client_body_buffer_size 2; client_body_timeout 300ms;')
--- init: child()
--- request eval
"PUT /a\nhel"
--- more_headers
Content-Length: 5
--- error_code_like: ^(?:408)?$
--- wait_for_file: closed
--- no_files: root/*
--- after
like(read_data('received'), qr/\r\n\r\nhel\z/, 'the child has no more than was sent');
is(missing_log(), '', 'nothing is missing');



=== TEST 17: HTTP/2, client killed in the middle - nothing anywhere
--- http_config eval: $::two_nodes . main::http2_node()
--- config eval: $::other_http
--- after
write_data('upload', '0123456789' x 100_000);
my $before = descriptors();
curl_gives_up($_, "/$_", data_dir() . '/upload', '--limit-rate', '200K') for 0.05, 0.2, 0.4;
ok(poll_until(sub { descriptors() <= $before }), 'no descriptor is left open');
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);
is(missing_log(), '', 'nothing is missing');



=== TEST 18: HTTP/2, client killed after the upload, a child still at work - it gets all, and its failure is logged
--- http_config eval: main::leaf('c1') . main::upstream('$TEST_NGINX_C1', '$TEST_NGINX_DEAD', '$TEST_NGINX_S') . main::http2_node()
--- config eval: $::other_http
--- init: child(0.6)
--- after
write_data('upload', 'hello');
my $before = descriptors();
curl_gives_up(0.2, '/a', data_dir() . '/upload');
ok(poll_until(sub { (read_data('requests') // '') =~ m{^PUT /a }m }), 'the slow child has it');
ok(poll_until(sub { (read_data('c1/a') // '') eq 'hello' }), 'the quick one too');
like(missing_log(), qr{\A[^\n]*/a</a> \d+ 502<br>\n\z}, 'the dead one is logged, and no other');
ok(poll_until(sub { descriptors() <= $before }), 'no descriptor is left open');
is(missing_log() =~ tr/\n//, 1, 'still one line');



=== TEST 19: HTTP/2, client killed after the upload, a child that fails later - logged
--- http_config eval: main::upstream('$TEST_NGINX_S') . main::http2_node('proxy_read_timeout 500ms;')
--- config eval: $::other_http
--- init: child(5)
--- after
write_data('upload', 'hello');
curl_gives_up(0.2, '/a', data_dir() . '/upload');
ok(poll_until(sub { missing_log() =~ m{/a</a> \d+ timeout<br>$} }), 'missing log');



=== TEST 20: worker_shutdown_timeout during a delivery - interrupted, in the missing log
--- main_config: worker_shutdown_timeout 300ms;
--- http_config eval: $::scripted
--- init: child(20)
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hello');
ok(poll_until(sub { read_data('requests') }), 'the child is at work');
kill QUIT => $worker;
ok(poll_until(sub { missing_log() =~ m{PUT <a href="/a">/a</a> \d+ interrupted<br>$} }), 'missing log');
ok(ended($worker), 'the worker ends');
is(missing_log() =~ tr/\n//, 1, 'one line');
is(read_data('root/a'), 'hello', 'what was accepted is here');



=== TEST 21: worker_shutdown_timeout during an upload - nothing anywhere, nothing missing
--- main_config: worker_shutdown_timeout 300ms;
--- http_config eval: $::scripted
--- config eval: main::node('client_body_buffer_size 2;')
--- init: child()
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hel');
ok(poll_until(sub { (read_data('received') // '') =~ /hel\z/ }), 'it is under way');
kill QUIT => $worker;
ok(ended($worker), 'the worker ends');
is_deeply([names('root')], [], 'nothing here');
is(missing_log(), '', 'nothing is missing');
unlike(read_data('received'), qr/hello\z/, 'the child has not got the last byte');



=== TEST 22: a worker that is to quit - finishes the upload
--- http_config eval: $::scripted
--- config eval: main::node('client_body_buffer_size 2;')
--- init: child()
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hel');
ok(poll_until(sub { (read_data('received') // '') =~ /hel\z/ }), 'it is under way');
kill QUIT => $worker;
sleep 0.3;
syswrite $socket, 'lo';
like(answer($socket), qr{\AHTTP/1\.1 201 .*^success: 127\.0\.0\.1:$ENV{TEST_NGINX_S}/a stored: 5 bytes$}ms, 'answer');
like(read_data('received'), qr/\r\n\r\nhello\z/, 'the child has it');
is(read_data('root/a'), 'hello', 'the file is here');
close $socket;
ok(ended($worker), 'the worker ends');



=== TEST 23: reload during an upload - the old worker finishes it
--- http_config eval: $::scripted
--- config eval: main::node('client_body_buffer_size 2;')
--- init: child()
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hel');
ok(poll_until(sub { (read_data('received') // '') =~ /hel\z/ }), 'it is under way');
kill HUP => master();
ok(poll_until(sub { my $now = worker(); defined $now && $now != $worker }), 'there is a new worker');
syswrite $socket, 'lo';
like(answer($socket), qr{\AHTTP/1\.1 201 .*^success: 127\.0\.0\.1:$ENV{TEST_NGINX_S}/a stored: 5 bytes$}ms, 'answer');
is(read_data('root/a'), 'hello', 'the file is here');
like(read_data('received'), qr/\r\n\r\nhello\z/, 'the child has it');
close $socket;
ok(ended($worker), 'the worker ends');



=== TEST 24: reload during a delivery - it finishes
--- http_config eval: $::scripted
--- init: child(0.8)
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hello');
ok(poll_until(sub { read_data('requests') }), 'the child is at work');
kill HUP => master();
like(answer($socket), qr{\AHTTP/1\.1 201 .*^success: 127\.0\.0\.1:$ENV{TEST_NGINX_S}/a stored: 5 bytes$}ms, 'answer');
close $socket;
ok(ended($worker), 'the worker ends');
is(missing_log(), '', 'nothing is missing');



=== TEST 25: a worker terminated during an upload - nothing here, and the child has not got the last byte
--- http_config eval: $::scripted
--- config eval: main::node('client_body_buffer_size 2;')
--- init: child()
--- after
my $worker = worker();
my $socket = put('/a', 5, 'hell');
ok(poll_until(sub { (read_data('received') // '') =~ /hell\z/ }), 'it is under way');
kill TERM => $worker;
ok(ended($worker), 'the worker ends');
is_deeply([names('root')], [], 'nothing here');
unlike(read_data('received'), qr/hello\z/, 'nor with the child');



=== TEST 26: a worker terminated during a delivery - the file is whole
--- http_config eval: $::scripted
--- init: child(20)
--- after
my $worker = worker();
my $socket = put('/a', 300_000, 'x' x 300_000);
ok(poll_until(sub { read_data('requests') }), 'the child is at work');
kill TERM => $worker;
ok(ended($worker), 'the worker ends');
is_deeply([names('root')], ['a'], 'no litter');
is(read_data('root/a'), 'x' x 300_000, 'the file is whole');



=== TEST 27: a worker killed during an upload - no litter
--- http_config eval: $::two_nodes
--- after
my $worker = worker();
my $socket = put('/d/a', 500_000, 'x' x 499_999);
sleep 0.2;
kill KILL => $worker;
ok(ended($worker), 'the worker ends');
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);
--- error_log
[alert]
exited on signal 9
--- allow_log: alert



=== TEST 29: 300 small uploads, each reset at once - each file is whole or not there, and no other is left
--- after
my $before = descriptors();
my @sockets = map { put("/d$_/a", 1000, 'x' x 1000) } 1 .. 300;
leave($_, 'reset') for @sockets;
is_over($before);
my @found = map { glob data_dir() . "/$_/d*/{a,.filedist.*}" } qw(root c1 c2);
is_deeply([grep { /\.filedist/ } @found], [], 'no temporary file');
is_deeply([grep { slurp($_) ne 'x' x 1000 } @found], [], 'whole');



=== TEST 30: 300 large uploads, each reset in the middle - nothing is left
--- after
my $before = descriptors();
my @sockets = map { put("/d$_/a", 1_000_000, 'x' x 20_000) } 1 .. 300;
leave($_, 'reset') for @sockets;
is_over($before);
is_deeply([map { glob data_dir() . "/$_/{d*/{a,.filedist.*},.filedist.*}" } qw(root c1 c2)], [], 'no file');
