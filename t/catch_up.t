# Catch-up: what a child has missed is delivered to it by the workers themselves, and leaves its missing log.

use v5.36;
use Filedist;
use Filedist::Tree;

use Digest::MD5 qw(md5_hex);
use File::Path qw(make_path);
use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2 c3));
worker_connections(512);

# C1 to C3 are nodes, S and T are children that blocks script, L leads to another one.
# Each block has ports of its own: after a reload the nodes of the one before may answer for a moment.
our ($s, $t, $l);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 C3 S T L);
    ($s, $t, $l) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(S T L);
}

our $quick = 'filedist_catch_up on max_backoff=100ms;';

# The root; what the block gives goes into its location and its server.
sub node ($location = '', $server = '') {
    $location .= ' proxy_pass http://children;' if $location !~ /proxy_pass/;
    $server   .= " $quick"                      if $server !~ /filedist_catch_up/;
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
            $location
        }
        location /__missing__/ { filedist_missing; }
        END
}

# One scripted child; a second one; a node behind a relay.
our $scripted = upstream('127.0.0.1:$TEST_NGINX_S');
our $two      = upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T');
our $linked   = upstream('127.0.0.1:$TEST_NGINX_L') . leaf('c1');

# No two parts of it are alike.
our $large = join '', map sprintf("%015d\n", $_), 1 .. 200_000;

our $old = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    my $name = $block->name;
    new_ports();
    $block->set_value(http_config => $scripted) if !defined $block->http_config;
    $block->set_value(config => node())         if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers($name =~ /three workers/ ? 3 : 1);
    $name =~ /workers?\b/ ? master_on() : master_off();
    certificate() if $name =~ /https/;
});

add_test_cleanup_handler(\&end_processes);

sub certificate () {
    my $node = data_dir() . '/node';
    system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=children"
            . " -keyout $node.key -out $node.crt 2>$node.log") == 0 or bail_out("openssl: see $node.log");
}

# A file that the root has in this version, and what a child's log says of it.
sub missed ($path, $content, $version = $old) {
    write_data("root$path", $content);
    chmod 0644, data_dir() . "/root$path";
    set_version("root$path", $version);
    return entry('PUT', $path, $version);
}

# Overwrites lines of a child's log as a delivery does.
sub blank ($child, $which) {
    for my $name (log_files($child)) {
        open my $log, '+<:raw', $name or die "$name: $!";
        my $place = 0;
        for my $line (split /^/, slurp($name)) {
            if ($line =~ $which) {
                seek $log, $place, 0;
                print $log ' ' x (length($line) - 1);
            }
            $place += length $line;
        }
        close $log or die $!;
    }
}

# Each request that was sent, in order.
sub all_requests () { return join ', ', requests() }

run_tests();

__DATA__

