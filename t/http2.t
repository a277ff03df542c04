# Clients that speak HTTP/2: the same uploads, with frames, streams and resets in place of a connection.

use v5.36;
use Filedist;
use Filedist::Tree qw(leaf names);

use Digest::MD5 qw(md5_hex);
use Time::HiRes qw(sleep time);

`curl -V 2>&1` =~ /^Features:.*\bHTTP2\b/m or plan skip_all => 'needs curl with HTTP/2';
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(512);

# C1 and C2 are nodes, S is a child that the block scripts, nothing listens on DEAD.
$ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 S DEAD);

sub upstream (@servers) { return "upstream children { @{[ map \"server 127.0.0.1:\$TEST_NGINX_$_;\", @servers ]} filedist_fanout; }\n" }

sub node ($more = '') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        location = /alive { return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout http_404;
            $more
        }
        END
}

our $two_children = leaf('c1') . leaf('c2') . upstream(qw(C1 C2));
our $scripted     = upstream('S');
our $large = join '', map sprintf("%015d\n", $_), 1 .. 100_000;
chop $large;

my ($began, @pids);

add_block_preprocessor(sub ($block) {
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    $block->set_value(http2       => '');
    $block->set_value(http_config => $two_children) if !defined $block->http_config;
    $block->set_value(config      => node())        if !defined $block->config;
    $began = time;
});

add_test_cleanup_handler(sub {
    kill KILL => @pids;
    waitpid $_, 0 for @pids;
    @pids = ();
});

# A child that writes what it gets to the file "received", with the time of each part in "parts", and
# answers so many seconds after the last byte. It has one connection at a time, so it closes each.
sub child ($seconds = 0) {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_S}, Listen => 50, ReuseAddr => 1)
        or die "cannot listen: $!";
    push @pids, my $pid = fork // die "fork: $!";
    return if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    my $parts = '';
    while (my $connection = $listener->accept) {
        my $got = '';
        while (sysread $connection, my $piece, 65536) {
            $got .= $piece;
            write_data('received', $got);
            my ($length) = $got =~ /^Content-Length: (\d+)/mi;
            my $end = index $got, "\r\n\r\n";
            next if $end < 0;
            my $have = length($got) - $end - 4;
            write_data('parts', $parts .= "$have " . (-e data_dir() . '/root/a' ? 'after' : 'before') . "\n");
            next if $have < ($length // 0);
            sleep $seconds;
            syswrite $connection, "HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            last;
        }
        close $connection;
        write_data('closed', 'yes');
    }
    POSIX::_exit(0);
}

sub url ($path) { return '--http2-prior-knowledge', 'http://127.0.0.1:' . server_port() . $path }

# Starts curl with these arguments, in the directory of the block's files.
sub start_curl (@arguments) {
    push @pids, my $pid = fork // die "fork: $!";
    if (!$pid) {
        chdir data_dir();
        open STDOUT, '>', 'curl.out';
        open STDERR, '>', 'curl.err';
        exec 'curl', '-sS', '--max-time', 20, '--noproxy', '*', @arguments or POSIX::_exit(127);
    }
    return $pid;
}

