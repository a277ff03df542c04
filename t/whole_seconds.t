# A file system that keeps times in whole seconds, as ext4 with inodes of 128 bytes: a version is all there, and
# what is compared with it, all the same.

use v5.36;
use Filedist;
use Filedist::Tree;

use Cwd qw(abs_path);

plan skip_all => 'only root may mount' if $>;
no_root_location();
prepare_dirs(qw(fine disk));
worker_connections(512);

# Each file system in a file.
my $probe = "/tmp/filedist-whole-seconds-$$";
my @mounted;
sub unmount () { system('umount', '-l', pop @mounted) while @mounted }
END { unmount(); system('rm', '-rf', $probe) }
add_test_cleanup_handler(sub (@) { end_processes(); unmount() });

sub mount_disk ($directory) {
    system("truncate -s 32M $directory.img && mkfs.ext4 -q -F -I 128 -O ^has_journal $directory.img 2>/dev/null"
            . " && mount -o loop $directory.img $directory 2>/dev/null") == 0 or return;
    push @mounted, $directory;
    chmod 0777, $directory;
    return 1;
}

mkdir $probe;
plan skip_all => 'no loop device, or no ext4' if !mount_disk($probe);
unmount();
plan 'no_plan';

our $port;

# A parent, its files on the disk or on what keeps nanoseconds; so those of its two children.
sub parent ($place) {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_name root;
        filedist_catch_up on max_backoff=100ms;
        location = /alive { return 204; }
        location / { filedist on; root \$TEST_NGINX_DATA/$place/root; proxy_pass http://children; client_max_body_size 0; }
        location /__index__/   { filedist_index; }
        location /__missing__/ { filedist_missing manage; }
        location /__status__/  { filedist_status manage; }
        END
}

sub child_on ($place, $name) {
    return <<~END;
        server {
            listen 127.0.0.1:\$TEST_NGINX_\U$name\E;
            filedist_state \$TEST_NGINX_DATA/$name-state;
            filedist_name $name;
            location / { filedist on; root \$TEST_NGINX_DATA/$place/$name; client_max_body_size 0; }
            location /__index__/  { filedist_index; }
            location /__status__/ { filedist_status; }
        }
        END
}

our ($c1, $c2);

add_block_preprocessor(sub ($block) {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2);
    ($c1, $c2) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 C2);
    mount_disk(abs_path(data_dir() . '/disk')) or bail_out('mount');
    mkdir data_dir() . "/$_" for map { ("fine/$_", "disk/$_") } qw(root c1 c2);
    chmod 0777, map { data_dir() . "/$_" } map { ("fine/$_", "disk/$_") } qw(root c1 c2);
    be_nobody() if $block->name =~ /may not read/;
    my $place = $block->name =~ /parent fine/ ? 'fine' : 'disk';
    $block->set_value(config      => parent($place)) if !defined $block->config;
    $block->set_value(http_config => upstream(map "127.0.0.1:\$TEST_NGINX_$_ max_fails=0", qw(C1 C2))
            . child_on('disk', 'c1') . child_on('fine', 'c2')) if !defined $block->http_config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    workers(1);
    master_on();
});