=== TEST 1: a child that was away - has all that it missed, and its log is gone
--- http_config eval: $::linked
--- after
write_data('c1/deleted', 'x');
set_version('c1/deleted', $main::old);
write_data('root/deleted', 'x');
like(ask('PUT', '/a', 'first'), qr{^HTTP/1.1 201 .*failed to store: 502$}ms, 'PUT');
ask('PUT', '/d/e/large', $main::large);
ask('PUT', '/empty', '');
ask('PUT', '/a', 'second');
like(ask('DELETE', '/deleted'), qr{^HTTP/1.1 200 .*failed to delete: 502$}ms, 'DELETE');
is(scalar entries(), 5, 'five lines');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a'), 'second', 'overwritten');
is(md5_hex(read_data('c1/d/e/large') // ''), md5_hex($main::large), 'large');
is(read_data('c1/empty'), '', 'empty');
is(read_data('c1/deleted'), undef, 'deleted');
is(version_of("c1/$_"), version_of("root/$_"), "$_ has the same version") for qw(a d/e/large empty);
is_deeply([names('c1')], [qw(a d empty)], 'nothing else');
is_deeply([names("state/missing/$main::l")], [], 'no file is left in the log');



=== TEST 2: odd names - byte for byte
--- http_config eval: $::linked
--- after
my @names = ('a%20b', 'a%3Fb', 'a%23b', 'a%25b', 'a%2541b', 'a%0Ab', 'a%0D%0Ab', 'a%22b', "a'b", 'a%3Cb%3E', 'a%26amp;b', '%C3%A4', '%FF%FE',
    'a+b', 'a;b=c,d', 'a%5Cb', 'a%09b', 'a:b', 'a%7Fb', '..a..', '%e2%80%ae', 'd%20e/f%0Ag');
like(ask('PUT', "/$names[$_]", "content $_"), qr/^HTTP\/1.1 201 /, $names[$_]) for 0 .. $#names;
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is_deeply([names($_)], [names($_ =~ s/c1/root/r)], "the names in $_") for 'c1', 'c1/d e';
is(read_data('c1/' . $names[$_] =~ s/%(..)/chr hex $1/gier), "content $_", $names[$_]) for 0 .. $#names;



=== TEST 3: odd names, DELETE - each is gone
--- http_config eval: $::linked
--- after
my @names = ('a b', 'a?b', 'a#b', 'a%b', 'a%41b', "a\nb", 'a"b', 'a<b>', 'a&amp;b', "\xff\xfe", 'a\\b', 'd e/f');
for my $name (@names) {
    write_data("$_/$name", 'x') for qw(root c1);
    like(ask('DELETE', '/' . $name =~ s/([^A-Za-z0-9\/])/sprintf '%%%02X', ord $1/ger), qr/^HTTP\/1.1 200 /, 'DELETE');
}
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is_deeply([names('c1')], ['d e'], 'nothing is left');
is_deeply([names('c1/d e')], [], 'nor there');



=== TEST 4: names with several slashes, merge_slashes off - as they are
--- config eval: main::node('', 'merge_slashes off;')
--- after
make_path(data_dir() . '/root/d');
like(ask('PUT', '//x', 'one'),    qr/^HTTP\/1.1 201 /, 'PUT //x');
like(ask('PUT', '/d///y', 'two'), qr/^HTTP\/1.1 201 /, 'PUT /d///y');
child($ENV{TEST_NGINX_S});
ok(is_drained(), 'nothing is missing');
is(join(', ', sort(requests())), 'HEAD //x, HEAD /d///y, PUT //x, PUT /d///y', 'what was sent');



=== TEST 5: several locations - each entry by the way of its own
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- dirs: other third
--- config eval
main::node() . <<'END'
location /b/ { filedist on; root $TEST_NGINX_DATA/other; proxy_pass http://others; }
location /c/ { filedist on; alias $TEST_NGINX_DATA/third/; proxy_pass http://children/sub/; proxy_set_header X-Way third; }
location /sub/ { filedist off; }
location ~ \.x$ { filedist on; root $TEST_NGINX_DATA/other; proxy_pass http://others; }
END
--- after
ask('PUT', $_, "at $_") for '/a/1', '/b/2', '/c/3 4' =~ s/ /%20/r, '/d/e.x';
is(scalar entries($main::s), 2, 'of one child');
is(scalar entries($main::t), 2, 'of the other');
my $get = sub ($name) {
    return sub ($r) {
        my ($way) = $r->{head} =~ /^X-Way: (\w+)/m;
        write_data("$name-" . $r->{path} =~ s{/}{_}gr, $r->{body} . ($way // '')) if $r->{method} eq 'PUT';
        undef;
    };
};
child($ENV{TEST_NGINX_S}, $get->('s'));
child($ENV{TEST_NGINX_T}, $get->('t'));
ok(is_drained(), 'nothing is missing');
is(read_data('s-_a_1'), 'at /a/1', 'the first child');
is(read_data('s-_sub_3%204'), 'at /c/3%204third', 'its second location, with its URI and header');
is(read_data('t-_b_2'), 'at /b/2', 'the other child');
is(read_data('t-_d_e.x'), 'at /d/e.x', 'a location by regular expression');



=== TEST 6: several days - all are delivered, the oldest first
--- config eval: main::node('', 'filedist_catch_up on concurrency=1;')
--- post_setup_server_root
package main;
seed_log($main::s, '2026-11-20', missed('/b', 'b'));
seed_log($main::s, missed('/c', 'c'));
seed_log($main::s, '2001-01-01', missed('/a', 'a'));
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', requests('PUT')), 'PUT /a, PUT /b, PUT /c', 'in order');



=== TEST 7: what the child refuses - stays, the error log says so, and the rest goes
--- post_setup_server_root
package main;
@main::lines = map missed("/$_", 'x'), qw(403 409 413 507 500 good);
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'PUT' && $r->{path} =~ m{/(\d+)} ? $1 : undef });
seed_log($main::s, @main::lines);
--- after
ok(error_log_has(qr{\[error\].* 5 entries of the missing log of child "\Q$main::s\E" could not be delivered, the first: PUT "/403": 403}), 'the error log');
is_deeply([entries()], [@main::lines[0 .. 4]], 'five stay as they are');



=== TEST 8: what the child refuses - is delivered when it takes it
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'PUT' && requests('PUT') < 2 ? 403 : undef });
seed_log($main::s, $main::line);
--- after
ok(is_drained(), 'nothing is missing');
is(scalar requests('PUT'), 2, 'the second time');



=== TEST 9: a child that asks for a password - the entries stay
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'auth_basic closed; auth_basic_user_file $TEST_NGINX_DATA/users;')
--- post_setup_server_root: write_data('users', '')
--- post_setup_server_root
package main;
@main::lines = (missed('/a', 'x'), entry('DELETE', '/b', $main::old));
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", @main::lines);
--- after
ok(error_log_has(qr{\[error\].* 2 entries of the missing log .* the first: PUT "/a": 401}), 'the error log');
is_deeply([entries()], \@main::lines, 'both stay');



=== TEST 10: what the child has already - is asked for, and no body moves
--- post_setup_server_root
package main;
@main::lines = map missed("/$_", 'x' x 1000), 1 .. 3;
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'HEAD' ? 204 : undef });
seed_log($main::s, @main::lines);
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', sort(requests())), 'HEAD /1, HEAD /2, HEAD /3', 'what was sent');
is(scalar sent("HEAD /1 $main::old 0"), 1, 'with the version');



