# Comparing with a child: what is told, what a POST puts into its missing log, and children that have no list, or lie.

use v5.36;
use Filedist;
use Filedist::Tree;

use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1));
worker_connections(512);

# C1 is a node, S a child that blocks script, L leads to C1.
our ($c1, $s, $l);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 S L);
    ($c1, $s, $l) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 S L);
}

# The root; what the block gives goes into its server.
sub node ($server = '', $status = 'filedist_status manage;') {
    $server .= ' filedist_catch_up on max_backoff=100ms;' if $server !~ /filedist_catch_up/;
    $server .= ' location /__index__/ { filedist_index; }' if $server !~ /__index__/;
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
            proxy_pass http://children;
        }
        location /__missing__/ { filedist_missing manage; }
        location /__status__/  { $status }
        END
}

our $index    = 'location /__index__/ { filedist_index; }';
our $one      = upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0') . leaf('c1', '127.0.0.1:$TEST_NGINX_C1', $index);
# The child has other paths for some locations.
our $mapped = node(<<'END');
    location /in/  { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children/out/; }
    location = /one { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children/x/two; }
    location /out/ { filedist off; }
    location /x/   { filedist off; }
END
our $linked   = upstream('127.0.0.1:$TEST_NGINX_L max_fails=0') . leaf('c1', '127.0.0.1:$TEST_NGINX_C1', $index);
our $statused = upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0') . leaf('c1', '127.0.0.1:$TEST_NGINX_C1', $index . ' location /__status__/ { filedist_status; }');
our $bare     = upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0') . leaf('c1');
our $scripted = upstream('127.0.0.1:$TEST_NGINX_S max_fails=0');

our $old = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $one)   if !defined $block->http_config;
    $block->set_value(config => node())      if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers(1);
    master_on();
});

add_test_cleanup_handler(\&end_processes);

sub put ($name, $content = 'x', $version = $old) {
    write_data($name, $content);
    set_version($name, $version);
}

# Status, head and body.
sub compare ($child = $c1, $method = 'GET') { return http_get(server_port(), "/__status__/?compare=$child", $method) }

# What is told, if it is told.
sub told ($child = $c1, $method = 'GET') {
    my ($status, undef, $body) = compare($child, $method);
    is($status, 200, "$method ?compare=$child");
    return $body;
}

# A child with this list of files; without it one that says this.
sub child_lists ($list, $answer = undef) {
    $answer //= sprintf "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length $list, $list;
    child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'GET' ? $answer : undef });
}

# curl's exit status, and what it said.
sub curl ($path) {
    my $file = data_dir() . '/curl.out';
    system('curl', '-s', '--max-time', 20, '-o', $file, 'http://127.0.0.1:' . server_port() . $path);
    return ($? >> 8, slurp($file));
}

# One file of each kind.
sub differ () {
    put("root/$_", 'from above') for qw(a/same missing newer older size);
    put("c1/$_", 'from here') for qw(extra);
    put('c1/a/same', 'from above');
    put('c1/older', 'from here', $old - 1);
    put('c1/newer', 'from here', $old + 1);
    put('c1/size',  'from');
}

our $all = <<'END';
extra /extra
missing /missing
newer /newer
older /older
differs /size
different: of 5 files here 1 missing, 1 older, 1 newer, 1 of another size; 1 extra
END

run_tests();

__DATA__

=== TEST 1: a file of each kind - a line for each, and what they come to
--- after
main::differ();
my ($status, $head, $body) = compare();
is($status, 200, 'status');
like($head, qr{^Content-Type: text/plain\r$}m, 'type');
like($head, qr{^Cache-Control: no-store\r?$}m, 'not stored');
is($body, $main::all, 'what is told');
is_deeply([names('state/missing')], [], 'nothing is in a missing log');



=== TEST 2: the same files - says so
--- after
for my $name (qw(a b/c d)) { put("$_/$name") for qw(root c1) }
is(told(), "same: 3 files\n", 'what is told');



=== TEST 3: no files at all - are the same
--- after
is(told(), "same: 0 files\n", 'what is told');



=== TEST 4: a nanosecond - makes one older
--- after
put('root/a');
put('c1/a', 'x', $main::old - 1);
like(told(), qr{\Aolder /a\ndifferent: of 1 files here 0 missing, 1 older, 0 newer, 0 of another size; 0 extra\n\z}, 'what is told');



