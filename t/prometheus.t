# What ?format=prometheus says is what Prometheus reads: promtool, which is of Prometheus, checks it.

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Basename qw(dirname);
use File::Spec;

# Only where there is no Debian to fetch it from it may be missing.
our $promtool = do {
    my $tool = File::Spec->rel2abs(dirname(__FILE__) . '/../tools/promtool');
    my $said = qx('$tool' 2>&1);
    my ($path) = $? ? () : $said =~ m{^(/\S+)$}m;
    if (!$path) {
        plan skip_all => 'no promtool: ' . $said =~ s/\s+/ /gr if !-e '/etc/debian_version';
        plan tests => 1;
        fail('tools/promtool has one');
        diag($said);
        exit 1;
    }
    $path;
};

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1));

# C1 is a node, S a child that is dead.
our ($c1, $s);

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
            proxy_pass http://children;
        }
        location /__status__/  { filedist_status; }
        location /__missing__/ { filedist_missing manage; }
        END
}

our $tree = upstream('127.0.0.1:$TEST_NGINX_C1 max_fails=0', '127.0.0.1:$TEST_NGINX_S max_fails=0')
    . leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'location /__status__/ { filedist_status; }');
our $alone = '';

add_block_preprocessor(sub ($block) {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 S);
    ($c1, $s) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 S);
    $block->set_value(http_config => $tree)  if !defined $block->http_config;
    $block->set_value(config => node())      if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers(1);
    master_on();
});

add_test_cleanup_handler(\&end_processes);

# The metrics of the node, or of the one at that port.
sub metrics ($port = server_port(), $args = '') {
    my ($status, $head, $body) = http_get($port, "/__status__/?format=prometheus$args");
    is($status, 200, 'status');
    like($head, qr{^Content-Type: text/plain; version=0\.0\.4; charset=utf-8\r?$}m, 'type');
    return $body;
}

# promtool's exit status, and all it says.
sub check ($metrics) {
    write_data('metrics', $metrics);
    my $file = data_dir() . '/metrics';
    my $said = qx(timeout 20 '$promtool' check metrics < '$file' 2>&1);
    return ($? >> 8, $said);
}

# Metrics that promtool has nothing to say about.
sub is_fine ($metrics, $name) {
    my ($code, $said) = check($metrics);
    is($code, 0, "$name: promtool's status");
    is($said, '', "$name: what it says");
    # Prometheus would take one of them; promtool does not look.
    my %times;
    $times{$_}++ for $metrics =~ /^([^#\n].*) \S+$/mg;
    is_deeply([grep { $times{$_} > 1 } sort keys %times], [], "$name: no sample comes twice");
}

sub value_of ($metrics, $sample) { return $metrics =~ /^\Q$sample\E (\S+)$/m ? $1 : undef }

run_tests();

__DATA__

=== TEST 1: wrong metrics - promtool complains
--- after
my $good = "# HELP a_bytes A.\n# TYPE a_bytes gauge\n";
is_fine("${good}a_bytes 1\n", 'a good one');
my %bad = (
    'no number'      => "${good}a_bytes one\n",
    'no HELP'        => "# TYPE a_bytes gauge\na_bytes 1\n",
    'a bad label'    => "${good}a_bytes{child=\"a\"b\"} 1\n",
    'a bad name'     => "# HELP a-b A.\n# TYPE a-b gauge\na-b 1\n",
    'counter'        => "# HELP a A.\n# TYPE a counter\na 1\n",
    'no newline'     => "${good}a_bytes 1",
    'TYPE too late'  => "a_bytes 1\n${good}",
);
for my $what (sort keys %bad) {
    my ($code, $said) = check($bad{$what});
    isnt($code, 0, "$what: status");
    isnt($said, '', "$what: says something");
}



=== TEST 2: a node just started - fine
--- after
is_fine(metrics(), 'before any change');



=== TEST 3: a healthy child, a dead one, a missing log - fine
--- after
like(ask('PUT', "/d/$_", "content $_"), qr{^HTTP/1.1 2\d\d }, "PUT $_") for qw(a b c);
like(ask('DELETE', '/d/b'), qr{^HTTP/1.1 200 }, 'DELETE');
ask('GET', '/nowhere');
ask('DELETE', '/nowhere');
is(scalar entries($main::s), 5, 'entries in the missing log');
my $metrics = metrics();
is_fine($metrics, 'the tree');
is(value_of($metrics, 'filedist_changes_total{outcome="stored"}'), 3, 'PUTs');
is(value_of($metrics, "filedist_child_up{child=\"$main::c1\"}"), 1, 'the healthy child');
is(value_of($metrics, "filedist_child_up{child=\"$main::s\"}"), 0, 'the dead child');
is(value_of($metrics, "filedist_child_missing_entries{child=\"$main::s\"}"), 5, 'what it lacks');
is(value_of($metrics, "filedist_child_missing_entries{child=\"$main::c1\"}"), 0, 'what the other lacks');



=== TEST 4: catch-up and provisioning under way - fine
--- config eval: main::node('filedist_catch_up on max_backoff=100ms;')
--- after
hang($ENV{TEST_NGINX_S});
write_data("root/$_", 'x') for 1 .. 50;
like(ask('POST', "/__missing__/$_/"), qr{^HTTP/1.1 202 }, "POST $_") for $main::s, $main::c1;
ok(poll_until(sub { requests('PUT') }, 8), 'the child is being sent the first one');
my $metrics = metrics();
is_fine($metrics, 'under way');
is(value_of($metrics, "filedist_child_catch_up_running{child=\"$main::s\"}"), 1, 'it runs');
ok(is_drained($main::c1, 15), 'the other one is provided');
is_fine(metrics(), 'after it');



=== TEST 5: each metric that there is - has been checked
--- after
ask('PUT', "/$_", 'x') for qw(a b);
my $metrics = metrics();
my %typed = map { $_ => 1 } $metrics =~ /^# TYPE (\S+) /mg;
my %said  = map { $_ => 1 } $metrics =~ /^(\w+)[ {]/mg;
is_deeply([sort keys %said], [grep { $said{$_} } sort keys %typed], 'no sample without a TYPE');
cmp_ok(scalar keys %said, '>', 10, 'metrics');



=== TEST 6: a leaf - fine
--- after
ask('PUT', '/a', 'x');
is_fine(metrics($ENV{TEST_NGINX_C1}), 'the child');



=== TEST 7: with tree - fine
--- after
ask('PUT', '/a', 'x');
is_fine(metrics(server_port(), '&tree'), 'the tree');



=== TEST 8: a child's name with all that a label must not have as it is - fine
--- http_config eval: 'upstream children { server "unix:$TEST_NGINX_DATA/a\\"b\\\\c d.sock" max_fails=0; filedist_fanout; }'
--- allow_log: crit
--- after
ask('PUT', '/a', 'x');
my $metrics = metrics();
like($metrics, qr/^filedist_child_up\{child="unix:[^\n]*a\\"b\\\\c d\.sock"\} 0$/m, 'the name');
is_fine($metrics, 'the name');
