# Reloads: the configuration changes under uploads and deliveries, and nothing is lost.

use v5.36;
use Filedist;
use Filedist::Tree qw(leaf slurp);

use Time::HiRes qw(sleep time);

plan skip_all => 'valgrind hides the title that tells a worker' if $ENV{TEST_NGINX_USE_VALGRIND};
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
master_on();
workers(2);
worker_connections(256);

$ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2);

add_block_preprocessor(sub ($block) {
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    $block->set_value(http_config => leaf('c1') . leaf('c2') . <<~'END') if !defined $block->http_config;
        upstream children {
            server 127.0.0.1:$TEST_NGINX_C1;
            server 127.0.0.1:$TEST_NGINX_C2;
            filedist_fanout;
            keepalive 4;
        }
        END
    $block->set_value(config => <<~'END') if !defined $block->config;
        filedist_state $TEST_NGINX_DATA/state;
        filedist_name root;
        location = /alive { return 204; }
        location / {
            filedist on;
            root $TEST_NGINX_DATA/root;
            client_max_body_size 0;
            proxy_pass http://children;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
        END
});

sub conf_file ()  { return server_root() . '/conf/nginx.conf' }
sub master ()     { return slurp(server_root() . '/logs/nginx.pid') =~ s/\s+//gr }
sub processes ()  { return grep { slurp("/proc/$_/cmdline") =~ /worker process/ } split ' ', slurp('/proc/' . master() . '/task/' . master() . '/children') }

# Reloads, and waits until two new workers are up. Those of before may still be busy.
sub reload () {
    my %old = map { $_ => 1 } processes();
    kill HUP => master();
    return poll_until(sub { 2 <= grep { !$old{$_} } processes() }, 5);
}

# A connection that is refused or closed without an answer was accepted by nobody: once more.
sub put ($path, $body, $pause = 0) {
    for (1 .. 5) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 5) or next;
        my $half = int length($body) / 2;
        syswrite $socket, "PUT $path HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n" . substr $body, 0, $half;
        sleep $pause if $pause;
        syswrite $socket, substr $body, $half;
        my $got = '';
        while (1) {
            vec(my $bits = '', fileno $socket, 1) = 1;
            last if !select($bits, undef, undef, 10) || !sysread $socket, $got, 65536, length $got;
        }
        return $got if length $got;
    }
    return '';
}

# Runs the code in so many processes at once, each with its number, and returns what they return.
sub at_once ($count, $code, $meanwhile) {
    my @pids;
    for my $n (1 .. $count) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
            write_data("result/$n", $code->($n));
            POSIX::_exit(0);
        }
        push @pids, $pid;
    }
    $meanwhile->();
    waitpid $_, 0 for @pids;
    return map { read_data("result/$_") // '' } 1 .. $count;
}

sub missing_log () {
    my @files = glob data_dir() . '/state/missing/*/*.log.html';
    return join '', map { slurp($_) } @files;
}

run_tests();

__DATA__

