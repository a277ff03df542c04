# The status: what a node says of itself, its children, and the tree, in its three forms; the digest.

use v5.36;
use Filedist;
use Filedist::Tree;

use Digest::MD5 qw(md5_hex);
use File::Path qw(make_path);
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

plan skip_all => 'valgrind hides the title that tells a worker' if $ENV{TEST_NGINX_USE_VALGRIND};
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2 c3));
worker_connections(512);

# C1 to C3 are nodes, S and T are children that blocks script, L leads to another one.
our ($c1, $c2, $c3, $s, $t, $l);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 C3 S T L);
    ($c1, $c2, $c3, $s, $t, $l) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 C2 C3 S T L);
}

our $page = 'location /__status__/ { filedist_status; }';

# The root; what the block gives goes into its location and its server. Without catch-up nobody but
# the test asks the children.
sub node ($location = '', $server = '') {
    $server .= ' filedist_catch_up off;' if $server !~ /filedist_catch_up/;
    $server .= " $page"                  if $server !~ /filedist_status/;
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        $server
        location = /alive { return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            $location
        }
        location /__missing__/ { filedist_missing; }
        END
}

# A node between two others.
sub mid ($name = 'c2', $below = 'below') {
    return <<~END;
        server {
            listen 127.0.0.1:\$TEST_NGINX_\U$name\E;
            filedist_state \$TEST_NGINX_DATA/$name-state;
            filedist_name $name;
            proxy_read_timeout 30s;
            location / { filedist on; root \$TEST_NGINX_DATA/$name; proxy_pass http://$below; }
            $page
        }
        END
}

sub shown ($name) { return leaf($name, "127.0.0.1:\$TEST_NGINX_\U$name", $page) }

our $quick    = 'filedist_catch_up on max_backoff=100ms;';
our $dead     = upstream('127.0.0.1:$TEST_NGINX_S max_fails=0');
our $one      = upstream('127.0.0.1:$TEST_NGINX_C1') . leaf('c1');
our $linked   = upstream('127.0.0.1:$TEST_NGINX_L max_fails=0') . leaf('c1');
our $scripted = $dead;
our $two      = upstream('127.0.0.1:$TEST_NGINX_S max_fails=0', '127.0.0.1:$TEST_NGINX_T max_fails=0');
# root - c1, and root - c2 - c3.
our $deep = upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . upstream('below', '127.0.0.1:$TEST_NGINX_C3') . mid();

our $large = join '', map sprintf("%015d\n", $_), 1 .. 100_000;
our $old   = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $dead)  if !defined $block->http_config;
    $block->set_value(config => node())      if !defined $block->config;
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    workers($block->name =~ /two workers/ ? 2 : 1);
    $block->name =~ /workers?\b/ ? master_on() : master_off();
});

add_test_cleanup_handler(\&end_processes);

sub milliseconds () { return int(time * 1000) }

# A request whose answer nobody waits for.
sub begin ($method, $path, $body = undef, @headers) {
    my $socket = client();
    push @headers, 'Content-Length: ' . length $body if defined $body && !grep {/^Content-Length/} @headers;
    $socket->printflush(join "\r\n", "$method $path HTTP/1.1", 'Host: x', 'Connection: close', @headers, '', $body // '');
    return $socket;
}

# How long a page took, and what it says.
sub timed ($args, @headers) {
    my $began = time;
    my $answer = answer(begin('GET', "/__status__/?$args", undef, @headers), 15);
    return (time - $began, $answer);
}

sub decoded ($answer) { return eval { JSON::PP->new->utf8->decode(body_of($answer)) } // die "no JSON: $answer" }

# The whole tree, and how long it took.
sub tree ($wait = undef) {
    my ($seconds, $answer) = timed('tree&format=json', defined $wait ? "Filedist-Wait: $wait" : ());
    return (decoded($answer), $seconds);
}

# A child that accepts, and says nothing.
sub silent ($port) {
    Filedist::Tree::accept_each($port, sub ($c) { sleep 60 });
}

# An answer to a question for the status.
sub json ($body, $more = '') {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${more}Content-Length: " . length($body) . "\r\n\r\n$body";
}

sub said ($body, $more = '') { return sub ($r) { $r->{path} =~ /__status__/ ? json($body, $more) : undef } }

# A line of a missing log, of that time.
sub entry_of ($time, @entry) { return entry(@entry) =~ s/^\S+/strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $time)/er }

sub digest ($args = '') { return body_of(answer(begin('GET', "/__status__/?digest$args"), 15)) }

sub promtool () { return grep { -x "$_/promtool" } split /:/, $ENV{PATH} }

run_tests();

__DATA__

=== TEST 1: a node that nothing was asked of
--- http_config eval: $::two
--- after
my $before = milliseconds();
my $answer = ask('GET', '/__status__/?format=json');
like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Type: application/json\r}ms, 'the head');
like($answer, qr{^Cache-Control: no-store\r}m, 'it is not to be kept');
my $node = status();
is_deeply([sort keys %$node], [qw(changes changes_in_flight children name nginx since time version)], 'what there is');
is($node->{name}, 'root', 'the name');
my ($version) = slurp('Cargo.toml') =~ /^version = "(.+?)"/m;
is($node->{version}, $version, 'the version of the module');
my ($nginx) = `@{[ $ENV{TEST_NGINX_BINARY} // 'nginx' ]} -v 2>&1` =~ m{nginx/(\S+)};
is($node->{nginx}, $nginx, 'the version of nginx');
cmp_ok($node->{time}, '>=', $before, 'the time');
cmp_ok($node->{time}, '<=', milliseconds() + 1, 'in milliseconds');
cmp_ok($node->{since}, '>', $before - 60_000, 'since when');
cmp_ok($node->{since}, '<=', $node->{time}, 'which was before');
is($node->{changes_in_flight}, 0, 'nothing is under way');
is_deeply($node->{changes}, { map { $_ => 0 } qw(stored stored_bytes deleted superseded failed) }, 'nothing was');
is_deeply([map { $_->{name} } $node->{children}->@*], [$main::s, $main::t], 'the children, in order');
is_deeply($node->{children}[0], {
    name => $main::s, up => undef, since => undef, last_delivery => undef, deliveries => 0, sent_bytes => 0,
    deliveries_per_second => 0, bytes_per_second => 0, failures => { map { $_ => 0 } qw(unreachable timeout refused interrupted) },
    missing => { entries => 0, bytes => 0, oldest => undef, unservable => 0 },
    catch_up => undef, provisioning => undef, node => undef, no_answer => undef,
}, 'a child');



=== TEST 2: a leaf - has no children
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; }
    location /__status__/ { filedist_status; }
--- after
ask('PUT', '/a', 'hello');
is_deeply(status()->{children}, [], 'none');
is(status()->{changes}{stored}, 1, 'what it stored');
is(status()->{name}, '127.0.0.1:' . server_port(), 'its name is its address');



