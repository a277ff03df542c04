# A node with many children: what is right with one is right with 300 (benches/many_children has those).

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root away));
worker_connections(4096);

# How many there are, and what their `server` lines call them.
our ($count, @children);

# The children are servers of the same nginx, each at an address of its own.
sub address ($n) { return '127.0.' . (1 + int($n / 250)) . '.' . (1 + $n % 250) . ':$TEST_NGINX_C' }

# One is away while there is a file with its name: it ends connections without a word.
sub node_of ($n) {
    return leaf("c$n", address($n), <<~END);
        if (-e \$TEST_NGINX_DATA/away/c$n) { return 444; }
        location /__index__/  { filedist_index; }
        location /__status__/ { filedist_status; }
        END
}

sub many () { return upstream(map address($_), 0 .. $count - 1) . join '', map node_of($_), 0 .. $count - 1 }

our $node = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist_catch_up on max_backoff=100ms;
    root $TEST_NGINX_DATA/root;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location = /alive { return 204; }
    location /        { filedist on; proxy_pass http://children; }
    location /queued/ { filedist on; proxy_pass http://children; filedist_ack local; }
    location /__index__/   { filedist_index; }
    location /__missing__/ { filedist_missing manage; }
    location /__status__/  { filedist_status manage; }
END

# By the name of the block.
our %after = (
    'what is evicted here, and only one has, all get from there' => \&evicted,
    'all are away for changes, and get them when they are back'  => \&catch_up,
    'filedist_ack local, all get what is queued'                 => \&queued,
    'one is provided, then all'                                  => \&provided,
    'a file that only one has is found there'                    => \&found,
    'all are in the tree and its digest'                         => \&tree,
    'each is compared'                                           => \&compared,
);

add_block_preprocessor(sub ($block) {
    $ENV{TEST_NGINX_C} = free_port();
    ($count, my ($workers, $what)) = $block->name =~ /(\d+) children(, two workers)? - (.*)/;
    @children = map { address($_) =~ s/\$.*/$ENV{TEST_NGINX_C}/r } 0 .. $count - 1;
    make_path(map data_dir() . "/c$_", 0 .. $count - 1);
    $block->set_value(http_config => many());
    $block->set_value(config      => $node);
    $block->set_value(request     => 'GET /alive');
    $block->set_value(error_code  => 204);
    $block->set_value(post_setup_server_root => 'main::evict()') if $what =~ /evicted/;
    $block->set_value(after => $after{$what} // die "nobody knows how: $what");
    workers($workers ? 2 : 1);
    $workers ? master_on() : master_off();
});

#------------------------------------------------------------------------- children

sub names_of_all ()     { return map "c$_", 0 .. $count - 1 }
sub go_away (@numbers)  { write_data("away/c$_", '') for @numbers }
sub come_back ()        { unlink map data_dir() . "/away/$_", names('away') }

# A file that is the same wherever it is put.
sub put_file ($name, $content, $time = 1_700_000_000) {
    write_data($name, $content);
    utime $time, $time, data_dir() . "/$name";
}

# As many children have this at the path; undef is nothing.
sub have ($many, $path, $content) {
    my $found;
    my $has = sub ($child) { (read_data("$child$path") // "\0") eq ($content // "\0") };
    poll_until(sub { $many == ($found = grep { $has->($_) } names_of_all()) }, 15);
    is($found, $many, "so many have $path: " . ($content // 'nothing'));
}

# What the status says of each child, in their order. Numbers of a moment may be off.
sub each_is ($code, $wanted, $name, $args = '') {
    my $is;
    poll_until(sub { $is = [map { $code->($_) } status($args)->{children}->@*]; "@$is" eq "@$wanted" }, 8);
    is_deeply($is, $wanted, $name);
}

sub up ($child) { return defined $child->{up} ? $child->{up} ? 'up' : 'down' : 'never asked' }

# What a child lacks, what it took, how many bytes of files that were.
sub counts ($child) { return join ' ', $child->{missing}{entries}, $child->{deliveries}, $child->{sent_bytes}, up($child) }

#-------------------------------------------------------------------------- clients

# The receipt says this, and this of each child.
sub receipt_is ($method, $path, $here, $of_child, @names) {
    my $receipt = body_of(ask($method, $path, $method eq 'PUT' ? 'hello' : undef)) =~ s/(not reachable since )\S+$/$1TIME/gmr;
    is($receipt, join("\n", "success: root$path $here", (map { $of_child =~ s/:/: $_$path/r } @names), ''), "$method $path");
}

# The same request about each child, all at once: status and body.
sub about_each ($method, $uri) {
    my $begin = sub ($child) {
        my $socket = client();
        $socket->printflush("$method $uri$child HTTP/1.0\r\nHost: x\r\n\r\n");
        return $socket;
    };
    my @asked = map { $begin->($_) } @children;
    return [map { answer($_, 15) =~ m{\AHTTP/1.\d (\d+) .*?\r\n\r\n(.*)\z}s ? "$1 $2" : 'no answer' } @asked];
}

sub get ($path, $method = 'GET') { return join ' ', (http_get(server_port(), $path, $method))[0, 2] }

sub page ($args) { return (http_get(server_port(), "/__status__/?$args"))[2] }

#---------------------------------------------------------------------- what is done

# The node has the file no more, and of the children only the last one has it.
sub evict () {
    my $last = 'c' . ($count - 1);
    write_data("$last/a", 'evicted');
    my $version = set_version("$last/a", '1763810645123456789');
    seed_log($_, entry('PUT', '/a', $version)) for @children[0 .. $count - 2];
}

sub evicted (@) {
    ok(is_drained(), 'nothing is missing');
    have($count, '/a', 'evicted');
}

sub catch_up (@) {
    receipt_is('PUT', "/$_", 'stored: 5 bytes', 'success: stored: 5 bytes', names_of_all()) for qw(a b);
    have($count, "/$_", 'hello') for qw(a b);
    each_is(\&counts, [('0 2 10 up') x $count], 'all have got them');

    go_away(0 .. $count - 1);
    receipt_is('PUT', '/c', 'stored: 5 bytes', 'error: failed to store: 502', @children);
    # A child that is the only one is always asked.
    my $of_child = sub ($verb) { 'error: ' . ($count > 1 ? 'queued: not reachable since TIME' : "failed to $verb: 502") };
    receipt_is('PUT', '/a', 'stored: 5 bytes', $of_child->('store'), @children);
    my $version = version_of('root/a');
    receipt_is('DELETE', '/b', 'deleted', $of_child->('delete'), @children);
    is(scalar entries(), 3 * $count, 'entries of the missing logs');
    is(scalar(() = body_of(ask('GET', '/__missing__/')) =~ /<a href/g), $count, 'children that have one');
    each_is(\&counts, [('3 2 10 down') x $count], 'they are away');

    come_back();
    ok(is_drained('*', 15), 'nothing is missing any more');
    have($count, '/a', 'hello');
    have($count, '/b', undef);
    have($count, '/c', 'hello');
    is(version_of("$_/a"), $version, "the version that $_ has") for (names_of_all())[0, -1];
    each_is(\&counts, [('0 5 20 up') x $count], 'all have got them then');
}

sub queued (@) {
    receipt_is('PUT', "/queued/$_", 'stored: 5 bytes', 'success: queued', @children) for qw(a b);
    have($count, "/queued/$_", 'hello') for qw(a b);
    ok(is_drained(), 'nothing is missing');
    receipt_is('DELETE', '/queued/a', 'deleted', 'success: queued', @children);
    have($count, '/queued/a', undef);
    have($count, '/queued/b', 'hello');
    ok(is_drained(), 'nothing is missing then');
    each_is(\&counts, [('0 3 10 up') x $count], 'all have got them');
}

sub provided (@) {
    put_file("root/$_", "content of $_") for my @names = qw(a b/c d);
    my $post = sub (@to) {
        like(ask('POST', "/__missing__/$_/"), qr{^HTTP/1.1 202 .*\r\n\r\neverything is being put into the missing log of $_\n\z}s, "POST to $_") for @to;
        ok(poll_until(sub { !grep { -e data_dir() . "/state/provide/$_" } @to }, 15) && is_drained('*', 15), 'provided');
    };
    my $sent = sub ($c) { join ' ', $c->{missing}{entries}, $c->{sent_bytes}, $c->{provisioning} ? 'being provided' : up($c) };
    $post->($children[-1]);
    have(1, "/$_", "content of $_") for @names;
    is(read_data("c@{[ $count - 1 ]}/a"), 'content of a', 'it is the one that was asked for');
    $post->(@children);
    have($count, "/$_", "content of $_") for @names;
    is(version_of("$_/b/c"), '1700000000000000000', "the version that $_ has") for (names_of_all())[0, -1];
    each_is($sent, [('0 38 up') x $count], 'each got each file once');
}

sub found (@) {
    my $last = $count - 1;
    put_file("c$last/a", 'only here');
    is(get('/a'), '200 only here', "GET $_") for 1 .. 3;
    is(get('/a', 'HEAD'), '200 ', 'HEAD');
    like(get('/none'), qr/^404 /, 'what none has');

    go_away(0 .. $last - 1);
    is(get('/a'), '200 only here', "the others are away: GET $_") for 1 .. 3;
    like(get('/none'), $count > 1 ? qr/^502 / : qr/^404 /, 'what one that is away may have');
    go_away($last);
    like(get('/a'), qr/^502 /, 'all are away');

    come_back();
    each_is(\&up, [('up') x $count], 'all are back', '&tree');
    is(get('/a'), '200 only here', 'it is found again');
    like(get('/none'), qr/^404 /, 'what none has, again');
    is_deeply([names('root')], [], 'nothing is kept here');
}

sub tree (@) {
    my ($last, $nodes) = ($count - 1, $count + 1);
    put_file("$_/a", 'same') for 'root', names_of_all();
    my $said = sub ($c) { join ' ', $c->{name}, up($c), $c->{node} ? $c->{node}{name} : 'no node', $c->{no_answer} // '' };
    my @all_up = map "$children[$_] up c$_ ", 0 .. $last;
    each_is($said, \@all_up, 'all are up', '&tree');
    each_is($said, [map "$_ up no node ", @children], 'without their own word');

    my @lines = split /\n/, page('digest&tree');
    my ($digest) = $lines[0] =~ /^([0-9a-f]{32} 1 files 4 bytes) root$/;
    is_deeply(\@lines, ["$digest root", (map "$digest $children[$_] (c$_)", 0 .. $last), "same: all $nodes nodes have the same files"], 'the digest');
    put_file('c0/a', 'same', 1_700_000_001);
    like(page('digest&tree'), qr/^different: 1 of $nodes nodes\n\z/m, 'another version at one');

    go_away(0 .. $last - 1);
    each_is($said, [(map "$children[$_] down no node 502", 0 .. $last - 1), $all_up[$last]], 'all but one are away', '&tree');
    is(scalar(() = page('tree') =~ /<details class="t [ds]"/g), $last, 'those that the page tells of');
    my %is = page('format=prometheus') =~ /^filedist_child_up\{child="(.*?)"\} (.*)\n/mg;
    is_deeply(\%is, { map { $children[$_] => $_ == $last ? 1 : 0 } 0 .. $last }, 'the metrics');
    come_back();
    each_is($said, \@all_up, 'all are up again', '&tree');
}

sub compared (@) {
    for my $where ('root', names_of_all()) { put_file("$where/$_", "content of $_") for qw(a b/c d) }
    my $told = sub ($method, $of_last) {
        my @others = ("200 same: 3 files\n") x ($count - 1);
        is_deeply(about_each($method, '/__status__/?compare='), [@others, "200 $of_last"], $method);
    };
    $told->($_, "same: 3 files\n") for qw(GET POST);
    my $last = 'c' . ($count - 1);
    unlink data_dir() . "/$last/a" or die;
    put_file("$last/d",     'old', 1_600_000_000);
    put_file("$last/extra", 'x');
    my $all = <<~END;
        missing /a
        older /d
        extra /extra
        different: of 3 files here 1 missing, 1 older, 0 newer, 0 of another size; 1 extra
        END
    $told->('GET', $all);
    is_deeply([log_files()], [], 'a GET changes nothing');
    $told->('POST', $all . "2 are in its missing log now\n");
    ok(is_drained(), 'nothing is missing');
    have($count, "/$_", "content of $_") for qw(a b/c d);
    $told->('GET', "extra /extra\ndifferent: of 3 files here 0 missing, 0 older, 0 newer, 0 of another size; 1 extra\n");
}

run_tests();

__DATA__

=== TEST 1: 2 children - what is evicted here, and only one has, all get from there


=== TEST 2: 21 children - what is evicted here, and only one has, all get from there


=== TEST 3: 22 children - what is evicted here, and only one has, all get from there


=== TEST 4: 23 children - what is evicted here, and only one has, all get from there


=== TEST 5: 100 children - what is evicted here, and only one has, all get from there


=== TEST 6: 1 children - all are away for changes, and get them when they are back


=== TEST 7: 21 children - all are away for changes, and get them when they are back


=== TEST 8: 22 children - all are away for changes, and get them when they are back


=== TEST 9: 100 children - all are away for changes, and get them when they are back


=== TEST 10: 100 children, two workers - all are away for changes, and get them when they are back


=== TEST 11: 1 children - filedist_ack local, all get what is queued


=== TEST 12: 21 children - filedist_ack local, all get what is queued


=== TEST 13: 22 children - filedist_ack local, all get what is queued


=== TEST 14: 100 children - filedist_ack local, all get what is queued


=== TEST 15: 100 children, two workers - filedist_ack local, all get what is queued


=== TEST 16: 1 children - one is provided, then all


=== TEST 17: 21 children - one is provided, then all


=== TEST 18: 22 children - one is provided, then all


=== TEST 19: 100 children - one is provided, then all


=== TEST 20: 1 children - a file that only one has is found there


=== TEST 21: 21 children - a file that only one has is found there


=== TEST 22: 22 children - a file that only one has is found there


=== TEST 23: 100 children - a file that only one has is found there


=== TEST 24: 1 children - all are in the tree and its digest


=== TEST 25: 21 children - all are in the tree and its digest


=== TEST 26: 22 children - all are in the tree and its digest


=== TEST 27: 100 children - all are in the tree and its digest


=== TEST 28: 1 children - each is compared


=== TEST 29: 21 children - each is compared


=== TEST 30: 22 children - each is compared


=== TEST 31: 100 children - each is compared