# What the index of a node says.
sub version_at ($where, $path) {
    my (undef, undef, $body) = http_get($where =~ s/.*://r, '/__index__/?format=list');
    return ($body =~ m{^(\d+) \d+ \Q$path\E$}m)[0];
}

sub attribute ($file) {
    my $path = data_dir() . "/$file";
    return `python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.filedist.version").decode(), end="")' $path 2>/dev/null`;
}

sub compared ($child, $method = 'GET') { return (http_get(server_port(), "/__status__/?compare=$child", $method))[2] }
sub same_everywhere () {
    is(compared($_) =~ s/: .*//sr, 'same', "compared with $_") for $c1, $c2;
    like((http_get(server_port(), '/__status__/?digest&tree'))[2], qr/^same: all 3 nodes/m, 'the digests');
}

our $v = '1763810645123456789';
sub older () { return "Filedist-Version: @{[$v - 1]}" }
sub newer () { return "Filedist-Version: @{[$v + 1]}" }

run_tests();

__DATA__

=== TEST 1: three changes of one second - the newest wins, in whatever order they come
--- after
for my $size (10, 100_000) {
    for my $path ("/a$size", "/d/a$size") {
        like(ask('PUT', $path, 'n' x $size, "Filedist-Version: $main::v"), qr/^HTTP\/1.1 201 /, "PUT $path");
        like(ask('PUT', $path, 'o' x $size, main::older()), qr/^success: root\S+ superseded/m, 'an older one');
        like(ask('DELETE', $path, undef, main::older()), qr/^success: root\S+ superseded/m, 'an older DELETE');
        like(ask('PUT', $path, 'n' x $size, "Filedist-Version: $main::v"), qr/^success: root\S+ unchanged/m, 'the same');
        is(read_data("$_$path"), 'n' x $size, $_) for qw(disk/root disk/c1 fine/c2);
        is(main::version_at($_, $path), $main::v, "version at $_") for server_port(), $main::c1, $main::c2;
        like(ask('PUT', $path, 'N' x $size, main::newer()), qr/^success: root\S+ stored/m, 'a newer one');
        is(read_data("$_$path"), 'N' x $size, $_) for qw(disk/root disk/c1 fine/c2);
    }
}
is(main::attribute('disk/root/a10'), $main::v + 1, 'the attribute');
is(version_of('disk/root/a10'), substr($main::v, 0, -9) . '0' x 9, 'the mtime');
is(main::attribute('fine/c2/a10'), '', 'no attribute where nanoseconds are kept');
main::same_everywhere();



=== TEST 2: parent fine - its children have the same, and are sent nothing again
--- after
ask('PUT', "/$_", $_ x 10) for 1 .. 5;
is(version_of('fine/root/1'), main::version_at($main::c1, '/1'), 'the version at the child');
main::same_everywhere();
like(main::compared($main::c1, 'POST'), qr/^same: 5 files\n\z/, 'POST');
is(scalar entries(), 0, 'nothing is to be sent');



=== TEST 3: clients - each version is newer, the same at all nodes
--- after
my @versions = map { ask('PUT', '/a', $_, 'Accept: application/json') =~ /"version":(\d+)/ } 1 .. 20;
ok($versions[$_] > $versions[$_ - 1], 'newer') for 1 .. 19;
is(main::version_at($_, '/a'), $versions[-1], "version at $_") for server_port(), $main::c1, $main::c2;
main::same_everywhere();



=== TEST 4: catch-up and provisioning - what is there is known by its version
--- http_config eval: main::upstream('127.0.0.1:$TEST_NGINX_C2') . main::child_on('disk', 'c1')
--- after
ask('PUT', '/a', 'x' x 1000, "Filedist-Version: $main::v");
is(scalar entries(), 1, 'missed');
relay($ENV{TEST_NGINX_C2}, $ENV{TEST_NGINX_C1});
ok(is_drained(), 'delivered');
is(main::version_at($main::c1, '/a'), $main::v, 'its version');
my $inode = (stat data_dir() . '/disk/c1/a')[1];
http_get(server_port(), "/__missing__/$main::c2/", 'POST');
ok(poll_until(sub { child_status($main::c2)->{catch_up} || !glob data_dir() . '/state/provide/*' }, 8), 'provided');
ok(is_drained(), 'delivered');
is((stat data_dir() . '/disk/c1/a')[1], $inode, 'not stored again');



=== TEST 5: a file that was changed by other means - counts with its mtime
--- after
ask('PUT', '/a', 'x', "Filedist-Version: $main::v");
utime $main::v / 1e9 + 5, int($main::v / 1e9) + 5, data_dir() . '/disk/root/a';
my $mtime = int($main::v / 1e9) + 5 . '0' x 9;
is(main::version_at(server_port(), '/a'), $mtime, 'its version');
like(main::compared($main::c2, 'POST'), qr/^older \/a$/m, 'compared');
ok(is_drained(), 'delivered');
is(main::version_at($main::c2, '/a'), $mtime, 'the version at the child');



=== TEST 6: a file that a worker may not read - counts with its mtime
--- after
ask('PUT', '/a', 'x', "Filedist-Version: $main::v");
my $file = data_dir() . '/disk/root/a';
chown 0, 0, $file;
chmod 0600, $file;
is(main::version_at(server_port(), '/a'), substr($main::v, 0, -9) . '0' x 9, 'its version') if nobody();



=== TEST 7: no extended attributes either - nginx does not start, and says why
--- allow_log: emerg
--- after
my ($trace, $said) = map data_dir() . "/$_", qw(trace said);
my @nginx = ($ENV{TEST_NGINX_BINARY} // 'nginx', '-t', '-p', server_root(), '-c', server_root() . '/conf/nginx.conf');
SKIP: {
    skip 'no strace', 3 if system("strace -qq -o /dev/null true 2>/dev/null") != 0;
    is(system("@nginx >$said 2>&1"), 0, 'with them it does') or diag(slurp($said));
    isnt(system("strace -qq -f -o $trace -e inject=fsetxattr:error=EOPNOTSUPP @nginx >$said 2>&1"), 0, 'without it does not');
    like(slurp($said), qr{\[emerg\] .*root "\S+/disk/\w+": the file system keeps neither nanoseconds of an mtime nor extended attributes \(user\.\*\)}, 'why');
}