=== TEST 5: names with any bytes - percent-encoded
--- after
put("root/$_") for 'a b', "\xff", "a\nb", 'a%2Fb', '"<&';
is(told(), <<'END', 'what is told');
missing /%22%3C%26
missing /a%0Ab
missing /a%20b
missing /a%252Fb
missing /%FF
different: of 5 files here 5 missing, 0 older, 0 newer, 0 of another size; 0 extra
END



=== TEST 6: around the slash - the two lists have one order
--- after
for my $name ('a-b', 'a/x', 'a0', 'a.', 'A', 'b/c/d', 'b-', "\xff/a") { put("$_/$name") for qw(root c1) }
is(told(), "same: 8 files\n", 'what is told');
unlink data_dir() . '/c1/a/x' or die;
like(told(), qr{\Amissing /a/x\ndifferent: of 8 files here 1 missing, }, 'one less');



=== TEST 7: thousands of files - of each side only what is another
--- after
my $make = sub ($where, @numbers) { write_data("$where/$_", 'x'), utime 1_700_000_000, 1_700_000_000, data_dir() . "/$where/$_" for map { sprintf 'f%05d', $_ } @numbers };
$make->('root', 1 .. 2500, 5000);
$make->('c1', 1 .. 1100, 1102 .. 2600);
my $said = told();
my @lines = split /\n/, $said;
is(scalar(grep {/^extra/} @lines), 100, 'extra');
is_deeply([grep {/^missing/} @lines], ['missing /f01101', 'missing /f05000'], 'missing');
is($lines[-1], 'different: of 2501 files here 2 missing, 0 older, 0 newer, 0 of another size; 100 extra', 'the last line');



=== TEST 8: POST - tells the same, and catch-up brings what is missing or older
--- after
main::differ();
is(told($main::c1, 'POST'), $main::all . "2 are in its missing log now\n", 'what is told');
ok(is_drained($main::c1, 15), 'caught up');
is(read_data("c1/$_"), 'from above', "$_ is there") for qw(missing older);
is(version_of("c1/$_"), $main::old, "the version of $_") for qw(missing older);
is(read_data("c1/$_"), 'from here', "$_ stays") for qw(newer extra);
is(version_of('c1/newer'), $main::old + 1, 'the version of the newer one');
is(read_data('c1/size'), 'from', 'what differs stays');
is(told(), <<'END', 'what is told then');
extra /extra
newer /newer
differs /size
different: of 5 files here 0 missing, 0 older, 1 newer, 1 of another size; 1 extra
END



=== TEST 9: POST, nothing brings it - it is in the missing log, with why
--- config eval: main::node('filedist_catch_up off;')
--- after
main::differ();
told($main::c1, 'POST');
my @entries = entries($main::c1);
is(scalar @entries, 2, 'entries');
like($entries[0], qr{ PUT <a href="/missing">/missing</a> $main::old missing<br>$}, 'missing');
like($entries[1], qr{ PUT <a href="/older">/older</a> $main::old older<br>$}, 'older');



=== TEST 10: POST, nothing is owed - nothing is put into a missing log
--- config eval: main::node('filedist_catch_up off;')
--- after
put('c1/extra');
put("root/a");
put("c1/a", 'x', $main::old + 1);
unlike(told($main::c1, 'POST'), qr/missing log/, 'what is told');
is_deeply([entries()], [], 'entries');



=== TEST 11: POST without "manage" - 405, and nothing happens
--- config eval: main::node('', 'filedist_status;')
--- after
put('root/a');
my ($status, $head) = compare($main::c1, 'POST');
is($status, 405, 'POST');
like($head, qr/^Allow: GET, HEAD\r?$/m, 'what is allowed');
is_deeply([entries()], [], 'entries');
ok(!-e data_dir() . '/c1/a', 'not brought');
like(told(), qr{^missing /a$}m, 'GET');



=== TEST 12: other methods - 405
--- after
for my $method (qw(PUT DELETE)) {
    my ($status, $head) = compare($main::c1, $method);
    is($status, 405, $method);
    like($head, qr/^Allow: GET, HEAD, POST\r?$/m, 'what is allowed');
}



