# filedist_fsync: what is on the disk when a change is answered, as strace sees it.

use v5.36;
use Filedist;
use Filedist::Tree;

use POSIX ();
use Time::HiRes qw(sleep);

plan skip_all => 'no strace under valgrind' if $ENV{TEST_NGINX_USE_VALGRIND};
plan skip_all => 'strace is not installed'  if !grep { -x "$_/strace" } split /:/, $ENV{PATH};
plan skip_all => 'strace may not look at processes here' if system('strace -qq -o /dev/null true 2>/dev/null') != 0;
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root));
worker_connections(256);
master_on();
workers(1);

$ENV{"TEST_NGINX_$_"} = free_port() for qw(S T);
our $s = "127.0.0.1:$ENV{TEST_NGINX_S}";

our $one = upstream('127.0.0.1:$TEST_NGINX_S');

# The root. Directives of the test's own stand where Filedist looks for them.
sub node ($more = 'filedist_fsync on;', $pass = 'proxy_pass http://children;') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        filedist_catch_up off;
        $more
        location = /alive { return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            client_max_body_size 0;
            $pass
        }
        END
}

our $large = 'x' x 300_000;

add_block_preprocessor(sub ($block) {
    $block->set_value(http_config => $one) if !defined $block->http_config;
    $block->set_value(config => node())    if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
});

add_test_cleanup_handler(\&end_processes);