=== TEST 1: puts while nginx reloads again and again - each is answered, and on every node
--- after
my @results = at_once(4, sub ($client) {
    my $good = 0;
    for my $n (1 .. 60) {
        my $answer = put("/$client/$n", "$client $n " . 'x' x ($n * 500));
        $good++ if $answer =~ m{\AHTTP/1\.1 201 } && 3 == (() = $answer =~ /^success: /mg);
        sleep 0.01;
    }
    return $good;
}, sub { reload() for 1 .. 6 });
is("@results", '60 60 60 60', 'each has a receipt of three nodes');
for my $node (qw(root c1 c2)) {
    my $whole = grep { my ($client, $n) = split '/'; (read_data("$node/$_") // '') eq "$client $n " . 'x' x ($n * 500) }
        map { my $client = $_; map "$client/$_", 1 .. 60 } 1 .. 4;
    is($whole, 240, "all are whole on $node");
}
is(missing_log(), '', 'nothing is missing');
--- timeout: 20



=== TEST 2: slow puts while nginx reloads - each goes on with its worker
--- after
my @results = at_once(6, sub ($client) {
    return put("/$client", "$client" x 200_000, 1) =~ m{\AHTTP/1\.1 201 .*^success: root.*^success: c1.*^success: c2}ms ? 'good' : 'bad';
}, sub { sleep 0.2; reload() for 1 .. 3 });
is("@results", 'good ' x 5 . 'good', 'each has a receipt of three nodes');
for my $client (1 .. 6) {
    is(read_data("$_/$client") // '', $client x 200_000, "$client is whole on $_") for qw(root c1 c2);
}
is(missing_log(), '', 'nothing is missing');



=== TEST 3: a child that is added - has what is put from then on
--- http_config eval: main::leaf('c1') . main::leaf('c2') . 'upstream children { server 127.0.0.1:$TEST_NGINX_C1; filedist_fanout; }'
--- after
like(put('/before', 'hello'), qr/^success: c1/m, 'before');
my $conf = slurp(conf_file());
$conf =~ s/(server 127\.0\.0\.1:$ENV{TEST_NGINX_C1};)( filedist_fanout)/$1 server 127.0.0.1:$ENV{TEST_NGINX_C2};$2/ or fail('change');
open my $out, '>', conf_file() or die $!;
print $out $conf;
close $out;
ok(reload(), 'reload');
poll_until(sub { 2 == processes() }, 3);
like(put('/after', 'hello'), qr/^success: c1.*^success: c2/ms, 'after');
is(read_data('c2/after'), 'hello', 'the new child');



=== TEST 4: a child that is taken out - is sent no more
--- after
like(put('/before', 'hello'), qr/^success: c1.*^success: c2/ms, 'before');
my $conf = slurp(conf_file());
$conf =~ s/^\s*server 127\.0\.0\.1:$ENV{TEST_NGINX_C2};$//m or fail('change');
open my $out, '>', conf_file() or die $!;
print $out $conf;
close $out;
ok(reload(), 'reload');
poll_until(sub { 2 == processes() }, 3);
unlike(put('/after', 'hello'), qr/^success: c2/m, 'after');
is(read_data('c2/after'), undef, 'the child that is none any more');



=== TEST 5: filedist_zone of another size - the reload works
--- after
my $conf = slurp(conf_file());
$conf =~ s/^http \{$/http { filedist_zone 1m;/m or fail('change');
open my $out, '>', conf_file() or die $!;
print $out $conf;
close $out;
ok(reload(), 'reload');
poll_until(sub { 2 == processes() }, 3);
like(put('/after', 'hello'), qr/\AHTTP\/1\.1 201 .*^success: c1.*^success: c2/ms, 'after');



=== TEST 6: a configuration that cannot work - the old one goes on
--- after
my $conf = slurp(conf_file());
open my $out, '>', conf_file() or die $!;
print $out $conf =~ s/filedist_fanout;//r;
close $out;
my @before;
ok(poll_until(sub { 2 == (@before = processes()) }), 'two workers');
kill HUP => master();
ok(poll_until(sub { slurp(server_root() . '/logs/error.log') =~ /\[emerg\].*filedist_fanout/ }), 'the log says why');
sleep 0.1;
is_deeply([sort(processes())], [sort @before], 'the workers are the same');
like(put('/after', 'hello'), qr/\AHTTP\/1\.1 201 .*^success: c1.*^success: c2/ms, 'and work');
open $out, '>', conf_file() or die $!;
print $out $conf;
close $out;
--- allow_log: emerg



=== TEST 7: fifteen reloads - no worker and no descriptor stays behind
--- after
put('/first', 'hello');
my $descriptors = sub {
    opendir my $handle, '/proc/' . master() . '/fd';
    return scalar grep { !/^\./ } readdir $handle;
};
reload();
ok(poll_until(sub { 2 == processes() }, 5), 'two workers');
my $before = $descriptors->();
for my $n (1 .. 15) {
    put("/$n", 'hello');
    reload();
}
ok(poll_until(sub { 2 == processes() }, 5), 'two workers');
# The master closes its channel to a worker when it has seen the worker's end.
ok(poll_until(sub { $descriptors->() <= $before }, 5), 'no more descriptors of the master than before');
is(scalar(grep { (read_data("c1/$_") // '') eq 'hello' } 1 .. 15), 15, 'all files are on a child');



=== TEST 8: workers of before and after a reload at once, one path - the newest is on every node
--- after
my @results = at_once(4, sub ($client) {
    put('/same', "$client $_ " . 'x' x 3000) for 1 .. 25;
    return 'done';
}, sub { reload() for 1 .. 4 });
is("@results", 'done done done done', 'all are through');
my $newest = read_data('root/same');
like($newest, qr/\A\d \d+ x{3000}\z/, 'whole');
is(read_data("$_/same"), $newest, "the same on $_") for qw(c1 c2);
