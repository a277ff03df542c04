# The requests that a worker makes on its own account: what is like a client's in them, and what is not.

use v5.36;
use Filedist;
use Filedist::Tree;

use Time::HiRes qw(sleep);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root cache));
worker_connections(512);
workers(1);
master_on();

# The child that blocks script.
# Of each block another one: after a reload the worker of the block before may still have something
# for its child.
our $s;

sub new_ports () {
    $ENV{TEST_NGINX_S} = free_port();
    $s = "127.0.0.1:$ENV{TEST_NGINX_S}";
}
new_ports();
our $old = '1763810645123456789';

# The root; what the block gives goes into its location and its server.
sub node ($location = '', $server = 'filedist_name root;') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_catch_up on max_backoff=100ms;
        $server
        location = /alive { return 204; }
        location = /status { stub_status; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            $location
        }
        END
}

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => ($block->http_config // '') . upstream('127.0.0.1:$TEST_NGINX_S'));
    $block->set_value(config => node()) if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
});

add_test_cleanup_handler(\&end_processes);

# The child keeps the heads of what it is sent, and answers as the code says.
sub child_keeps ($answer = sub ($) { }) {
    my $file = data_dir() . '/heads';
    child($ENV{TEST_NGINX_S}, sub ($r) {
        open my $out, '>>:raw', $file or die "$file: $!";
        syswrite $out, "$r->{head}\r\n\r\n";
        close $out;
        return $answer->($r);
    });
}

# A file that the root has, and that the child lacks.
sub missed ($path, $content) {
    write_data("root$path", $content);
    chmod 0644, data_dir() . "/root$path";
    set_version("root$path", $old);
    seed_log($s, entry('PUT', $path, $old));
}

sub heads () { return read_data('heads') // '' }

run_tests();

__DATA__

=== TEST 1: 204 without a version - is no word of a node, the file is sent
--- post_setup_server_root
package main;
child_keeps(sub ($r) { $r->{method} eq 'HEAD' ? "HTTP/1.1 204 \r\n\r\n" : undef });
missed('/a', 'x');
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', requests()), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 2: Host $host, no server_name - there is one
--- config eval: main::node('proxy_set_header Host $host; proxy_set_header X-Host $http_host;')
--- post_setup_server_root
package main;
child_keeps();
missed('/a', 'x');
--- after
ok(is_drained(), 'nothing is missing');
my @hosts = heads() =~ /^(?:X-)?Host: (\S+)\r$/mg;
is(scalar @hosts, 4, 'Host and X-Host of HEAD and PUT');



=== TEST 3: $request_uri - is escaped
--- config eval: main::node('proxy_set_header X-Uri "$request_uri";')
--- post_setup_server_root
package main;
child_keeps();
missed("/a\r\nEvil: yes", 'x');
--- after
ok(is_drained(), 'nothing is missing');
like(heads(), qr{^X-Uri: /a%0D%0AEvil:%20yes\r$}m, 'one field');
unlike(heads(), qr/^Evil/m, 'no other');



=== TEST 4: listen without an address, no filedist_name - the node has a name
--- config eval: main::node('', 'listen ' . main::free_port() . ';')
--- post_setup_server_root
package main;
child_keeps();
missed('/a', 'x');
--- after
ok(is_drained(), 'nothing is missing');
like(heads(), qr/^Filedist-Via: 127\.0\.0\.1:\d+\r$/m, 'Filedist-Via');



=== TEST 5: proxy_cache - has no say
--- http_config: proxy_cache_path $TEST_NGINX_DATA/cache keys_zone=cache:1m;
--- config eval: main::node('proxy_cache cache; proxy_cache_valid any 1h;')
--- post_setup_server_root
package main;
child_keeps();
missed('/a', 'x');
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', requests()), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 6: access rules, limit_except, auth - are for clients
--- config eval: main::node('deny all; limit_except GET { deny all; } auth_basic x; auth_basic_user_file /nowhere;')
--- post_setup_server_root
package main;
child_keeps();
missed('/a', 'x');
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', requests()), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 7: a file that is cut short while it is sent - the entry stays, and the worker lives
--- config eval: main::node('sendfile on;', 'filedist_name root; filedist_catch_up on rate=50k max_backoff=100ms;') =~ s/filedist_catch_up on max_backoff=100ms;//r
--- post_setup_server_root
package main;
child_keeps(sub ($r) { undef });
missed('/a', 'x' x 300_000);
--- after
ok(poll_until(sub { heads() =~ /^HEAD/ }, 5), 'it is under way');
my ($pid) = worker_pids();
sleep 1;
truncate data_dir() . '/root/a', 0;
sleep 1;
is(join(' ', worker_pids()), $pid, 'the same worker');
--- allow_log: alert



=== TEST 8: stub_status - counts clients
--- post_setup_server_root
package main;
child_keeps();
missed("/$_", 'x') for 1 .. 20;
--- after
ok(is_drained(), 'nothing is missing');
my (undef, undef, $status) = http_get(server_port(), '/status');
like($status, qr/^Reading: 0 Writing: 1 /m, 'reading and writing');
