# Provisioning: POST to a child's missing log puts everything into it that the child may have, from where
# catch-up brings what differs; DELETE drops the log.

use v5.36;
use Filedist;
use Filedist::Tree;

use Digest::MD5 qw(md5_hex);
use Fcntl qw(:flock);
use File::Path qw(make_path remove_tree);
use Time::HiRes qw(sleep time);

plan skip_all => 'valgrind hides the title that tells a worker' if $ENV{TEST_NGINX_USE_VALGRIND};
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2 c3));
worker_connections(512);

# C1 to C3 are nodes, S and T are children that blocks script, L leads to another one.
our ($c1, $c2, $s, $t, $l);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 C3 S T L);
    ($c1, $c2, $s, $t, $l) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 C2 S T L);
}

our $quick = 'filedist_catch_up on max_backoff=100ms;';

# The root; what the block gives goes into its server.
sub node ($server = '', $missing = 'filedist_missing manage;') {
    $server .= " $quick" if $server !~ /filedist_catch_up/;
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
        }
        location /__missing__/ { $missing }
        location /__status__/  { filedist_status; }
        END
}

# A node; a scripted child; a node behind a relay.
our $one      = upstream('127.0.0.1:$TEST_NGINX_C1') . leaf('c1');
our $scripted = upstream('127.0.0.1:$TEST_NGINX_S');
our $linked   = upstream('127.0.0.1:$TEST_NGINX_L') . leaf('c1');

our $large = join '', map sprintf("%015d\n", $_), 1 .. 100_000;
our $old   = '1763810645123456789';

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $one)   if !defined $block->http_config;
    $block->set_value(config => node())      if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers($block->name =~ /two workers/ ? 2 : 1);
    $block->name =~ /workers?\b/ ? master_on() : master_off();
});

add_test_cleanup_handler(\&end_processes);

# A file system with so little room, mounted on a directory of the block; false where that cannot be.
my @mounted;
sub small_disk ($name, $size) {
    my $directory = data_dir() . "/$name";
    make_path($directory);
    system("mount -t tmpfs -o size=$size,mode=0777 filedist-test $directory 2>/dev/null") == 0 or return;
    push @mounted, $directory;
}
add_test_cleanup_handler(sub (@) { system('umount', '-l', $_) for splice @mounted });

sub provide ($child, $method = 'POST') { return ask($method, "/__missing__/$child/") }

sub request_file ($child) { return data_dir() . "/state/provide/$child" }

# Everything has been put into the child's log.
sub is_listed ($child, $seconds = 10) {
    return poll_until(sub { !-e request_file($child) }, $seconds);
}

# And the child has it.
sub is_provided ($child, $seconds = 15) { return is_listed($child, $seconds) && is_drained($child, $seconds) }

# The files below a directory: the content and the version of each.
sub tree ($name) {
    my $base = data_dir() . "/$name";
    open my $out, '-|', 'find', $base, qw(-type f -printf %P\0%T@\0) or die "find: $!";
    local $/ = "\0";
    my %files;
    while (defined(my $path = <$out>)) {
        chomp(my $time = <$out>);
        chomp $path;
        $files{$path} = "$time " . md5_hex(slurp("$base/$path"));
    }
    return \%files;
}

# Files of the root in the order of their paths, with times that are not alike.
sub many ($from, $to, $where = 'root') {
    for my $n ($from .. $to) {
        my $file = sprintf '%s/f%04d', $where, $n;
        write_data($file, "content $n");
        utime $n, 1_700_000_000 + $n, data_dir() . "/$file";
    }
}

# The paths that a child's log has.
sub listed ($child = '*') { return map {/ PUT <a href="([^"]*)"/} entries($child) }

# While the file is locked, nothing is appended to the log.
sub hold ($child) {
    seed_log($child);
    open my $log, '+<', (log_files($child))[-1] or die $!;
    flock $log, LOCK_EX or die $!;
    return $log;
}

# What a worker leaves that has listed the first 500 of 1800 files; who goes on with it waits.
our $held;

sub in_the_middle () {
    many(1, 1800);
    seed_log($c1, map entry('PUT', sprintf('/f%04d', $_), $old, 'provided'), 1 .. 500);
    write_data("state/provide/$c1", "/f0500\n");
    chmod 0777, data_dir() . '/state/provide';
    chmod 0666, request_file($c1);
    $held = hold($c1);
}