=== TEST 11: a child that says 204 to any HEAD, as one without the module may - gets the file
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'HEAD' ? "HTTP/1.1 204 No Content\r\n\r\n" : undef });
seed_log($main::s, missed('/a', 'x'));
--- after
ok(is_drained(), 'nothing is missing');
is(all_requests(), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 12: a newer version at the child, the same, an older one - the newer and the same stay
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
($main::newer, $main::older) = ($main::old + 1, $main::old - 1);
@main::lines = map missed("/$_", 'from above'), qw(newer same older none);
write_data("c1/$_", 'from here') for qw(newer same older);
set_version('c1/newer', $main::newer);
set_version('c1/same',  $main::old);
set_version('c1/older', $main::older);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", @main::lines);
--- after
ok(is_drained(), 'nothing is missing');
is(read_data("c1/$_"), 'from here',  $_) for qw(newer same);
is(read_data("c1/$_"), 'from above', $_) for qw(older none);
is(version_of('c1/newer'), $main::newer, 'the version of the newer one');
is(version_of("c1/$_"), $main::old, "the version of $_") for qw(same older none);



=== TEST 13: a file that was evicted here - comes from another child, in its version
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2', '127.0.0.1:$TEST_NGINX_C3') . CORE::join '', map main::leaf($_), qw(c1 c2 c3)
--- post_setup_server_root
package main;
write_data('c3/d/a b', $main::large);
set_version('c3/d/a b', $main::old + 7);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('PUT', '/d/a b', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(md5_hex(read_data('c1/d/a b') // ''), md5_hex($main::large), 'the file');
is(version_of('c1/d/a b'), $main::old + 7, 'the version that was found');
is_deeply([names('root')], [], 'it is not stored here');
is_deeply([names('c2')], [], 'nor at the child that was not about it');



=== TEST 14: a file that was evicted here - comes from a grandchild
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::upstream('below', '127.0.0.1:$TEST_NGINX_C3') . main::leaf('c1') . main::leaf('c3') . <<'END'
server {
    listen 127.0.0.1:$TEST_NGINX_C2;
    filedist_state $TEST_NGINX_DATA/c2-state;
    filedist_name c2;
    location / { filedist on; root $TEST_NGINX_DATA/c2; proxy_pass http://below; }
}
END
--- post_setup_server_root
package main;
write_data('c3/a', 'far away');
set_version('c3/a', $main::old);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('PUT', '/a', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a'), 'far away', 'the file');
is(version_of('c1/a'), $main::old, 'its version');



=== TEST 15: a file that was evicted here and is at the child already - nothing is sent
--- http_config eval: $::two
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'HEAD' ? 204 : undef });
seed_log($main::s, entry('PUT', '/a', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(all_requests(), 'HEAD /a', 'what was sent');



=== TEST 16: a file that no node has - stays in the log, and the error log says so
--- http_config eval: $::two
--- post_setup_server_root
package main;
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
$main::line = entry('PUT', '/a', $main::old);
seed_log($main::s, $main::line);
--- after
ok(error_log_has(qr{\[error\].* 1 entries of .*, the first: PUT "/a": no node has it any more}), 'the error log');
is_deeply([entries()], [$main::line], 'the entry');



=== TEST 17: a file that another child has in an older version - stays in the log
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c1') . main::leaf('c2')
--- post_setup_server_root
package main;
write_data('c2/a', 'older');
set_version('c2/a', $main::old - 1);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('PUT', '/a', $main::old));
--- after
ok(error_log_has(qr{the first: PUT "/a": not here, and another child says 200}), 'the error log');
is(scalar entries(), 1, 'the entry');
is(read_data('c1/a'), undef, 'the child has no older one');



=== TEST 18: another child breaks off while it gives a file that was evicted here - nothing is delivered
--- http_config eval: $::two
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S});
child($ENV{TEST_NGINX_T}, sub ($r) { $r->{method} eq 'GET' ? "HTTP/1.1 200 OK\r\nFiledist-Version: $main::old\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf" : undef });
seed_log($main::s, entry('PUT', '/a', $main::old));
--- after
ok(poll_until(sub { requests('GET') }, 8), 'it is asked');
sleep 0.2;
end_processes();
sleep 0.3;
is(scalar requests('PUT'), 0, 'no PUT');
is(scalar entries(), 1, 'the entry');



=== TEST 19: interrupted, and no node has it - it has not happened
--- http_config eval: $::two
--- post_setup_server_root
package main;
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
seed_log($main::s, entry('PUT', '/a', $main::old, 'interrupted'));
--- after
ok(is_drained(), 'nothing is missing');
is(scalar requests('PUT'), 0, 'no PUT');



=== TEST 20: interrupted, and a child cannot be asked - stays in the log
--- http_config eval: $::two
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S});
child($ENV{TEST_NGINX_T}, sub ($r) { 'close' });
seed_log($main::s, entry('PUT', '/a', $main::old, 'interrupted'));
--- after
ok(error_log_has(qr{the first: PUT "/a": not here, and another child says 502}), 'the error log');
is(scalar entries(), 1, 'the entry');



=== TEST 21: what is sent is what is there now - overwritten
--- post_setup_server_root
package main;
$main::line = missed('/a', 'first');
missed('/a', 'second', $main::old + 1);
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('got', $r->{body}) if $r->{method} eq 'PUT'; undef });
seed_log($main::s, $main::line);
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('got'), 'second', 'the body');
is(scalar sent('PUT /a ' . ($main::old + 1) . ' 6'), 1, 'its version');



=== TEST 22: what is sent is what is there now - deleted
--- http_config eval: $::linked
--- after
write_data('c1/a', 'old');
set_version('c1/a', $main::old);
ask('PUT', '/a', 'new');
ask('DELETE', '/a');
my @lines = entries();
like($lines[1], qr/ DELETE /, 'a line for each');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a'), undef, 'deleted at the child');



=== TEST 23: deleted here after a PUT that the child missed - it is sent the DELETE, not what others have
--- http_config eval: $::two
--- after
ask('PUT', '/a', 'x', "Filedist-Version: $main::old");
ask('DELETE', '/a', undef, 'Filedist-Version: ' . ($main::old + 1));
# As if it had missed the PUT alone. The log is never without an entry: it would be taken for delivered.
blank($main::s, qr/ DELETE /);
child($ENV{TEST_NGINX_S});
ok(is_drained($main::s), 'nothing is missing');
is(all_requests(), 'DELETE /a', 'what was sent');
is(scalar sent('DELETE /a ' . ($main::old + 1) . ' 0'), 1, 'in the version of the DELETE');



=== TEST 24: stored again after a DELETE that the child missed - it is sent the file
--- after
ask('DELETE', '/a', undef, "Filedist-Version: $main::old");
is(scalar entries(), 1, 'a line');
missed('/a', 'new', $main::old + 1);
child($ENV{TEST_NGINX_S});
ok(is_drained(), 'nothing is missing');
is(all_requests(), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 25: a file became a directory - so it does at the child
--- http_config eval: $::linked
--- after
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
like(ask('PUT', '/a', 'file'), qr/^success: c1/m, 'the child has the file');
end_processes();
ask('DELETE', '/a');
like(ask('PUT', '/a/b', 'below'), qr/^HTTP\/1.1 201 .*502$/ms, 'the child is away');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a/b'), 'below', 'the file below');



=== TEST 26: a directory became a file - so it does at the child
--- http_config eval: $::linked
--- after
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
like(ask('PUT', '/a/b', 'below'), qr/^success: c1/m, 'the child has the directory');
end_processes();
ask('DELETE', '/a/b');
ask('DELETE', '/a/');
like(ask('PUT', '/a', 'file'), qr/^HTTP\/1.1 201 .*502$/ms, 'the child is away');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a'), 'file', 'the file');



=== TEST 27: DELETE of a directory that the child refuses - is dropped, its files stay
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
write_data('c1/d/only-here', 'x');
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('DELETE', '/d/', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('c1/d/only-here'), 'x', 'the file');



=== TEST 28: DELETE of what the child does not have - is delivered
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('DELETE', '/a', $main::old), entry('DELETE', '/d/', $main::old));
--- after
ok(is_drained(), 'nothing is missing');