=== TEST 3: deliveries, and bytes sent
--- http_config eval: $::one
--- after
my $before = milliseconds();
ask('PUT', '/a', 'hello');
ask('PUT', '/large', $main::large);
ask('DELETE', '/a');
ask('DELETE', '/a');
my $child = child_status($main::c1);
is($child->{deliveries}, 4, 'deliveries');
is($child->{sent_bytes}, 5 + length $main::large, 'bytes');
ok($child->{up}, 'it is up');
cmp_ok($child->{since}, '>=', $before, 'since when');
cmp_ok($child->{last_delivery}, '>=', $child->{since}, 'the last delivery');
cmp_ok($child->{last_delivery}, '<=', milliseconds() + 1, 'which was before');
is_deeply([values $child->{failures}->%*], [0, 0, 0, 0], 'none has failed');
ok($child = until_status($main::c1, sub ($c) { $c->{deliveries_per_second} > 0 }), 'a rate');
cmp_ok($child->{deliveries_per_second}, '<=', 0.4, 'on average over ten seconds');
cmp_ok($child->{bytes_per_second}, '>', 0, 'that of the bytes');
is(child_status($main::c1)->{since}, $child->{since}, 'it is up since then');



=== TEST 4: a child goes down and comes back - up, and since when
--- http_config eval: $::linked
--- after
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ask('PUT', '/a', 'one');
my $first = child_status($main::l);
ok($first->{up}, 'up');
end_processes();
sleep 0.01;
ask('PUT', '/b', 'two');
my $second = child_status($main::l);
ok(!$second->{up}, 'down');
cmp_ok($second->{since}, '>', $first->{since}, 'since when');
is($second->{last_delivery}, $first->{last_delivery}, 'the last delivery was before');
is($second->{failures}{unreachable}, 1, 'a failure');
is($second->{missing}{entries}, 1, 'what it lacks');
ask('PUT', '/b', 'three');
is(child_status($main::l)->{since}, $second->{since}, 'down since then');
sleep 0.01;
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ask('PUT', '/c', 'four');
my $third = child_status($main::l);
ok($third->{up}, 'up again');
cmp_ok($third->{since}, '>', $second->{since}, 'since when');
is($third->{deliveries}, 2, 'deliveries');



=== TEST 5: failures - a port that refuses, a child that breaks off, one that talks nonsense: unreachable
--- http_config eval: $::two
--- after
child($ENV{TEST_NGINX_T}, sub ($r) { $r->{path} =~ /close/ ? 'close' : "HTTP/1.1 200 OK\r\nno header\r\n\r\n" });
ask('PUT', '/close', 'x');
ask('PUT', '/nonsense', 'x');
is_deeply(child_status($_)->{failures}, { unreachable => 2, timeout => 0, refused => 0, interrupted => 0 }, $_) for $main::s, $main::t;
ok(!child_status($_)->{up}, 'it is down') for $main::s, $main::t;



=== TEST 6: failures - a child that is silent: timeout
--- config eval: main::node('proxy_read_timeout 200ms;')
--- after
silent($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'x');
is_deeply(child_status($main::s)->{failures}, { unreachable => 0, timeout => 1, refused => 0, interrupted => 0 }, 'failures');
ok(!child_status($main::s)->{up}, 'it is down');



=== TEST 7: failures - a child that answers with an error: refused, and it is up
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{path} =~ m{/(\d+)} ? $1 : undef });
ask('PUT', "/$_", 'x') for qw(403 409 413 500 502 504 507 508);
is_deeply(child_status($main::s)->{failures}, { unreachable => 0, timeout => 0, refused => 8, interrupted => 0 }, 'failures');
ok(child_status($main::s)->{up}, 'it is up');
is(child_status($main::s)->{last_delivery}, undef, 'and has taken nothing');
is(child_status($main::s)->{missing}{entries}, 8, 'what it lacks');



=== TEST 8: failures - an upload that breaks off: interrupted, which says nothing of the child
--- after
child($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', substr($main::large, 0, 900_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { slurp(data_dir() . '/requests') }), 'the child is reached');
close $put;
ok(until_status($main::s, sub ($c) { $c->{failures}{interrupted} == 1 }), 'interrupted');
my $child = child_status($main::s);
is($child->{up}, undef, 'not known');
is($child->{missing}{entries}, 0, 'it lacks nothing');
is($child->{failures}{unreachable} + $child->{failures}{refused} + $child->{failures}{timeout}, 0, 'no other failure');
ok(poll_until(sub { status()->{changes}{failed} == 1 }), 'the change has failed');



=== TEST 9: what is missing - entries, bytes, and since when
--- after
my $before = int(time) * 1000;
ask('PUT', '/a', 'x' x 100);
ask('PUT', '/b', $main::large);
my $missing = child_status($main::s)->{missing};
is($missing->{entries}, 2, 'entries');
is($missing->{bytes}, 100 + length $main::large, 'bytes');
cmp_ok($missing->{oldest}, '>=', $before, 'the oldest');
cmp_ok($missing->{oldest}, '<=', milliseconds() + 1, 'which was before');
ask('DELETE', '/c');
is(child_status($main::s)->{missing}{entries}, 3, 'a DELETE is an entry');
is(child_status($main::s)->{missing}{bytes}, 100 + length $main::large, 'without bytes');
is(child_status($main::s)->{missing}{oldest}, $missing->{oldest}, 'the oldest is the same');



=== TEST 10: what is missing from the time before nginx was started - entries, bytes, the oldest
--- post_setup_server_root
package main;
write_data('root/a b', 'x' x 1000);
write_data('root/d/e', 'x' x 200);
$main::oldest = int(time) - 3 * 86400 - 7;
seed_log($main::s, strftime('%Y-%m-%d', gmtime $main::oldest), entry_of($main::oldest, 'PUT', '/a b', $main::old));
seed_log($main::s, entry('PUT', '/d/e', $main::old), entry('PUT', '/evicted', $main::old), entry('DELETE', '/gone', $main::old), "garbage\n");
--- after
my $child = until_status($main::s, sub ($c) { $c->{missing}{entries} });
is_deeply($child->{missing}, { entries => 4, bytes => 1200, oldest => $main::oldest * 1000, unservable => 0 }, 'what is missing');



=== TEST 11: the same, where catch-up tries in vain
--- config eval: main::node('', $::quick)
--- post_setup_server_root
package main;
write_data('root/a', 'x' x 1000);
$main::oldest = int(time) - 3 * 86400 - 7;
seed_log($main::s, strftime('%Y-%m-%d', gmtime $main::oldest), entry_of($main::oldest, 'PUT', '/a', $main::old));
seed_log($main::s, entry('DELETE', '/gone', $main::old));
--- after
my $child = until_status($main::s, sub ($c) { $c->{missing}{entries} });
is_deeply($child->{missing}, { entries => 2, bytes => 1000, oldest => $main::oldest * 1000, unservable => 0 }, 'what is missing');
ok(!$child->{up}, 'it is down');



=== TEST 12: what is missing after it was delivered - nothing
--- http_config eval: $::linked
--- config eval: main::node('', $::quick)
--- after
ask('PUT', "/$_", 'x' x 100) for 1 .. 5;
ask('DELETE', '/6');
is(child_status($main::l)->{missing}{entries}, 6, 'entries');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'it is delivered');
ok(until_status($main::l, sub ($c) { !$c->{missing}{entries} }), 'no entry');
my $child = child_status($main::l);
is_deeply($child->{missing}, { entries => 0, bytes => 0, oldest => undef, unservable => 0 }, 'nothing is missing');
ok($child->{up}, 'it is up');
is($child->{deliveries}, 6, 'deliveries');
is($child->{sent_bytes}, 500, 'bytes');