=== TEST 13: HEAD - the head only
--- after
put('root/a');
my ($status, $head, $body) = compare($main::c1, 'HEAD');
is("$status $body", '200 ', 'status, and no body');



=== TEST 14: a child that is none - 404
--- after
for my $name ('127.0.0.1:1', 'nobody', '', '%zz', $main::c1 . '0', '..') {
    my ($status, undef, $body) = compare($name);
    is($status, 404, "child '$name'");
    like($body, qr/^error: no such child/, 'why');
}



=== TEST 15: a child that is down - 502
--- http_config eval: $::scripted
--- after
put('root/a');
for my $method (qw(GET POST)) {
    my ($status, undef, $body) = compare($main::s, $method);
    is($status, 502, $method);
    is($body, "error: the child cannot be reached\n", 'why');
}
is_deeply([entries()], [], 'entries');



=== TEST 16: a child without an index - 502 and why
--- http_config eval: $::bare
--- after
put('root/a');
my ($status, undef, $body) = compare($main::c1, 'POST');
is($status, 502, 'status');
is($body, "error: the child has no index: it needs \"filedist_index\" at the same path\n", 'why');
is_deeply([entries()], [], 'entries');



=== TEST 17: no index here - 409 and why
--- config eval: main::node('location /__index__/ { return 404; }')
--- after
my ($status, undef, $body) = compare();
is($status, 409, 'status');
like($body, qr/^error: this needs "filedist_index" here and on the child/, 'why');



=== TEST 18: a child that refuses - 502 and what it says
--- http_config eval: $::scripted
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'GET' ? 403 : undef });
my ($status, undef, $body) = compare($main::s);
is("$status $body", "502 error: the child's index says 403\n", 'what is told');



=== TEST 19: what the child is asked - its index, at the path of the own one, as a list
--- http_config eval: $::scripted
--- after
main::child_lists("end 0\n");
is(told($main::s), "same: 0 files\n", 'what is told');
is_deeply([requests('GET')], ['GET /__index__/?format=list'], 'what was asked');