# The worker that has the request's file open.
sub busy_worker ($child) {
    my $file = request_file($child);
    my $has = sub ($pid) { grep { (readlink $_ // '') eq $file } glob "/proc/$pid/fd/*" };
    return poll_until(sub { (grep { $has->($_) } worker_pids())[0] }, 8);
}

# How often each file is in the log.
sub times_listed ($child) {
    my %times;
    $times{$_}++ for listed($child);
    return \%times;
}

sub all_1800 () { return [map sprintf('/f%04d', $_), 1 .. 1800] }

run_tests();

__DATA__

=== TEST 1: a child without files - gets all, byte for byte, in its version
--- after
write_data('root/a', 'a');
write_data('root/empty', '');
write_data('root/d/e/large', $main::large);
write_data('root/d/hidden/.dot', 'dot');
set_version('root/a', $main::old);
set_version('root/d/e/large', $main::old + 1);
like(provide($main::c1), qr{^HTTP/1.1 202 .*^Content-Type: text/plain\r.*everything.*\Q$main::c1\E\n\z}ms, 'POST');
ok(is_provided($main::c1), 'it is provided');
is(scalar keys tree('root')->%*, 4, 'files');
is_deeply(tree('c1'), tree('root'), 'the child has them');
is_deeply([names("state/missing/$main::c1")], [], 'no file is left in the log');
is_deeply([names('state/provide')], [], 'nor of the request');



=== TEST 2: once more - no body is sent
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'access_log $TEST_NGINX_DATA/c1.log;')
--- after
many(1, 50);
my $asked = sub ($method) { scalar(() = slurp(data_dir() . '/c1.log') =~ /"$method /g) };
for my $n (1, 2) {
    provide($main::c1);
    ok(is_provided($main::c1), "time $n");
    ok(poll_until(sub { $asked->('HEAD') == 50 * $n }), "HEAD of each, time $n");
    is($asked->('PUT'), 50, "PUT, time $n");
}
is_deeply(tree('c1'), tree('root'), 'the child has them');



=== TEST 3: a child that has everything - is asked for each in its version, and gets no body
--- http_config eval: $::scripted
--- after
many(1, 20);
child($ENV{TEST_NGINX_S}, sub ($r) { $r->{method} eq 'HEAD' ? 204 : undef });
provide($main::s);
ok(is_provided($main::s), 'it is provided');
is(scalar requests('HEAD'), 20, 'HEAD');
is(scalar requests('PUT'), 0, 'PUT');
is(scalar sent('HEAD /f0007 ' . version_of('root/f0007') . ' 0'), 1, 'the version');



=== TEST 4: what differs - older is replaced; the same, newer, and what only the child has, stays
--- after
for my $name (qw(same older newer none)) {
    write_data("root/$name", 'from above');
    set_version("root/$name", $main::old);
}
write_data("c1/$_", 'from here') for qw(same older newer extra);
set_version('c1/same', $main::old);
set_version('c1/older', $main::old - 1);
set_version('c1/newer', $main::old + 1);
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is(read_data("c1/$_"), 'from above', $_) for qw(older none);
is(read_data("c1/$_"), 'from here',  $_) for qw(same newer extra);
is(version_of('c1/newer'), $main::old + 1, 'the version of the newer one');



=== TEST 5: names with any bytes - byte for byte
--- after
my @names = ('a b', 'a?b', 'a#b', 'a%b', 'a%41b', "a\nb", "a\r\nb", 'a"b', "a'b", 'a<b>', 'a&amp;b', "\xc3\xa4", "\xff\xfe", 'a+b', 'a;b=c,d',
    'a\\b', "a\tb", 'a:b', "a\x7fb", '..a..', '...', "\xe2\x80\xae", '-rf', '~', '$(x)', "d e/f\ng", 'x' x 255, "\x01", ' ', "d/\xff/ ");
write_data("root/$names[$_]", "content $_") for 0 .. $#names;
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is(scalar keys tree('root')->%*, scalar @names, 'files');
is_deeply(tree('c1'), tree('root'), 'the child has them');



=== TEST 6: a path as long as one can be
--- after
# PATH_MAX is for the root's path too.
my $length = 4000 - length data_dir();
my $path = join '/', ('x' x 200) x ($length / 201);
write_data("root/$path", 'deep');
write_data('root/z', 'z');
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is(read_data("c1/$path"), 'deep', 'the file');
is(read_data('c1/z'), 'z', 'the one after it');



=== TEST 7: a path that is too long for this node - an error, and all the others
--- after
my $base = data_dir();
my @parts = ('x' x 250) x 20;
# Longer than PATH_MAX: made from within.
my $deep = join ' && ', map "mkdir $_ && cd -P $_", @parts;
system("cd '$base/root' && $deep && echo deep > file") == 0 or die 'mkdir';
write_data('root/a', 'a');
write_data('root/z', 'z');
provide($main::c1);
ok(error_log_has(qr{\[error\].* child "\Q$main::c1\E" lacks files: \w+\(\) "\Q$base\E/root/xxx}), 'the error log');    # nginx cuts a long line
ok(is_provided($main::c1), 'it is provided');
is(read_data("c1/$_"), $_, $_) for qw(a z);
system("rm -rf '$base/root'");



=== TEST 8: a directory that the worker may not read - an error, and all the others
--- post_setup_server_root: main::be_nobody()
--- after
write_data("root/$_", $_) for qw(a b/c d);
chmod 0, data_dir() . '/root/b';
provide($main::c1);
my $base = data_dir();
ok(error_log_has(qr{\[error\].* child "\Q$main::c1\E" lacks files: opendir\(\) "\Q$base\E/root/b/?" failed \(13: }), 'the error log');
ok(is_provided($main::c1), 'it is provided');
is(read_data("c1/$_"), $_, $_) for qw(a d);
chmod 0755, "$base/root/b";



=== TEST 9: a root that is not there, as where no disk is mounted - an error
--- after
my $base = data_dir();
rmdir "$base/root" or die $!;
provide($main::c1);
ok(error_log_has(qr{\[error\].* child "\Q$main::c1\E" lacks files: opendir\(\) "\Q$base\E/root/?" failed \(2: }), 'the error log');
ok(is_listed($main::c1), 'it ends');



=== TEST 10: times at the beginning of time, and of the future - what the child takes is there, the rest stays
--- after
write_data("root/$_", $_) for qw(a1970 b1 before future z);
set_version('root/a1970', '0000000000');
set_version('root/b1', '1000000000');
system('touch', '-d', '@-5', data_dir() . '/root/before');
set_version('root/future', int(time + 86400) . '000000000');
provide($main::c1);
ok(is_listed($main::c1), 'all is listed');
ok(poll_until(sub { 1 >= entries($main::c1) }, 10), 'one stays at most');
is(join(' ', listed($main::c1)), '/future', 'which is that of the future');
is(read_data("c1/$_"), $_, $_) for qw(a1970 b1 before z);



=== TEST 11: symbolic links - one to a file is the file, others are left out; so are names of the module's own
--- after
write_data('root/file', 'file');
write_data('root/.filedist.x', 'temporary');
write_data('root/.filedist.d/x', 'reserved');
write_data('elsewhere/x', 'x');
my $root = data_dir() . '/root';
symlink 'file', "$root/link" or die $!;
symlink '../elsewhere', "$root/directory" or die $!;
symlink 'nothing', "$root/dangling" or die $!;
symlink 'itself', "$root/itself" or die $!;
system('mkfifo', "$root/fifo") == 0 or die;
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is_deeply([names('c1')], [qw(file link)], 'what the child has');
is(read_data('c1/link'), 'file', 'the link');



=== TEST 12: no files at all - nothing is listed, and it ends
--- after
make_path(data_dir() . '/root/empty/too');
like(provide($main::c1), qr{^HTTP/1.1 202 }, 'POST');
ok(is_listed($main::c1), 'it ends');
is_deeply([names("state/missing/$main::c1")], [], 'nothing is in the log');
is(child_status($main::c1)->{provisioning}, undef, 'nor is it shown');



=== TEST 13: the log - one line a file, in the order of the paths, that links to it
--- config eval: main::node('filedist_catch_up off;')
--- after
write_data("root/$_", $_) for 'b', 'a/b', 'a.b', 'c d';
set_version('root/b', $main::old);
provide($main::c1);
ok(is_listed($main::c1), 'all is listed');
is(join(' ', listed($main::c1)), '/a.b /a/b /b /c%20d', 'the links');
like((entries($main::c1))[2], qr{^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ PUT <a href="/b">/b</a> $main::old provided<br>\n\z}, 'a line');



=== TEST 14: filedist_catch_up off, wget - fetches everything
--- skip_eval: 4: !grep { -x "$_/wget" } split /:/, $ENV{PATH}
--- config eval: main::node('filedist_catch_up off;')
--- after
many(1, 30);
write_data('root/d/e', $main::large);
provide($main::c1);
ok(is_listed($main::c1), 'all is listed');
my $got = data_dir() . '/got';
system('wget', '-q', '--tries=1', '--timeout=5', '--no-proxy', '--recursive', '--level=2', '-nH', '-N', '-P', $got, 'http://127.0.0.1:' . server_port() . "/__missing__/$main::c1/");
is($?, 0, 'wget');
remove_tree("$got/__missing__");
# It knows whole seconds.
my $seconds = sub ($name) { my $tree = tree($name); s/\.\d+ / / for values %$tree; $tree };
is(scalar keys tree('got')->%*, 31, 'files');
is_deeply($seconds->('got'), $seconds->('root'), 'all is there');



=== TEST 15: two children - only that one gets it
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c1') . main::leaf('c2')
--- after
many(1, 10);
provide($main::c2);
ok(is_provided($main::c2), 'it is provided');
is(scalar names('c2'), 10, 'the child');
is(scalar names('c1'), 0, 'the other one');
is(scalar log_files($main::c1), 0, 'nor has it a log');



=== TEST 16: a child with children of its own - they get what it did not have
--- http_config eval
main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::upstream('below', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c2') . <<'END'
server {
    listen 127.0.0.1:$TEST_NGINX_C1;
    filedist_state $TEST_NGINX_DATA/c1-state;
    filedist_name c1;
    location / { filedist on; root $TEST_NGINX_DATA/c1; proxy_pass http://below; }
}
END
--- after
many(1, 20);
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is_deeply(tree('c1'), tree('root'), 'the child has them');
ok(poll_until(sub { 20 == names('c2') }, 8), 'its child too');
is_deeply(tree('c2'), tree('root'), 'all of them');



=== TEST 17: several locations - only the files of those that lead to the child
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- dirs: other third
--- config eval
main::node() . <<'END'
location /b/ { filedist on; root $TEST_NGINX_DATA/other; proxy_pass http://others; }
location /c/ { filedist on; alias $TEST_NGINX_DATA/third/; proxy_pass http://children; }
location /d/ { filedist off; root $TEST_NGINX_DATA/root; }
location /e/ { filedist on; root $TEST_NGINX_DATA/root; }
location /f/ { return 200 f; }
location = /g { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
location = /h { filedist on; alias $TEST_NGINX_DATA/third/exact; proxy_pass http://children; }
END
--- after
write_data("root/$_", $_) for qw(a b/covered c/covered d/off e/alone f/returned g h/covered);
write_data("other/$_", $_) for qw(b/1 elsewhere);
write_data("third/$_", $_) for qw(2 d/3 exact);
my $get = sub ($name) { sub ($r) { write_data("$name-" . $r->{path} =~ s{/}{_}gr, $r->{body}) if $r->{method} eq 'PUT'; undef } };
child($ENV{TEST_NGINX_S}, $get->('s'));
child($ENV{TEST_NGINX_T}, $get->('t'));
provide($_) for $main::s, $main::t;
ok(is_provided($_), 'it is provided') for $main::s, $main::t;
is(join(' ', sort(glob data_dir() . '/[st]-*')) =~ s{\Q@{[data_dir()]}\E/}{}gr, 's-_a s-_c_2 s-_c_d_3 s-_c_exact s-_h s-_h_covered t-_b_1 t-_g', 'who gets what');
is(read_data('s-_c_d_3'), 'd/3', 'by alias');
is(read_data('s-_h'), 'exact', 'an exact one');



=== TEST 18: a location by regular expression that leads to other children - its files are not listed
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- config eval
main::node() . <<'END'
location ~ \.x$ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
END
--- after
write_data("root/$_", $_) for qw(a b.x d/c.x);
child($ENV{TEST_NGINX_S});
provide($main::s);
ok(is_provided($main::s), 'it is provided');
is(join(' ', requests('PUT')), 'PUT /a', 'what was sent');
is(join('', entries()), '', 'nothing stays in the log');



=== TEST 19: the server's own location, without any - leads to no child
--- config
    filedist_state $TEST_NGINX_DATA/state;
    root $TEST_NGINX_DATA/root;
    filedist on;
    filedist_catch_up on;
    location = /alive { return 204; }
    location /c/ { filedist on; proxy_pass http://children; }
    location /__missing__/ { filedist_missing manage; }
--- after
write_data("root/$_", $_) for qw(a c/b);
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is(join(' ', sort keys tree('c1')->%*), 'c/b', 'what the child has');



=== TEST 20: a child that is away - the entries stay until it is back
--- http_config eval: $::linked
--- after
many(1, 60);
like(provide($main::l), qr{^HTTP/1.1 202 }, 'POST');
ok(is_listed($main::l), 'all is listed');
ok(until_status($main::l, sub ($c) { $c->{missing}{entries} == 60 && !$c->{up} && defined $c->{up} }), 'what it lacks');
my $bytes = 0;
$bytes += -s data_dir() . "/root/$_" for names('root');
ok(until_status($main::l, sub ($c) { $c->{missing}{bytes} == $bytes }), 'and how much') or diag(child_status($main::l)->{missing}{bytes}, " for $bytes");
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
ok(is_drained($main::l, 20), 'it gets it');
is_deeply(tree('c1'), tree('root'), 'all of it');
ok(until_status($main::l, sub ($c) { !$c->{missing}{entries} && !$c->{missing}{bytes} && $c->{up} }), 'nothing is missing');



=== TEST 21: two workers, progress - as the status says
--- config eval: main::node('filedist_catch_up off;')
--- after
many(1, 3000);
my ($log, $between);
# Of six steps at least; with luck one of them can be looked at.
for (1 .. 10) {
    $log = hold($main::c1);
    my $before = int(time * 1000);
    provide($main::c1);
    ok(-e request_file($main::c1), 'the request');
    my $now = until_status($main::c1, sub ($c) { $c->{provisioning} && $c->{provisioning}{since} >= $before });
    is($now->{provisioning}{listed}, 0, 'nothing is listed yet');
    cmp_ok($now->{provisioning}{since}, '<=', time * 1000 + 1, 'since when, in milliseconds');
    ok(poll_until(sub {
        flock $log, LOCK_UN;
        sleep 0.0005;
        flock $log, LOCK_EX or die $!;
        return -s $log;
    }, 8), 'a step');
    $between = listed($main::c1);
    last if $between < 3000;
    close $log;
    is_listed($main::c1);
    provide($main::c1, 'DELETE');
}
cmp_ok($between, '<', 3000, 'it is under way');
ok(until_status($main::c1, sub ($c) { $c->{provisioning} && $c->{provisioning}{listed} == $between }), 'what is listed now');
ok(until_status($main::c1, sub ($c) { $c->{missing}{entries} == $between }), 'that is missing');
ok(poll_until(sub { slurp(request_file($main::c1)) eq (listed($main::c1))[-1] . "\n" }), 'the request has the path that came last');
close $log;
ok(is_listed($main::c1), 'all is listed');
ok(until_status($main::c1, sub ($c) { !defined $c->{provisioning} && $c->{missing}{entries} == 3000 }), 'it is over');



=== TEST 22: two workers, both are killed in the middle - the next ones go on from there
--- allow_log: alert
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(busy_worker($main::c1), 'a worker does it');
ok(kill_worker(), 'killed');
close $main::held;
ok(is_listed($main::c1), 'all is listed');
my $times = times_listed($main::c1);
is_deeply([sort keys %$times], all_1800(), 'each file');
is_deeply([grep { $times->{$_} > 1 } sort keys %$times], [], 'none twice');



=== TEST 23: two workers, the one that does it is killed - the other one goes on
--- allow_log: alert
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(my $busy = busy_worker($main::c1), 'a worker does it');
kill KILL => $busy;
ok(poll_until(sub { !-e "/proc/$busy" }), 'killed');
close $main::held;
ok(is_listed($main::c1), 'all is listed');
is_deeply([sort keys times_listed($main::c1)->%*], all_1800(), 'each file');



=== TEST 24: two workers, killed again and again - in the end the child has everything
--- allow_log: alert
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0') . main::leaf('c1')
--- after
many(1, 1500);
provide($main::c1);
for (1 .. 4) {
    sleep 0.2;
    ok(kill_worker(), 'killed');
}
ok(is_provided($main::c1, 40), 'it is provided');
is_deeply(tree('c1'), tree('root'), 'the child has everything');



=== TEST 25: two workers, a reload in the middle - the new ones go on
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(my $busy = busy_worker($main::c1), 'a worker does it');
ok(reload(), 'reload');
close $main::held;
ok(poll_until(sub { !-e "/proc/$busy" }, 8), 'it has ended');
ok(is_listed($main::c1), 'all is listed');
my $times = times_listed($main::c1);
is_deeply([sort keys %$times], all_1800(), 'each file');
is_deeply([grep { $times->{$_} > 1 } sort keys %$times], [], 'none twice');



=== TEST 26: a request that nginx finds at its start - goes on behind the path in it
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root
package main;
many(1, 10);
write_data("root/f0005 a\n", 'x');
write_data("state/provide/$main::c1", "/f0005%20a%0A\n");
--- after
ok(is_listed($main::c1), 'it ends');
is(join(' ', listed($main::c1)), join(' ', map sprintf('/f%04d', $_), 6 .. 10), 'what is listed');



=== TEST 27: a request that is torn, or is none - all begins anew
--- http_config eval: main::upstream(map "127.0.0.1:\$TEST_NGINX_$_", qw(C1 C2 S T))
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root
package main;
many(1, 3);
write_data("state/provide/$main::c1", '/f0002');
write_data("state/provide/$main::c2", "/f%zz\n");
write_data("state/provide/$main::s",  "\xff\0garbage\n" x 1000);
write_data("state/provide/$main::t",  '');
--- after
for my $child ($main::c1, $main::c2, $main::t) {
    ok(is_listed($child), 'it ends');
    is(join(' ', listed($child)), '/f0001 /f0002 /f0003', 'what is listed');
}
ok(is_listed($main::s), 'garbage ends too');



=== TEST 28: two workers, POST while an earlier one is under way - all is listed again
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(busy_worker($main::c1), 'a worker does it');
# It waits until what is being listed is in the log.
my $post = client();
$post->printflush("POST /__missing__/$main::c1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
sleep 0.3;
close $main::held;
like(answer($post), qr{^HTTP/1.1 202 }, 'once more');
ok(is_listed($main::c1), 'all is listed');
my $times = times_listed($main::c1);
is_deeply([sort keys %$times], all_1800(), 'each file');
is_deeply([grep { $times->{$_} < 2 } map sprintf('/f%04d', $_), 1 .. 500], [], 'and those that were listed before, once more');



=== TEST 29: DELETE - drops the log, and nothing is sent
--- http_config eval: $::linked
--- after
many(1, 700);
provide($main::l);
ok(is_listed($main::l), 'all is listed');
ok(scalar log_files($main::l), 'a log');
like(provide($main::l, 'DELETE'), qr{^HTTP/1.1 200 .*^Content-Type: text/plain\r.*\Q$main::l\E.* dropped\n\z}ms, 'DELETE');
is(scalar log_files($main::l), 0, 'it is gone');
ok(until_status($main::l, sub ($c) { !$c->{missing}{entries} && !$c->{missing}{bytes} && !defined $c->{missing}{oldest} }), 'nothing is missing');
# An attempt that had read the log before has failed.
sleep 0.3;
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1});
like(ask('PUT', '/new', 'x'), qr/^success: c1/m, 'the child is back');
sleep 1.2;
is_deeply([names('c1')], ['new'], 'and has got nothing of it');



=== TEST 30: two workers, DELETE while everything is being listed - ends that, and drops what was
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(busy_worker($main::c1), 'a worker does it');
my $delete = client();
$delete->printflush("DELETE /__missing__/$main::c1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
sleep 0.3;
close $main::held;
like(answer($delete), qr{^HTTP/1.1 200 }, 'DELETE');
ok(!-e request_file($main::c1), 'the request is gone');
sleep 0.5;
is(scalar listed($main::c1), 0, 'nothing is in the log');
is(child_status($main::c1)->{provisioning}, undef, 'nor is it under way');
is(child_status($main::c1)->{missing}{entries}, 0, 'nothing is missing');
like(provide($main::c1), qr{^HTTP/1.1 202 }, 'POST');
ok(is_listed($main::c1), 'it ends');
is_deeply([listed($main::c1)], all_1800(), 'all is listed');



=== TEST 31: DELETE of what is not there - the same
--- after
like(provide($main::c1, 'DELETE'), qr{^HTTP/1.1 200 }, 'DELETE');
is_deeply([names('state/missing')], [], 'nothing is made');



=== TEST 32: DELETE drops what the child has missed - all days
--- http_config eval: $::scripted
--- post_setup_server_root
package main;
seed_log($main::s, '2026-11-20', entry('PUT', '/a', $main::old));
seed_log($main::s, entry('DELETE', '/b', $main::old));
--- after
like(provide($main::s, 'DELETE'), qr{^HTTP/1.1 200 }, 'DELETE');
is(scalar log_files(), 0, 'no day is left');
# An attempt that had read the log before has failed.
sleep 0.3;
child($ENV{TEST_NGINX_S});
sleep 1.2;
is(scalar requests('PUT') + requests('DELETE'), 0, 'nothing is sent');



=== TEST 33: without "manage" - 405, and which methods there are
--- config eval: main::node('', 'filedist_missing;')
--- after
many(1, 3);
for my $method (qw(POST DELETE PUT)) {
    like(provide($main::c1, $method), qr{^HTTP/1.1 405 .*^Allow: GET, HEAD\r}ms, $method);
}
like(ask('POST', "/__missing__/$main::c1/", 'a body'), qr{^HTTP/1.1 405 }, 'with a body');
is_deeply([names('state/provide')], [], 'no request');
is(scalar entries(), 0, 'no entry');



=== TEST 34: with "manage", another method - 405, and which methods there are
--- after
for my $method (qw(PUT OPTIONS PATCH MKCOL)) {
    like(provide($main::c1, $method), qr{^HTTP/1.1 405 .*^Allow: GET, HEAD, POST, DELETE\r}ms, $method);
}



=== TEST 35: no such child - 404, and nothing is made
--- after
seed_log('127.0.0.1:9', entry('PUT', '/a', $main::old));
for my $name ('', '127.0.0.1:9/', 'x/', "$main::c1/2026-11-22.log.html", "$main::c1//x", "x/$main::c1/", "$main::c1/../x/", '%FF%0A/') {
    like(ask($_, "/__missing__/$name"), qr{^HTTP/1.1 404 .*^error: no such child}ms, "$_ $name") for qw(POST DELETE);
}
is_deeply([names('state/provide')], [], 'no request');
is(scalar entries('127.0.0.1:9'), 1, 'the log of one that is none stays');
ok(-d data_dir() . '/state/journal', 'so does the journal');



=== TEST 36: without the slash, with arguments, with a body - the same
--- after
many(1, 3);
like(ask('POST', "/__missing__/$main::c1"), qr{^HTTP/1.1 202 }, 'without the slash');
ok(is_provided($main::c1), 'it is provided');
unlink glob data_dir() . '/c1/*';
like(ask('POST', "/__missing__/$main::c1/?x=y", 'a=b&' x 5000), qr{^HTTP/1.1 202 }, 'with a body');
ok(is_provided($main::c1), 'it is provided');
is(scalar names('c1'), 3, 'files');



=== TEST 37: a body, and another request on the same connection
--- after
my $socket = client();
my $body = 'x' x 100_000;
$socket->printflush("POST /__missing__/$main::c1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${body}GET /alive HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my $got = '';
while ($got !~ / 204 / && length(my $more = answer($socket, 3))) { $got .= $more }
like($got, qr{^HTTP/1.1 202 .*^HTTP/1.1 204 }ms, 'both are answered');



=== TEST 38: limit_except GET { deny all; } - for POST and DELETE, GET is left alone
--- config eval: main::node('', 'filedist_missing manage; limit_except GET { deny all; }')
--- after
many(1, 3);
like(provide($main::c1, $_), qr{^HTTP/1.1 403 }, $_) for qw(POST DELETE PUT);
like(ask('GET', '/__missing__/'), qr{^HTTP/1.1 200 }, 'GET');
sleep 0.3;
is_deeply([names('state/provide')], [], 'no request');
is(scalar names('c1'), 0, 'nothing is sent');
--- error_log
access forbidden by rule



=== TEST 39: limit_except GET { allow ...; } - for POST and DELETE
--- config eval: main::node('', 'filedist_missing manage; limit_except GET { allow 127.0.0.1; deny all; } deny all;')
--- after
many(1, 3);
like(provide($main::c1), qr{^HTTP/1.1 202 }, 'POST');
ok(is_provided($main::c1), 'it is provided');
is(scalar names('c1'), 3, 'files');
like(provide($main::c1, 'DELETE'), qr{^HTTP/1.1 200 }, 'DELETE');
like(ask('GET', '/__missing__/'), qr{^HTTP/1.1 403 }, 'GET');
--- error_log
access forbidden by rule



=== TEST 40: a location without a slash at its end - the same
--- config eval: main::node() . 'location /m { filedist_missing manage; }'
--- after
many(1, 3);
like(ask('POST', "/m/$main::c1/"), qr{^HTTP/1.1 202 }, 'POST');
ok(is_provided($main::c1), 'it is provided');
is(scalar names('c1'), 3, 'files');
like(ask('DELETE', "/m/$main::c1/"), qr{^HTTP/1.1 200 }, 'DELETE');



=== TEST 41: a child at a unix socket - by the path of its log
--- http_config eval: main::upstream('unix:$TEST_NGINX_DATA/s') . main::leaf('c1', 'unix:$TEST_NGINX_DATA/s')
--- after
many(1, 3);
my $child = 'unix:' . data_dir() . '/s';
my $directory = $child =~ s{/}{%2F}gr;
my $link = $directory =~ s/%/%25/gr;
like(ask('POST', "/__missing__/$link/"), qr{^HTTP/1.1 202 }, 'POST');
ok(is_provided($directory), 'it is provided');
is(scalar names('c1'), 3, 'files');
like(ask('DELETE', "/__missing__/$link/"), qr{^HTTP/1.1 200 }, 'DELETE');



=== TEST 42: a child of two locations, and of two upstreams - each file once
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_S')
--- config eval: main::node() . 'location /b/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }'
--- after
write_data("root/$_", $_) for qw(a b/c);
child($ENV{TEST_NGINX_S});
provide($main::s);
ok(is_provided($main::s), 'it is provided');
is(join(' ', sort(requests('PUT'))), 'PUT /a PUT /b/c', 'what was sent');



=== TEST 43: files that come and change while the child gets the others - it has the newest
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0') . main::leaf('c1')
--- after
many(1, 600);
provide($main::c1);
for my $n (1 .. 20) {
    like(ask('PUT', sprintf('/f%04d', $n * 30), "newer $n"), qr/^success: c1\S* stored/m, "PUT $n");
    ask('DELETE', sprintf '/f%04d', $n * 30 - 1);
}
ok(is_provided($main::c1), 'it is provided');
is(scalar names('c1'), 580, 'files');
is_deeply(tree('c1'), tree('root'), 'the child has the same');



=== TEST 44: the directory of requests is gone - an error that says so
--- after
many(1, 3);
my $directory = data_dir() . '/state/provide';
rmdir $directory or die $!;
like(provide($main::c1), qr{^HTTP/1.1 500 .*^error: \S+}ms, 'the answer');
ok(error_log_has(qr{\[error\].* open\(\) "\Q$directory/$main::c1\E" failed \(2: }), 'the error log');
is(scalar entries(), 0, 'nothing is listed');



=== TEST 45: the worker may not write the directory of requests - an error that says so
--- post_setup_server_root: main::be_nobody()
--- after
many(1, 3);
my $directory = data_dir() . '/state/provide';
chmod 0555, $directory;
chown 0, 0, $directory if !$>;
my $answer = provide($main::c1);
like($answer, qr{^HTTP/1.1 403 .*^error: this node may not write there\n\z}ms, 'the answer');
ok(error_log_has(qr{\[error\].* open\(\) "\Q$directory/$main::c1\E" failed \(13: }), 'the error log');
is(scalar entries(), 0, 'nothing is listed');
chmod 0755, $directory;



=== TEST 46: a directory where the request should be - an error that says so, and the worker is not busy with it
--- allow_log: crit
--- after
many(1, 3);
my $directory = data_dir() . "/state/provide/$main::c1";
make_path($directory);
my $answer = provide($main::c1);
like($answer, qr{^HTTP/1.1 [45]\d\d .*^error: \S+}ms, 'the answer');
ok(error_log_has(qr{\[(error|crit)\].* open\(\) "\Q$directory\E" failed \(21: }), 'the error log');
like(provide($main::c1, 'DELETE'), qr{^HTTP/1.1 [45]\d\d .*^error: \S+}ms, 'DELETE');
sleep 2;
my $lines = () = slurp(server_root() . '/logs/error.log') =~ m{failed \(21: }g;
cmp_ok($lines, '<=', 8, 'lines of the error log');
# A worker that is still there when the next block begins would say so again.
rmdir $directory or die $!;



=== TEST 47: the disk is full in the middle - it goes on when there is room
--- allow_log: crit
--- post_setup_server_root
package main;
$main::small = small_disk('state', '200k');
--- config eval: main::node('filedist_catch_up off;')
--- after
SKIP: {
    skip 'cannot mount', 5 if !$main::small;
    many(1, 1800);
    write_data('state/big', 'x' x 100_000);
    provide($main::c1);
    ok(error_log_has(qr{\[error\].* providing child "\Q$main::c1\E" stopped: .* failed \(28: }), 'the error log');
    ok(-e request_file($main::c1), 'the request is there');
    unlink data_dir() . '/state/big';
    system('mount', '-o', 'remount,size=10m', data_dir() . '/state') == 0 or die 'remount';
    ok(is_listed($main::c1), 'all is listed');
    my %seen;
    $seen{$_}++ for listed($main::c1);
    is(scalar keys %seen, 1800, 'each file');
}



=== TEST 48: aio threads - the same
--- skip_eval: 4: `$Test::Nginx::Util::NginxBinary -V 2>&1` !~ /--with-threads/ && `@{[ $ENV{TEST_NGINX_BINARY} // 'nginx' ]} -V 2>&1` !~ /--with-threads/
--- http_config eval: 'aio threads;' . $::one
--- after
many(1, 1200);
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is_deeply(tree('c1'), tree('root'), 'the child has them');
is(scalar names('c1'), 1200, 'all of them');



=== TEST 49: filedist_fsync on - the same
--- config eval: main::node('filedist_fsync on;')
--- after
many(1, 30);
provide($main::c1);
ok(is_provided($main::c1), 'it is provided');
is_deeply(tree('c1'), tree('root'), 'the child has them');



=== TEST 50: several locations - no more is listed than what is sent
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- dirs: third
--- config eval
main::node('filedist_catch_up off;') . <<'END'
location /b/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
location /c/ { filedist on; alias $TEST_NGINX_DATA/third/; proxy_pass http://children; }
location /d/ { filedist off; root $TEST_NGINX_DATA/root; }
location /e/ { filedist on; root $TEST_NGINX_DATA/root; }
END
--- after
write_data("root/$_", $_) for qw(a b/1 c/covered d/off e/alone z);
write_data('third/2', 2);
provide($_) for $main::s, $main::t;
ok(is_listed($_), 'it ends') for $main::s, $main::t;
is(join(' ', listed($main::s)), '/a /c/2 /z', 'one child');
is(join(' ', listed($main::t)), '/b/1', 'the other one');



=== TEST 51: two workers, a reload in the middle, and the old worker is killed - the new ones go on
--- allow_log: alert
--- config eval: main::node('filedist_catch_up off;')
--- post_setup_server_root: main::in_the_middle()
--- init: main::busy_worker($main::c1)
--- after
ok(my $busy = busy_worker($main::c1), 'a worker does it');
ok(reload(), 'reload');
# They look each second.
sleep 1.2;
kill KILL => $busy;
ok(poll_until(sub { !-e "/proc/$busy" }, 8), 'it has ended');
close $main::held;
ok(is_listed($main::c1), 'all is listed');
is_deeply([sort keys times_listed($main::c1)->%*], all_1800(), 'each file');
