# filedist_ack local: the client has its answer when this node has the change; the children get it from catch-up.

use v5.36;
use Filedist;
use Filedist::Tree;

use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(256);

# Of each block others: after a reload the worker of the block before may still have something for
# its children.
our ($s, $t);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 S T);
    ($s, $t) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(S T);
}
new_ports();

our $two    = upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T');
our $leaves = upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . leaf('c1') . leaf('c2');

sub node ($location = '', $server = 'filedist_ack local;', $more = '') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        filedist_catch_up on max_backoff=100ms;
        $server
        location = /alive { return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            $location
        }
        $more
        END
}

our $large = join '', map sprintf("%015d\n", $_), 1 .. 200_000;
our $old   = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $two) if !defined $block->http_config;
    $block->set_value(config => node())    if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers($block->name =~ /two workers/ ? 2 : 1);
    $block->name =~ /workers?\b/ ? master_on() : master_off();
});

add_test_cleanup_handler(\&end_processes);

run_tests();

__DATA__

=== TEST 1: the receipt - a line for each child, queued
--- http_config eval: $::leaves
--- after
my $answer = ask('PUT', '/a', 'hello');
like($answer, qr/^HTTP\/1.1 201 /, 'status');
like($answer, qr/\r\n\r\nsuccess: root\/a stored: 5 bytes\nsuccess: 127.0.0.1:$ENV{TEST_NGINX_C1}\/a queued\nsuccess: 127.0.0.1:$ENV{TEST_NGINX_C2}\/a queued\n\z/, 'lines');
like(ask('DELETE', '/a'), qr/^HTTP\/1.1 200 .*\nsuccess: 127.0.0.1:$ENV{TEST_NGINX_C1}\/a queued\n/ms, 'DELETE');
like(ask('DELETE', '/b'), qr/^HTTP\/1.1 404 .*\nsuccess: 127.0.0.1:$ENV{TEST_NGINX_C1}\/b queued\n/ms, 'DELETE of nothing');



