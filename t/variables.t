# $filedist_version, $filedist_outcome, $filedist_children_ok and $filedist_children_failed, for the access log.

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);
use Time::HiRes qw(sleep);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));

# C1 and C2 are nodes, S is a child that blocks script, DEAD is none.
sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 S DEAD);
}

our $format = <<'END';
log_format filedist '$status $filedist_version $filedist_outcome $filedist_children_ok $filedist_children_failed';
END

sub node ($location = 'proxy_pass http://children;', $server = '') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        access_log \$TEST_NGINX_DATA/access.log filedist;
        $server
        location = /alive { access_log off; return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 2m;
            $location
        }
        END
}

our $leaf     = node('');
our $nodes    = $format . upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . leaf('c1') . leaf('c2');
our $one_dead = $format . upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_DEAD max_fails=0') . leaf('c1');
our $scripted = $format . upstream('127.0.0.1:$TEST_NGINX_S max_fails=0');

our $large = 'x' x 1_000_000;
our $old   = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $format) if !defined $block->http_config;
    $block->set_value(config => $leaf)        if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
});

add_test_cleanup_handler(\&end_processes);

my $read = 0;
add_test_cleanup_handler(sub (@) { $read = 0 });

# The next line of the access log.
sub logged () {
    my @lines;
    poll_until(sub { @lines = split /\n/, read_data('access.log') // ''; @lines > $read }, 8);
    return $lines[$read++] // 'no line';
}

# A request, and its line.
sub line (@request) {
    ask(@request);
    return logged();
}

sub begin ($method, $path, $body, @headers) {
    my $socket = client();
    push @headers, 'Content-Length: ' . length $body if !grep {/^(Content-Length|Transfer-Encoding):/} @headers;
    $socket->printflush(join "\r\n", "$method $path HTTP/1.1", 'Host: x', @headers, '', $body);
    return $socket;
}

run_tests();

__DATA__

=== TEST 1: PUT at a leaf - its version, and no children
--- after
is(line('PUT', '/a', 'hello'), '201 ' . version_of('root/a') . ' stored 0 0', 'a new file');
is(line('PUT', '/a', 'hello'), '200 ' . version_of('root/a') . ' stored 0 0', 'over it');
is(line('PUT', '/large', $main::large), '201 ' . version_of('root/large') . ' stored 0 0', 'a large one');
is(line('PUT', '/b', 'hello', "Filedist-Version: $main::old"), "201 $main::old stored 0 0", 'with a version');



=== TEST 2: PUT of what is there - its own version, superseded or unchanged
--- after
ask('PUT', '/a', 'hello', 'Filedist-Version: ' . ($main::old + 1));
logged();
is(line('PUT', '/a', 'x', "Filedist-Version: $main::old"), "200 $main::old superseded 0 0", 'an older one');
is(line('PUT', '/a', $main::large, "Filedist-Version: $main::old"), "200 $main::old superseded 0 0", 'a large older one');
is(line('PUT', '/a', 'x', 'Filedist-Version: ' . ($main::old + 1)), '200 ' . ($main::old + 1) . ' unchanged 0 0', 'the same');
is(line('PUT', '/a', $main::large, 'Filedist-Version: ' . ($main::old + 1)), '200 ' . ($main::old + 1) . ' unchanged 0 0', 'the same, large');



=== TEST 3: DELETE
--- after
ask('PUT', '/a', 'hello', "Filedist-Version: $main::old");
logged();
is(line('DELETE', '/a', undef, 'Filedist-Version: ' . ($main::old - 1)), '200 ' . ($main::old - 1) . ' superseded 0 0', 'an older one');
is(line('DELETE', '/a', undef, 'Filedist-Version: ' . ($main::old + 1)), '200 ' . ($main::old + 1) . ' deleted 0 0', 'of a file');
like(line('DELETE', '/b'), qr/^404 \d{19} absent 0 0$/, 'of nothing');



=== TEST 4: what this node refuses - failed, without a version
--- config eval: main::node('disable_symlinks on;')
--- after
make_path(data_dir() . '/root/d/e');
symlink '/tmp', data_dir() . '/root/link';
is(line('PUT', '/a', 'x', 'Content-MD5: x'), '400 - failed 0 0', 'a digest that is none');
is(line('PUT', '/a', 'x', 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=='), '400 - failed 0 0', 'that of another body');
is(line('PUT', '/a', 'x', 'Filedist-Version: x'), '400 - failed 0 0', 'a version that is none');
is(line('PUT', '/a', 'x', 'Filedist-Version: 9999999999999999999'), '400 - failed 0 0', 'one of the future');
is(line('PUT', '/d', 'x'), '409 - failed 0 0', 'a directory');
is(line('PUT', '/.filedist.x', 'x'), '403 - failed 0 0', 'a reserved name');
is(line('PUT', '/link/x', 'x'), '403 - failed 0 0', 'a symbolic link');
is(line('PUT', '/a'), '411 - failed 0 0', 'no length');
is(line('PUT', '/a', 'x', 'Content-Range: bytes 0-0/2'), '501 - failed 0 0', 'a part');
is(line('PUT', '/a', 'x', 'Filedist-Via: root'), '508 - failed 0 0', 'a loop');
is(line('DELETE', '/d/'), '409 - failed 0 0', 'DELETE of a directory with something in it');
is(line('DELETE', '/a', 'x'), '415 - failed 0 0', 'DELETE with a body');
--- http_config eval: $::format . main::upstream('127.0.0.1:$TEST_NGINX_DEAD')



=== TEST 5: a disk that is full, and another failure of this node
--- post_setup_server_root
package main;
mkdir data_dir() . '/root/full';
$main::mounted = system('mount -t tmpfs -o size=64k,mode=0777 filedist-test ' . data_dir() . '/root/full 2>/dev/null') == 0;
--- after
SKIP: {
    skip 'cannot mount', 1 if !$main::mounted;
    like(line('PUT', '/full/a', $main::large), qr/^507 (-|\d{19}) failed 0 0$/, 'a full disk');
    system('umount', '-l', data_dir() . '/root/full');
}
rename data_dir() . '/root', data_dir() . '/away' or die $!;
is(line('PUT', '/a', 'x'), '500 - failed 0 0', 'no root');
rename data_dir() . '/away', data_dir() . '/root' or die $!;



=== TEST 6: a parent whose children have it
--- http_config eval: $::nodes
--- config eval: main::node()
--- after
is(line('PUT', '/a', 'hello'), '201 ' . version_of('root/a') . ' stored 2 0', 'PUT');
is(line('PUT', '/large', $main::large), '201 ' . version_of('root/large') . ' stored 2 0', 'a large one');
like(line('DELETE', '/a'), qr/^200 \d{19} deleted 2 0$/, 'DELETE');
like(line('DELETE', '/a'), qr/^404 \d{19} absent 2 0$/, 'DELETE of nothing');
is(line('PUT', '/large', 'x', "Filedist-Version: $main::old"), "200 $main::old superseded 0 0", 'superseded, which no child is asked');



=== TEST 7: a parent with a child that has failed
--- http_config eval: $::one_dead
--- config eval: main::node()
--- after
is(line('PUT', '/a', 'hello'), '201 ' . version_of('root/a') . ' stored 1 1', 'PUT');
is(line('PUT', '/large', $main::large), '201 ' . version_of('root/large') . ' stored 1 1', 'a large one');
like(line('DELETE', '/a'), qr/^200 \d{19} deleted 1 1$/, 'DELETE');
like(line('DELETE', '/a'), qr/^404 \d{19} absent 1 1$/, 'DELETE of nothing');
like(line('PUT', '/d', 'x', 'Content-MD5: x'), qr/^400 - failed 0 0$/, 'failed here, which no child is asked');



=== TEST 8: a child that refuses, and one that is too slow
--- http_config eval: $::scripted
--- config eval: main::node('proxy_pass http://children; proxy_read_timeout 200ms;')
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 1 if $r->{path} eq '/slow'; $r->{path} =~ m{/(\d+)} ? $1 : undef });
like(line('PUT', '/403', 'x'), qr/^201 \d{19} stored 0 1$/, 'a child that answers 403');
like(line('PUT', '/507', $main::large), qr/^201 \d{19} stored 0 1$/, 'a child that answers 507');
like(line('PUT', '/slow', 'x'), qr/^201 \d{19} stored 0 1$/, 'a timeout');
like(line('DELETE', '/404'), qr/^404 \d{19} absent 1 0$/, '404 to a DELETE');



=== TEST 9: the same line at a child - in the same version
--- http_config eval: $::format . main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'access_log $TEST_NGINX_DATA/c1.log filedist;')
--- config eval: main::node()
--- after
my $line = line('PUT', '/a', 'hello');
like($line, qr/^201 \d{19} stored 1 0$/, 'here');
ok(poll_until(sub { read_data('c1.log') }), 'there');
is(read_data('c1.log'), ($line =~ s/1 0$/0 0/r) . "\n", 'in the same version');



=== TEST 10: filedist_ack local - no child has failed
--- http_config eval: $::nodes
--- config eval: main::node('proxy_pass http://children; filedist_ack local;', 'filedist_catch_up on;')
--- after
is(line('PUT', '/a', 'hello'), '201 ' . version_of('root/a') . ' stored 0 0', 'PUT');
ok(is_drained(), 'they get it');



=== TEST 11: what is no change - nothing
--- http_config eval: $::nodes
--- config eval: main::node() . 'location /__missing__/ { filedist_missing; } location /__status__/ { filedist_status; }'
--- after
write_data('root/a', 'x');
write_data('c2/b', 'x');
is(line('GET', '/a'), '200 - - - -', 'GET');
is(line('HEAD', '/a'), '200 - - - -', 'HEAD');
is(line('GET', '/b'), '200 - - - -', 'GET of what a child has');
is(line('GET', '/nothing'), '404 - - - -', 'GET of nothing');
is(line('GET', '/a', undef, "Filedist-Version: $main::old"), '200 - - - -', 'GET of a parent');
is(line('HEAD', '/a', undef, "Filedist-Version: $main::old"), '204 - - - -', 'HEAD of a parent');
is(line('POST', '/a', 'x'), '405 - - - -', 'POST');
is(line('MKCOL', '/a/'), '405 - - - -', 'MKCOL');
is(line('GET', "/__${_}__/"), '200 - - - -', $_) for qw(missing status);
is(line('DELETE', '/__status__/'), '405 - - - -', 'DELETE of the status');



=== TEST 12: what nginx refuses before - nothing
--- config eval: main::node('limit_except GET { deny all; }') . 'location /open/ { filedist on; root $TEST_NGINX_DATA/root; client_max_body_size 10; }'
--- after
is(line('PUT', '/a', 'x'), '403 - - - -', 'no access');
is(line('DELETE', '/a'), '403 - - - -', 'no access');
is(line('PUT', '/open/a', 'x' x 11), '413 - - - -', 'a body that is too large');
--- error_log
access forbidden by rule
intended to send too large body



=== TEST 13: a chunked body that is too large - failed
--- config eval: main::node('client_max_body_size 10; client_body_buffer_size 100;') =~ s/client_max_body_size 2m;//r
--- after
my $client = begin('PUT', '/a', "20\r\n" . 'x' x 32 . "\r\n0\r\n\r\n", 'Transfer-Encoding: chunked', 'Connection: close');
like(answer($client), qr/^HTTP\/1.1 413 /, 'the answer');
# Until then nginx lingers.
close $client;
is(logged(), '413 - failed 0 0', 'the line');



=== TEST 14: error_page - what was done, and of what it leads to
--- config eval
main::node('error_page 400 404 409 /page.html;', 'error_page 413 /page.html; error_page 410 = @named;') . <<'END'
location /small/ { filedist on; root $TEST_NGINX_DATA/root; client_max_body_size 10; }
location /gone/  { return 410; }
location @named  { filedist on; root $TEST_NGINX_DATA/root; }
END
--- after
write_data('root/page.html', 'a page');
is(line('PUT', '/a', 'x', 'Content-MD5: x'), '400 - failed 0 0', 'a change that has failed');
like(line('DELETE', '/a'), qr/^404 \d{19} absent 0 0$/, 'one of nothing');
is(line('PUT', '/small/a', 'x' x 11), '413 - - - -', 'nginx has refused it');
is(line('GET', '/nothing'), '404 - - - -', 'GET of nothing');
is(line('PUT', '/gone/a', 'x'), '201 ' . version_of('root/gone/a') . ' stored 0 0', 'a named location that stores it');
--- error_log
intended to send too large body



=== TEST 15: a rewrite to another location
--- config eval: main::node('') . 'location /old/ { rewrite ^/old/(.*)$ /$1 last; }'
--- after
is(line('PUT', '/old/a', 'x'), '201 ' . version_of('root/a') . ' stored 0 0', 'the line');



=== TEST 16: looked at before it is known - it is known in the end
--- config eval: main::node('set $early "<$filedist_outcome>"; add_header X-Early $early always; add_header X-Late "$filedist_outcome $filedist_version $filedist_children_ok $filedist_children_failed" always;')
--- after
my $answer = ask('PUT', '/a', 'x');
my $version = version_of('root/a');
is(logged(), "201 $version stored 0 0", 'the line');
like($answer, qr/^X-Early: <>\r$/m, 'before');
like($answer, qr/^X-Late: stored $version 0 0\r$/m, 'with the answer');



=== TEST 17: access_log if= - changes alone
--- http_config eval: $::format . 'map $filedist_outcome $is_change { default 1; "" 0; }'
--- config eval: main::node('') =~ s/access.log filedist;/access.log filedist if=\$is_change;/r
--- after
ask('GET', '/nothing');
ask('PUT', '/a', 'x');
is(logged(), '201 ' . version_of('root/a') . ' stored 0 0', 'the first line');



=== TEST 18: several requests on a connection - each its own
--- after
my $client = client();
$client->printflush("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nxGET /a HTTP/1.1\r\nHost: x\r\n\r\nDELETE /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my $got = '';
while (sysread $client, my $more, 65536) { $got .= $more }
# Until then nginx lingers.
close $client;
is(join(' ', $got =~ /HTTP\/1.1 (\d+)/g), '201 200 200 404', 'the answers');
like(logged(), qr/^201 \d{19} stored 0 0$/, 'PUT');
is(logged(), '200 - - - -', 'GET');
like(logged(), qr/^200 \d{19} deleted 0 0$/, 'DELETE');
is(logged(), '404 - - - -', 'GET');



=== TEST 19: a client that leaves after its upload - what became of it all the same
--- http_config eval: $::scripted
--- config eval: main::node()
--- after
hang($ENV{TEST_NGINX_S});
my $client = begin('PUT', '/a', 'hello');
ok(poll_until(sub { requests('PUT') }), 'the child is asked');
close $client;
sleep 0.2;
is(read_data('access.log') // '', '', 'it is under way');
end_processes();
like(logged(), qr/^201 \d{19} stored 0 1$/, 'the child has failed');
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.5; undef });
$client = begin('PUT', '/b', $main::large);
ok(poll_until(sub { requests('PUT /b') }), 'the child is asked');
close $client;
like(logged(), qr/^201 \d{19} stored 1 0$/, 'the child has it');



=== TEST 20: a client that leaves in the middle of its upload - failed
--- http_config eval: $::scripted
--- config eval: main::node()
--- after
child($ENV{TEST_NGINX_S});
my $client = begin('PUT', '/a', 'half', 'Content-Length: 8');
sleep 0.2;
close $client;
like(logged(), qr/^(400|499) - failed 0 0$/, 'a small one');
$client = begin('PUT', '/b', substr($main::large, 0, 500_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { (read_data('requests') // '') =~ /connection/ }), 'the child is reached');
close $client;
like(logged(), qr/^(400|499) (-|\d{19}) failed 0 0$/, 'a large one');
is_deeply([names('root')], [], 'nothing is stored');



=== TEST 21: an upload that is too slow - failed
--- config eval: main::node('client_body_timeout 300ms;')
--- http_config eval: $::scripted
--- after
my $client = begin('PUT', '/a', 'half', 'Content-Length: 8');
like(answer($client), qr/^HTTP\/1.1 408 /, 'the answer');
# Until then nginx lingers.
close $client;
is(logged(), '408 - failed 0 0', 'the line');
