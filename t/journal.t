# The journal: what a worker has in hand is on the disk before it is done, and outlives the worker.

use v5.36;
use Filedist;
use Filedist::Tree;

use Time::HiRes qw(sleep time);

plan skip_all => 'valgrind hides the title that tells a worker' if $ENV{TEST_NGINX_USE_VALGRIND};
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(256);

# Of each block others: after a reload the worker of the block before may still have something for
# its children.
our ($s, $t);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 S T L);
    ($s, $t) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(S T);
}
new_ports();

our $two = upstream('127.0.0.1:$TEST_NGINX_S max_fails=0', '127.0.0.1:$TEST_NGINX_T max_fails=0');

sub node ($server = 'filedist_catch_up off;') {
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
        END
}

our $large = join '', map sprintf("%015d\n", $_), 1 .. 100_000;
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

sub journals ($state = 'state') { return map { data_dir() . "/$state/journal/$_" } names("$state/journal") }

# The lines of intents that are open.
sub open_intents ($state = 'state') { return grep { !/^#/ } map { split /^/, slurp($_) } journals($state) }

# A request whose answer nobody waits for.
sub begin ($method, $path, $body = undef, @headers) {
    my $socket = client();
    push @headers, 'Content-Length: ' . length $body if defined $body && !grep {/^Content-Length/} @headers;
    $socket->printflush(join "\r\n", "$method $path HTTP/1.1", 'Host: x', @headers, '', $body // '');
    return $socket;
}

sub unprivileged () { return $> || $ENV{TEST_NGINX_WORKER_USER} }

# A file system with so little room, mounted on a directory of the block; false where that cannot be.
my @mounted;
sub small_disk ($name, $size) {
    my $directory = data_dir() . "/$name";
    mkdir $directory;
    system("mount -t tmpfs -o size=$size,mode=0777 filedist-test $directory 2>/dev/null") == 0 or return;
    push @mounted, $directory;
}
add_test_cleanup_handler(sub (@) { system('umount', '-l', $_) for splice @mounted });

run_tests();

__DATA__

=== TEST 1: nothing under way - one empty file for the worker
--- after
is(scalar journals(), 1, 'a file');
is(join('', map { slurp($_) } journals()), '', 'empty');
like((names('state/journal'))[0], qr/^\d+-[0-9a-f]+$/, 'named after the worker');



=== TEST 2: while a child hangs - the intent is there, and cat shows it
--- after
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a%20b/%FF%0A%25', 'hello', "Filedist-Version: $main::old");
ok(poll_until(sub { requests('PUT') }), 'the child is asked');
is(join('', open_intents()), "$main::old PUT /a%20b/%FF%0A%25 children\n", 'the line');
is(sprintf('%o', (stat((journals())[0]))[2] & 0777), '644', 'its mode');



=== TEST 3: while a child hangs, DELETE
--- after
hang($ENV{TEST_NGINX_S});
my $delete = begin('DELETE', '/a', undef, "Filedist-Version: $main::old");
ok(poll_until(sub { requests('DELETE') }), 'the child is asked');
is_deeply([open_intents()], ["$main::old DELETE /a children\n"], 'the line');



=== TEST 4: a large body that still arrives - no intent yet; when the file is published, one
--- after
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', substr($main::large, 0, 1_000_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { glob data_dir() . '/requests' }), 'the child is asked');
is_deeply([open_intents()], [], 'none');
$put->printflush(substr $main::large, 1_000_000);
ok(poll_until(sub { -e data_dir() . '/root/a' }), 'the file is there');
is(scalar open_intents(), 1, 'one');



=== TEST 5: all children have answered - nothing is open in the journal
--- after
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
ask('PUT', "/$_", 'x') for 1 .. 5;
ask('DELETE', '/1');
is_deeply([open_intents()], [], 'nothing is open');



=== TEST 6: a child has failed - its line is in the missing log, nothing is open in the journal
--- after
ask('PUT', '/a', 'x');
is(scalar entries(), 2, 'two lines');
is_deeply([open_intents()], [], 'nothing is open');



=== TEST 7: several under way, one ends - the others stay
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { poll_until(sub { -e data_dir() . "/go$r->{path}" }, 20); undef });
my @puts = map begin('PUT', "/$_", 'x'), 1 .. 3;
ok(poll_until(sub { 3 == requests('PUT') }), 'three');
is(scalar open_intents(), 3, 'three lines');
write_data('go/2', '');
like(answer($puts[1]), qr/^HTTP\/1.1 201/, 'one ends');
is_deeply([map { (split)[2] } open_intents()], ['/1', '/3'], 'two are left');
like(join('', map { slurp($_) } journals()), qr/^#\d+ PUT \/2 children\n/m, 'the line of the other is cleared in its place');
write_data("go/$_", '') for 1, 3;
answer($_) for @puts[0, 2];
is_deeply([open_intents()], [], 'nothing is open');



=== TEST 8: many changes beside one that hangs - the journal stays small
--- http_config eval: 'client_body_buffer_size 64k;' . $::two
--- after
child($ENV{TEST_NGINX_S}, sub ($r) { sleep 60 if $r->{path} eq '/slow'; undef });
child($ENV{TEST_NGINX_T});
my $slow = begin('PUT', '/slow', 'x');
ok(poll_until(sub { requests('PUT') >= 1 }), 'it hangs');
ask('PUT', '/' . 'long' x 50 . "/$_", 'x') for 1 .. 600;
my $size = 0;
$size += -s for journals();
cmp_ok($size, '<', (64 + 16 + 1) * 1024, 'bytes');    # one that is long, and one of less than SHORT (src/journal.rs)
is_deeply([map { (split)[2] } open_intents()], ['/slow'], 'what is open');



=== TEST 9: worker killed (-9) during deliveries - each child that may lack the change has a line
--- allow_log: alert
--- after
child($ENV{TEST_NGINX_S});
hang($ENV{TEST_NGINX_T});
my $put    = begin('PUT', '/a%20b', 'x', "Filedist-Version: $main::old");
my $delete = begin('DELETE', '/c', undef, "Filedist-Version: $main::old");
ok(poll_until(sub { 4 == requests() }), 'under way');
is(scalar entries(), 0, 'nothing is missing yet');
ok(kill_worker(), 'killed');
ok(poll_until(sub { 4 == entries() }), 'four lines') or diag(entries());
for my $child ($main::s, $main::t) {
    my ($put, $delete) = sort { length $b <=> length $a } entries($child);
    like($put, qr{Z PUT <a href="/a%20b">/a b</a> $main::old interrupted<br>$}, 'PUT');
    like($delete, qr{Z DELETE /c $main::old interrupted<br>$}, 'DELETE');
}
ok(poll_until(sub { 1 == journals() }), 'the journal of the dead worker is gone');
is_deeply([open_intents()], [], 'nothing is open in that of the new one');



=== TEST 10: worker killed (-9) during deliveries - the new one delivers
--- config eval: main::node('filedist_catch_up on max_backoff=100ms;')
--- allow_log: alert
--- after
hang($ENV{TEST_NGINX_S});
hang($ENV{TEST_NGINX_T});
my $put = begin('PUT', '/a', 'hello', "Filedist-Version: $main::old");
ok(poll_until(sub { 2 == requests('PUT') }), 'under way');
write_data('go', '');
ok(kill_worker(), 'killed');
ok(poll_until(sub { 4 == requests('PUT') }, 6), 'sent again') or diag(requests());
is(scalar sent("PUT /a $main::old 5"), 4, 'in the same version');
ok(is_drained(), 'nothing is missing');



=== TEST 11: worker killed (-9) during deliveries, two workers - the one that is left takes over
--- http_config eval: $::two . 'server { listen 127.0.0.1:$TEST_NGINX_C1; location / { return 200 $pid; } }'
--- allow_log: alert
--- after
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', 'hello');
ok(poll_until(sub { requests('PUT') }), 'under way');
my ($journal) = grep { -s } journals();
my ($worker) = $journal =~ m{/(\d+)-[^/]*$};
kill KILL => $worker;
ok(poll_until(sub { 2 == grep {/interrupted/} entries() }, 5), 'a line for each child');
ok(poll_until(sub { !-e $journal }, 5), 'the journal is gone');



=== TEST 12: killed before anything was published - an intent without a file does no harm
--- config eval: main::node('filedist_catch_up on max_backoff=100ms;')
--- post_setup_server_root
package main;
write_data('state/journal/1-dead', "$main::old PUT /never children\n");
chmod 0777, data_dir() . '/state/journal';
chmod 0666, data_dir() . '/state/journal/1-dead';
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
--- after
ok(poll_until(sub { 2 <= requests('HEAD') }, 5), 'the children are asked');
ok(is_drained(), 'nothing is missing');
is(scalar requests('PUT'), 0, 'nothing is sent');
is(scalar journals(), 1, 'the journal is gone');



=== TEST 13: a journal with torn, cleared and malformed lines - the good ones count
--- post_setup_server_root
package main;
my $v = $main::old;
write_data('state/journal/1-dead', "#$v PUT /no/1 children\n$v PUT /yes/1 children\ngarbage\n\0\0\n$v PUT /no/2\n$v PATCH /no/3 children\n$v PUT /no/4 nobody\n$v PUT /%zz children\n$v DELETE /yes/%0A children\n$v PUT /no/5 chil");
write_data('state/journal/1-dead+3', "$v PUT /yes/3 children\n");
write_data('state/journal/.2-draft', "$v PUT /no/6 children\n");
chmod 0777, data_dir() . '/state/journal';
chmod 0666, glob(data_dir() . '/state/journal/{*,.2*}');
--- after
ok(poll_until(sub { 1 == journals() }, 5), 'the journals are gone') or diag(journals());
is_deeply([sort map { / ((?:PUT <a href="|DELETE )\/[^" ]*)/ } entries($main::s)], ['DELETE /yes/&#10;', 'PUT <a href="/yes/1', 'PUT <a href="/yes/3'], 'the missing log');



=== TEST 14: the missing log cannot be written - the intent stays in the journal
--- post_setup_server_root: write_data("state/missing/$main::s", 'no directory')
--- allow_log: crit
--- after
like(ask('PUT', '/a', 'x', "Filedist-Version: $main::old"), qr/^HTTP\/1.1 201 /, 'the answer');
is_deeply([open_intents()], ["$main::old PUT /a children\n"], 'the line');
ask('PUT', '/b', 'x');
is(scalar open_intents(), 2, 'the next one too');
# Or this worker says so once more when it ends, which may be after the next block has begun.
unlink data_dir() . "/state/missing/$main::s";



=== TEST 15: the missing log cannot be written by the next worker either - the dead one's journal stays
--- post_setup_server_root
package main;
write_data("state/missing/$main::s", 'no directory');
write_data('state/journal/1-dead', "$main::old PUT /a children\n");
chmod 0777, map { data_dir() . "/state/$_" } qw(journal missing);
chmod 0666, data_dir() . '/state/journal/1-dead';
--- allow_log: crit
--- after
ok(error_log_has(qr/\[crit\]/), 'the log says so');
is(read_data('state/journal/1-dead'), "$main::old PUT /a children\n", 'it is there');
unlink data_dir() . "/state/missing/$main::s";
ok(poll_until(sub { !defined read_data('state/journal/1-dead') }, 5), 'until it can be written');
is(scalar entries($main::s), 1, 'the entry');



=== TEST 16: no file can be made for the journal - no change is accepted, the file stays
--- skip_eval: 6: !main::unprivileged() && $> == 0 && system("mount -t tmpfs none /mnt 2>/dev/null && umount /mnt")
--- post_setup_server_root
package main;
small_disk('state', '64k');
write_data('root/a', 'old');
--- after
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
my ($journal) = journals();
open my $fill, '>', data_dir() . '/state/fill';
1 while syswrite $fill, 'x' x 4096;
like(ask('PUT', '/a', 'new', 'Accept: application/json'), qr/^HTTP\/1.1 507 .*"outcome":"failed"/ms, 'PUT');
ok(read_data('root/a') eq 'old', 'the file');
is(scalar requests(), 0, 'nobody is told');
is(-s $journal, 0, 'no half a line');



=== TEST 17: the disk of the state directory is full - 507, the file stays, and nobody is told
--- skip_eval: 7: $> || system('mount -t tmpfs none /mnt 2>/dev/null && umount /mnt')
--- post_setup_server_root
package main;
small_disk('state', '64k');
write_data('root/a', 'old');
--- allow_log: crit
--- after
child($ENV{$_}) for qw(TEST_NGINX_S TEST_NGINX_T);
open my $fill, '>', data_dir() . '/state/fill';
1 while syswrite $fill, 'x' x 4096;
like(ask('PUT', '/a', 'new'), qr/^HTTP\/1.1 507 .*failed to store: 507 \(no space left on this node\)$/ms, 'PUT');
like(ask('PUT', '/a', $main::large), qr/^HTTP\/1.1 507 /, 'PUT of a large file');
like(ask('DELETE', '/a'), qr/^HTTP\/1.1 507 /, 'DELETE');
ok(read_data('root/a') eq 'old', 'the file');
is_deeply([names('root')], ['a'], 'no litter');
is(scalar(grep { !m{^PUT /a} } requests()), 0, 'no DELETE at the children');
close $fill;
unlink data_dir() . '/state/fill';
like(ask('PUT', '/a', 'new'), qr/^HTTP\/1.1 200 /, 'with room again');



=== TEST 18: temporary files of a dead worker - are removed, those of others stay
--- post_setup_server_root
package main;
write_data('state/journal/77-dead', '');
chmod 0777, data_dir() . '/state/journal';
chmod 0666, data_dir() . '/state/journal/77-dead';
write_data($_, 'x') for qw(root/.filedist.77-dead.0 root/d/e/.filedist.77-dead.15 root/.filedist.77-deadly.0 root/.filedist.78-alive.1 root/filedist.77-dead.0 root/d/file);
--- after
ok(poll_until(sub { !defined read_data('state/journal/77-dead') }, 5), 'the journal is gone');
is_deeply([names('root')], [qw(.filedist.77-deadly.0 .filedist.78-alive.1 d filedist.77-dead.0)], 'the root');
is_deeply([names('root/d')], [qw(e file)], 'a directory');
is_deeply([names('root/d/e')], [], 'one below');



=== TEST 19: temporary files of a dead worker - are removed on a leaf too
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; }
--- post_setup_server_root
package main;
write_data('state/journal/77-dead', '');
chmod 0777, data_dir() . '/state/journal';
chmod 0666, data_dir() . '/state/journal/77-dead';
write_data($_, 'x') for qw(root/.filedist.77-dead.0);
--- after
ok(poll_until(sub { !defined read_data('state/journal/77-dead') }, 5), 'the journal is gone');
is_deeply([names('root')], [], 'the root');



=== TEST 20: the temporary file of an upload that goes on - stays while another worker ends
--- http_config eval: $::two
--- post_setup_server_root
package main;
write_data('state/journal/77-dead', '');
chmod 0777, data_dir() . '/state/journal';
chmod 0666, data_dir() . '/state/journal/77-dead';
--- after
my $put = begin('PUT', '/a', substr($main::large, 0, 1_000_000), 'Content-Length: ' . length $main::large);
ok(poll_until(sub { !defined read_data('state/journal/77-dead') }, 5), 'the journal is gone');
$put->printflush(substr $main::large, 1_000_000);
like(answer($put), qr/^HTTP\/1.1 201/, 'the upload');
ok(read_data('root/a') eq $main::large, 'the file');



=== TEST 21: worker quits - it leaves no journal
--- after
my @before = journals();
ok(reload(), 'reload');
ok(poll_until(sub { !grep { -e } @before }, 5), 'the old one is gone');
is(scalar journals(), 1, 'there is one of the new worker');
is(scalar entries(), 0, 'nothing is missing');



=== TEST 22: worker that still delivers after a reload - keeps its journal, and nobody takes it over
--- after
child($ENV{TEST_NGINX_T});
child($ENV{TEST_NGINX_S}, sub ($r) { poll_until(sub { -e data_dir() . '/go' }, 20); undef });
my $put = begin('PUT', '/a', 'x');
ok(poll_until(sub { 2 == requests('PUT') }), 'under way');
my ($old) = journals();
ok(reload(), 'reload');
ok(poll_until(sub { 2 == journals() }, 5), 'two journals');
sleep 1.3;
like(slurp($old), qr/ PUT \/a children\n/, 'the old one has its line');
is(scalar entries(), 0, 'nothing is missing');
write_data('go', '');
like(answer($put), qr/^success: \Q$main::s\E/m, 'the answer');
close $put;    # nginx lingers for 5 seconds on a connection that the client keeps
ok(poll_until(sub { !-e $old }, 5), 'then it is gone');



=== TEST 23: a worker that worker_shutdown_timeout ends during a delivery - the child has its line
--- main_config
    worker_shutdown_timeout 200ms;
--- after
child($ENV{TEST_NGINX_T});
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', 'x');
ok(poll_until(sub { 2 == requests('PUT') }), 'under way');
my ($before) = worker_pids();
ok(reload(), 'reload');
ok(poll_until(sub { !-e "/proc/$before" }, 5), 'the worker has ended');
is(scalar entries($main::s), 1, 'the child that hangs');
ok(poll_until(sub { 1 == journals() }, 5), 'its journal is gone');



=== TEST 24: worker stopped fast (TERM) during a delivery - the child has its line
--- allow_log: alert
--- after
child($ENV{TEST_NGINX_T});
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', 'x');
ok(poll_until(sub { 2 == requests('PUT') }), 'under way');
ok(kill_worker('TERM'), 'terminated');
ok(poll_until(sub { 1 <= entries($main::s) }, 5), 'the child that hangs');
ok(poll_until(sub { 1 == journals() && !open_intents() }, 5), 'its journal is gone');



=== TEST 25: two servers - a journal each
--- http_config eval
$::two . <<'END'
server {
    listen 127.0.0.1:$TEST_NGINX_C1;
    filedist_state $TEST_NGINX_DATA/other-state;
    location / { filedist on; root $TEST_NGINX_DATA/c1; proxy_pass http://children; }
}
END
--- after
hang($ENV{TEST_NGINX_S});
my $put = begin('PUT', '/a', 'x');
ok(poll_until(sub { requests('PUT') }), 'under way');
is(scalar open_intents(), 1, 'one in the journal of its server');
is(scalar journals('other-state'), 1, 'the other one has a journal');
is(scalar open_intents('other-state'), 0, 'that is empty');



=== TEST 26: what changes nothing - is in no journal
--- after
hang($ENV{TEST_NGINX_S});
write_data('root/a', 'newer');
like(ask('PUT', '/a', 'x', "Filedist-Version: $main::old"), qr/superseded/, 'PUT');
like(ask('DELETE', '/a', undef, "Filedist-Version: $main::old"), qr/superseded/, 'DELETE');
like(ask('PUT', '/a/b', 'x'), qr/^HTTP\/1.1 409/, 'refused');
is_deeply([open_intents()], [], 'nothing is open');



=== TEST 27: worker killed (-9) again and again under PUTs - what was answered is at the children
--- config eval: main::node('filedist_catch_up on max_backoff=100ms;')
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . main::leaf('c1') . main::leaf('c2')
--- allow_log: alert
--- after
my @answered;
for my $round (1 .. 4) {
    my $killer = fork // die;
    if (!$killer) { sleep 0.15; kill KILL => worker_pids(); POSIX::_exit(0) }
    for my $n (1 .. 30) {
        my $name = "$round/$n";
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 3) or next;
        local $SIG{PIPE} = 'IGNORE';
        $socket->printflush("PUT /$name HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
        push @answered, $name if answer($socket) =~ /^HTTP\/1.1 20/;
        sleep 0.01;
    }
    waitpid $killer, 0;
}
cmp_ok(scalar @answered, '>', 20, 'some were answered');
ok(is_drained(), 'nothing is missing');
for my $node (qw(root c1 c2)) {
    is_deeply([grep { (read_data("$node/$_") // '') ne 'hello' } @answered], [], "all are on $node");
    is_deeply([grep {/^\.filedist/} map { names("$node/$_") } '.', 1 .. 4], [], "no litter on $node");
}
ok(poll_until(sub { 1 == journals() && !open_intents() }, 5), 'the journal is empty');