=== TEST 2: the receipt in JSON
--- http_config eval: $::leaves
--- after
my $answer = ask('PUT', '/a', 'hello', 'Accept: application/json', "Filedist-Version: $main::old");
my $child = sub ($n) { qq({"node":"127.0.0.1:$ENV{"TEST_NGINX_C$n"}","path":"/a","outcome":"queued","children":[]}) };
is((split /\r\n\r\n/, $answer)[1], qq({"node":"root","path":"/a","outcome":"stored","bytes":5,"version":$main::old,"children":[) . $child->(1) . ',' . $child->(2) . "]}\n", 'JSON');



=== TEST 3: a PUT - is at the children at once
--- http_config eval: $::leaves
--- after
sleep 1.2;
ask('PUT', '/a', 'hello');
my $began = time;
ok(poll_until(sub { 2 == grep { (read_data("$_/a") // '') eq 'hello' } qw(c1 c2) }), 'both have it');
cmp_ok(time - $began, '<', 0.6, 'seconds');
is(version_of("$_/a"), version_of('root/a'), "its version on $_") for qw(c1 c2);
ok(is_drained(), 'nothing is missing');
$began = time;
ask('DELETE', '/a');
ok(poll_until(sub { !grep { defined read_data("$_/a") } qw(c1 c2) }), 'deleted on both');
cmp_ok(time - $began, '<', 0.6, 'seconds');



=== TEST 4: a child that hangs - delays no answer
--- after
hang($_) for $ENV{TEST_NGINX_S}, $ENV{TEST_NGINX_T};
my $began = time;
like(ask('PUT', "/$_", 'hello'), qr/^HTTP\/1.1 201 .*queued/ms, "PUT $_") for 1 .. 3;
like(ask('DELETE', '/1'), qr/^HTTP\/1.1 200 .*queued/ms, 'DELETE');
cmp_ok(time - $began, '<', 1, 'seconds');
ok(poll_until(sub { 2 == requests('PUT') }), 'it is asked');
is(scalar entries($_), 4, 'what it has not got is in its log') for $main::s, $main::t;



=== TEST 5: the next request on the connection - is not delayed
--- after
hang($_) for $ENV{TEST_NGINX_S}, $ENV{TEST_NGINX_T};
my $socket = client();
my $began = time;
for my $n (1 .. 5) {
    $socket->printflush("PUT /$n HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    like(answer($socket), qr/^HTTP\/1.1 201 .*queued/ms, "PUT $n");
}
$socket->printflush("GET /3 HTTP/1.1\r\nHost: x\r\n\r\n");
like(answer($socket), qr/\r\n\r\nhi\z/, 'GET');
cmp_ok(time - $began, '<', 1, 'seconds');



=== TEST 6: a line of the log
--- after
ask('PUT', '/a%20b', 'x', "Filedist-Version: $main::old");
my ($line) = entries($main::s);
like($line, qr{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ PUT <a href="/a%20b">/a b</a> $main::old queued<br>\n\z}, 'PUT');
is(scalar entries($main::t), 1, 'the other child has one too');
unlike(join('', map { slurp($_) } glob data_dir() . '/state/journal/*'), qr/^\d/m, 'nothing is open in the journal');



=== TEST 7: a child that is away - gets it when it is back
--- after
child($ENV{TEST_NGINX_T});
ask('PUT', '/a', 'hello');
ok(is_drained($main::t), 'the other one has it');
is(scalar entries($main::s), 1, 'one line');
child($ENV{TEST_NGINX_S});
ok(is_drained(), 'nothing is missing');



=== TEST 8: chunked and large bodies - are at the children, whole
--- http_config eval: $::leaves
--- after
my $socket = client();
$socket->printflush("PUT /chunked HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
like(answer($socket), qr/^HTTP\/1.1 201 .*stored: 5 bytes.*queued.*queued/ms, 'chunked');
like(ask('PUT', '/large', $main::large), qr/^HTTP\/1.1 201 .*stored: 3200000 bytes.*queued.*queued/ms, 'large');
like(ask('PUT', '/empty', ''), qr/^HTTP\/1.1 201 .*stored: 0 bytes.*queued.*queued/ms, 'empty');
ok(is_drained(), 'nothing is missing');
for my $node (qw(root c1 c2)) {
    is(read_data("$node/chunked"), 'hello', "chunked on $node");
    ok(read_data("$node/large") eq $main::large, "large on $node");
    is(read_data("$node/empty"), '', "empty on $node");
}



=== TEST 9: the children get nothing of an upload that still runs, nor of one that breaks off
--- after
child($_) for $ENV{TEST_NGINX_S}, $ENV{TEST_NGINX_T};
my $socket = client();
$socket->printflush("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3200000\r\n\r\n" . substr $main::large, 0, 1_500_000);
sleep 0.3;
close $socket;
sleep 0.3;
is(scalar requests(), 0, 'nothing was sent');
is(scalar entries(), 0, 'nothing is missing');
is_deeply([names('root')], [], 'nothing is here');



=== TEST 10: the client is gone after its body - the children get the file
--- http_config eval: $::leaves
--- after
my $socket = client();
$socket->printflush("PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
close $socket;
ok(poll_until(sub { 2 == grep { (read_data("$_/a") // '') eq 'hello' } qw(c1 c2) }), 'both have it');



=== TEST 11: what changes nothing - is not queued
--- after
write_data('root/a', 'newer');
like(ask('PUT', '/a', 'x', "Filedist-Version: $main::old"), qr/\r\n\r\nsuccess: root\/a superseded: [^\n]*\n\z/, 'PUT');
like(ask('DELETE', '/a', undef, "Filedist-Version: $main::old"), qr/\r\n\r\nsuccess: root\/a superseded: [^\n]*\n\z/, 'DELETE');
unlike(ask('PUT', '/a/b', 'x'), qr/queued/, 'refused');
is(scalar entries(), 0, 'no line');



=== TEST 12: overwritten before it is delivered - the children get the last one
--- http_config eval: $::leaves
--- after
ask('PUT', '/a', "content $_") for 1 .. 20;
ok(is_drained(), 'nothing is missing');
is(read_data("$_/a"), 'content 20', $_) for qw(c1 c2);



=== TEST 13: a location with children inside of a server with local, and the other way round
--- http_config eval: $::leaves . main::upstream('others', '127.0.0.1:$TEST_NGINX_C1')
--- config eval
main::node('', 'filedist_ack local;', 'location /slow/ { filedist on; filedist_ack children; root $TEST_NGINX_DATA/root; proxy_pass http://others; }')
--- after
like(ask('PUT', '/a', 'x'), qr/^success: 127.0.0.1:$ENV{TEST_NGINX_C1}\/a queued$/m, 'inherited');
like(ask('PUT', '/slow/a', 'x'), qr/^success: c1\/slow\/a stored: 1 bytes$/m, 'children');



=== TEST 14: local in a location - the others wait for the children
--- http_config eval: $::leaves . main::upstream('others', '127.0.0.1:$TEST_NGINX_C1')
--- config eval
main::node('', '', 'location /fast/ { filedist on; filedist_ack local; root $TEST_NGINX_DATA/root; proxy_pass http://others; }')
--- after
like(ask('PUT', '/a', 'x'), qr/^success: c1\/a stored: 1 bytes$/m, 'children, where nothing is said');
like(ask('PUT', '/fast/a', 'x'), qr/^success: 127.0.0.1:$ENV{TEST_NGINX_C1}\/fast\/a queued$/m, 'local');



=== TEST 15: in http
--- http_config eval: $::leaves . 'filedist_ack local;'
--- config eval: main::node('', '')
--- after: like(ask('PUT', '/a', 'x'), qr/queued/, 'local')



=== TEST 16: on a leaf - makes no difference
--- config
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name leaf;
    filedist_ack local;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; }
--- after: like(ask('PUT', '/a', 'x'), qr/\r\n\r\nsuccess: leaf\/a stored: 1 bytes\n\z/, 'the receipt')



=== TEST 17: the missing log cannot be written - [crit], and the intent stays in the journal
--- post_setup_server_root: write_data("state/missing/$main::s", 'no directory')
--- allow_log: crit
--- after
child($ENV{TEST_NGINX_T});
like(ask('PUT', '/a', 'x', "Filedist-Version: $main::old"), qr/^HTTP\/1.1 201 /, 'the answer');
like(join('', map { slurp($_) } glob data_dir() . '/state/journal/*'), qr/^$main::old PUT \/a children$/m, 'the intent');
ok(is_drained($main::t), 'the other child has it');
# Or this worker says so once more when it ends, which may be after the next block has begun.
unlink data_dir() . "/state/missing/$main::s";



=== TEST 18: worker killed (-9) after the answer - the next one delivers
--- allow_log: alert
--- after
like(ask('PUT', "/$_", 'x'), qr/queued/, "PUT $_") for 1 .. 5;
ok(kill_worker(), 'killed');
child($_) for $ENV{TEST_NGINX_S}, $ENV{TEST_NGINX_T};
ok(is_drained(), 'nothing is missing');
is(scalar(my @puts = requests('PUT')), 10, 'each child got each once');



=== TEST 19: two workers, many PUTs - each child has all of them, no line is left
--- http_config eval: $::leaves
--- after
like(ask('PUT', "/$_", "content $_"), qr/^HTTP\/1.1 201/, "PUT $_") for 1 .. 50;
ok(is_drained(), 'nothing is missing');
for my $node (qw(c1 c2)) {
    is(scalar(grep { (read_data("$node/$_") // '') eq "content $_" } 1 .. 50), 50, $node);
}