=== TEST 13: a log that somebody removes - nothing is missing when it is looked at again
--- config eval: main::node('', $::quick)
--- after
ask('PUT', "/$_", 'x') for 1 .. 5;
is(child_status($main::s)->{missing}{entries}, 5, 'entries');
unlink log_files();
ok(until_status($main::s, sub ($c) { !$c->{missing}{entries} && !$c->{missing}{bytes} && !defined $c->{missing}{oldest} }), 'nothing is missing');



=== TEST 14: a file that no node has any more - unservable, until it is deleted
--- http_config eval: $::two
--- config eval: main::node('', $::quick)
--- post_setup_server_root
package main;
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
seed_log($main::s, map entry('PUT', "/$_", $main::old), 1 .. 2);
--- after
my $child = until_status($main::s, sub ($c) { $c->{missing}{unservable} == 2 });
ok($child, 'two are unservable');
is($child->{missing}{entries}, 2, 'and missing');
is(child_status($main::t)->{missing}{unservable}, 0, 'none of the other child');
ask('DELETE', '/1');
ok(until_status($main::s, sub ($c) { $c->{missing}{unservable} == 1 && $c->{missing}{entries} == 1 }), 'one is left');
ask('PUT', '/2', 'x');
ok(until_status($main::s, sub ($c) { $c->{missing}{unservable} == 0 && $c->{missing}{entries} == 0 }), 'none is left');



=== TEST 15: an evicted file that another child may have, which is away - not unservable
--- http_config eval: $::two
--- config eval: main::node('', $::quick)
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S});
seed_log($main::s, entry('PUT', '/a', $main::old));
--- after
ok(error_log_has(qr{the first: PUT "/a": not here, and another child says 502}), 'it is tried');
is_deeply(child_status($main::s)->{missing}, { %{ child_status($main::s)->{missing} }, entries => 1, unservable => 0 }, 'what is missing');



=== TEST 16: catch-up of a slow child - since when, and how many are done
--- config eval: main::node('', 'filedist_catch_up on concurrency=1;')
--- post_setup_server_root
package main;
$main::before = milliseconds();
write_data("root/$_", 'x' x 10) for 1 .. 12;
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.25 if $r->{method} eq 'PUT'; undef });
seed_log($main::s, map entry('PUT', "/$_", $main::old), 1 .. 12);
--- after
my $child = until_status($main::s, sub ($c) { $c->{catch_up} && $c->{catch_up}{done} >= 2 });
ok($child, 'it is under way');
cmp_ok($child->{catch_up}{done}, '<', 12, 'and not at its end');
cmp_ok($child->{catch_up}{since}, '>=', $main::before, 'since when');
cmp_ok($child->{catch_up}{since}, '<=', milliseconds() + 1, 'which was before');
is($child->{deliveries}, $child->{catch_up}{done}, 'deliveries');
ok(is_drained(), 'nothing is missing');
ok(until_status($main::s, sub ($c) { !defined $c->{catch_up} && $c->{deliveries} == 12 && $c->{sent_bytes} == 120 }), 'it is over');



=== TEST 17: what the child has already - is done, and no delivery
--- config eval: main::node('', $::quick)
--- post_setup_server_root
package main;
write_data("root/$_", 'x' x 10) for 1 .. 3;
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'HEAD' ? 204 : undef });
seed_log($main::s, map entry('PUT', "/$_", $main::old), 1 .. 3);
--- after
ok(is_drained(), 'nothing is missing');
my $child = until_status($main::s, sub ($c) { !$c->{missing}{entries} && !$c->{missing}{bytes} });
ok($child, 'nor does it say so');
is($child->{deliveries} + $child->{sent_bytes}, 0, 'nothing was sent');
ok($child->{up}, 'it is up');



=== TEST 18: changes under way - an upload that is held open, a DELETE for which a child hangs
--- after
is(status()->{changes_in_flight}, 0, 'none');
# First of all: its processes have what is open when they begin.
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', 'x', 'Content-Length: 2');
my $large = begin('PUT', '/b', substr($main::large, 0, 500_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { status()->{changes_in_flight} == 2 }), 'two');
my $delete = begin('DELETE', '/c');
ok(poll_until(sub { status()->{changes_in_flight} == 3 }), 'three');
close $large;
ok(poll_until(sub { status()->{changes_in_flight} == 2 }), 'one has broken off');
write_data('go', '');
end_processes();
like(answer($delete), qr{^HTTP/1.1 404 }, 'one has ended');
$put->printflush('y');
like(answer($put), qr{^HTTP/1.1 201 }, 'the last one');
is(status()->{changes_in_flight}, 0, 'none is left');



=== TEST 19: two workers, changes under way - of both; those of killed ones are none
--- allow_log: alert
--- after
my @puts = map begin('PUT', "/$_", 'x', 'Content-Length: 2'), 1 .. 10;
ok(poll_until(sub { status()->{changes_in_flight} == 10 }), 'ten');
ok(kill_worker(), 'killed');
ok(poll_until(sub { status()->{changes_in_flight} == 0 }), 'none');
my $put = begin('PUT', '/a', 'x', 'Content-Length: 2');
ok(poll_until(sub { status()->{changes_in_flight} == 1 }), 'one');



=== TEST 20: what became of changes
--- http_config eval: $::one
--- config eval: main::node('client_body_buffer_size 16k;')
--- after
my $is = sub ($what, %wanted) { is_deeply(status()->{changes}, { stored => 0, stored_bytes => 0, deleted => 0, superseded => 0, failed => 0, %wanted }, $what) };
ask('PUT', '/a', 'hello');
$is->('stored', stored => 1, stored_bytes => 5);
ask('PUT', '/b', $main::large);
ask('PUT', '/b', '');
my %sum = (stored => 3, stored_bytes => 5 + length $main::large);
$is->('stored', %sum);
ask('DELETE', '/a');
ask('DELETE', '/a');
$is->('deleted, and not there', %sum, deleted => 2);
ask('PUT', '/b', 'x', "Filedist-Version: $main::old");
ask('PUT', '/b', $main::large, "Filedist-Version: $main::old");
ask('PUT', '/b', 'x', 'Filedist-Version: ' . version_of('root/b'));
ask('DELETE', '/b', undef, "Filedist-Version: $main::old");
$is->('superseded, and unchanged', %sum, deleted => 2, superseded => 4);
ask('PUT', '/c', 'x', 'Content-MD5: x');
ask('PUT', '/d/', 'x');
ask('PUT', '/.filedist.x', 'x');
ask('PUT', '/c', 'x', 'Filedist-Version: x');
ask('PUT', '/c', 'x', 'Filedist-Via: root');
ask('DELETE', '/', undef);
$is->('failed', %sum, deleted => 2, superseded => 4, failed => 6);
ask('GET', '/b');
ask('GET', '/nothing');
ask('POST', '/b', 'x');
$is->('others do not count', %sum, deleted => 2, superseded => 4, failed => 6);



