# What a node says of itself: hostile children, clients that leave, workers that are to exit.

use v5.36;
use Filedist;
use Filedist::Tree;

use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root));
workers(1);
master_on();

# The child that blocks script. Of each block another one: after a reload the worker of the block
# before may still ask its own.
our $s;

# The root; what the block gives goes into its server.
sub node ($server = '', $location = '') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        location = /alive { return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            proxy_pass http://children;
            $location
        }
        location /__status__/ { filedist_status manage; }
        location /__index__/ { filedist_index; limit_rate 40k; }
        $server
        END
}

add_block_preprocessor(sub ($block) {
    $ENV{TEST_NGINX_S} = free_port();
    $s = "127.0.0.1:$ENV{TEST_NGINX_S}";
    $block->set_value(http_config => ($block->http_config // '') . upstream('127.0.0.1:$TEST_NGINX_S'));
    $block->set_value(config => node()) if !defined $block->config;
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
});

add_test_cleanup_handler(\&end_processes);

# The child says this in its status.
sub child_says ($status) {
    child($ENV{TEST_NGINX_S}, sub ($r) {
        return if $r->{method} ne 'GET';
        return sprintf "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", length $status, $status;
    });
}

# What GET of the whole tree says.
sub tree ($form = 'json') {
    my ($status, undef, $body) = http_get(server_port(), "/__status__/?tree&format=$form");
    is($status, 200, 'status');
    return $body;
}

# The lists of children that the worker has open.
sub lists () {
    my ($worker) = worker_pids();
    return grep { (readlink // '') =~ m{/missing/.*deleted} } glob "/proc/$worker/fd/*";
}

run_tests();

__DATA__

=== TEST 1: included by SSI - refused, and the worker lives
--- config eval: main::node('location = /a.html { ssi on; filedist off; root $TEST_NGINX_DATA/ssi; }')
--- dirs: ssi
--- data_files
>>> ssi/a.html
<!--# include virtual="/__status__/" --><!--# include virtual="/__index__/" -->end
--- request
GET /a.html
--- error_code: 200
--- response_body_like eval: qr/403 Forbidden.*403 Forbidden.*end/s
--- error_log: a page of filedist is no part of another answer



=== TEST 2: asked by auth_request - says no
--- config eval: main::node('location = /a.html { auth_request /__status__/; filedist off; root $TEST_NGINX_DATA; }')
--- data_files
>>> a.html
secret
--- request
GET /a.html
--- error_code: 403
--- response_body_unlike: secret



=== TEST 3: a child that names hundreds of thousands of nodes - has said nothing
--- post_setup_server_root
package main;
child_says('{"children":[' . '[],' x 300_000 . '[]]}');
--- after
like(tree(), qr/"no_answer":"no status"/, 'no status');
cmp_ok(length tree('html'), '<', 100_000, 'bytes of the page');



=== TEST 4: a long name above many sick nodes - is cut
--- post_setup_server_root
package main;
child_says('{"children":[{"name":"' . 'A' x 20_000 . '","node":{"children":[' . '{"up":false},' x 20_000 . '{}]}}]}');
--- after
unlike(tree(), qr/A{256}/, 'no long name');
cmp_ok(length tree('html'), '<', 10_000_000, 'bytes of the page');



=== TEST 5: a status of more than 8 MB - is none
--- post_setup_server_root
package main;
child_says('{"name":"' . 'A' x 9_000_000 . '"}');
--- after
like(tree(), qr/"no_answer":"no status"/, 'no status');



=== TEST 6: compare, the child's list does not end, the client leaves - it is read no more
--- post_setup_server_root
package main;
# As long as the test takes.
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 60 if $r->{method} eq 'GET'; return });
--- after
my $first = client();
print $first "GET /__status__/?compare=$main::s HTTP/1.0\r\n\r\n";
ok(poll_until(sub { lists() }), 'a list is open');
my ($status, undef, $body) = http_get(server_port(), "/__status__/?compare=$main::s");
is($status, 503, 'one at a time');
like($body, qr/somebody compares with it just now/, 'why');
close $first;
ok(poll_until(sub { !lists() }), 'it is closed');



=== TEST 7: a reload while the index is sent - it is sent to its end
--- post_setup_server_root
package main;
write_data("root/$_-" . 'x' x 200, '') for 1 .. 1200;
--- after
my $client = client();
print $client "GET /__index__/?format=list HTTP/1.0\r\n\r\n";
sysread $client, my $begin, 1000;
reload();
my $list = $begin;
1 while sysread $client, $list, 100_000, length $list;
like($list, qr/^end 1200$/m, 'the end of the list');



=== TEST 8: ?digest&tree, no time is left - says who was not asked
--- after
my $client = client();
print $client "GET /__status__/?digest&tree HTTP/1.0\r\nFiledist-Wait: 49\r\n\r\n";
like(answer($client), qr{^error: .*not asked$}m, 'not asked');



=== TEST 9: index below a link to a directory - is none
--- post_setup_server_root
package main;
write_data('elsewhere/secret', '');
symlink data_dir() . '/elsewhere', data_dir() . '/root/link' or die $!;
write_data('root/a/b', '');
--- after
is((http_get(server_port(), '/__index__/link/'))[0], 404, 'the link');
my ($status, undef, $list) = http_get(server_port(), '/__index__/a/?format=txt');
is("$status $list", "200 /a/b\n", 'a directory');



=== TEST 10: POST that another site has the browser send - is refused
--- config eval: main::node('location /__missing__/ { filedist_missing manage; }')
--- after
for (['cross-site', 403], ['same-site', 403], ['same-origin', 202], ['none', 202]) {
    my ($site, $status) = @$_;
    like(ask('POST', "/__missing__/$main::s/", undef, "Sec-Fetch-Site: $site"), qr{^HTTP/1.1 $status }, $site);
}
like(ask('POST', "/__missing__/$main::s/"), qr{^HTTP/1.1 202 }, 'no browser');



=== TEST 11: readme, the status has a path without a slash - is printed so
--- config eval: main::node('location = /r { filedist_readme; }') =~ s{/__status__/}{= /st}r
--- after
my (undef, undef, $readme) = http_get(server_port(), '/r');
like($readme, qr{/st\?format=json'$}m, 'the status');
unlike($readme, qr{/st/}, 'no slash');



=== TEST 12: readme, the status is at a regular expression - is not printed
--- config eval: main::node('location = /r { filedist_readme; }') =~ s{/__status__/}{~ ^/s(tatus)?\$}r
--- after
my (undef, undef, $readme) = http_get(server_port(), '/r');
like($readme, qr{/__index__/}, 'the index');
unlike($readme, qr{s%28tatus|format=prometheus}, 'no status');
