# How a change goes out to the children: what they are sent, and when, over every kind of connection
# that the proxy_* directives can make.

use v5.36;
use Filedist;
use Filedist::Tree qw(answer client leaf names slurp upstream);

use Digest::MD5 qw(md5_hex);
use Socket qw(AF_INET AF_INET6 SOCK_STREAM getaddrinfo);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2 c3));
worker_connections(1024);

# C1 to C3 are nodes, S is a child that the block scripts.
$ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 C3 S);

our $two_children = leaf('c1') . leaf('c2') . upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2');
our $scripted = upstream('127.0.0.1:$TEST_NGINX_S');
our $kept     = 'upstream children { server 127.0.0.1:$TEST_NGINX_S; filedist_fanout; keepalive 4; }';
our $tls_leaf = join ' ', 'ssl_certificate $TEST_NGINX_DATA/node.crt; ssl_certificate_key $TEST_NGINX_DATA/node.key;';

my @ports = map free_port(), 1 .. 60;
our $sixty_dirs     = join ' ', map "m/$_", @ports;
our $sixty_children = join '', upstream(map "127.0.0.1:$_", @ports), map <<~END, @ports;
    server {
        listen 127.0.0.1:$_;
        filedist_state \$TEST_NGINX_DATA/state-$_;
        filedist_name n$_;
        location / { filedist on; root \$TEST_NGINX_DATA/m/$_; }
    }
    END

# The location of the root; what the block gives goes in before the rest.
sub node ($location = '', $server = '') {
    $location .= ' proxy_pass http://children;'                              if $location !~ /proxy_pass/;
    $location .= ' proxy_http_version 1.1; proxy_set_header Connection "";' if $location !~ /proxy_http_version/;
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        $server
        location / {
            $location
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
        }
        END
}

# No two parts of it are alike.
our $large = join '', map sprintf("%015d\n", $_), 1 .. 200_000;
chop $large;
our $put_large = "PUT /d/large\n$large";

my ($began, @pids);

add_block_preprocessor(sub ($block) {
    my $name = $block->name;
    $block->set_value(http_config => $two_children) if !defined $block->http_config;
    $block->set_value(config => node())             if !defined $block->config;
    $block->set_value(error_code => 201) if !defined $block->error_code && !defined $block->error_code_like;
    workers($name =~ /two workers/ ? 2 : 1);
    $name =~ /two workers/ ? master_on() : master_off();
    certificate() if $name =~ /https/;
    $began = time;
});

add_test_cleanup_handler(sub {
    kill KILL => @pids;
    waitpid $_, 0 for @pids;
    @pids = ();
});

sub certificate () {
    my $node = data_dir() . '/node';
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=children"
            . " -keyout $node.key -out $node.crt 2>$node.log") == 0 or bail_out("openssl: see $node.log");
}

# A child that does with each connection what the code says; `note` lets the test know.
sub child ($code) {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_S}, Listen => 50, ReuseAddr => 1)
        or die "cannot listen: $!";
    $began = time;
    push @pids, my $pid = fork // die "fork: $!";
    return if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    while (my $connection = $listener->accept) {
        note('connection');
        eval { $code->($connection) };
        close $connection;
    }
    POSIX::_exit(0);
}

sub note ($text) {
    open my $notes, '>>', data_dir() . '/notes' or die $!;
    syswrite $notes, sprintf("%.3f %s\n", time - $began, $text);
}