=== TEST 29: DELETE, a newer file at the child - it stays
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
write_data('c1/a', 'newer');
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('DELETE', '/a', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a'), 'newer', 'the file');



=== TEST 30: off - nothing is sent
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T') . <<'END'
server {
    listen 127.0.0.1:$TEST_NGINX_C1;
    filedist_state $TEST_NGINX_DATA/other-state;
    filedist_catch_up on;
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
}
END
--- config eval: main::node('', 'filedist_catch_up off;')
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
seed_log($main::s, $main::line);
make_path($main::other = data_dir() . "/other-state/missing/$main::t");
write_data("other-state/missing/$main::t/2026-11-22.log.html", $main::line);
--- after
ok(poll_until(sub { !glob "$main::other/*" }, 5), 'the other server has delivered');
sleep 1.3;
is(all_requests(), 'HEAD /a, PUT /a', 'this one sends nothing');
is_deeply([entries()], [$main::line], 'the entry');



=== TEST 31: off - not even when the child answers a PUT
--- config eval: main::node('', 'filedist_catch_up off;')
--- after
my $line = missed('/a', 'x');
ask('PUT', '/b', 'x');
is(scalar entries(), 1, 'the child is away');
child($ENV{TEST_NGINX_S});
ask('PUT', '/c', 'x');
sleep 1.3;
is(all_requests(), 'PUT /c', 'what was sent');
is(scalar entries(), 1, 'the entry');



=== TEST 32: concurrency=1 - one at a time
--- config eval: main::node('', 'filedist_catch_up on concurrency=1;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 6);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.05; undef });
--- after
ok(is_drained(), 'nothing is missing');
is(most_at_once($_), 1, $_) for qw(HEAD PUT);
is(all_requests(), join(', ', map "HEAD /$_, PUT /$_", 1 .. 6), 'in the order of the log');



=== TEST 33: concurrency=4 - four at a time, after the first
--- config eval: main::node('', 'filedist_catch_up on concurrency=4;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 12);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.2 if $r->{method} eq 'PUT'; undef });
--- after
ok(is_drained(), 'nothing is missing');
is(most_at_once('PUT'), 4, 'PUT');
my ($end) = (sent('PUT /1(?!\d)'))[-1];
my ($next) = sort { $a <=> $b } map sent("HEAD /$_ "), 2 .. 12;
cmp_ok($next, '>=', $end, 'the others wait for the first one');



=== TEST 34: eight at a time, where nothing is said
--- config eval: main::node('', 'filedist_catch_up on;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 20);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.3 if $r->{method} eq 'PUT'; undef });
--- after
ok(is_drained(), 'nothing is missing');
is(most_at_once('PUT'), 8, 'PUT');



=== TEST 35: rate= - a large file takes its time
--- config eval: main::node('', 'filedist_catch_up on rate=200k;')
--- post_setup_server_root
package main;
$main::line = missed('/a', substr $main::large, 0, 300_000);
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('got', $r->{body}) if $r->{method} eq 'PUT'; undef });
seed_log($main::s, $main::line);
--- after
ok(is_drained(), 'nothing is missing');
# A quarter of a second's worth may be there at the start.
cmp_ok((sent('PUT /a'))[0] - (sent('HEAD /a'))[-1], '>', 1.1, 'seconds');
ok(read_data('got') eq substr($main::large, 0, 300_000), 'the body is whole');



=== TEST 36: rate= - small files too
--- config eval: main::node('', 'filedist_catch_up on rate=20k;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x' x 1000), 1 .. 30);
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained(), 'nothing is missing');
my @times = sort { $a <=> $b } map { (sent("PUT /$_"))[0] } 1 .. 30;
cmp_ok($times[-1] - $times[0], '>', 1, 'seconds');



=== TEST 37: no rate - a large file at once
--- post_setup_server_root
package main;
$main::line = missed('/a', $main::large);
child($ENV{TEST_NGINX_S});
seed_log($main::s, $main::line);
--- after
ok(is_drained(), 'nothing is missing');
is((sent('PUT /a'))[1] - (sent('HEAD /a'))[1] < 1.5, 1, 'less than two seconds');



=== TEST 38: a child that is away - is asked for longer and longer
--- config eval: main::node('', 'filedist_catch_up on;')
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{TEST_NGINX_S}, sub ($r) { 'close' });
seed_log($main::s, $main::line);
--- after
ok(poll_until(sub { 3 <= requests('HEAD') }, 8), 'three attempts');
my @times = map { $_->[0] } grep { $_->[0] } map [$_], sent("HEAD /a $main::old");
cmp_ok($times[1] - $times[0], '>=', 0.49, 'half a second at least');
cmp_ok($times[2] - $times[1], '>=', 0.99, 'twice that');
is(scalar entries(), 1, 'the entry');



=== TEST 39: max_backoff= - but not for longer than that
--- config eval: main::node('', 'filedist_catch_up on max_backoff=10ms;')
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{TEST_NGINX_S}, sub ($r) { requests('HEAD') < 5 ? 'close' : undef });
seed_log($main::s, $main::line);
--- after
ok(is_drained('*', 15), 'nothing is missing');
my @times = sent("HEAD /a $main::old");
# Without a limit it is 7.5 s at least.
cmp_ok($times[4] - $times[0], '<', 7.4, 'the fifth attempt');



=== TEST 40: a child that was away answers a PUT - what it missed is delivered at once
--- config eval: main::node('', 'filedist_catch_up on;')
--- post_setup_server_root
package main;
$main::line = missed('/missed', 'x');
child($ENV{TEST_NGINX_S}, sub ($r) { -e data_dir() . '/back' ? undef : 'close' });
seed_log($main::s, $main::line);
--- after
ok(poll_until(sub { 2 <= (() = slurp(server_root() . '/logs/error.log') =~ /"\Q$main::s\E" is away/g) }, 8), 'the second attempt');
write_data('back', '');
my $began = time;
like(ask('PUT', '/live', 'x'), qr/^success: \Q$main::s\E/m, 'the child answers');
ok(is_drained(), 'nothing is missing');
cmp_ok(time - $began, '<', 0.9, 'before the next attempt would be due');