=== TEST 21: a worker that is replaced by a reload - what was counted is kept
--- http_config eval: $::two
--- after
child($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'hello');
ask('PUT', '/b', 'hello');
ask('DELETE', '/c');
my $before = status();
is($before->{children}[0]{deliveries}, 3, 'deliveries');
is($before->{children}[1]{missing}{entries}, 3, 'entries');
my $same = sub ($node) {
    my %node = %$node;
    delete $node{time};
    for my $child ($node{children}->@*) { delete $child->{$_} for qw(deliveries_per_second bytes_per_second) }
    # Those of the file that was deleted count until the log is counted anew.
    delete $_->{missing}{bytes} for $node{children}->@*;
    return \%node;
};
my ($old) = worker_pids();
ok(reload(), 'reload');
ok(poll_until(sub { !-e "/proc/$old" }, 8), 'the old one has ended');
is_deeply($same->(status()), $same->($before), 'the same');
ask('PUT', '/c', 'hello');
is(status()->{changes}{stored}, 3, 'and goes on');
is(status()->{children}[0]{deliveries}, 4, 'deliveries too');



=== TEST 22: a worker that is killed - what was counted is kept
--- allow_log: alert
--- http_config eval: $::one
--- after
ask('PUT', "/$_", 'hello') for 1 .. 3;
ok(kill_worker(), 'killed');
ask('PUT', '/4', 'hello');
my $node = status();
is($node->{changes}{stored}, 4, 'stored');
is($node->{children}[0]{deliveries}, 4, 'deliveries');



=== TEST 23: two workers - count together
--- http_config eval: $::one
--- after
# Each of them gets some of so many connections at once.
my @clients = map begin('PUT', "/$_", 'hello'), 1 .. 60;
like(answer($_), qr{^HTTP/1.1 201 }, 'PUT') for @clients;
my @seen = map status(), 1 .. 12;
is_deeply([grep { $_->{changes}{stored} != 60 || $_->{changes}{stored_bytes} != 300 } @seen], [], 'all of them say the same');
is_deeply([grep { $_->{children}[0]{deliveries} != 60 } @seen], [], 'of the child too');



=== TEST 24: a child of two upstreams - is one
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T', '127.0.0.1:$TEST_NGINX_S')
--- config eval: main::node() . 'location /b/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }'
--- after
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
ask('PUT', $_, 'x') for '/a', '/b/c';
my $node = status();
is_deeply([map { $_->{name} } $node->{children}->@*], [$main::s, $main::t], 'the children');
is_deeply([map { $_->{deliveries} } $node->{children}->@*], [2, 1], 'deliveries');
my ($tree) = tree(2000);
is(scalar(grep { $_->{path} eq '/__status__/?tree&format=json' } map +{ path => (split)[1] }, requests('GET')), 2, 'each is asked once');



=== TEST 25: two servers of one nginx - each counts for itself
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_S') . main::shown('c1')
--- after
ask('PUT', '/a', 'hello');
my (undef, undef, $body) = http_get($ENV{TEST_NGINX_C1}, '/__status__/?format=json');
my $other = JSON::PP::decode_json($body);
is($other->{name}, 'c1', 'the other one');
is($other->{changes}{stored}, 0, 'has stored nothing');
is(status()->{changes}{stored}, 1, 'this one has');



=== TEST 26: HTML, where nothing else is said
--- http_config eval: $::one
--- after
ask('PUT', '/a', 'hello');
for my $args ('', '?', '?format=html', '?x=y', '?tree') {
    my $answer = ask('GET', "/__status__/$args");
    like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Type: text/html; charset=utf-8\r}ms, "$args, the head");
    like($answer, qr{^Cache-Control: no-store\r}m, 'it is not to be kept');
    like(body_of($answer), qr{\A<!DOCTYPE html>.*<title>[^<]*root.*\Q$main::c1\E.*</html>\n\z}s, 'a page');
}



=== TEST 27: HEAD - the same without a body
--- after
for my $args ('', '?format=json', '?format=prometheus', '?tree&format=json', '?digest') {
    my $answer = ask('HEAD', "/__status__/$args");
    like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Length: [1-9]\d*\r}ms, "$args, the head");
    is(body_of($answer), '', 'no body');
}



=== TEST 28: another format - 400
--- after
for my $args ('format=xml', 'format=', 'format', 'format=JSON', 'tree&format=%00', 'format=json%20') {
    like(ask('GET', "/__status__/?$args"), qr{^HTTP/1.1 400 .*^error: format is html, json or prometheus\n\z}ms, $args);
}



=== TEST 29: other methods - 405, and which ones there are
--- after
like(ask($_, '/__status__/'), qr{^HTTP/1.1 405 .*^Allow: GET, HEAD\r}ms, $_) for qw(POST PUT DELETE OPTIONS PATCH);
like(ask('POST', '/__status__/?format=json', 'a body'), qr{^HTTP/1.1 405 }, 'with a body');
is(status()->{changes}{failed}, 0, 'they are no changes');



=== TEST 30: prometheus - what it is, and what it says
--- http_config eval: $::two
--- post_setup_server_root
package main;
write_data('root/m', 'x' x 50);
$main::oldest = int(time) - 1000;
seed_log($main::t, strftime('%Y-%m-%d', gmtime $main::oldest), entry_of($main::oldest, 'PUT', '/m', $main::old));
--- after
child($ENV{TEST_NGINX_S});
until_status($main::t, sub ($c) { $c->{missing}{entries} });
ask('PUT', '/a', 'hello');
ask('DELETE', '/b');
my $answer = ask('GET', '/__status__/?format=prometheus');
like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r}ms, 'the head');
like($answer, qr{^Cache-Control: no-store\r}m, 'it is not to be kept');
my $text = body_of($answer);
my $node = status();
my $seconds = sub ($time) { sprintf '%d.%03d', $time / 1000, $time % 1000 };
for my $line (
    qq(filedist_build_info{version="$node->{version}",nginx_version="$node->{nginx}"} 1),
    'filedist_start_timestamp_seconds ' . $seconds->($node->{since}),
    'filedist_changes_in_flight 0',
    'filedist_changes_total{outcome="stored"} 1',
    'filedist_changes_total{outcome="deleted"} 1',
    'filedist_stored_bytes_total 5',
    qq(filedist_child_up{child="$main::s"} 1),
    qq(filedist_child_up{child="$main::t"} 0),
    qq(filedist_child_deliveries_total{child="$main::s"} 2),
    qq(filedist_child_sent_bytes_total{child="$main::s"} 5),
    qq(filedist_child_delivery_failures_total{child="$main::t",reason="unreachable"} 2),
    qq(filedist_child_missing_entries{child="$main::t"} 3),
    qq(filedist_child_missing_bytes{child="$main::t"} 55),
    qq(filedist_child_missing_oldest_timestamp_seconds{child="$main::t"} $main::oldest.000),
    qq(filedist_child_unservable_entries{child="$main::t"} 0),
    qq(filedist_child_catch_up_running{child="$main::t"} 0),
    qq(filedist_child_provisioning_running{child="$main::t"} 0),
) {
    is(scalar(grep { $_ eq $line } split /\n/, $text), 1, $line) or diag($text);
}
unlike($text, qr/^$/m, 'no empty line');
like($text, qr/\n\z/, 'the last line is whole');