# Each request of a connection, answered. What came is in the file "received", and when in the notes.
sub serve ($c, $answer = sub { "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" }) {
    open my $record, '>>:raw', data_dir() . '/received' or die $!;
    my ($got, $requests) = ('', 0);
    while (sysread $c, my $piece, 65536) {
        syswrite $record, $piece;
        $got .= $piece;
        my $end = index $got, "\r\n\r\n";
        next if $end < 0;
        my $have = length($got) - $end - 4;
        note("body $have " . (-e data_dir() . '/root/a' ? 'after' : 'before') . ' publication');
        my ($length) = $got =~ /^Content-Length: (\d+)/mi;
        next if $have < ($length // 0);
        $requests++;
        note("request $requests");
        syswrite $c, $answer->($got, $requests) // return;
        $got = '';
    }
    note('end');
}

sub received () { return read_data('received') // '' }
sub notes ()    { return read_data('notes')    // '' }

# The child had so many bytes before the client, which then paused, went on: what comes next comes much later.
sub had_before_pause ($bytes, $what) {
    my ($then, $next) = notes() =~ /^(\S+) body $bytes before publication\n(\S+) /m;
    cmp_ok(($next // 0) - ($then // 0), '>', 0.2, $what) or diag(notes());
}

sub missing_log () { return join '', map { slurp($_) } glob data_dir() . '/state/missing/*/*.log.html' }

# The large file is on each of these nodes, and nothing else.
sub everywhere (@nodes) {
    my $wanted = md5_hex($large);
    for my $node (@nodes ? @nodes : qw(root c1 c2)) {
        is(md5_hex(read_data("$node/d/large") // ''), $wanted, "$node has the file");
        is(join(' ', map { names("$node/$_") } '', 'd'), 'd large', "$node has no litter");
    }
    is(missing_log(), '', 'nothing is missing');
}

sub addresses_of ($name) {
    my ($error, @found) = getaddrinfo($name, 80, { socktype => SOCK_STREAM });
    return map { $_->{family} } @found;
}

run_tests();

__DATA__

=== TEST 1: two children - each has the file, and a line in the receipt
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes
success: c2/a stored: 5 bytes
--- files_like
root/a hello
c1/a hello
c2/a hello



=== TEST 2: delete - gone everywhere
--- data_files
>>> root/a
x
>>> c1/a
x
>>> c2/a
x
--- request
DELETE /a
--- error_code: 200
--- response_body
success: root/a deleted
success: c1/a deleted
success: c2/a deleted
--- no_files: root/* c1/* c2/*



=== TEST 3: what the child is sent - the client's request, with a version and the way it came
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
PUT /d/a?x=1&y
hello
--- more_headers
Accept: text/html
Accept-Encoding: gzip
Expect: 100-continue
Content-Type: audio/mpeg
X-Own: kept
--- error_code_like: ^(?:100|201)$
--- after
my ($head, $body) = split /\r\n\r\n/, received(), 2;
my ($line, @fields) = split /\r\n/, $head;
is($line, 'PUT /d/a?x=1&y HTTP/1.1', 'request line');
is($body, 'hello', 'body');
my %got;
push @{ $got{ lc((split /: /, $_, 2)[0]) } }, (split /: /, $_, 2)[1] for @fields;
like((delete $got{'filedist-version'})->[0], qr/^1\d{18}$/, 'version');
is_deeply(\%got, { host => ['children'], 'content-length' => [5], accept => ['text/plain'], 'filedist-via' => ['root'],
    'content-type' => ['audio/mpeg'], 'x-own' => ['kept'] }, 'header');



=== TEST 4: what the child is sent with DELETE - no body
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
DELETE /d/a
--- error_code: 404
--- after
my ($head, $body) = split /\r\n\r\n/, received(), 2;
like($head, qr{^DELETE /d/a HTTP/1\.1\r\n}, 'request line');
unlike($head, qr/^(?:Content-Length: [1-9]|Transfer-Encoding)/mi, 'no body announced');
is($body, '', 'no body');
like($head, qr/^Filedist-Version: 1\d{18}\r?$/m, 'version');



=== TEST 5: JSON asked for - asked of the child too
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
PUT /a
hello
--- more_headers
Accept: application/json
--- after: like(received(), qr{^Accept: application/json\r$}m, 'Accept')



=== TEST 6: the version that the child is sent - the file's mtime
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
PUT /a
hello
--- after
my ($version) = received() =~ /^Filedist-Version: (\d+)/m;
is((stat data_dir() . '/root/a')[9], substr($version, 0, 10), 'seconds');



=== TEST 7: HTTP/1.0 to the child - Content-Length and body
--- http_config eval: $::scripted
--- config eval: main::node('proxy_http_version 1.0; proxy_set_header Connection close;')
--- init: child(\&serve)
--- request
PUT /a
hello
--- after: like(received(), qr{\APUT /a HTTP/1\.0\r\n.*^Connection: close\r\n.*\r\n\r\nhello\z}ms, 'request')



=== TEST 8: any name - the child has it byte for byte
--- request eval
['PUT /a%20b', 'PUT /a%3Fb', 'PUT /a%23b', 'PUT /a%25b', 'PUT /a%2525b', 'PUT /a%0Ab', 'PUT /a"<b>&', "PUT /\xc3\xa4", 'PUT /%ff%fe', "PUT /a+b;c=d,e'f", 'PUT /a%5Cb',
 'PUT /..a..', 'PUT /a//b/./c/x/../d', 'PUT /%7f']
--- more_headers
Content-Length: 0
--- error_code eval: [(201) x 14]
--- after
for my $name ('a b', 'a?b', 'a#b', 'a%b', 'a%25b', "a\nb", 'a"<b>&', "\xc3\xa4", "\xff\xfe", "a+b;c=d,e'f", 'a\\b', '..a..', 'a/b/c/d', "\x7f") {
    for my $node (qw(root c1 c2)) {
        ok(defined read_data("$node/$name"), "$node has " . Data::Dumper->new([$name])->Useqq(1)->Terse(1)->Indent(0)->Dump) if require Data::Dumper;
    }
}



=== TEST 9: the client pauses - the child has what came so far
--- http_config eval: $::scripted
--- init: child(\&serve)
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "lo", delay_before => 1}]]
--- after: had_before_pause(3, 'three bytes, long before the client went on')



=== TEST 10: the client pauses after many bytes - the child has all of them
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request eval
[[{value => "PUT /a\n$::large"}, {value => "lo", delay_before => 1}]]
--- after: had_before_pause(3199999, 'all bytes')



=== TEST 11: the last byte - after this node has the file, and not before
--- http_config eval: $::scripted
--- init: child(\&serve)
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "l", delay_before => 0.2}, {value => "o", delay_before => 0.2}]]
--- after
like(notes(), qr/ body 4 before publication$/m, 'four bytes');
like(notes(), qr/ body 5 after publication$/m, 'the fifth');
unlike(notes(), qr/ body 5 before/, 'not before');



=== TEST 12: the last byte of a large file - after this node has it
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request eval
[[{value => "PUT /a\n" . substr($::large, 0, 1_000_000)}, {value => substr($::large, 1_000_000), delay_before => 0.05}]]
--- after
like(notes(), qr/ body 3199999 after publication$/m, 'the last');
unlike(notes(), qr/ body 3199999 before/, 'not before');



=== TEST 13: upload broken off - the child never has the last byte
--- http_config eval: $::scripted
--- init: child(\&serve)
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
"PUT /a\nhell"
--- more_headers
Content-Length: 5
--- timeout: 0.3
--- abort
--- error_code_like: ^$
--- after
ok(poll_until(sub { notes() =~ / end$/m }), 'its connection is closed');
like(received(), qr/\r\n\r\nhell?\z/, 'it has no more than four bytes');
is(missing_log(), '', 'nothing is missing');
--- no_files: root/*



=== TEST 14: upload broken off - no file, no litter on any node
--- request eval
[[{value => "PUT /d/large\n" . substr($::large, 0, 1_000_000)}]]
--- more_headers
Content-Length: 3199999
--- timeout: 0.3
--- abort
--- error_code_like: ^$
--- no_files
root/* root/.[!.]* c1/* c1/.[!.]* c2/* c2/.[!.]*
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 15: upload broken off over an old file - it stays on every node
--- data_files
>>> root/a
old
>>> c1/a
old
>>> c2/a
old
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
"PUT /a\nhell"
--- more_headers
Content-Length: 5
--- timeout: 0.3
--- abort
--- error_code_like: ^$
--- after
sleep 0.2;
like(read_data("$_/a"), qr/\Aold\n*\z/, "$_ has the old file") for qw(root c1 c2);



=== TEST 16: body that came at once - stored first, then delivered in one go
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
PUT /a
hello
--- after
unlike(notes(), qr/before publication/, 'nothing goes out before');
like(received(), qr/\r\n\r\nhello\z/, 'then all');



=== TEST 17: chunked - stored first, then delivered with its length
--- http_config eval: $::scripted
--- init: child(\&serve)
--- raw_request eval
["PUT /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "2\r\nlo\r\n0\r\n\r\n"]
--- raw_request_middle_delay: 0.2
--- after
like(received(), qr/^Content-Length: 5\r$/m, 'Content-Length');
unlike(received(), qr/^Transfer-Encoding/mi, 'not chunked');
like(received(), qr/\r\n\r\nhello\z/, 'body');
unlike(notes(), qr/before publication/, 'nothing goes out before');



=== TEST 18: chunked, two children - both have the file
--- raw_request eval
"PUT /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes
success: c2/a stored: 5 bytes



=== TEST 19: chunked, broken off - nobody has anything
--- raw_request eval
"PUT /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n"
--- timeout: 0.3
--- abort
--- error_code_like: ^$
--- no_files: root/* c1/* c2/*



=== TEST 20: chunked and empty - an empty file everywhere
--- raw_request eval
"PUT /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
--- response_body
success: root/a stored: 0 bytes
success: c1/a stored: 0 bytes
success: c2/a stored: 0 bytes
--- wait_for_file: root/a c1/a c2/a



=== TEST 21: empty - an empty file everywhere
--- request
PUT /a
--- more_headers
Content-Length: 0
--- response_body
success: root/a stored: 0 bytes
success: c1/a stored: 0 bytes
success: c2/a stored: 0 bytes
--- wait_for_file: root/a c1/a c2/a



=== TEST 22: empty - the child is sent Content-Length 0
--- http_config eval: $::scripted
--- init: child(\&serve)
--- request
PUT /a
--- more_headers
Content-Length: 0
--- after: like(received(), qr/^Content-Length: 0\r$/m, 'Content-Length')



=== TEST 23: one byte
--- request
PUT /a
x
--- files_like
root/a x
c1/a x
c2/a x



=== TEST 24: large
--- request eval: $::put_large
--- after: everywhere()



=== TEST 25: large, HTTP/1.0 to the children
--- config eval: main::node('proxy_http_version 1.0;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 26: large, sendfile
--- config eval: main::node('sendfile on;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 27: large, sendfile and tcp_nopush
--- config eval: main::node('sendfile on; tcp_nopush on; tcp_nodelay on;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 28: large, sendfile and small chunks
--- config eval: main::node('sendfile on; sendfile_max_chunk 7k;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 29: large, threads
--- config eval: main::node('sendfile off; aio threads; aio_write on;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 30: large, threads and sendfile
--- config eval: main::node('sendfile on; aio threads; aio_write on;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 31: large, directio
--- config eval: main::node('directio 4k; output_buffers 1 8k;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 32: large, a small buffer for the upload
--- config eval: main::node('client_body_buffer_size 1k;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 33: large, a buffer that holds it whole
--- config eval: main::node('client_body_buffer_size 4m;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 34: large, client_body_in_file_only
--- config eval: main::node('client_body_in_file_only clean;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 35: large, client_body_in_single_buffer
--- config eval: main::node('client_body_in_single_buffer on;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 36: large, proxy_request_buffering off
--- config eval: main::node('proxy_request_buffering off;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 37: large, proxy_buffering off
--- config eval: main::node('proxy_buffering off;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 38: large, small proxy buffers
--- config eval: main::node('proxy_buffer_size 4k; proxy_buffers 2 4k; proxy_busy_buffers_size 4k;')
--- request eval: $::put_large
--- after: everywhere()



=== TEST 39: large, chunked
--- raw_request eval
"PUT /d/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" . CORE::join('', map { sprintf("%x\r\n%s\r\n", length, $_) } $::large =~ /.{1,50000}/gs) . "0\r\n\r\n"
--- after: everywhere()



=== TEST 40: large, HTTP/1.0 client
--- request eval: $::put_large =~ s{\n}{ HTTP/1.0\n}r
--- after: everywhere()



=== TEST 41: keepalive - puts and deletes share a connection
--- http_config eval: $::kept
--- init: child(sub ($c) { serve($c) })
--- request eval
['PUT /1', "PUT /2\nhello", "PUT /3\n" . 'x' x 300_000, 'DELETE /1', "PUT /4\nhello"]
--- more_headers eval
['Content-Length: 0', '', '', '', '']
--- error_code eval: [201, 201, 201, 200, 201]
--- after
is(scalar(() = notes() =~ / connection$/mg), 1, 'one connection');
is(scalar(() = notes() =~ / request \d$/mg), 5, 'five requests');



=== TEST 42: keepalive, twenty puts to two nodes - two connections
--- http_config eval
$::two_children =~ s/filedist_fanout;/filedist_fanout; keepalive 4;/r . 'log_format c "$connection"; access_log $TEST_NGINX_DATA/access c;';
--- request eval: [map "PUT /$_\nhello", 1 .. 20]
--- error_code eval: [(201) x 20]
--- after
my %seen;
ok(poll_until(sub { %seen = (); $seen{$_}++ for split /\n/, read_data('access') // ''; 60 == eval { my $n = 0; $n += $_ for values %seen; $n } }), '60 requests in all');
is(scalar(grep { $_ == 20 } values %seen), 2, 'two connections with 20 each');



=== TEST 43: a kept connection that the child has closed - another one
--- http_config eval: $::kept
--- init: child(sub ($c) { serve($c, sub ($got, $n) { $n == 1 ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" : undef }) })
--- request eval
["PUT /1\nhello", "PUT /2\nhello", "PUT /3\nhello"]
--- error_code eval: [201, 201, 201]
--- response_body eval
[map "success: root/$_ stored: 5 bytes\nsuccess: 127.0.0.1:$ENV{TEST_NGINX_S}/$_ stored: 5 bytes\n", 1 .. 3]
--- wait_for_log
upstream prematurely closed connection while reading response header from upstream
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 44: a kept connection that the child closes in the middle - the whole file over another one
--- http_config eval: $::kept
--- request eval
["PUT /1\nhello", [{value => "PUT /2\n" . substr($::large, 0, 1_000_000)}, {value => substr($::large, 1_000_000), delay_before => 0.2}]]
--- init
child(sub ($c) {
    my ($got, $requests) = ('', 0);
    while (sysread $c, my $piece, 65536) {
        $got .= $piece;
        next if $got !~ /\r\n\r\n/;
        return note('closed') if $requests && $got =~ m{^PUT /2};
        my ($length) = $got =~ /^Content-Length: (\d+)/mi;
        next if length($got) - index($got, "\r\n\r\n") - 4 < $length;
        $requests++;
        write_data('body', substr $got, index($got, "\r\n\r\n") + 4);
        syswrite $c, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        $got = '';
    }
});
--- error_code eval: [201, 201]
--- after
like(notes(), qr/ closed$/m, 'the child has closed it');
is(md5_hex(read_data('body') // ''), md5_hex($main::large), 'the child has the file');
is(missing_log(), '', 'nothing is missing');



=== TEST 45: proxy_next_upstream off, a kept connection that was closed - logged
--- http_config eval: $::kept
--- config eval: main::node('proxy_next_upstream off;')
--- init: child(sub ($c) { serve($c, sub ($got, $n) { $n == 1 ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" : undef }) })
--- request eval
["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- after: like(missing_log(), qr{PUT <a href="/2">/2</a> \d+ 502<br>$}, 'missing log')



=== TEST 46: a child with two addresses, one dead - it has the file, once
--- skip_eval: 3: 2 > grep { $_ == AF_INET || $_ == AF_INET6 } addresses_of('localhost')
--- http_config eval: main::leaf('c1') . main::upstream('localhost:$TEST_NGINX_C1')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 47: a child with two addresses, one dead, large
--- skip_eval: 3: 2 > grep { $_ == AF_INET || $_ == AF_INET6 } addresses_of('localhost')
--- http_config eval: main::leaf('c1') . main::upstream('localhost:$TEST_NGINX_C1')
--- request eval: $::put_large
--- after: everywhere(qw(root c1))



=== TEST 48: a child with two addresses, both dead - one line in receipt and log
--- skip_eval: 3: 2 > grep { $_ == AF_INET || $_ == AF_INET6 } addresses_of('localhost')
--- http_config eval: main::upstream('localhost:$TEST_NGINX_C1')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: localhost:$TEST_NGINX_C1/a failed to store: 502
--- after: is(scalar(() = missing_log() =~ /^/mg), 1, 'missing log')



=== TEST 49: IPv6 child
--- skip_eval: 3: !IO::Socket->new or !eval { require IO::Socket::IP; IO::Socket::IP->new(Listen => 1, LocalHost => '::1') }
--- http_config eval: main::leaf('c1', '[::1]:$TEST_NGINX_C1') . main::upstream('[::1]:$TEST_NGINX_C1')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes



=== TEST 50: backup server - a child like the others, last in the receipt
--- http_config eval
main::leaf('c1') . main::leaf('c2') . main::leaf('c3') . main::upstream('127.0.0.1:$TEST_NGINX_C1 backup', map "127.0.0.1:\$TEST_NGINX_C$_", 2, 3)
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c2/a stored: 5 bytes
success: c3/a stored: 5 bytes
success: c1/a stored: 5 bytes



=== TEST 51: two backup servers, large
--- http_config eval
main::leaf('c1') . main::leaf('c2') . main::leaf('c3') . main::upstream('127.0.0.1:$TEST_NGINX_C1 backup', '127.0.0.1:$TEST_NGINX_C2 backup', '127.0.0.1:$TEST_NGINX_C3')
--- request eval: $::put_large
--- after: everywhere(qw(root c1 c2 c3))



=== TEST 52: server marked down - is not asked, and logged
--- http_config eval
main::leaf('c1') . main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_C1 down', '127.0.0.1:$TEST_NGINX_C2')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_C1/a failed to store: 502
success: c2/a stored: 5 bytes
--- no_files: c1/*
--- after: like(missing_log(), qr{ 502<br>$}, 'missing log')



=== TEST 53: weights - each child once
--- http_config eval
main::leaf('c1') . main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_C1 weight=5', '127.0.0.1:$TEST_NGINX_C2 weight=2')
--- request eval: ["PUT /a\nhello", "PUT /b\nhello"]
--- error_code eval: [201, 201]
--- wait_for_file: c1/a c1/b c2/a c2/b



=== TEST 54: max_fails - after a failure the child is left alone, and logged
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S max_fails=1 fail_timeout=10s', '127.0.0.1:$TEST_NGINX_C2')
--- request eval: ["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- response_body_like eval
[map qr{\Asuccess: root/$_->[0] stored: 5 bytes\nerror: 127.0.0.1:$ENV{TEST_NGINX_S}/$_->[0] $_->[1]\nsuccess: c2/$_->[0] stored: 5 bytes\n\z},
    [1, 'failed to store: 502'], [2, 'queued: not reachable since \d{4}-\d\d-\d\dT[\d:]{8}Z']]
--- after eval
package main;
[
    sub { child(\&serve) },
    sub {
        is(notes(), '', 'the child was not asked');
        like(missing_log(), qr{ 502<br>\n.* queued \(not reachable since \S+\)<br>\n\z}, 'both puts are in the missing log');
    },
]



=== TEST 55: max_fails=0 - the child is asked each time
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S max_fails=0', '127.0.0.1:$TEST_NGINX_C2')
--- request eval: ["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- after eval
package main;
[
    sub { child(\&serve) },
    sub { like(received(), qr{\APUT /2 }, 'the child has the second') },
]



=== TEST 56: fail_timeout is over - the child is asked again
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S fail_timeout=1s', '127.0.0.1:$TEST_NGINX_C2')
--- request eval: ["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- after eval
package main;
[
    sub { child(\&serve); sleep 2.1 },
    sub { like(received(), qr{\APUT /2 }, 'the child has the second') },
]



=== TEST 57: a refusal of the child's - is no failure that max_fails counts
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C2')
--- init: child(sub ($c) { serve($c, sub { "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" }) })
--- request eval: ["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- after: is(scalar(() = missing_log() =~ / 403<br>$/mg), 2, 'it was asked twice')



=== TEST 58: an upload that is broken off - is no failure that max_fails counts
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C2')
--- init: child(sub ($c) { serve($c) })
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval: ["PUT /1\nhell", "PUT /2\nhello"]
--- more_headers eval: ['Content-Length: 5', '']
--- timeout: 2
--- abort
--- error_code_like eval: [qr/^$/, qr/^201$/]
--- after: like(received(), qr{PUT /2 }, 'the child has the second')



=== TEST 59: two workers, zone
--- http_config eval
$::two_children =~ s/filedist_fanout;/zone children 64k; filedist_fanout; keepalive 2;/r
--- request eval: [map "PUT /$_\nhello", 1 .. 10]
--- error_code eval: [(201) x 10]
--- wait_for_file eval
[(undef) x 9, CORE::join ' ', map { ("root/$_", "c1/$_", "c2/$_") } 1 .. 10]
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 60: zone, a backup server and large
--- http_config eval
main::leaf('c1') . main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_C1 backup', '127.0.0.1:$TEST_NGINX_C2') =~ s/filedist_fanout/zone children 64k; filedist_fanout/r
--- request eval: $::put_large
--- after: everywhere()



=== TEST 61: unix socket
--- http_config eval
main::leaf('c1', 'unix:$TEST_NGINX_DATA/c1.sock') . main::upstream('unix:$TEST_NGINX_DATA/c1.sock')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes



=== TEST 62: unix socket, large
--- http_config eval
main::leaf('c1', 'unix:$TEST_NGINX_DATA/c1.sock') . main::upstream('unix:$TEST_NGINX_DATA/c1.sock')
--- request eval: $::put_large
--- after: everywhere(qw(root c1))



=== TEST 63: https, small
--- http_config eval
main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1 ssl', $::tls_leaf) . main::upstream('127.0.0.1:$TEST_NGINX_C1')
--- config eval: main::node('proxy_pass https://children;')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes



=== TEST 64: https, large, over a kept connection
--- http_config eval
main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1 ssl', $::tls_leaf) . main::upstream('127.0.0.1:$TEST_NGINX_C1') =~ s/filedist_fanout;/filedist_fanout; keepalive 2;/r
--- config eval: main::node('proxy_pass https://children; sendfile on;')
--- request eval: [$::put_large, $::put_large]
--- error_code eval: [201, 200]
--- after: everywhere(qw(root c1))



=== TEST 65: https, sessions reused
--- http_config eval
main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1 ssl', $::tls_leaf) . main::leaf('c2', '127.0.0.1:$TEST_NGINX_C2 ssl', $::tls_leaf) . main::upstream(map "127.0.0.1:\$TEST_NGINX_C$_", 1, 2) . 'ssl_session_cache shared:s:1m; log_format c "$ssl_session_reused"; access_log $TEST_NGINX_DATA/access c;'
--- config eval: main::node('proxy_pass https://children; proxy_http_version 1.1; proxy_set_header Connection close;')
--- request eval: ["PUT /1\nhello", "PUT /2\nhello", "PUT /3\nhello"]
--- error_code eval: [201, 201, 201]
--- wait_for_file eval: [undef, undef, 'c1/1 c1/2 c1/3 c2/1 c2/2 c2/3']
--- after: ok(poll_until(sub { 4 == (() = (read_data('access') // '') =~ /^r$/mg) }), 'but for the first of each child')



=== TEST 66: https, the client pauses - the child is sent what came
--- http_config eval
main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1 ssl', $::tls_leaf) . main::upstream('127.0.0.1:$TEST_NGINX_C1')
--- config eval: main::node('proxy_pass https://children; proxy_send_timeout 200ms; proxy_read_timeout 1s;')
--- request eval
[[{value => "PUT /d/large\n" . substr($::large, 0, 1_000_000)}, {value => substr($::large, 1_000_000), delay_before => 0.5}]]
--- after: everywhere(qw(root c1))



=== TEST 67: https, a child that speaks plain HTTP - 502
--- http_config eval: main::leaf('c1') . main::upstream('127.0.0.1:$TEST_NGINX_C1')
--- config eval: main::node('proxy_pass https://children;')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_C1/a failed to store: 502
--- error_log
SSL_do_handshake() failed
--- allow_log: crit



=== TEST 68: rewrite in the location - once
--- config eval: main::node('rewrite ^(.*)$ /x$1 break;')
--- request
PUT /a
hello
--- response_body
success: root/x/a stored: 5 bytes
success: c1/x/a stored: 5 bytes
success: c2/x/a stored: 5 bytes



=== TEST 69: rewrite to another location - once
--- config eval: main::node('', 'location /old/ { rewrite ^/old(.*)$ /new$1 last; }')
--- request
PUT /old/a
hello
--- response_body
success: root/new/a stored: 5 bytes
success: c1/new/a stored: 5 bytes
success: c2/new/a stored: 5 bytes



=== TEST 70: limit_req and limit_conn - count the client's request alone
--- http_config eval: $::two_children . 'limit_req_zone $server_name zone=r:64k rate=1r/m; limit_conn_zone $server_name zone=c:64k;'
--- config eval: main::node('limit_req zone=r; limit_conn c 1;')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
success: c1/a stored: 5 bytes
success: c2/a stored: 5 bytes



=== TEST 71: auth_request - asks once
--- config eval
main::node('auth_request /auth;', 'location = /auth { internal; log_subrequest on; access_log $TEST_NGINX_DATA/auth; return 204; }')
--- request
PUT /a
hello
--- wait_for_file: root/a c1/a c2/a
--- after: is(scalar(() = (read_data('auth') // '') =~ /^/mg), 1, 'one request')



=== TEST 72: access log - a line for the client's request alone
--- config eval: main::node('access_log $TEST_NGINX_DATA/access;')
--- request
PUT /a
hello
--- after
ok(poll_until(sub { read_data('access') }), 'it is there');
is(scalar(() = read_data('access') =~ /^/mg), 1, 'one line');



=== TEST 73: proxy_set_header, variables
--- http_config eval: $::scripted
--- init: child(\&serve)
--- config eval
main::node('proxy_set_header Host child.example; proxy_set_header X-A "$request_method $uri $remote_addr $arg_x"; proxy_http_version 1.1; proxy_set_header X-B $http_x_own; proxy_set_header X-Own "";')
--- request
PUT /a?x=1
hello
--- more_headers
X-Own: 7
--- after
my $got = received();
like($got, qr/^Host: child\.example\r$/m, 'Host');
like($got, qr/^X-A: PUT \/a 127\.0\.0\.1 1\r$/m, 'variables');
like($got, qr/^X-B: 7\r$/m, 'the client\'s field');
unlike($got, qr/^X-Own/m, 'a field that was taken out');



=== TEST 74: proxy_pass with a path
--- http_config eval: $::scripted
--- init: child(\&serve)
--- config eval: main::node('proxy_pass http://children/base/;')
--- request
PUT /d/a
hello
--- after: like(received(), qr{\APUT /base/d/a HTTP}, 'below it')



=== TEST 75: proxy_bind
--- http_config eval: $::scripted
--- init: child(sub ($c) { note('from ' . $c->peerhost); serve($c) })
--- config eval: main::node('proxy_bind 127.0.0.2;')
--- request
PUT /a
hello
--- after: like(notes(), qr/ from 127\.0\.0\.2$/m, 'address')



=== TEST 76: proxy_intercept_errors - the receipt tells the child's status
--- http_config eval: $::scripted
--- init: child(sub ($c) { serve($c, sub { "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n" }) })
--- config eval
main::node('proxy_intercept_errors on; error_page 502 503 504 /error;', 'location = /error { return 200 "page"; }')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_S/a failed to store: 503
--- after: like(missing_log(), qr/ 503<br>$/, 'missing log')



=== TEST 77: proxy_intercept_errors, error_page =200 - no success
--- http_config eval: $::scripted
--- init: child(sub ($c) { serve($c, sub { "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n" }) })
--- config eval
main::node('proxy_intercept_errors on; error_page 502 503 504 =200 /error;', 'location = /error { return 200 "page"; }')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_S/a failed to store: 503
--- after: like(missing_log(), qr/ 503<br>$/, 'missing log')



=== TEST 78: proxy_intercept_errors, DELETE, 404 - a success
--- http_config eval: $::scripted
--- init: child(sub ($c) { serve($c, sub { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" }) })
--- config eval
main::node('proxy_intercept_errors on; error_page 404 502 /error;', 'location = /error { return 200 "page"; }')
--- data_files
>>> root/a
old
--- request
DELETE /a
--- error_code: 200
--- response_body_unlike: error
--- after: is(missing_log(), '', 'missing log')



=== TEST 79: error_page for 502, a dead child - the receipt tells 502
--- http_config eval: $::scripted
--- config eval: main::node('error_page 502 503 504 =200 /error;', 'location = /error { return 200 "page"; }')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_S/a failed to store: 502
--- after: like(missing_log(), qr/ 502<br>$/, 'missing log')



=== TEST 80: error_page for 502 that leads back here, a dead child
--- http_config eval: $::scripted
--- config eval: main::node('error_page 502 503 504 /error;')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_S/a failed to store: 502
--- after: like(missing_log(), qr/ 502<br>$/, 'missing log')
--- no_files: root/error



=== TEST 81: error_page for 502 to a named location, a dead child
--- http_config eval: $::scripted
--- config eval: main::node('error_page 502 = @other;', 'location @other { return 200 "other"; }')
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes
error: 127.0.0.1:$TEST_NGINX_S/a failed to store: 502
--- after: like(missing_log(), qr/ 502<br>$/, 'missing log')



=== TEST 82: proxy_store - does not store a receipt
--- config eval: main::node('proxy_store on; proxy_store_access user:rw group:r all:r;')
--- data_files
>>> root/a
old
>>> c1/a
old
>>> c2/a
old
--- request
PUT /a
hello
--- error_code: 200
--- after: sleep 0.1
--- files_like
root/a hello
c1/a hello
c2/a hello



=== TEST 83: proxy_store with another path - does not store a receipt
--- config eval: main::node('proxy_store $TEST_NGINX_DATA/stored$uri;')
--- data_files
>>> root/a
old
>>> c1/a
old
--- request
PUT /a
hello
--- error_code: 200
--- no_files: stored/*
--- files_like
root/a hello
c1/a hello



=== TEST 84: proxy_cache - each put goes to the children
--- http_config eval: $::two_children . 'proxy_cache_path $TEST_NGINX_DATA/cache keys_zone=cache:1m;'
--- config eval: main::node('proxy_cache cache; proxy_cache_valid any 1h; proxy_cache_key $uri;')
--- request eval: ["PUT /a\nhello", "PUT /a\nworld", 'DELETE /a', "PUT /a\nagain"]
--- error_code eval: [201, 200, 200, 201]
--- files_like eval
[{ 'c1/a' => 'hello', 'c2/a' => 'hello' }, { 'c1/a' => 'world', 'c2/a' => 'world' }, undef, { 'c1/a' => 'again', 'c2/a' => 'again' }]



=== TEST 85: sixty children
--- http_config eval: $::sixty_children
--- dirs eval: $::sixty_dirs
--- request
PUT /a
hello
--- after
is(scalar(() = $_[1] =~ m{^success: n\d+/a stored: 5 bytes$}mg), 60, '60 lines');
is(scalar(grep { slurp($_) eq 'hello' } glob data_dir() . '/m/*/a'), 60, '60 files');



=== TEST 86: a hundred times the same child - a hundred deliveries
--- http_config eval: main::leaf('c1') . main::upstream(('127.0.0.1:$TEST_NGINX_C1') x 100)
--- request eval: $::put_large
--- timeout: 20
--- after
is(scalar(() = $_[1] =~ m{^success: c1/d/large (?:stored|unchanged)}mg), 100, '100 lines');
everywhere(qw(root c1));



=== TEST 87: three levels
--- http_config eval
main::leaf('c2') . "upstream leaves { server 127.0.0.1:\$TEST_NGINX_C2; filedist_fanout; }\n" . main::upstream('127.0.0.1:$TEST_NGINX_C1')
    . 'server { listen 127.0.0.1:$TEST_NGINX_C1; filedist_state $TEST_NGINX_DATA/c1-state; filedist_name c1; location / { filedist on; root $TEST_NGINX_DATA/c1; client_max_body_size 0; proxy_pass http://leaves; } }'
--- request eval: ["PUT /a\nhello", $::put_large, 'DELETE /a']
--- error_code eval: [201, 201, 200]
--- response_body eval
["success: root/a stored: 5 bytes\nsuccess: c1/a stored: 5 bytes\nsuccess: c2/a stored: 5 bytes\n",
 "success: root/d/large stored: 3199999 bytes\nsuccess: c1/d/large stored: 3199999 bytes\nsuccess: c2/d/large stored: 3199999 bytes\n",
 "success: root/a deleted\nsuccess: c1/a deleted\nsuccess: c2/a deleted\n"]
--- after: everywhere()



=== TEST 88: three levels - the last is sent the way, and the bytes before the client is through
--- http_config eval
"upstream leaves { server 127.0.0.1:\$TEST_NGINX_S; filedist_fanout; }\n" . main::upstream('127.0.0.1:$TEST_NGINX_C1')
    . 'server { listen 127.0.0.1:$TEST_NGINX_C1; filedist_state $TEST_NGINX_DATA/c1-state; filedist_name c1; location / { filedist on; root $TEST_NGINX_DATA/c1; client_max_body_size 0; client_body_buffer_size 2; proxy_pass http://leaves; } }'
--- init: child(\&serve)
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "lo", delay_before => 1}]]
--- after
like(received(), qr/^Filedist-Via: root, c1\r$/m, 'Filedist-Via');
had_before_pause(3, 'three bytes at once');
like(notes(), qr/ body 5 after/, 'the last after the root has published');



=== TEST 89: three levels, upload broken off - nobody has anything
--- http_config eval
main::leaf('c2') . "upstream leaves { server 127.0.0.1:\$TEST_NGINX_C2; filedist_fanout; }\n" . main::upstream('127.0.0.1:$TEST_NGINX_C1')
    . 'server { listen 127.0.0.1:$TEST_NGINX_C1; filedist_state $TEST_NGINX_DATA/c1-state; filedist_name c1; location / { filedist on; root $TEST_NGINX_DATA/c1; client_max_body_size 0; client_body_buffer_size 2; proxy_pass http://leaves; } }'
--- config eval: main::node('client_body_buffer_size 2;')
--- request eval
"PUT /a\nhell"
--- more_headers
Content-Length: 5
--- timeout: 0.3
--- abort
--- error_code_like: ^$
--- no_files: root/* c1/* c2/*
--- after: is(CORE::join('', map { slurp($_) } glob data_dir() . '/*state/missing/*/*'), '', 'nothing is missing')



=== TEST 90: two uploads at once, interleaved - both arrive everywhere
--- request
PUT /first
hello
--- after
my @sockets = map client(), 1 .. 8;
my $size = 400_000;
for my $part (0 .. 3) {
    for my $n (0 .. $#sockets) {
        syswrite $sockets[$n], "PUT /u$n HTTP/1.1\r\nHost: x\r\nContent-Length: $size\r\n\r\n" if !$part;
        my $bytes = $n x 100_000;
        while (length $bytes) { substr $bytes, 0, syswrite($sockets[$n], $bytes), '' }
    }
}
for my $n (0 .. $#sockets) {
    like(answer($sockets[$n]), qr/\AHTTP\/1\.1 201 /, "upload $n: 201");
    is(md5_hex(read_data("$_/u$n") // ''), md5_hex($n x $size), "upload $n: on $_") for qw(root c1 c2);
}



=== TEST 91: two uploads to one path at once - the newer one everywhere
--- config eval: main::node('client_body_buffer_size 2;')
--- request
PUT /first
hello
--- after
my @sockets = map client(), 1, 2;
syswrite $sockets[$_], "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n" . $_ x 5 for 0, 1;
sleep 0.1;
syswrite $sockets[$_], $_ x 5 for 1, 0;
like(answer($sockets[$_]), qr/\AHTTP\/1\.1 20[01] /, "upload $_ is answered") for 0, 1;
is(read_data('root/a'), '1' x 10, 'the one that began later');
is(read_data("$_/a"), read_data('root/a'), "on $_ too") for qw(c1 c2);



=== TEST 92: pipelined puts over one connection of the client's
--- pipelined_requests eval: ["PUT /a\nhello", "PUT /b\nworld", 'GET /a', 'DELETE /a', 'GET /b']
--- error_code eval: [201, 201, 200, 200, 200]
--- response_body eval
["success: root/a stored: 5 bytes\nsuccess: c1/a stored: 5 bytes\nsuccess: c2/a stored: 5 bytes\n",
 "success: root/b stored: 5 bytes\nsuccess: c1/b stored: 5 bytes\nsuccess: c2/b stored: 5 bytes\n",
 'hello', "success: root/a deleted\nsuccess: c1/a deleted\nsuccess: c2/a deleted\n", 'world']



=== TEST 93: pipelined large puts
--- pipelined_requests eval: [$::put_large, "PUT /b\nworld"]
--- error_code eval: [201, 201]
--- files_like eval: [undef, { 'c1/b' => 'world', 'c2/b' => 'world', 'c1/d/large' => $::large }]



=== TEST 94: a leaf without children - a receipt of one line
--- config
filedist_state $TEST_NGINX_DATA/state;
filedist_name root;
location / { filedist on; root $TEST_NGINX_DATA/root; }
--- request
PUT /a
hello
--- response_body
success: root/a stored: 5 bytes



=== TEST 95: two children, a kept connection that one has closed - another one
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C2') =~ s/filedist_fanout;/filedist_fanout; keepalive 4;/r
--- init: child(sub ($c) { serve($c, sub ($got, $n) { $n == 1 ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" : undef }) })
--- request eval
["PUT /1\nhello", "PUT /2\nhello"]
--- error_code eval: [201, 201]
--- response_body_like eval
[map qr{^success: 127\.0\.0\.1:$ENV{TEST_NGINX_S}/$_ stored: 5 bytes$}m, 1, 2]
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 96: two children, a kept connection that one has closed - is no failure that max_fails counts
--- http_config eval
main::leaf('c2') . main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C2') =~ s/filedist_fanout;/filedist_fanout; keepalive 4;/r
--- init: child(sub ($c) { serve($c, sub ($got, $n) { $n == 1 ? "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" : undef }) })
--- request eval
[map "PUT /$_\nhello", 1 .. 5]
--- error_code eval: [(201) x 5]
--- after: is(missing_log(), '', 'nothing is missing')



=== TEST 97: the last byte, with threads - nobody has a file that this node cannot take
--- init
use POSIX ();
if (!(fork // die "fork: $!")) {
    sleep 0.2;
    mkdir data_dir() . '/root/a';
    POSIX::_exit(0);
}
--- config eval: main::node('aio threads; client_body_buffer_size 2;')
--- request eval
[[{value => "PUT /a\nhel"}, {value => "lo", delay_before => 0.5}]]
--- error_code: 409
--- response_body_like: ^error: root/a failed to store: 409
--- no_files
c1/a c2/a