=== TEST 41: lines that are none, and torn ones - do no harm
--- post_setup_server_root
package main;
@main::lines = map missed("/$_", 'x'), 1 .. 3;
child($ENV{TEST_NGINX_S});
seed_log($main::s, "garbage\n", $main::lines[0], "\n", "\0\xff\n", substr($main::lines[1], 0, 30) . "\n", $main::lines[1], 'x' x 100_000, "\n", substr($main::lines[2], 0, 40) . $main::lines[2],
    '<script>alert(1)</script>', "\n", $main::lines[2], substr $main::lines[0], 0, 50);
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', sort(requests('PUT'))), 'PUT /1, PUT /2, PUT /3', 'what was sent');



=== TEST 42: a log that ends in the middle of a line - the next line is one of its own
--- after
seed_log($main::s, substr missed('/torn', 'x'), 0, 60);
ask('PUT', '/a', 'x');
child($ENV{TEST_NGINX_S});
ok(is_drained(), 'nothing is missing');
is(join(', ', requests('PUT')), 'PUT /a', 'what was sent');



=== TEST 43: an entry whose path leads out of the root - nothing of there is sent
--- post_setup_server_root
package main;
write_data('secret', 'secret');
write_data('root/d/x', 'x');
seed_log($main::s, map entry('PUT', $_, $main::old), '/../secret', '/d/../../secret');
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('leak', $r->{body}) if $r->{body} =~ /secret/; undef });
--- after
error_log_has(qr{entries of the missing log});
is(read_data('leak'), undef, 'the file outside');



=== TEST 44: three workers - each entry is sent once
--- post_setup_server_root
package main;
@main::lines = map missed("/$_", 'x'), 1 .. 40;
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.02; undef });
seed_log($main::s, @main::lines);
--- after
ok(is_drained(), 'nothing is missing');
my %seen;
$seen{$_}++ for requests('PUT');
is(scalar keys %seen, 40, 'all of them');
is_deeply([grep { $_ > 1 } values %seen], [], 'none twice');



=== TEST 45: three workers, PUTs while the log is delivered - nothing is lost
--- http_config eval: $::linked . 'client_body_buffer_size 64k;'
--- after
my $alive = 1;
for my $n (1 .. 60) {
    relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1}) if $n == 20;
    end_processes() if $n == 40;
    ask('PUT', "/$n", "content $n");
}
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(scalar(grep { (read_data("c1/$_") // '') eq "content $_" } 1 .. 60), 60, 'all files are there');



=== TEST 46: workers are replaced by a reload meanwhile - all is delivered
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 60);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.05 if $r->{method} eq 'PUT'; undef });
--- after
ok(poll_until(sub { requests('PUT') > 5 }, 8), 'it is under way');
ok(reload(), 'reload');
ok(is_drained(), 'nothing is missing');
my %seen;
$seen{$_}++ for requests('PUT');
is(scalar keys %seen, 60, 'all of them');
is_deeply([grep { $_ > 1 } values %seen], [], 'none twice');



=== TEST 47: the worker is killed meanwhile - the next one delivers the rest
--- allow_log: alert
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 60);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.05 if $r->{method} eq 'PUT'; undef });
--- after
ok(poll_until(sub { requests('PUT') > 20 }, 8), 'it is under way');
ok(kill_worker(), 'killed');
ok(is_drained(), 'nothing is missing');
my %seen;
$seen{$_}++ for requests('PUT');
is(scalar keys %seen, 60, 'all of them');
cmp_ok(scalar(grep { $_ > 1 } values %seen), '<=', 8, 'twice only what was under way');



=== TEST 48: a worker that is shut down while a child hangs - the entry stays, and the next one delivers it
--- main_config
    worker_shutdown_timeout 200ms;
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 30 if requests('PUT') < 2 && $r->{method} eq 'PUT'; undef });
seed_log($main::s, $main::line);
--- after
ok(poll_until(sub { requests('PUT') }, 8), 'it is under way');
my ($before) = worker_pids();
ok(reload(), 'reload');
ok(poll_until(sub { !-e "/proc/$before" }, 5), 'the worker has ended');
ok(is_drained(), 'nothing is missing');
is(scalar requests('PUT'), 2, 'sent once more');



=== TEST 49: a child that is "down" - is not asked, others are
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S', '127.0.0.1:$TEST_NGINX_T down')
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
child($ENV{TEST_NGINX_S});
child($ENV{TEST_NGINX_T}, sub ($r) { write_data('asked', ''); undef });
seed_log($_, $main::line) for $main::t, $main::s;
--- after
ok(is_drained($main::s), 'that of the other one is gone');
sleep 1;
is(read_data('asked'), undef, 'not asked');
is(scalar entries($main::t), 1, 'the entry');



=== TEST 50: a child that max_fails has out - is asked all the same
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S max_fails=1 fail_timeout=100s', '127.0.0.1:$TEST_NGINX_T')
--- after
child($ENV{TEST_NGINX_T});
ask('PUT', "/$_", 'x') for 1 .. 3;
is(scalar entries($main::s), 3, 'the child is away');
child($ENV{TEST_NGINX_S});
ok(is_drained(), 'nothing is missing');



=== TEST 51: https child
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1 ssl', 'ssl_certificate $TEST_NGINX_DATA/node.crt; ssl_certificate_key $TEST_NGINX_DATA/node.key;')
--- config eval: main::node('proxy_pass https://children; proxy_ssl_verify on; proxy_ssl_trusted_certificate $TEST_NGINX_DATA/node.crt;')
--- post_setup_server_root
package main;
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", missed('/small', 'small'), missed('/large', $main::large), entry('DELETE', '/a', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('c1/small'), 'small', 'a small file');
ok(read_data('c1/large') eq $main::large, 'a large file');



=== TEST 52: unix socket child
--- http_config eval: 'upstream children { server unix:$TEST_NGINX_DATA/c%.sock; filedist_fanout; }'
--- allow_log: crit
--- after
ask('PUT', '/a', 'x');
my $name = 'unix:' . data_dir() =~ s{/}{%2F}gr . '%2Fc%25.sock';
is_deeply([names('state/missing')], [$name], 'its log');
child(data_dir() . '/c%.sock');
ok(is_drained(), 'nothing is missing');
is(all_requests(), 'HEAD /a, PUT /a', 'what was sent');



