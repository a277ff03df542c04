# A file whose place is a directory now, and a path whose parent is a file now: whatever a child has missed of
# that, in whatever order, it comes to what its parent has.

use v5.36;
use Filedist;
use Filedist::Tree;

use IO::Socket::INET;

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1));
worker_connections(512);

our $children = <<'END' . leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'location /__index__/ { filedist_index; }');
    upstream children { server 127.0.0.1:$TEST_NGINX_L max_fails=0; filedist_fanout; keepalive 16; }
END
our $node = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist_catch_up on max_backoff=100ms;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    keepalive_requests 100000;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children; }
    location /__index__/   { filedist_index; }
    location /__missing__/ { filedist_missing manage; }
    location /__status__/  { filedist_status manage; }
END

our $link;    # the child, as the root knows it

add_block_preprocessor(sub ($block) {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 L);
    $link = "127.0.0.1:$ENV{TEST_NGINX_L}";
    $block->set_value(http_config => $children);
    $block->set_value(config      => $node);
    $block->set_value(request     => 'GET /alive');
    $block->set_value(error_code  => 204);
    workers(1);
    master_on();
});

add_test_cleanup_handler(sub (@) { end_processes(); undef $main::connection });

sub back () { relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C1}) }

# A request on a connection that stays; its status.
our $connection;

sub change ($verb, $path) {
    $connection //= client();
    my $body = $verb eq 'PUT' ? "$path at $verb" : '';
    $connection->printflush("$verb $path HTTP/1.1\r\nHost: x\r\nContent-Length: @{[length $body]}\r\n\r\n$body");
    my $answer = answer($connection);
    return ($answer =~ m{^HTTP/1.1 (\d+)})[0] // die "$verb $path: no answer";
}

# Every file below a directory, with its version and content; every directory. A directory without a file is no
# change that anybody has missed: it may be at the root alone.
sub tree ($name) {
    my %tree;
    my $top = data_dir() . "/$name";
    open my $find, '-|', 'find', $top, '-mindepth', 1, '-printf', '%y %T@ /%P\n' or die "find: $!";
    while (my $line = <$find>) {
        my ($type, $time, $path) = $line =~ /(\S+) (\S+) (.*)/;
        if ($type eq 'd') { $tree{"$path/"} = 'a directory' }
        else              { $tree{$path} = "$time " . slurp("$top$path") }
    }
    return \%tree;
}

# All sequences of so many of these.
sub sequences ($length, @of) {
    return [] if !$length;
    return map { my $first = $_; map [$first, @$_], sequences($length - 1, @of) } @of;
}

# What is done in each, in a directory of its own, while the child is there, while it is away, and when it is
# back. The name says what.
sub stories ($length, @changes) {
    my @stories;
    for my $sequence (sequences($length, @changes)) {
        for my $from (0 .. $length - 1) {
            for my $to ($from + 1 .. $length) {
                my @part = map [@$sequence[$_->[0] .. $_->[1] - 1]], [0, $from], [$from, $to], [$to, $length];
                push @stories, { name => CORE::join('__', map CORE::join('_', @$_), @part), parts => \@part };
            }
        }
    }
    return @stories;
}

# "Pab": PUT of a/b; "Da": DELETE of a.
sub tell ($part, @stories) {
    for my $story (@stories) {
        for my $step (@{ $story->{parts}[$part] }) {
            my ($verb, $path) = $step =~ /(.)(.*)/;
            change($verb eq 'P' ? 'PUT' : 'DELETE', "/$story->{name}/" . CORE::join '/', split //, $path);
        }
    }
}

# What is another at the child, by story.
sub differences () {
    my ($root, $child, %differ) = (tree('root'), tree('c1'));
    for my $key (sort keys %{ { %$root, %$child } }) {
        my ($here, $there) = map $_->{$key} // 'nothing', $root, $child;
        next if $here eq $there || $here eq 'a directory' && $there eq 'nothing';
        push @{ $differ{ ($key =~ m{^/([^/]*)})[0] } }, "$key: $here; the child has $there";
    }
    return \%differ;
}

sub compared ($method) { return body_of(ask($method, "/__status__/?compare=$link")) =~ s/^[0-9a-f]+\r\n|\r\n//mgr }

run_tests();

__DATA__

=== TEST 1: a file, a directory in its place, a file in it - in any order, whatever the child missed of it
--- timeout: 60
--- after
my @stories = main::stories(4, qw(Pa Da Pab Dab));
main::back();
main::tell(0, @stories);
end_processes();
main::tell(1, @stories);
main::back();
main::tell(2, @stories);
ok(is_drained('*', 40), 'nothing is missing') or diag(map "$_\n", (entries())[0 .. 9]);
my $differ = main::differences();
is(scalar keys %$differ, 0, @stories . ' stories') or diag(map "$_\n", (map @$_, @$differ{ sort keys %$differ })[0 .. 9]);
like(main::compared('GET'), qr/^same: \d+ files\n\z/, 'compared');



=== TEST 2: the missing log is lost - a comparison has the child get what is there, and lose what was deleted
--- timeout: 60
--- after
my @stories = main::stories(4, qw(Pa Da Pab Dab));
main::back();
main::tell(0, @stories);
end_processes();
main::tell($_, @stories) for 1, 2;
like(ask('DELETE', "/__missing__/$main::link/"), qr/^HTTP\/1.1 200 /, 'the log is lost');
main::back();
write_data('c1/evicted', 'stays');
like(main::compared('POST'), qr/^extra \/evicted\n.*^\d+ are in its missing log now\n/ms, 'POST');
ok(is_drained('*', 40), 'nothing is missing') or diag(map "$_\n", (entries())[0 .. 9]);
like(main::compared('GET'), qr/\Aextra \/evicted\ndifferent: of \d+ files here 0 missing, 0 older, 0 newer, 0 of another size; 1 extra\n\z/, 'compared');



=== TEST 3: a child with files of another time - is provided where they were deleted here
--- after
my $here = sub ($verb, $path) { main::change($verb, $path) };
$here->(@$_) for ['PUT', '/a'], ['DELETE', '/a'], ['PUT', '/a/b'], ['PUT', '/c/d'], ['DELETE', '/c/d'], ['DELETE', '/c'], ['PUT', '/c'];
ask('DELETE', "/__missing__/$main::link/");
# A file where there is a directory here, and the other way round; older than what was deleted.
write_data('c1/a', 'old');
set_version('c1/a', '1763810645123456789');
write_data('c1/c/d', 'old');
set_version('c1/c/d', '1763810645123456789');
chmod 0777, data_dir() . '/c1/c';
main::back();
like(ask('POST', "/__missing__/$main::link/"), qr/^HTTP\/1.1 202 /, 'provide');
ok(poll_until(sub { defined read_data('c1/a/b') }, 8), 'below a file of the child');
like(main::compared('POST'), qr/^extra \/c\/d$/m, 'compare');
ok(is_drained('*', 8), 'nothing is missing');
is_deeply([(main::compared('GET'))], ["same: 2 files\n"], 'compared');