=== TEST 31: prometheus - as promtool wants it
--- skip_eval: 4: !main::promtool()
--- allow_log: crit
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '"unix:$TEST_NGINX_DATA/a\\\\b\\"c"')
--- after
child($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'hello');
write_data('metrics', body_of(ask('GET', '/__status__/?format=prometheus')));
my $metrics = data_dir() . '/metrics';
is(`promtool check metrics < $metrics 2>&1`, '', 'it has nothing to say');
is($?, 0, 'and is satisfied');



=== TEST 32: names of children with anything in them - in each form
--- allow_log: crit
--- http_config eval: main::upstream(q('unix:$TEST_NGINX_DATA/a<script>"b&c\\\\d'), '127.0.0.1:$TEST_NGINX_S')
--- after
my $name = 'unix:' . data_dir() . '/a<script>"b&c\\d';
ask('PUT', '/a', 'hello');
is(child_status($name)->{missing}{entries}, 1, 'JSON');
for my $args ('', '?tree') {
    my $html = body_of(answer(begin('GET', "/__status__/$args"), 15));
    is(scalar(() = $html =~ /<script>/g), 1, 'HTML has its own script alone');
    like($html, qr{a&lt;script&gt;&quot;b&amp;c\\d}, 'and the name');
    my ($link) = $html =~ m{href="(/__missing__/[^"]*script[^"]*)"};
    like(ask('GET', $link // '/none'), qr{^HTTP/1.1 200 .*log\.html}ms, 'and a link to what it lacks');
}
my $metrics = body_of(ask('GET', '/__status__/?format=prometheus'));
my $label = $name =~ s/(["\\])/\\$1/gr;
like($metrics, qr{^filedist_child_missing_entries\{child="\Q$label\E"\} 1$}m, 'a label');



=== TEST 33: the whole tree - each node as it sees itself
--- http_config eval: $::deep . main::shown('c1') . main::shown('c3')
--- after
ask('PUT', '/a', 'hello');
my ($tree, $seconds) = tree();
my ($first, $second) = $tree->{children}->@*;
is($first->{node}{name}, 'c1', 'a child');
is_deeply($first->{node}{children}, [], 'without children');
is($second->{node}{name}, 'c2', 'another one');
my $below = $second->{node}{children}[0];
is($below->{name}, $main::c3, 'its child');
is($below->{node}{name}, 'c3', 'which has answered');
is($below->{node}{changes}{stored}, 1, 'what it has stored');
is($_->{no_answer}, undef, 'an answer') for $first, $second, $below;
ok($_->{up}, 'it is up') for $first, $second, $below;
cmp_ok($seconds, '<', 4, 'nobody waits');
my $html = body_of(ask('GET', '/__status__/?tree'));
like($html, qr{\Q$_\E}, "the page has $_") for $main::c1, $main::c2, $main::c3;
is(status()->{children}[0]{node}, undef, 'the status alone asks nobody');



=== TEST 34: the whole tree where nothing was uploaded - each child is asked, and up or down
--- http_config eval: $::deep . main::shown('c1')
--- after
my $before = milliseconds();
my ($tree) = tree(3000);
my ($first, $second) = $tree->{children}->@*;
ok($first->{up}, 'up');
cmp_ok($first->{since}, '>=', $before, 'since when');
my $below = $second->{node}{children}[0];
is($below->{no_answer}, '502', 'a dead grandchild');
ok(defined $below->{up} && !$below->{up}, 'is down');
is($below->{node}, undef, 'and has said nothing');
is($second->{no_answer}, undef, 'its parent has answered');
ok($second->{up}, 'which is up');
ok(child_status($main::c1)->{up}, 'the status remembers');



=== TEST 35: a child without a status page - 404, and it is up
--- http_config eval: $::one
--- after
my ($tree) = tree(3000);
my $child = $tree->{children}[0];
is($child->{no_answer}, '404', 'no answer');
is($child->{node}, undef, 'nothing is known');
ok($child->{up}, 'it is up');



=== TEST 36: a child that refuses to say - its status, and it is up
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{path} =~ /status/ && requests('GET') ? (403, 500, 204, 301, 401)[requests('GET') - 1] : undef });
for my $status (403, 500, 204, 301, 401) {
    my ($tree) = tree(3000);
    is($tree->{children}[0]{no_answer}, $status, "it says $status");
    is($tree->{children}[0]{node}, undef, 'nothing is known');
    ok($tree->{children}[0]{up}, 'it is up');
}



=== TEST 37: a silent child - the page comes after five seconds, and says so
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C1') . main::shown('c1')
--- after
silent($ENV{TEST_NGINX_S});
my ($tree, $seconds) = tree();
is($tree->{children}[0]{no_answer}, 'timeout', 'no answer');
is($tree->{children}[1]{node}{name}, 'c1', 'the other child has answered');
cmp_ok($seconds, '>', 4.5, 'not before');
cmp_ok($seconds, '<', 8, 'not much later');



=== TEST 38: a silent child, and a parent that says how long it waits - the page comes before
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_C1') . main::shown('c1')
--- after
silent($ENV{TEST_NGINX_S});
my ($tree, $seconds) = tree(300);
is($tree->{children}[0]{no_answer}, 'timeout', 'no answer');
is($tree->{children}[1]{node}{name}, 'c1', 'the other child has answered');
cmp_ok($seconds, '>', 0.2, 'not at once');
cmp_ok($seconds, '<', 2, 'long before five seconds are over');



=== TEST 39: a child to which no connection is made - the page comes all the same
--- after
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_S}, Listen => 1) or die $!;
# The kernel accepts no more than that.
my @full = map IO::Socket::INET->new(PeerAddr => $main::s, Blocking => 0), 1 .. 8;
my ($tree, $seconds) = tree(300);
is($tree->{children}[0]{no_answer}, 'timeout', 'no answer');
cmp_ok($seconds, '<', 2, 'in time');



=== TEST 40: proxy_read_timeout of the location is over first - that is a timeout too
--- config eval: main::node('proxy_read_timeout 200ms;')
--- after
silent($ENV{TEST_NGINX_S});
my ($tree, $seconds) = tree();
is($tree->{children}[0]{no_answer}, 'timeout', 'no answer');
ok(!$tree->{children}[0]{up}, 'it is down');
cmp_ok($seconds, '<', 3, 'after that time');



=== TEST 41: a silent grandchild - its parent has answered before it is given up
--- http_config eval: $::deep . main::shown('c1')
--- after
silent($ENV{TEST_NGINX_C3});
my ($tree, $seconds) = tree(3000);
my $mid = $tree->{children}[1];
is($mid->{no_answer}, undef, 'its parent has answered');
is($mid->{node}{name}, 'c2', 'with its name');
is($mid->{node}{children}[0]{no_answer}, 'timeout', 'and says that its child has not');
cmp_ok($seconds, '<', 3.5, 'in time');