=== TEST 53: keepalive - one connection
--- http_config eval: 'upstream children { server 127.0.0.1:$TEST_NGINX_S; filedist_fanout; keepalive 4; }'
--- config eval: main::node('', 'filedist_catch_up on concurrency=1;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 10);
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained(), 'nothing is missing');
is(scalar requests(), 20, 'twenty requests');
is(scalar(() = read_data('requests') =~ / connection$/mg), 1, 'one connection');



=== TEST 54: HTTP/1.0 to the child
--- http_config eval: $::scripted
--- config eval: main::node('proxy_http_version 1.0; proxy_set_header Connection close;')
--- post_setup_server_root
package main;
seed_log($main::s, missed('/a', 'hello'), entry('DELETE', '/b', $main::old));
child($ENV{TEST_NGINX_S}, sub ($r) { write_data('body', $r->{body}) if $r->{method} eq 'PUT'; undef });
--- after
ok(is_drained(), 'nothing is missing');
is(read_data('body'), 'hello', 'the body');



=== TEST 55: aio threads
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c1') . main::leaf('c2') . 'aio threads;'
--- skip_nginx: 6: < 1.7.11
--- post_setup_server_root
package main;
write_data('c2/evicted', $main::large);
set_version('c2/evicted', $main::old);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", (map missed("/$_", "content $_"), 1 .. 100), missed('/large', $main::large), entry('PUT', '/evicted', $main::old), entry('DELETE', '/a', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
is(scalar(grep { (read_data("c1/$_") // '') eq "content $_" } 1 .. 100), 100, 'small files');
ok(read_data('c1/large') eq $main::large, 'a large file');
ok(read_data('c1/evicted') eq $main::large, 'one that was evicted');



=== TEST 56: what the child is sent - who is asking, which way, and nothing of a client
--- config eval: main::node('proxy_set_header X-From $remote_addr; proxy_set_header X-Auth $http_authorization;')
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S}, sub ($r) { write_data("head-$r->{method}", $r->{head}); undef });
seed_log($main::s, missed('/a', 'hello'), entry('DELETE', '/b', $main::old));
--- after
ok(is_drained(), 'nothing is missing');
for my $method (qw(HEAD PUT DELETE)) {
    my $head = read_data("head-$method");
    like($head, qr/^Filedist-Via: root\r?$/m, "$method: Filedist-Via");
    like($head, qr/^Filedist-Version: $main::old\r?$/m, "$method: Filedist-Version");
    like($head, qr/^Host: children\r?$/m, "$method: Host");
    unlike($head, qr/^X-Auth/m, "$method: no Authorization");
}
like(read_data('head-PUT'), qr/^Content-Length: 5\r?$/m, 'the length');
unlike(read_data($_), qr/^Content-Length: [1-9]|^Transfer-Encoding/mi, "$_: no body") for qw(head-HEAD head-DELETE);



=== TEST 57: access rules, limits and rewrites of this node - are for clients
--- config eval: main::node('deny all; limit_rate 1; auth_basic x; auth_basic_user_file /dev/null; if ($request_method = PUT) { return 403; }', 'deny all; rewrite ^/a$ /b;')
--- no_error_log
access forbidden
--- request: GET /alive
--- error_code: 204
--- post_setup_server_root
package main;
seed_log($main::s, missed('/a', 'x' x 100_000), entry('DELETE', '/c', $main::old));
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained(), 'nothing is missing');
is(join(', ', sort(requests())), 'DELETE /c, HEAD /a, PUT /a', 'what was sent');



=== TEST 58: the access log - has clients only
--- post_setup_server_root
package main;
$main::logged = length slurp(server_root() . '/logs/access.log');
seed_log($main::s, missed('/delivered', 'x'), entry('DELETE', '/deleted', $main::old));
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained(), 'nothing is missing');
ask('GET', '/alive');
my $log = slurp(server_root() . '/logs/access.log');
# After a reload it still has what was there before.
$log = substr $log, $main::logged if length $log > $main::logged;
is_deeply([grep { !m{"GET /alive } } split /^/, $log], [], 'no delivery');



=== TEST 59: the missing log meanwhile - is served, and shows no locks
--- config eval: main::node('', 'filedist_catch_up on concurrency=1;')
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 30);
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 0.03; undef });
--- after
ok(poll_until(sub { requests('PUT') > 3 }, 8), 'it is under way');
my ($day) = map { s{.*/}{}r } log_files();
for my $page ('/__missing__/', "/__missing__/$main::s/", "/__missing__/$main::s/$day") {
    my ($status, $head, $body) = http_get(server_port(), $page);
    is($status, 200, $page);
    like($body, qr/href="/, "$page: links");
    is_deeply([grep { !m{^(?:\./\Q$main::s\E/|\./\Q$day\E|/\d+)$} } $body =~ /href="([^"]*)"/g], [], "$page: none but what is missing");
}
ok(is_drained(), 'nothing is missing');
my ($status, $head, $body) = http_get(server_port(), "/__missing__/$main::s/");
unlike($body // '', qr/href=/, 'then there is nothing on its page');



=== TEST 60: wget - fetches what is missing while the child takes nothing
--- skip_eval: 3: !grep { -x "$_/wget" } split /:/, $ENV{PATH}
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/d/$_", "content $_"), 1 .. 5);
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{path} =~ /[24]/ || $r->{method} eq 'HEAD' ? undef : 403 });
--- after
ok(poll_until(sub { 3 == entries() }, 8), 'three are left');
my $got = data_dir() . '/got';
system('wget', '-q', '--tries=1', '--timeout=5', '--no-proxy', '--recursive', '--level=2', '-nH', '-P', $got, 'http://127.0.0.1:' . server_port() . "/__missing__/$main::s/");
is_deeply([names('got/d')], [1, 3, 5], 'what is missing');
is(read_data('got/d/3'), 'content 3', 'a file');



=== TEST 61: a log of a child that is configured no more - is left alone
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x');
seed_log('10.0.0.99:8080', $main::line);
seed_log($main::s, $main::line);
child($ENV{TEST_NGINX_S});
--- after
ok(is_drained($main::s), 'that of the present child is gone');
sleep 0.2;
is_deeply([entries('10.0.0.99:8080')], [$main::line], 'the other one');



=== TEST 62: an entry that no location takes to this child any more - stays, and the others go
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- config eval: main::node() . 'location /b/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; } location /stock/ { root $TEST_NGINX_DATA/root; }'
--- post_setup_server_root
package main;
@main::lines = map missed($_, 'x'), '/b/1', '/stock/2', '/good';
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
seed_log($main::s, @main::lines);
--- after
ok(error_log_has(qr{2 entries of .*, the first: PUT "/b/1": its location has no such child any more}), 'the error log');
is_deeply([entries()], [@main::lines[0, 1]], 'those stay');
is(all_requests(), 'HEAD /good, PUT /good', 'what was sent');



=== TEST 63: many that the child refuses - those behind them have their turn
--- post_setup_server_root
package main;
@main::bad = map missed("/bad/$_", 'x'), 1 .. 70;
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{path} =~ /bad/ ? 403 : undef });
seed_log($main::s, @main::bad, missed('/good', 'x'));
--- after
ok(poll_until(sub { 70 == entries() }, 8), 'the good one is delivered');
like(join(', ', requests('PUT')), qr{PUT /good}, 'what was sent');