sub curl (@arguments) {
    waitpid start_curl(@arguments), 0;
    return (read_data('curl.out') // '') . (read_data('curl.err') // '');
}

sub stop ($pid) {
    kill KILL => $pid;
    waitpid $pid, 0;
}

# A client of the test's own, for what curl cannot be told to do: the frames that it sends, and what came
# back as DATA by stream. Bodies must fit the window of 64 KB.
sub frame ($type, $flags, $stream, $payload = '') {
    return substr(pack('N', length $payload), 1) . pack('CCN', $type, $flags, $stream) . $payload;
}

sub headers ($stream, $method, $path, %more) {
    my @fields = (':method' => $method, ':scheme' => 'http', ':path' => $path, ':authority' => 'localhost', %more);
    my $block = '';
    while (my ($name, $value) = splice @fields, 0, 2) { $block .= "\0" . pack 'C/a C/a', $name, $value }
    return frame(1, $method eq 'PUT' ? 4 : 5, $stream, $block);
}

sub data ($stream, $bytes, $last = 0) {
    my @pieces = $bytes =~ /.{1,16384}/gs;
    return join '', map { frame(0, $last && $_ == $#pieces, $stream, $pieces[$_]) } 0 .. $#pieces;
}

sub reset_stream ($stream) { return frame(3, 0, $stream, pack 'N', 8) }

sub connection () {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()) // die "connect: $!";
    syswrite $socket, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0);
    return $socket;
}

# Reads until these streams have ended.
sub answers ($socket, @streams) {
    my ($got, %body) = ('');
    my %open = map { $_ => 1 } @streams;
    while (%open) {
        vec(my $bits = '', fileno $socket, 1) = 1;
        last if !select($bits, undef, undef, 5) || !sysread $socket, $got, 65536, length $got;
        while (length $got >= 9) {
            my ($length, $type, $flags, $stream) = (unpack('N', "\0" . substr $got, 0, 3), unpack 'CCN', substr $got, 3, 6);
            last if length $got < 9 + $length;
            my (undef, $payload) = (substr($got, 0, 9, ''), substr $got, 0, $length, '');
            $body{$stream} .= $payload if $type == 0;
            delete $open{$stream} if $type == 3 || $type < 2 && $flags & 1;
        }
    }
    return \%body;
}

sub missing_log () {
    my @files = glob data_dir() . '/state/missing/*/*.log.html';
    my $text = '';
    for my $file (@files) {
        open my $in, '<:raw', $file or next;
        local $/;
        $text .= <$in> // '';
    }
    return $text;
}

run_tests();

__DATA__

=== TEST 1: put
--- request
PUT /d/a
hello
--- error_code: 201
--- response_body
success: root/d/a stored: 5 bytes
success: c1/d/a stored: 5 bytes
success: c2/d/a stored: 5 bytes
--- files_like
root/d/a hello
c1/d/a hello
c2/d/a hello



=== TEST 2: put, large
--- request eval: "PUT /a\n$::large"
--- error_code: 201
--- after: is(md5_hex(read_data("$_/a") // ''), md5_hex($main::large), "on $_") for qw(root c1 c2)



=== TEST 3: put, large, threads
--- config eval: main::node('aio threads; aio_write on; sendfile on;')
--- request eval: "PUT /a\n$::large"
--- error_code: 201
--- after: is(md5_hex(read_data("$_/a") // ''), md5_hex($main::large), "on $_") for qw(root c1 c2)



=== TEST 4: put over an old file
--- data_files
>>> root/a
old
--- request
PUT /a
hello
--- error_code: 200
--- files_like
root/a hello
c1/a hello



=== TEST 5: put, empty
--- after
write_data('empty', '');
like(curl('-T', 'empty', '-w', '%{http_code}', url('/a')), qr{^success: c2/a stored: 0 bytes\n201\z}m, 'answer');
is(read_data("$_/a"), '', "on $_") for qw(root c1 c2);



=== TEST 6: put without Content-Length - stored first, then delivered with one
--- http_config eval: $::scripted
--- init: child()
--- after
write_data('upload', 'hello');
my $pid = fork // die;
if (!$pid) {
    open STDIN, '<', data_dir() . '/upload';
    open STDOUT, '>', data_dir() . '/curl.out';
    exec 'curl', '-sS', '--max-time', 10, '-T', '-', '-w', '%{http_code}', url('/a') or POSIX::_exit(127);
}
waitpid $pid, 0;
like(read_data('curl.out'), qr{^success: root/a stored: 5 bytes\n.*^201\z}ms, 'answer');
like(read_data('received'), qr/^Content-Length: 5\r\n.*\r\n\r\nhello\z/ms, 'what the child is sent');
unlike(read_data('parts'), qr/before/, 'after it is stored');



=== TEST 7: put, empty and without Content-Length
--- after
my $pid = fork // die;
if (!$pid) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', data_dir() . '/curl.out';
    exec 'curl', '-sS', '--max-time', 10, '-T', '-', '-w', '%{http_code}', url('/a') or POSIX::_exit(127);
}
waitpid $pid, 0;
like(read_data('curl.out'), qr{^success: c1/a stored: 0 bytes\n.*^201\z}ms, 'answer');
is(read_data("$_/a"), '', "on $_") for qw(root c1 c2);



=== TEST 8: slow upload - the child is sent what came, and the last byte at the end
--- http_config eval: $::scripted
--- init: child()
--- after
write_data('upload', $main::large);
my $pid = start_curl('-T', 'upload', '--limit-rate', '3M', url('/a'));
waitpid $pid, 0;
my $parts = read_data('parts');
like($parts, qr/^\d+ before$/m, 'bytes before the upload is over');
like($parts, qr/^1599999 after$/m, 'the last byte after it');
unlike($parts, qr/^1599999 before$/m, 'and not before');
my ($head, $body) = split /\r\n\r\n/, read_data('received'), 2;
is(md5_hex($body), md5_hex($main::large), 'the child has the file');



=== TEST 9: what the child is sent - HTTP/1.1, with Host from the configuration
--- http_config eval: $::scripted
--- init: child()
--- request
PUT /a?b=c
hello
--- more_headers
X-Own: kept
--- error_code: 201
--- after
like(read_data('received'), qr{\APUT /a\?b=c HTTP/1\.1\r\nHost: children\r\n}, 'request line and Host');
like(read_data('received'), qr{^X-Own: kept\r$}mi, 'a field of the client');
unlike(read_data('received'), qr{^:|^accept-encoding|^expect}mi, 'nothing of HTTP/2');



=== TEST 10: delete
--- data_files
>>> root/a
x
>>> c1/a
x
>>> c2/a
x
--- request
DELETE /a
--- response_body
success: root/a deleted
success: c1/a deleted
success: c2/a deleted
--- no_files: root/* c1/* c2/*



=== TEST 11: get of what only a child has
--- data_files
>>> c2/only
there
--- request
GET /only
--- response_body_like: ^there



=== TEST 12: get of what nobody has
--- request
GET /none
--- error_code: 404



=== TEST 13: put to a directory - refused
--- data_files
>>> root/d/x
x
--- request
PUT /d
hello
--- error_code: 409
--- response_body_like: ^error: root/d failed to store: 409



=== TEST 14: a dead child - named and logged
--- http_config eval: main::leaf('c1') . main::upstream(qw(DEAD C1))
--- request
PUT /a
hello
--- error_code: 201
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_DEAD/a failed to store: 502
success: c1/a stored: 5 bytes
--- after: like(missing_log(), qr{PUT <a href="/a">/a</a> \d+ 502<br>$}, 'missing log')



=== TEST 15: a dead child, large
--- http_config eval: main::leaf('c1') . main::upstream(qw(DEAD C1))
--- request eval: "PUT /a\n$::large"
--- error_code: 201
--- after: is(md5_hex(read_data('c1/a') // ''), md5_hex($main::large), 'the other child'); like(missing_log(), qr{PUT <a href="/a">/a</a> \d+ 502<br>$}, 'missing log')



=== TEST 16: twelve streams of one connection, interleaved - each arrives everywhere
--- after
my $socket = connection();
my %body   = map { (2 * $_ - 1, "stream $_ " . chr(64 + $_) x 30_000) } 1 .. 12;
syswrite $socket, headers($_, 'PUT', "/$_", 'content-length' => length $body{$_}) for sort { $a <=> $b } keys %body;
for my $part (0 .. 3) {
    syswrite $socket, data($_, substr($body{$_}, $part * 10_000, 10_000), $part == 3) for sort { $a <=> $b } keys %body;
    sleep 0.02;
}
my $got = answers($socket, keys %body);
for my $n (sort { $a <=> $b } keys %body) {
    like($got->{$n}, qr{\Asuccess: root/$n stored: \d+ bytes\nsuccess: c1/$n stored: \d+ bytes\nsuccess: c2/$n stored: \d+ bytes\n\z}, "stream $n: receipt");
    is(md5_hex(read_data("$_/$n") // ''), md5_hex($body{$n}), "stream $n: on $_") for qw(root c1 c2);
}
is(missing_log(), '', 'nothing is missing');



=== TEST 17: reset in the middle of an upload - nobody has it, and the child not its last byte
--- http_config eval: $::scripted
--- init: child()
--- after
write_data('upload', $main::large);
my $pid = start_curl('-T', 'upload', '--limit-rate', '200K', url('/a'));
ok(poll_until(sub { length(read_data('received') // '') > 1000 }), 'it is under way');
stop($pid);
ok(poll_until(sub { read_data('closed') }), 'the connection to the child is closed');
is_deeply([names('root')], [], 'nothing here');
is(missing_log(), '', 'nothing is missing');



=== TEST 18: reset in the middle of an upload, two nodes - nothing, no litter
--- after
write_data('upload', $main::large);
for my $n (1 .. 3) {
    my $pid = start_curl('-T', 'upload', '--limit-rate', '300K', url('/d/a'));
    sleep 0.1 * $n;
    stop($pid);
}
sleep 0.1;
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);



=== TEST 19: reset after the upload, while a delivery is under way - the deliveries end as they would
--- http_config eval: main::leaf('c1') . main::upstream(qw(S DEAD C1))
--- init: child(0.5)
--- after
write_data('upload', 'hello');
my $pid = start_curl('-T', 'upload', url('/a'));
ok(poll_until(sub { (read_data('received') // '') =~ /hello\z/ }), 'the child is at work');
stop($pid);
ok(poll_until(sub { (read_data('c1/a') // '') eq 'hello' }), 'the quick child has it');
sleep 0.7;
like(missing_log(), qr{\A[^\n]* 502<br>\n\z}, 'the dead child is logged, and no other');



=== TEST 20: reset after the upload of a large file to two slow children - both have it
--- http_config eval: main::leaf('c1') . main::upstream(qw(S C1))
--- init: child(0.5)
--- after
write_data('upload', $main::large);
my $pid = start_curl('-T', 'upload', url('/a'));
ok(poll_until(sub { (read_data('parts') // '') =~ /^1599999 /m }), 'the child is at work');
stop($pid);
sleep 0.7;
is(missing_log(), '', 'nothing is missing');
is(md5_hex(read_data('root/a') // ''), md5_hex($main::large), 'here');
is(md5_hex(read_data('c1/a') // ''), md5_hex($main::large), 'on the quick child');



=== TEST 21: reset after the upload, then the slow child fails - logged
--- http_config eval: main::leaf('c1') . main::upstream(qw(S DEAD C1))
--- config eval: main::node('proxy_read_timeout 500ms;')
--- init: child(5)
--- after
write_data('upload', 'hello');
my $pid = start_curl('-T', 'upload', url('/a'));
ok(poll_until(sub { (read_data('received') // '') =~ /hello\z/ }), 'the child is at work');
stop($pid);
ok(poll_until(sub { missing_log() =~ / timeout<br>$/m && missing_log() =~ / 502<br>$/m }), 'both are logged');



=== TEST 22: other streams of the connection go on when one is reset
--- http_config eval: main::leaf('c1') . main::upstream('C1')
--- after
write_data('small', 'hello');
write_data('upload', $main::large);
my $pid = start_curl('-T', 'upload', '--limit-rate', '200K', url('/slow'));
sleep 0.1;
like(curl('-T', 'small', url('/small')), qr{^success: c1/small stored: 5 bytes$}m, 'another upload meanwhile');
stop($pid);
like(curl('-T', 'small', url('/small2')), qr{^success: c1/small2 stored: 5 bytes$}m, 'and after it');
is_deeply([names('c1')], [qw(small small2)], 'nothing of the one that was reset');



=== TEST 23: two requests, one after the other, on one connection
--- after
my $socket = connection();
for my $n (1, 3, 5) {
    syswrite $socket, headers($n, 'PUT', "/$n", 'content-length' => 5) . data($n, 'hello', 1);
    like(answers($socket, $n)->{$n}, qr{^success: c1/$n stored: 5 bytes$}m, "stream $n");
}



=== TEST 24: stream reset in the middle, the connection stays - nothing of it, and all of the other streams
--- after
my $socket = connection();
syswrite $socket, headers(1, 'PUT', '/1', 'content-length' => 5) . headers(3, 'PUT', '/3', 'content-length' => 5) . data(1, 'hell') . data(3, 'hel');
sleep 0.1;
syswrite $socket, reset_stream(1);
sleep 0.1;
syswrite $socket, data(3, 'lo', 1) . headers(5, 'PUT', '/5', 'content-length' => 5) . data(5, 'world', 1);
my $got = answers($socket, 3, 5);
like($got->{$_}, qr{^success: root/$_.*^success: c1/$_.*^success: c2/$_}ms, "stream $_: receipt") for 3, 5;
is_deeply([names($_)], [3, 5], "what is on $_") for qw(root c1 c2);
is(missing_log(), '', 'nothing is missing');



=== TEST 25: stream reset while a delivery is under way, the connection stays - the deliveries end as they would
--- http_config eval: main::leaf('c1') . main::upstream(qw(S DEAD C1))
--- init: child(0.4)
--- after
my $socket = connection();
syswrite $socket, headers(1, 'PUT', '/1', 'content-length' => 5) . data(1, 'hello', 1);
ok(poll_until(sub { (read_data('received') // '') =~ /hello\z/ }), 'the child is at work');
syswrite $socket, reset_stream(1);
sleep 0.6;
like(missing_log(), qr{\A[^\n]* 502<br>\n\z}, 'the dead child is logged, and no other');
ok(poll_until(sub { (read_data('c1/1') // '') eq 'hello' }), 'the quick child has it');
syswrite $socket, headers(3, 'GET', '/1');
is(answers($socket, 3)->{3}, 'hello', 'the connection works');



=== TEST 26: connection closed while deliveries of two streams are under way - they end as they would
--- http_config eval: main::leaf('c1') . main::upstream(qw(S C1))
--- init: child(0.3)
--- after
my $socket = connection();
syswrite $socket, headers($_, 'PUT', "/$_", 'content-length' => 5) . data($_, 'hello', 1) for 1, 3;
ok(poll_until(sub { (read_data('received') // '') =~ /hello\z/ && defined read_data('c1/3') }), 'the children are at work');
close $socket;
ok(poll_until(sub { 2 == (() = (read_data('parts') // '') =~ /^5 /mg) }), 'it has both');
is(read_data("c1/$_"), 'hello', "/$_ is on the quick child") for 1, 3;
sleep 0.4;
is(missing_log(), '', 'nothing is missing');



=== TEST 27: shorter than its Content-Length, the stream ends - 400, and nobody has it
--- after
my $socket = connection();
syswrite $socket, headers(1, 'PUT', '/1', 'content-length' => 5) . data(1, 'hel', 1);
like(answers($socket, 1)->{1}, qr/^error: root\/1 failed to store: 400/, 'receipt');
sleep 0.1;
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);
is(missing_log(), '', 'nothing is missing');
--- error_log
client prematurely closed stream



=== TEST 28: longer than its Content-Length - nobody has more than that
--- after
my $socket = connection();
syswrite $socket, headers(1, 'PUT', '/1', 'content-length' => 5) . data(1, 'hello, world', 1);
answers($socket, 1);
sleep 0.1;
is_deeply([names($_)], [], "nothing on $_") for qw(root c1 c2);



=== TEST 29: without Content-Length, the body comes in parts
--- after
my $socket = connection();
syswrite $socket, headers(1, 'PUT', '/1');
for my $part ('he', 'l', 'lo') {
    sleep 0.05;
    syswrite $socket, data(1, $part, $part eq 'lo');
}
like(answers($socket, 1)->{1}, qr{^success: c2/1 stored: 5 bytes$}m, 'receipt');
is(read_data("$_/1"), 'hello', "on $_") for qw(root c1 c2);



=== TEST 30: delete whose client resets the stream at once - gone everywhere
--- data_files
>>> root/a
x
>>> c1/a
x
>>> c2/a
x
--- after
my $socket = connection();
syswrite $socket, headers(1, 'DELETE', '/a');
sleep 0.01;
syswrite $socket, reset_stream(1);
ok(poll_until(sub { !names('c1') && !names('c2') && !names('root') }), 'gone');