=== TEST 42: what children are asked - for the tree, and to answer earlier
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('head', $r->{head}); json('{}')});
tree(1000);
my $head = read_data('head');
like($head, qr{\AGET /__status__/\?tree&format=json HTTP/1\.1\r}, 'the request');
like($head, qr{^Filedist-Wait: 800\r?$}m, 'how long');
is(scalar(() = $head =~ /^Filedist-Wait:/mg), 1, 'which is said once');
like($head, qr{^Filedist-Via: root\r?$}m, 'by whom');
tree();
like(read_data('head'), qr{^Filedist-Wait: 4000\r?$}m, 'how long, where nothing is told');
answer(begin('GET', '/__status__/?tree', undef, 'Filedist-Via: above', 'Accept-Encoding: gzip', 'Range: bytes=0-1', 'If-None-Match: x'));
like(read_data('head'), qr{^Filedist-Via: above, root\r?$}m, 'and by whom before');
unlike(read_data('head'), qr{^(Accept-Encoding|Range|If-None-Match):}mi, 'what is for this node is not passed on');
like(read_data('head'), qr{^GET /__status__/\?tree&format=json }m, 'the form is that for nodes');



=== TEST 43: how long to wait, if that is nothing, or nonsense
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('head', $r->{head}); json('{"name":"s"}') });
for my $wait (0, 10, 49) {
    my ($tree, $seconds) = tree($wait);
    is($tree->{children}[0]{node}, undef, "$wait ms, nobody is asked");
    cmp_ok($seconds, '<', 2, 'at once');
}
is(scalar requests('GET'), 0, 'nobody');
for my $wait ('x', '', '-1', '1.5', '99999999999999999999999', '600000', '300, 400') {
    my ($tree, $seconds) = tree($wait);
    is($tree->{children}[0]{node}{name}, 's', "'$wait'");
    like(read_data('head'), qr{^Filedist-Wait: 4000\r?$}m, 'five seconds');
}



=== TEST 44: a loop of nodes - is cut
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C2') . main::upstream('below', '127.0.0.1:$TEST_NGINX_SERVER_PORT', '127.0.0.1:$TEST_NGINX_C3') . main::mid() . main::shown('c3')
--- after
my ($tree, $seconds) = tree();
my $mid = $tree->{children}[0]{node};
is($mid->{name}, 'c2', 'the child');
is($mid->{children}[0]{no_answer}, '508', 'that it has this node as a child');
is($mid->{children}[1]{node}{name}, 'c3', 'its other child');
cmp_ok($seconds, '<', 3, 'nobody waits');
my $html = body_of(ask('GET', '/__status__/?tree'));
like($html, qr{508}, 'the page says so');



=== TEST 45: a node that is its own child - 508
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_SERVER_PORT')
--- after
my ($tree) = tree();
is($tree->{children}[0]{no_answer}, '508', 'no answer');
like(ask('GET', '/__status__/', undef, 'Filedist-Via: x, root, y'), qr{^HTTP/1.1 508 }, 'a request that comes again');
like(ask('GET', '/__status__/', undef, 'Filedist-Via: rooty, other'), qr{^HTTP/1.1 200 }, 'one of others');



=== TEST 46: a child that answers nonsense - has no status
--- after
my @answers = ('', 'garbage', "\0\xff\xfe", '{', '{}x', 'null', '17', '"root"', '<html>', '{"name":17}', '{"children":17}', '{"children":[17]}', '{"time":-1}',
    '{"time":99999999999999999999999}', '{"time":1.5}', '{"children":[{"up":"yes"}]}', '{"name":"a","name":"b"}', "{\"name\":\"\xff\"}", '{"name":"\\ud800"}',
    '{"children":[{"deliveries_per_second":1e999}]}', '{"children":[{"node":' x 200 . '{}' . '}]}' x 200, '[' x 100_000);
child($ENV{TEST_NGINX_S}, sub ($r) { json($answers[requests('GET') - 1]) });
for my $n (0 .. $#answers) {
    my ($tree) = tree(4000);
    my $name = substr($answers[$n], 0, 40) =~ s/[^ -~]/?/gr;
    is($tree->{children}[0]{no_answer}, 'no status', $name);
    is($tree->{children}[0]{node}, undef, 'nothing is known');
    ok($tree->{children}[0]{up}, 'it is up');
}



=== TEST 47: a child of another version - what is known of it is shown
--- after
child($ENV{TEST_NGINX_S}, said('{"name":"new","version":"9.9.9","new":{"a":[1,2]},"children":[{"name":"x","new":1},{}]}'));
my ($tree) = tree(4000);
my $node = $tree->{children}[0]{node};
is($node->{name}, 'new', 'its name');
is($node->{version}, '9.9.9', 'its version');
is(scalar $node->{children}->@*, 2, 'its children');
is($node->{nginx}, '', 'what it has not said');



=== TEST 48: names that a child gives - no markup in the page, no line in the metrics
--- after
my $hostile = '</title></bdi><script>alert(1)</script><img src=x onerror=y>\"\u0000\n\u001b\u202e&';
child($ENV{TEST_NGINX_S}, said(qq({"name":"$hostile","version":"$hostile","nginx":"$hostile","children":[{"name":"$hostile","up":false,"no_answer":"$hostile","missing":{"entries":18446744073709551615}}]})));
my ($tree) = tree(4000);
like($tree->{children}[0]{node}{name}, qr{\A</title>.*<script>.*\0\n}s, 'JSON has it as it is');
my $html = body_of(answer(begin('GET', '/__status__/?tree'), 15));
like($html, qr{&lt;script&gt;}, 'the page has it as text');
is(scalar(() = $html =~ /<script>/g), 1, 'and its own script alone');
unlike($html, qr{<img}, 'no image');
is(scalar(() = $html =~ m{</title>}g), 1, 'one title');
like($html, qr{</html>\n\z}, 'it is whole');
unlike(body_of(answer(begin('GET', '/__status__/?tree&format=prometheus'), 15)), qr{script}, 'the metrics are of this node alone');



=== TEST 49: an answer of more than eight megabytes - is none, and the next one is
--- http_config eval: $::two
--- after
my $huge = '{"name":"' . 'x' x 9_000_000 . '"}';
child($ENV{TEST_NGINX_S}, sub ($r) { requests('GET') < 3 ? json($huge) : json('{"name":"s"}') });
child($ENV{TEST_NGINX_T}, sub ($r) { 404 });
my ($tree, $seconds) = tree();
like($tree->{children}[0]{no_answer}, qr{^(no status|timeout)$}, 'no answer');
is($tree->{children}[0]{node}, undef, 'nothing is known');
($tree) = tree(4000);
is($tree->{children}[0]{node}{name}, 's', 'the next one');



=== TEST 50: an answer without an end - the page comes in time
--- after
Filedist::Tree::accept_each($ENV{TEST_NGINX_S}, sub ($c) {
    sysread $c, my $request, 65536;
    syswrite $c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"name\":\"";
    while (syswrite $c, 'x' x 65536) { }
});
my ($tree, $seconds) = tree();
like($tree->{children}[0]{no_answer}, qr{^(no status|timeout)$}, 'no answer');
cmp_ok($seconds, '<', 8, 'in time');



