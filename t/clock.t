# A clock that was wrong and is right again: what README.md says to do then has the tree come to the same again.

use v5.36;
use Filedist;
use Filedist::Tree;

use Cwd qw(abs_path);
use Digest::MD5 qw(md5_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(512);

# A parent of two.
our $node = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist_catch_up on max_backoff=100ms;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children; }
    location /__index__/  { filedist_index; }
    location /__status__/ { filedist_status manage; }
END

our @children;

add_block_preprocessor(sub ($block) {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2);
    @children = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 C2);
    $block->set_value(http_config => upstream(map "127.0.0.1:\$TEST_NGINX_$_ max_fails=0", qw(C1 C2))
            . CORE::join '', map leaf($_, "127.0.0.1:\$TEST_NGINX_\U$_", 'location /__index__/ { filedist_index; }'), qw(c1 c2));
    $block->set_value(config     => $node);
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers(1);
    master_on();
});

# The command of README.md, for a node here.
sub take_back ($name, $seconds) {
    my ($command) = slurp(dirname(abs_path(__FILE__)) . '/../README.md') =~ /^### A clock that was wrong\n.*?^```sh\n(.*?)^```\n/ms
        or bail_out('README.md has no such command');
    my $state = $name eq 'root' ? 'state' : "$name-state";
    $command =~ s{root=\S+ state=\S+ back=\d+}{root=@{[data_dir()]}/$name state=@{[data_dir()]}/$state back=$seconds}
        or bail_out('README.md: what are root and state?');
    write_data('take_back', $command);
    is(system('sh', '-e', data_dir() . '/take_back'), 0, "the command at $name");
}

# A version, seconds from now.
our $rest = '123456789';
sub at ($seconds) { return (time + $seconds) . $rest }

sub file ($node, $path, $content, $version) {
    write_data("$node$path", $content);
    chmod 0666, data_dir() . "/$node$path";
    set_version("$node$path", $version);
}

sub bury ($node, $path, $version) {
    my $state = $node eq 'root' ? 'state' : "$node-state";
    my $sum   = md5_hex(data_dir() . "/$node$path");
    my $link  = data_dir() . "/$state/deleted/" . substr($sum, 0, 2) . '/' . substr $sum, 2;
    make_path(dirname($link));
    chmod 0777, dirname($link);
    symlink $version, $link or die "symlink: $!";
}

run_tests();

__DATA__

=== TEST 1: a day ahead, some nodes or all of them - all have what the root has, and the next change is of today
--- timeout: 30
--- after
my ($day, $now, $before) = (main::at(86_400), main::at(0), main::at(-7200));
# What was stored and deleted when the clocks were wrong, of all nodes or of some.
my %ahead = (all => [qw(root c1 c2)], root => ['root'], child => ['c1'], some => [qw(root c2)]);
for my $who (sort keys %ahead) {
    my %is = map { $_ => 1 } @{ $ahead{$who} };
    for my $node (qw(root c1 c2)) {
        main::file($node, "/$who/$_", $is{$node} ? 'ahead' : 'before', $is{$node} ? $day : $before) for qw(put delete left);
        main::bury($node, "/$who/gone", $day) if $is{$node};
        main::file($node, "/$who/right", 'right', $before);
    }
}
# When they are right again: as if nothing could be changed.
for my $who (qw(all root some)) {
    like(ask('PUT', "/$who/put", 'new'), qr{^error: \S+/put failed to store: 400 \(Filedist-Version is more than 5 minutes ahead: check the clocks[^\n]*\)$}m, "PUT of what is ahead, $who");
    like(ask('DELETE', "/$who/delete"), qr{^error: \S+/delete failed to delete: 400 \(Filedist-Version is more than 5 minutes ahead: check the clocks[^\n]*\)$}m, "DELETE, $who");
    like(ask('PUT', "/$who/gone", 'new'), qr{^error: \S+/gone failed to store: 400 \(Filedist-Version is more than 5 minutes ahead: check the clocks[^\n]*\)$}m, "PUT of what was deleted, $who");
}
like(ask('PUT', '/child/left', 'new'), qr{^success: c1/child/left superseded}m, 'PUT of what a child alone has ahead');
# That of a directory: it leaves no tombstone.
make_path(data_dir() . "/$_/empty") for qw(c1 c2);
seed_log($_, entry('DELETE', '/empty', $day, '400')) for @main::children;
ok(scalar entries() >= 14, 'entries that stay');
main::take_back($_, 90_000) for qw(c1 c2 root);
ok(is_drained('*', 10), 'nothing is missing') or diag(entries());
for my $who (qw(all root some)) {
    for my $node (qw(root c1 c2)) {
        is(read_data("$node/$who/$_"), 'new', "$_ at $node, $who") for qw(put gone);
        is(read_data("$node/$who/delete"), undef, "delete at $node, $who");
        is(version_of("$node/$who/right"), $before, "right at $node, $who");
    }
}
is(version_of('root/all/left'), $day - 90_000 * 1_000_000_000, 'what nobody has changed, the nanoseconds too');
is(version_of("$_/all/left"), version_of('root/all/left'), "the same at $_") for qw(c1 c2);
ok(!-d data_dir() . "/$_/empty", "no empty directory at $_") for qw(c1 c2);
for my $path (qw(/all/left /child/put /root/gone)) {
    my ($version) = ask('PUT', $path, 'today', 'Accept: application/json') =~ /"version":(\d+)/;
    ok($version >= $now && $version < main::at(60), "PUT $path has a version of now");
    is(read_data("$_$path"), 'today', "it is at $_") for qw(root c1 c2);
}
like(ask('DELETE', '/all/gone'), qr{\A(?!.*^error).*^success: c2/all/gone deleted$}ms, 'DELETE');
is(scalar entries(), 0, 'nothing is missing');
is(read_data('c1/child/left'), 'ahead', 'what the child alone had ahead');
my $compare = sub ($method, $child) { return (http_get(server_port(), "/__status__/?compare=$child", $method))[2] };
is_deeply([$compare->('POST', $main::children[0]) =~ m{^\w+ /.*}mg],
    ['newer /child/delete', 'older /child/left', 'older /root/left', 'older /some/left'], 'what is not in the missing logs');
$compare->('POST', $main::children[1]);
ok(is_drained('*', 10), 'nothing is missing');
is_deeply([$compare->('GET', $main::children[0]) =~ m{^\w+ /.*}mg], ['newer /child/delete'], 'compared');
like($compare->('GET', $main::children[1]), qr/^same: /, 'compared');