=== TEST 20: a list that lies - says how, and ends without its end
--- http_config eval: $::scripted
--- after
put("root/$_") for qw(a b);
my %lies = (
    'breaks off'   => ["$main::old 1 /a\n", undef],
    'is empty'     => ['', undef],
    'within a line' => ["$main::old 1 /", undef],
    'out of order' => ["$main::old 1 /b\n$main::old 1 /a\nend 2\n", 'it is not in order'],
    'twice'        => ["$main::old 1 /a\n$main::old 1 /a\nend 2\n", 'it is not in order'],
    'too few'      => ["$main::old 1 /a\nend 2\n", 'files are missing from it'],
    'more'         => ["end 0\n$main::old 1 /a\nend 1\n", 'something follows its end'],
    'garbage'      => ["\0\xff<html>\nend 0\n", 'a line is malformed'],
    'nothing of it' => ["\0\xff<html>\n", undef],
    'html'         => ["<!DOCTYPE html>\n<meta charset=\"utf-8\">\n", undef],
    'no path'      => ["1 1 a\nend 1\n", 'a line is malformed'],
    'a long line'  => ['1' x 70_000 . "\nend 0\n", 'a line is too long'],
);
my $n = 0;
for my $lie (sort keys %lies) {
    my ($list, $why) = $lies{$lie}->@*;
    main::end_processes();
    main::child_lists($list);
    my ($code, $said) = curl("/__status__/?compare=$main::s");
    # One without its end is not even begun with.
    $why = defined $why ? "the child's list: $why" : "the child's list breaks off, or is none: see its error log";
    is($code, $why =~ /see its/ ? 0 : 18, "$lie: curl");
    like($said, qr/^error: \Q$why\E\n\z/m, "$lie: what is told");
    unlike($said, qr/^(?:same|different)/m, "$lie: no conclusion");
}
ok(error_log_has(qr/\[error\].*the child's list.*it is not in order/), 'the error log');



=== TEST 21: POST, and a list that breaks off - what it lacks is not put into the missing log
--- config eval: main::node('filedist_catch_up off;')
--- http_config eval: $::scripted
--- after
put("root/$_") for qw(a b c);
main::child_lists("$main::old 1 /b\n");
my ($status, undef, $body) = compare($main::s, 'POST');
is("$status $body", "502 error: the child's list breaks off, or is none: see its error log\n", 'what is told');
is_deeply([entries()], [], 'entries');



=== TEST 22: a connection that breaks - no conclusion
--- http_config eval: $::scripted
--- after
put('root/a');
Filedist::Tree::accept_each($ENV{TEST_NGINX_S}, sub ($connection) {
    sysread $connection, my $request, 65536;
    syswrite $connection, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n$main::old 1 /a\n";
});
my ($status, undef, $body) = compare($main::s, 'POST');
unlike($body, qr/^(?:same|different)/m, 'no conclusion');
like($body, qr/^error: /m, 'why') or diag("status $status");
is_deeply([entries()], [], 'entries');



=== TEST 23: what of the child's list is not served here - is extra, and cannot harm
--- http_config eval: $::scripted
--- after
put('root/a');
main::child_lists("$main::old 1 /%0Asame:%201%20files\n$main::old 1 /../../etc/passwd\n18446744073709551615 18446744073709551615 /a\nend 3\n");
is(told($main::s, 'POST'), <<'END', 'what is told');
extra /%0Asame:%201%20files
extra /../../etc/passwd
newer /a
different: of 1 files here 0 missing, 0 older, 1 newer, 0 of another size; 2 extra
END



=== TEST 24: two upstreams - only the files of locations that have the child
--- http_config eval: $::one . main::upstream('others', '127.0.0.1:$TEST_NGINX_S max_fails=0')
--- config eval
main::node(<<'END');
    location /y/       { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
    location /local/   { filedist on; root $TEST_NGINX_DATA/root; }
    location /off/     { filedist off; root $TEST_NGINX_DATA/root; }
END
--- after
put("root/$_") for qw(a y/b local/c off/d);
is(told(), "missing /a\ndifferent: of 1 files here 1 missing, 0 older, 0 newer, 0 of another size; 0 extra\n", 'the child of /');
main::child_lists("$main::old 1 /x\nend 1\n");
is(told($main::s), "extra /x\nmissing /y/b\ndifferent: of 1 files here 1 missing, 0 older, 0 newer, 0 of another size; 1 extra\n" , 'the child of /y/');



=== TEST 25: a directory that cannot be read here - error, and no conclusion
--- post_setup_server_root: main::be_nobody()
--- after
put("root/$_") for qw(a b/c d);
my $base = data_dir();
chmod 0, "$base/root/b";
my ($code, $said) = curl("/__status__/?compare=$main::c1");
is($code, 18, 'curl');
like($said, qr/^error: .*\n\z/m, 'why');
unlike($said, qr/^(?:same|different)/m, 'no conclusion');
ok(error_log_has(qr{\[error\].*"\Q$base\E/root/b/?" failed \(13: }), 'the error log');
chmod 0755, "$base/root/b";



=== TEST 26: a directory of the child that it cannot read - no conclusion, nothing put into a missing log
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::be_nobody()
--- after
for my $name (qw(a b/c d)) { put("$_/$name") for qw(root c1) }
my $base = data_dir();
chmod 0, "$base/c1/b";
my ($status, undef, $body) = compare($main::c1, 'POST');
unlike($body, qr/^(?:same|different)/m, 'no conclusion');
like($body, qr/^error: /m, 'why') or diag("status $status");
is_deeply([entries()], [], 'entries');
chmod 0755, "$base/c1/b";



=== TEST 27: a list that stalls - 502
--- http_config eval: $::scripted
--- config eval: main::node('proxy_read_timeout 300ms;')
--- after
put('root/a');
main::child_lists('', "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n$main::old 1 /a\n");
my ($status, undef, $body) = compare($main::s, 'POST');
is("$status $body", "502 error: the child's list breaks off, or is none: see its error log\n", 'what is told');
is_deeply([entries()], [], 'entries');



=== TEST 28: PUT and DELETE through the tree - the nodes stay the same
--- after
like(ask('PUT', "/d/$_", "content $_"), qr{^HTTP/1.1 201 }, "PUT $_") for qw(a b c);
is(told(), "same: 3 files\n", 'after PUT');
like(ask('DELETE', '/d/b'), qr{^HTTP/1.1 200 }, 'DELETE');
is(told(), "same: 2 files\n", 'after DELETE');



=== TEST 29: proxy_pass with a URI - the paths are those of this node, whatever they are on the child
--- config eval: $::mapped
--- after
put("root/$_") for qw(in/missing in/older in/same b one);
put('c1/out/older', 'x', $main::old - 1);
put('c1/out/same');
# The last is below no path of this node.
put("c1/$_") for qw(b out/extra in/nothing);
my $told = "missing /b\nextra /in/extra\nmissing /in/missing\nolder /in/older\nmissing /one\n";
my @got = sort split /^/, told();
is(join('', grep !/^different/, @got), join('', sort grep !m{/b$}, split /^/, $told), 'what is told');
like(join('', @got), qr/^different: of 5 files here 2 missing, 1 older, 0 newer, 0 of another size; 1 extra$/m, 'in all');
my $body = told($main::c1, 'POST');
like($body, qr/^3 are in its missing log now$/m, 'POST');
ok(poll_until(sub { told() !~ /^(?:missing|older)/m }, 8), 'the child has them');
is(read_data('c1/x/two'), 'x', 'one path');
is(version_of('c1/out/older'), $main::old, 'the newer one');
ok(!-e data_dir() . "/c1/$_", "no $_") for qw(in/missing in/older one);
like(ask('DELETE', '/in/extra'), qr{^success: c1/out/extra deleted$}m, 'DELETE of what is told');
ok(!-e data_dir() . '/c1/out/extra', 'the copy on the child');
is(told(), "same: 5 files\n", 'then');



=== TEST 30: proxy_pass with a URI, a file that was deleted here - deleted on the child
--- config eval: $::mapped
--- after
like(ask('PUT', '/in/a', 'hello'), qr{^HTTP/1.1 201 }, 'PUT');
like(ask('DELETE', '/in/a'), qr{^HTTP/1.1 200 }, 'DELETE');
put('c1/out/a');
like(told($main::c1, 'POST'), qr{^extra /in/a\n.*\n1 are in its missing log now$}ms, 'POST');
ok(poll_until(sub { !-e data_dir() . '/c1/out/a' }, 8), 'deleted there');



=== TEST 31: proxy_pass with a URI, provisioning - the child gets all, where it has it
--- config eval: $::mapped
--- after
put("root/$_") for qw(in/a in/d/b b one);
my ($status) = http_get(server_port(), "/__missing__/$main::c1/", 'POST');
is($status, 202, 'POST');
ok(poll_until(sub { told() eq "same: 4 files\n" }, 8), 'the same files') or diag(told());
is(read_data("c1/$_"), 'x', $_) for qw(out/a out/d/b b x/two);



=== TEST 32: proxy_pass with a URI, a child that was away - its missing log has the paths of this node
--- http_config eval: $::linked
--- config eval: $::mapped
--- after
like(ask('PUT', '/in/a', 'hello'), qr{^error: \Q$main::l\E/in/a failed}m, 'PUT');
like(join('', entries()), qr{ PUT <a href="/in/a">/in/a</a> \d+ }, 'entry');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'delivered');
is(read_data('c1/out/a'), 'hello', 'there');



=== TEST 33: proxy_pass with a URI - the digest of the child is what it should be
--- config eval: $::mapped
--- http_config eval: $::statused
--- after
my $digest = sub { (http_get(server_port(), '/__status__/?digest&tree'))[2] };
like(ask('PUT', "/$_", $_), qr{^HTTP/1.1 201 }, "PUT $_") for qw(in/a b one);
like($digest->(), qr/^same: all 2 nodes have the same files$/m, 'the same');
my $json = (http_get(server_port(), '/__status__/?digest&tree&format=json'))[2];
my ($own, $expected) = ($json =~ /"digest":"(\w+)"/, $json =~ /"expected":"(\w+)"/);
isnt($expected, $own, 'another digest');
unlink data_dir() . '/c1/out/a';
like($digest->(), qr/^different: 1 of 2 nodes$/m, 'a file less');
put('c1/in/a');
like($digest->(), qr/^different: 1 of 2 nodes$/m, 'where it is here');