=== TEST 51: an answer byte by byte - the page comes in time
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T') . ''
--- after
my $drip = sub ($text) {
    return sub ($c) {
        sysread $c, my $request, 65536;
        for (split //, $text) { syswrite $c, $_ or return; sleep 0.05 }
    };
};
Filedist::Tree::accept_each($ENV{TEST_NGINX_S}, $drip->('HTTP/1.1 200 OK' . "\r\nX-Header: " . 'x' x 1000));
Filedist::Tree::accept_each($ENV{TEST_NGINX_T}, $drip->("HTTP/1.1 200 OK\r\n\r\n" . '{"name":"' . 'x' x 1000));
my ($tree, $seconds) = tree(1500);
is($_->{no_answer}, 'timeout', 'no answer') for $tree->{children}->@*;
cmp_ok($seconds, '<', 4, 'in time');



=== TEST 52: a child that sends this node elsewhere - it does not go there
--- after
child($ENV{TEST_NGINX_S}, said('{"name":"s"}', "X-Accel-Redirect: /alive\r\nX-Accel-Limit-Rate: 1\r\nX-Accel-Buffering: yes\r\nSet-Cookie: a=b\r\n"));
my ($seconds, $answer) = timed('tree&format=json', 'Filedist-Wait: 3000');
is(decoded($answer)->{children}[0]{node}{name}, 's', 'the answer');
unlike($answer, qr{Set-Cookie}i, 'without its header');
cmp_ok($seconds, '<', 3, 'in time');



=== TEST 53: two hundred children that are dead, and one that is not - all are shown, in time
--- http_config eval: CORE::join '', 'upstream children { server 127.0.0.1:$TEST_NGINX_C1; ', (map "server 127.0.0.1:\$TEST_NGINX_S weight=1; server 127.1.0.$_:\$TEST_NGINX_S;", 1 .. 200), 'filedist_fanout; }', main::shown('c1')
--- after
my ($tree, $seconds) = tree();
my ($first, $second, @others) = $tree->{children}->@*;
is($first->{node}{name}, 'c1', 'the one that is not');
is(scalar(grep { $_->{no_answer} eq '502' && !$_->{up} } $second, @others), 201, 'the others');
cmp_ok($seconds, '<', 5, 'in time');



=== TEST 54: a client that leaves while the children are asked - they are left alone
--- after
silent($ENV{TEST_NGINX_S});
my $client = begin('GET', '/__status__/?tree&format=json');
sleep 0.3;
close $client;
sleep 0.3;
is(status()->{children}[0]{up}, undef, 'the node goes on');



=== TEST 55: a child that was away when it was last asked, max_fails or not - is asked
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T')
--- after
ask('PUT', '/a', 'x');
ask('PUT', '/b', 'x');
ok(!child_status($_)->{up}, 'it is down') for $main::s, $main::t;
child($ENV{TEST_NGINX_S}, said('{"name":"s"}'));
my ($tree) = tree(4000);
is($tree->{children}[0]{node}{name}, 's', 'it has answered');
ok($tree->{children}[0]{up}, 'it is up');



=== TEST 56: a child that is back - gets what it has missed as soon as the tree is asked for
--- config eval: main::node('', 'filedist_catch_up on;')
--- after
write_data("root/$_", 'x') for 1 .. 3;
seed_log($main::s, map entry('PUT', "/$_", $main::old), 1 .. 3);
ask('PUT', '/4', 'x');
# Some attempts later it is not asked for a while.
ok(poll_until(sub { 2 <= (() = slurp(server_root() . '/logs/error.log') =~ /"\Q$main::s\E" is away/g) }, 8), 'it is away');
child($ENV{TEST_NGINX_S});
my $began = time;
my ($tree) = tree(3000);
is($tree->{children}[0]{no_answer}, '404', 'it has answered');
ok(is_drained(), 'nothing is missing');
cmp_ok(time - $began, '<', 2, 'before the next attempt would be due');



=== TEST 57: two workers, a child that goes down and comes back while nothing is uploaded - is seen within twelve seconds; filedist_catch_up off asks nobody
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T') . <<"END"
server {
    listen 127.0.0.1:\$TEST_NGINX_C2;
    filedist_state \$TEST_NGINX_DATA/c2-state;
    filedist_catch_up off;
    location / { filedist on; root \$TEST_NGINX_DATA/c2; proxy_pass http://others; }
    $::page
}
END
--- config eval: main::node('', 'filedist_catch_up on;')
--- after
child($ENV{$_}, sub ($r) { undef }) for qw(TEST_NGINX_S TEST_NGINX_T);
ask('PUT', '/a', 'x');
ok(child_status($main::s)->{up}, 'it is up');
end_processes();
my $began = time;
ok(until_status($main::s, sub ($c) { !$c->{up} }, 15), 'it is down');
cmp_ok(time - $began, '<', 13, 'within that time');
cmp_ok(time - $began, '>', 8, 'and not before');
is(scalar(my @asked = requests('PUT')), 1, 'nothing else was asked');
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
ok(until_status($main::s, sub ($c) { $c->{up} }, 15), 'it is up');
is(join(', ', requests('HEAD')), 'HEAD /', 'it was asked once');
my (undef, undef, $body) = http_get($ENV{TEST_NGINX_C2}, '/__status__/?format=json');
is(JSON::PP::decode_json($body)->{children}[0]{up}, undef, 'the other child was not asked');
is(child_status($main::s)->{failures}{unreachable}, 0, 'that is no delivery that has failed');



=== TEST 58: digest - of a line a file
--- after
write_data('root/b', 'hello');
write_data('root/a/c d', 'x' x 1000);
write_data('root/a.b', '');
set_version('root/b', $main::old);
my @lines = map { my ($path, $name) = @$_; sprintf "%s %d %s\n", version_of("root/$name"), -s data_dir() . "/root/$name", $path } ['/a.b', 'a.b'], ['/a/c%20d', 'a/c d'], ['/b', 'b'];
my $answer = ask('GET', '/__status__/?digest');
like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Type: text/plain; charset=utf-8\r.*^Cache-Control: no-store\r}ms, 'the head');
is(body_of($answer), md5_hex(join '', @lines) . " 3 files 1005 bytes root\n", 'the digest');
my $json = decoded(ask('GET', '/__status__/?digest&format=json'));
is_deeply($json, { name => 'root', digest => md5_hex(join '', @lines), files => 3, bytes => 1005, expected => undef, problem => undef, children => [] }, 'the same in JSON');



=== TEST 59: digest - no files
--- after
is(digest(), md5_hex('') . " 0 files 0 bytes root\n", 'the digest');



=== TEST 60: digest - changes with a name, a version, a size, and what is in a directory; not with an empty directory
--- after
my %seen;
my $differs = sub ($what) { my $digest = digest(); ok(!$seen{$digest}++, $what) or diag($digest) };
write_data('root/a', 'x');
set_version('root/a', $main::old);
$differs->('a file');
set_version('root/a', $main::old + 1);
$differs->('another version');
write_data('root/a', 'xx');
set_version('root/a', $main::old + 1);
$differs->('another size');
rename data_dir() . '/root/a', data_dir() . '/root/b' or die $!;
$differs->('another name');
my $before = digest();
make_path(data_dir() . '/root/d/e');
is(digest(), $before, 'an empty directory');
write_data('root/d/e/f', 'x');
$differs->('a file in it');
my $root = data_dir() . '/root';
symlink 'b', "$root/link" or die $!;
$differs->('a link to a file');



=== TEST 61: digest - temporary and reserved names do not count, wherever they are
--- after
write_data('root/d/a', 'x');
my $before = digest();
write_data("root/$_", 'x') for '.filedist.1-2-3', 'd/.filedist.x', '.filedist.d/x';
my $put = begin('PUT', '/large', substr($main::large, 0, 500_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { 2 <= grep {/^\.filedist/} names('root') }), 'an upload is under way');
is(digest(), $before, 'the digest');
close $put;