# The system calls of the worker while the code runs: a line each, without what does not matter here.
sub trace ($code) {
    my $file = data_dir() . '/trace';
    my ($worker) = worker_pids();
    my $calls = 'fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,ftruncate,write,pwrite64,writev,sendto,symlink,symlinkat';
    unlink data_dir() . '/strace';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', data_dir() . '/strace' or die $!;
        exec('strace', '-f', '-y', '-s', '200', '-o', $file, '-e', "trace=$calls", '-p', $worker) or POSIX::_exit(127);
    }
    poll_until(sub { (read_data('strace') // '') =~ /attached/ }, 5);
    my $answer = $code->();
    like($answer, qr{^HTTP/1\.1 (?:20|404)}, 'the answer') if $answer;
    # What follows the answer in the same turn of the event loop.
    sleep 0.05;
    kill INT => $pid;
    waitpid $pid, 0;
    my $data = data_dir();
    my $trace = slurp($file) =~ s/^\d+ +//gmr =~ s/\Q$data\E//gr;
    return grep { !/resumed|^---|^\+\+\+|error\.log>/ } split /\n/, $trace;
}

# Has the worker's calls of that name fail as long as the code runs: those about that path, or all.
sub failing ($call, $error, $path, $code) {
    my ($worker) = worker_pids();
    unlink data_dir() . '/strace';
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDERR, '>', data_dir() . '/strace' or die $!;
        open STDOUT, '>', '/dev/null';
        exec('strace', '-f', $path ? ('-P', data_dir() . "/$path") : (), '-e', "trace=$call", '-e', "inject=$call:error=$error", '-p', $worker) or POSIX::_exit(127);
    }
    poll_until(sub { (read_data('strace') // '') =~ /attached/ }, 5);
    my $answer = $code->();
    kill INT => $pid;
    waitpid $pid, 0;
    like(read_data('strace'), qr/INJECTED/, "$call has failed");
    return $answer;
}

# What a change comes to that was made before something failed.
sub is_made ($answer, $status, $error = qr/fsync\(\) ".*" failed .*; the change is made all the same, and goes to the children/) {
    like($answer, qr{^HTTP/1\.1 $status .*$status \(the change is made, but may not outlast a crash: see this node's error log\)$}ms, 'the answer');
    ok(error_log_has(qr/\[error\] .*$error/), 'the error log');
    ok(poll_until(sub { !grep { !/^#/ } map { split /^/, slurp($_) } glob data_dir() . '/state/journal/*' }), 'nothing is open in the journal');
}

# Each pattern matches a call, each one after the one before.
sub in_order ($calls, @patterns) {
    my @left = @$calls;
    for my $pattern (@patterns) {
        while (@left && $left[0] !~ $pattern) { shift @left }
        ok(scalar @left, "then $pattern") or do { diag(join "\n", map { substr $_, 0, 150 } @$calls); return };
        shift @left;
    }
}

our $file_synced      = qr{^fsync\(\d+<[^>]*/root/[^>]*>};
our $intent_written   = qr{^pwrite64\(\d+<[^>]*/journal/[^>]*>, "\d+ (?:PUT|DELETE) };
our $intent_synced    = qr{^f(?:data)?sync\(\d+<[^>]*/journal/[^>]*>};
our $published        = qr{^(?:rename|link)\w*\(.*(?:/root/(?:d/e/)?|, ")a"};
our $directory_synced = qr{^fsync\(\d+<[^>]*/root(?:/d/e)?>};
our $answered         = qr{^writev?\(.*HTTP/1\.1 20};
our $line_written     = qr{^write\(\d+<[^>]*/missing/[^>]*>};
our $line_synced      = qr{^f(?:data)?sync\(\d+<[^>]*/missing/[^>]*\.html>};
# Its line begins with a # then, or the file is empty.
our $intent_cleared   = qr{^(?:ftruncate\(\d+<[^>]*/journal/|pwrite64\(\d+<[^>]*/journal/[^>]*>, "#", 1, )};

run_tests();

__DATA__

=== TEST 1: PUT - the file, the intent, the name, the directory, then the answer
--- after
child($ENV{TEST_NGINX_S});
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::intent_written, $main::intent_synced, $main::published, $main::directory_synced, $main::intent_cleared, $main::answered);



=== TEST 2: PUT of a large file - the same
--- after
child($ENV{TEST_NGINX_S});
my @calls = trace(sub { ask('PUT', '/a', $main::large) });
in_order(\@calls, $main::file_synced, $main::intent_written, $main::intent_synced, $main::published, $main::directory_synced, $main::intent_cleared, $main::answered);



=== TEST 3: PUT over a file - the same
--- after
child($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'old');
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::intent_written, $main::intent_synced, $main::published, $main::directory_synced, $main::answered);



=== TEST 4: PUT into new directories - those above are on the disk too
--- after
child($ENV{TEST_NGINX_S});
my @calls = trace(sub { ask('PUT', '/d/e/a', 'hello') });
in_order(\@calls, $main::intent_synced, $main::published, qr{^fsync\(\d+<[^>]*/root/d/e>}, qr{^fsync\(\d+<[^>]*/root/d>}, qr{^fsync\(\d+<[^>]*/root>}, $main::answered);



=== TEST 5: DELETE - the intent, the tombstone, the file, the directory, then the answer
--- after
child($ENV{TEST_NGINX_S});
ask('PUT', '/a', 'hello');
my @calls = trace(sub { ask('DELETE', '/a') });
in_order(\@calls, $main::intent_written, $main::intent_synced, qr{^symlink\w*\("\d+"}, qr{^fsync\(\d+<[^>]*/deleted/..>}, qr{^unlink\w*\(.*/root/a"}, $main::directory_synced, $main::answered);



=== TEST 6: a child that is away - its line is on the disk before the intent goes
--- after
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::published, $main::line_written, $main::line_synced, qr{^fsync\(\d+<[^>]*/missing/[^/>]*>}, qr{^fsync\(\d+<[^>]*/missing>}, $main::intent_cleared, $main::answered);



=== TEST 7: filedist_ack local - the lines are on the disk before the answer
--- config eval: main::node('filedist_fsync on; filedist_ack local;') =~ s/filedist_catch_up off;//r
--- after
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::intent_synced, $main::published, $main::line_written, $main::line_synced, $main::intent_cleared, $main::answered);



=== TEST 8: on a leaf - the file and its directory, no journal
--- config eval: main::node('filedist_fsync on;', '')
--- after
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::published, $main::directory_synced, $main::answered);
is(scalar(grep { $_ =~ $main::intent_written } @calls), 0, 'no intent');



=== TEST 9: where nothing is said - on
--- http_config eval: $::one . '# filedist_fsync'
--- config eval: main::node('')
--- after
child($ENV{TEST_NGINX_S});
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::intent_synced, $main::published, $main::directory_synced, $main::answered);



=== TEST 10: off - no call waits for the disk
--- config eval: main::node('filedist_fsync off;')
--- after
my @calls = trace(sub {
    ask('PUT', '/d/a', 'hello');
    ask('PUT', '/large', $main::large);
    ask('DELETE', '/d/a');
    ask('DELETE', '/nothing');
});
is_deeply([grep {/^f(?:data)?sync/} @calls], [], 'none');
in_order(\@calls, $main::intent_written, qr{^(?:rename|link)\w*\(.*(?:/root/d/|, ")a"}, $main::line_written, $main::intent_cleared, $main::answered);



=== TEST 11: off in a location - on in the others
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_S') . main::upstream('others', '127.0.0.1:$TEST_NGINX_T')
--- config eval: main::node('filedist_fsync on;') . 'location /off/ { filedist on; filedist_fsync off; root $TEST_NGINX_DATA/root; proxy_pass http://others; }'
--- after
my @calls = trace(sub { ask('PUT', '/off/b', 'hello') });
is_deeply([grep {/^f(?:data)?sync/} @calls], [], 'none');
@calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::intent_synced, $main::published);



=== TEST 12: what changes nothing - is answered without a wait
--- after
write_data('root/a', 'newer');
my @calls = trace(sub { ask('PUT', '/a', $main::large, 'Filedist-Version: 1763810645123456789', 'Expect: 100-continue') });
is_deeply([grep {/^f(?:data)?sync/} @calls], [], 'none');



=== TEST 13: aio threads - the same order
--- http_config eval: $::one . 'aio threads;'
--- after
child($ENV{TEST_NGINX_S});
my @calls = trace(sub { ask('PUT', '/a', 'hello') });
in_order(\@calls, $main::file_synced, $main::intent_written, $main::intent_synced, $main::published, $main::directory_synced, $main::intent_cleared, $main::answered);



=== TEST 13: the directory cannot be synced after a file was published - an error, and the child gets it all the same
--- after
child($ENV{TEST_NGINX_S});
is_made(failing('fsync', 'EIO', 'root', sub { ask('PUT', '/a', 'hello') }), 500);
is(scalar requests('PUT'), 1, 'the child has it');
is(read_data('root/a'), 'hello', 'the file');
is_made(failing('fsync', 'ENOSPC', 'root', sub { ask('PUT', '/b', $main::large) }), 507);
is(scalar requests('PUT'), 2, 'the child has the large one');
is(scalar entries($main::s), 0, 'nothing is missing');



=== TEST 14: the same without the child - it is in its missing log at once
--- after
is_made(failing('fsync', 'EIO', 'root', sub { ask('PUT', '/a', 'hello') }), 500);
like((entries($main::s))[0], qr{PUT <a href="/a">/a</a> \d+ 502<br>$}, 'small');
is_made(failing('fsync', 'EIO', 'root', sub { ask('PUT', '/b', $main::large) }), 500);
like((entries($main::s))[1], qr{PUT <a href="/b">/b</a> \d+ 502<br>$}, 'large');



=== TEST 15: the directory cannot be synced after a DELETE - an error, and the child gets it all the same
--- after
child($ENV{TEST_NGINX_S});
write_data('root/a', 'old');
mkdir data_dir() . '/root/d';
is_made(failing('fsync', 'EIO', 'root', sub { ask('DELETE', '/a') }), 500);
is(scalar requests('DELETE'), 1, 'the child has it');
is(read_data('root/a'), undef, 'the file is gone');
is_made(failing('fsync', 'EIO', 'root', sub { ask('DELETE', '/d') }), 500);
is(scalar requests('DELETE'), 2, 'a directory');



=== TEST 16: the tombstone of a DELETE of nothing cannot be synced - an error, and the child gets it all the same
--- after
child($ENV{TEST_NGINX_S});
ask('DELETE', '/a');
my ($directory) = names('state/deleted');
is_made(failing('fsync', 'EIO', "state/deleted/$directory", sub { ask('DELETE', '/a') }), 500);
is(scalar requests('DELETE'), 2, 'the child has it');



=== TEST 17: a DELETE that fails before the file is gone - nothing has changed
--- after
child($ENV{TEST_NGINX_S});
sub tombstones { return map { [$_, readlink] } glob data_dir() . '/state/deleted/*/{*,.f*}' }
ask('DELETE', '/a');
my @older = tombstones();
is(scalar @older, 1, 'an older DELETE');
write_data('root/a', 'old');
write_data('root/b', 'old');
my ($directory) = names('state/deleted');
for (['unlink', 'root/a', '/a'], ['unlink', 'root/b', '/b'], ['fsync', "state/deleted/$directory", '/a'], ['rename', undef, '/a']) {
    my ($call, $path, $uri) = @$_;
    like(failing($call, 'EIO', $path, sub { ask('DELETE', $uri) }), qr{^HTTP/1\.1 500 }, "$call, $uri");
    is(read_data("root$uri"), 'old', 'the file');
    is_deeply([grep { -l $_->[0] } tombstones()], \@older, 'the tombstones');
}
is(scalar requests('DELETE'), 1, 'the child has heard nothing');