=== TEST 64: more entries than are read at a time, same path again and again - each path arrives
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
@main::lines = map missed('/' . $_ % 50, 'content ' . $_ % 50), 1 .. 300;
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", @main::lines);
--- after
ok(is_drained(), 'nothing is missing');
is(scalar(grep { (read_data("c1/$_") // '') eq "content $_" } 0 .. 49), 50, 'all files are there');



=== TEST 65: what the child was given - is blank in a log that has other entries left
--- post_setup_server_root
package main;
@main::lines = map missed("/$_", 'x'), qw(1 bad 3);
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{path} =~ /bad/ && $r->{method} eq 'PUT' ? 403 : undef });
seed_log($main::s, @main::lines);
--- after
ok(poll_until(sub { 1 == entries() }, 8), 'one is left');
is_deeply([entries()], [$main::lines[1]], 'as it was');
ok(poll_until(sub { !grep { /^ +$/m } map { slurp($_) } log_files() }, 5), 'the file has no room for the others any more');
is_deeply([grep { !/^\d{4}-\d\d-\d\d\.log\.html$/ } names("state/missing/$main::s")], [], 'and nothing lies beside it');



=== TEST 66: the child fails in the middle - the rest stays until it is back
--- post_setup_server_root
package main;
seed_log($main::s, map missed("/$_", 'x'), 1 .. 20);
child($ENV{TEST_NGINX_S}, sub ($r) { my $n = requests('PUT'); $r->{method} eq 'PUT' && $n > 5 && $n < 9 ? 'close' : undef });
--- after
ok(is_drained(), 'nothing is missing');
my %seen;
$seen{$_}++ for requests('PUT');
is(scalar keys %seen, 20, 'all of them');



=== TEST 67: a version that the child takes for the future - stays until it is none
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1')
--- post_setup_server_root
package main;
$main::line = missed('/a', 'x', (time + 301 | 0) . '500000000');
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", $main::line);
--- after
ok(error_log_has(qr{the first: PUT "/a": 400}), 'the error log');
ok(is_drained('*', 8), 'then it is delivered');
is(read_data('c1/a'), 'x', 'the file');



=== TEST 68: a child of a child - catches up with its parent's parent away
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_L') . main::upstream('below', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c2') . <<'END'
server {
    listen 127.0.0.1:$TEST_NGINX_C1;
    filedist_state $TEST_NGINX_DATA/c1-state;
    filedist_name c1;
    location / { filedist on; root $TEST_NGINX_DATA/c1; proxy_pass http://below; }
}
END
--- after
ask('PUT', '/a', 'x');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data("$_/a"), 'x', "the file on $_") for qw(c1 c2);
is(version_of("$_/a"), version_of('root/a'), "its version on $_") for qw(c1 c2);



=== TEST 69: one child of two is back - the other one's log stays
--- http_config eval: $::two
--- after
ask('PUT', '/a', 'x');
is(scalar entries(), 2, 'both are away');
child($ENV{TEST_NGINX_S});
ok(is_drained($main::s), 'the first is served');
is(scalar entries($main::t), 1, 'the second is not');



=== TEST 70: temporary files - none is left
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c1') . main::leaf('c2')
--- post_setup_server_root
package main;
write_data('c2/d/evicted', $main::large);
set_version('c2/d/evicted', $main::old);
seed_log("127.0.0.1:$ENV{TEST_NGINX_C1}", entry('PUT', '/d/evicted', $main::old), entry('PUT', '/d/nowhere', $main::old));
--- after
ok(poll_until(sub { 1 == entries() }, 8), 'one is delivered');
is_deeply([names($_)], [], $_) for 'root', 'root/d';



=== TEST 71: a child that was away, three workers - all of them ask it as soon as it has answered
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_L', '127.0.0.1:$TEST_NGINX_S') . main::leaf('c1')
--- after
child($ENV{TEST_NGINX_S});
like(ask('PUT', "/away$_", 'x'), qr/^error: \Q$main::l\E\/away$_ (?:failed to store: 502|queued: not reachable since \d{4}-\d\d-\d\dT[\d:]{8}Z)$/m, "PUT $_ is in the log") for 1 .. 12;
ok((grep / queued \(not reachable since \S+\)<br>/, entries($main::l)) > 0, 'not all of them were tried');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
like(ask('PUT', "/back$_", 'x'), qr/^success: c1\/back$_ stored/m, "PUT $_ reaches the child") for 1 .. 12;



=== TEST 72: a child that refuses - its own words are in receipt, missing log and error log
--- config eval: main::node('', 'filedist_catch_up off;')
--- error_log eval: [qr/child "127\.0\.0\.1:\d+" refuses PUT "\/a": 507 \(no space left on this node\)/]
--- after
my $words = "error: s/a failed to store: 507 (no space left on this node)\n";
my $json  = qq({"node":"s","path":"/a","outcome":"failed","reason":"507 (no space left on this node)","children":[]}\n);
child($ENV{TEST_NGINX_S}, sub ($r) {
    my $said = $r->{head} =~ /^Accept: application.json/mi ? $json : $words;
    return "HTTP/1.1 507 Insufficient Storage\r\nContent-Length: " . length($said) . "\r\n\r\n$said";
});
like(ask('PUT', '/a', 'x'), qr/^error: \Q$main::s\E\/a failed to store: 507 \(no space left on this node\)$/m, 'receipt');
like(ask('PUT', '/a', 'y', 'Accept: application/json'), qr/"reason":"507 \(no space left on this node\)"/, 'JSON');
like($_, qr/ 507 \(no space left on this node\)<br>\n\z/, 'missing log') for entries();
is(scalar entries(), 2, 'both');



=== TEST 73: "root" with the host - each host's files are delivered to its own place, and its DELETE deletes no other's
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_L') . main::leaf('c1') =~ s{root (\S+)/c1;}{root $1/c1/\$host;}r
--- config eval: main::node('root $TEST_NGINX_DATA/root/$host; proxy_set_header Host $host;') =~ s{root \S+/root;\n}{}r
--- after
make_path(map { data_dir() . "/$_" } qw(root/a.example root/b.example c1/a.example c1/b.example));
my $to = sub ($method, $path, $host, $body = undef) {
    my $socket = client();
    my $length = defined $body ? 'Content-Length: ' . length($body) . "\r\n" : '';
    $socket->printflush("$method $path HTTP/1.1\r\nHost: $host\r\n${length}Connection: close\r\n\r\n" . ($body // ''));
    return answer($socket);
};
like($to->('PUT', '/a', 'a.example', 'of a'), qr/^success: root\/a stored/m, 'a has it');
like($to->('PUT', '/a', 'b.example', 'of b'), qr/^success: root\/a stored/m, 'b has it');
like($to->('PUT', '/b', 'b.example', 'more of b'), qr/^success: root\/b stored/m, 'and more');
like($to->('DELETE', '/a', 'a.example'), qr/^success: root\/a deleted/m, 'a deletes it');
like(join('', entries()), qr/ \$host=a\.example<br>/, 'an entry says which host it is of');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/a.example/a'), undef, 'the child has none of a');
is(read_data('c1/b.example/a'), 'of b', 'that of b');
is(read_data('c1/b.example/b'), 'more of b', 'and more');
is(read_data('root/b.example/a'), 'of b', 'nothing of b is deleted here');



=== TEST 74: "root" with a header field, filedist_ack local - is delivered from there, with the field
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1') =~ s{root (\S+)/c1;}{root $1/c1/\$http_x_user;}r
--- config eval: main::node('root $TEST_NGINX_DATA/root/$http_x_user; proxy_set_header X-User $http_x_user; proxy_set_header X-Other $http_x_other; filedist_ack local;') =~ s{root \S+/root;\n}{}r
--- after
make_path(map { data_dir() . "/$_" } qw(root/joe c1/joe));
like(ask('PUT', '/a', 'of joe', 'X-User: joe'), qr/^success: root\/a stored: 6 bytes\nsuccess: \S+ queued$/m, 'PUT');
ok(is_drained(), 'nothing is missing');
is(read_data('c1/joe/a'), 'of joe', 'the child has it');
like(ask('PUT', '/a', 'x', 'X-User: joe', 'X-Other: ' . '%' x 3000), qr/^HTTP\/1.1 431 .*too long to be kept/ms, 'a field that is too long');



=== TEST 75: "root" with a variable, an entry that does not say its value - stays, and says why
--- config eval: main::node('root $TEST_NGINX_DATA/root/$http_x_user;') =~ s{root \S+/root;\n}{}r
--- error_log eval: [qr/DELETE "\/a": it does not say what \$http_x_user was/]
--- post_setup_server_root
package main;
child($ENV{TEST_NGINX_S});
seed_log($main::s, entry('DELETE', '/a', $main::old));
--- after
ok(error_log_has(qr/it does not say what/), 'told');
is(all_requests(), '', 'nothing is sent');
is(scalar entries(), 1, 'the entry');



=== TEST 76: a location by rewrite, and a named one - what was missed is delivered from there
--- http_config eval: $::linked
--- config eval: main::node() . 'location /in/ { filedist on; root $TEST_NGINX_DATA/in; rewrite ^/in/(.*)$ /out/$1 break; proxy_pass http://children; } location /named/ { error_page 418 = @store; return 418; } location @store { filedist on; root $TEST_NGINX_DATA/in; proxy_pass http://children; }'
--- dirs: in
--- after
like(ask('PUT', '/in/a', 'by rewrite'), qr/^success: root\/out\/a stored/m, 'PUT by rewrite');
like(ask('PUT', '/named/a', 'by name'), qr/^success: root\/named\/a stored/m, 'PUT by name');
is(read_data('in/out/a'), 'by rewrite', 'here');
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'nothing is missing');
is(read_data('c1/out/a'), 'by rewrite', 'the child has what was rewritten');
is(read_data('c1/named/a'), 'by name', 'and what came by name');




=== TEST 77: credentials of the client - not kept, and not sent
--- config eval: main::node('proxy_set_header X-Auth $http_authorization; proxy_set_header X-Cookie $http_cookie; proxy_set_header X-One $cookie_one; proxy_set_header X-Own $http_x_own;')
--- after
my @headers = ('Authorization: Basic c2VjcmV0OnNlY3JldA==', 'Cookie: one=secret', 'X-Own: mine');
like(ask('PUT', '/a', 'hello', @headers), qr{^HTTP/1.1 201 }, 'PUT');
my $entries = join '', entries();
like($entries, qr/ \$http_x_own=mine<br>$/m, 'what is kept');
unlike($entries, qr/secret|c2VjcmV0/, 'what is not');
child($ENV{TEST_NGINX_S}, sub ($r) { write_data("head-$r->{method}", $r->{head}); undef });
ok(is_drained(), 'delivered');
like(read_data('head-PUT'), qr/^X-Own: mine\r$/m, 'with what was kept');
unlike(read_data('head-PUT'), qr/^(?:X-(?:Auth|Cookie|One)|Authorization|Cookie)/m, 'without credentials');