=== TEST 62: digest - a directory that the worker may not read: an error, no digest
--- post_setup_server_root: main::be_nobody()
--- after
write_data('root/a', 'x');
write_data('root/b/c', 'x');
chmod 0, data_dir() . '/root/b';
my $text = digest();
is($text, "error: root: cannot read /b/: Permission denied\n", 'the text');
unlike($text, qr{\Q@{[data_dir()]}\E}, 'without a path of this machine');
my $json = decoded(ask('GET', '/__status__/?digest&format=json'));
is($json->{digest}, undef, 'no digest in JSON');
like($json->{problem}, qr{^cannot read /b/: Permission denied$}, 'but why');
ok(error_log_has(qr{\[error\].* opendir\(\) "\Q@{[data_dir()]}\E/root/b/?" failed \(13: }), 'the error log');
chmod 0755, data_dir() . '/root/b';



=== TEST 63: digest - a root that is not there: an error, no digest
--- after
rmdir data_dir() . '/root' or die $!;
is(digest(), "error: root: cannot read /: No such file or directory\n", 'the text');
ok(error_log_has(qr{\[error\].* opendir\(\) "\Q@{[data_dir()]}\E/root/?" failed \(2: }), 'the error log');



=== TEST 64: digest of the tree - the same
--- http_config eval: $::deep . main::shown('c1') . main::shown('c3')
--- after
ask('PUT', "/$_", "content $_") for 'a', 'd/e', 'f%20g';
ask('DELETE', '/a');
my @lines = split /\n/, digest('&tree');
is(scalar @lines, 5, 'a line a node, and what they come to');
my ($digest) = $lines[0] =~ /^([0-9a-f]{32}) 2 files 24 bytes root$/;
ok($digest, 'this node');
is($lines[1], "$digest 2 files 24 bytes $main::c1 (c1)", 'a child');
is($lines[2], "$digest 2 files 24 bytes $main::c2 (c2)", 'another one');
is($lines[3], "$digest 2 files 24 bytes $main::c3 (c3)", 'its child');
is($lines[4], 'same: all 4 nodes have the same files', 'what they come to');
my $json = decoded(ask('GET', '/__status__/?digest&tree&format=json'));
is_deeply([map { $_->{digest} } $json, $json->{children}->@*, $json->{children}[1]{children}->@*], [($digest) x 4], 'the same in JSON');



=== TEST 65: digest of the tree - different
--- http_config eval: $::deep . main::shown('c1') . main::shown('c3')
--- after
ask('PUT', "/$_", "content $_") for 'a', 'b';
like(digest('&tree'), qr{^same: all 4 nodes}m, 'the same');
set_version('c3/a', $main::old);
like(digest('&tree'), qr{^different: 1 of 4 nodes\n\z}m, 'another version of a grandchild');
unlink data_dir() . '/c1/b';
like(digest('&tree'), qr{^different: 2 of 4 nodes\n\z}m, 'a file that a child has not');



=== TEST 66: digest of the tree - a child that does not say is not the same
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2', '127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T') . main::shown('c1') . main::leaf('c2')
--- after
child($ENV{TEST_NGINX_T}, said('garbage'));
ask('PUT', '/a', 'x');
my $text = digest('&tree');
like($text, qr{^[0-9a-f]{32} 1 files 1 bytes \Q$main::c1\E \(c1\)$}m, 'one that does');
like($text, qr{^error: \Q$main::c2\E: 404$}m, 'one without a status page');
like($text, qr{^error: \Q$main::s\E: 502$}m, 'one that is dead');
like($text, qr{^error: \Q$main::t\E: no status$}m, 'one that talks nonsense');
like($text, qr{^different: 3 of 5 nodes\n\z}m, 'what they come to');



=== TEST 67: digest of the tree - what a child says stays on its line
--- after
child($ENV{TEST_NGINX_S}, said('{"name":"a\n00000000000000000000000000000000 1 files 1 bytes root\nsame: all 1 nodes\u001b[2J","digest":"x\ny","files":1}'));
my @lines = split /\n/, digest('&tree');
is(scalar @lines, 3, 'lines');
unlike(join('', @lines), qr{[\0-\x1f\x7f]}, 'no control bytes');
like($lines[-1], qr{^different: }, 'what they come to');



=== TEST 68: digest of the tree - a silent child, and a parent that says how long it waits
--- after
silent($ENV{TEST_NGINX_S});
my $began = time;
my $text = body_of(answer(begin('GET', '/__status__/?digest&tree', undef, 'Filedist-Wait: 500'), 15));
like($text, qr{^error: \Q$main::s\E: timeout$}m, 'it has not answered');
cmp_ok(time - $began, '<', 3, 'in time');



=== TEST 69: digest - of all locations, and each file once
--- dirs: other third
--- config eval
main::node() . <<'END'
location /b/ { filedist on; root $TEST_NGINX_DATA/other; }
location /c/ { filedist on; alias $TEST_NGINX_DATA/third/; }
location /d/ { filedist off; root $TEST_NGINX_DATA/root; }
END
--- after
write_data("root/$_", 'x') for qw(a b/covered c/covered d/off);
write_data('other/b/1', 'xx');
write_data('third/2', 'xxx');
my @lines = map { my ($path, $name) = @$_; sprintf "%s %d %s\n", version_of($name), -s data_dir() . "/$name", $path } ['/a', 'root/a'], ['/b/1', 'other/b/1'], ['/c/2', 'third/2'];
is(digest(), md5_hex(join '', @lines) . " 3 files 6 bytes root\n", 'the digest');



=== TEST 70: a child that is "down" in the configuration - is down, and lacks everything
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1 down', '127.0.0.1:$TEST_NGINX_S') . main::shown('c1')
--- after
child($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'hello');
my $child = child_status($main::c1);
ok(defined $child->{up} && !$child->{up}, 'it is down');
is($child->{missing}{entries}, 1, 'what it lacks');
my ($tree) = tree(3000);
is($tree->{children}[0]{no_answer}, '502', 'and is not asked');
is($tree->{children}[1]{no_answer}, '404', 'the other one is');



=== TEST 71: a child that hangs - is down when it has not answered a status
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T')
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 20 if -e data_dir() . '/hang'; undef });
child($ENV{TEST_NGINX_T});
ask('PUT', '/a', 'x');
ok(child_status($main::s)->{up}, 'it is up');
write_data('hang', '');
like(ask('GET', '/__status__/?tree&format=json', undef, 'Filedist-Wait: 1100'), qr/"no_answer":"timeout"/, 'no answer');
ok(!child_status($main::s)->{up}, 'it is down');
ok(child_status($main::t)->{up}, 'the other one is not');



=== TEST 72: a child that hangs - is down when it has been asked whether it is there
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T')
--- config eval: main::node('', 'filedist_catch_up on;')
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 40 if $r->{method} eq 'HEAD'; undef });
child($ENV{TEST_NGINX_T});
ask('PUT', '/a', 'x');
ok(child_status($main::s)->{up}, 'it is up');
ok(until_status($main::s, sub ($c) { !$c->{up} }, 19), 'it is down');
