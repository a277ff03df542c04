# What nginx's master sees to before workers start: who has the state directory, whose files are in it, and
# that the roots are there.

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root));

our $node = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; }
END

add_block_preprocessor(sub ($block) {
    $block->set_value(config => $node) if !defined $block->config;
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    $block->name =~ /user/ ? master_on() : master_off();
});

add_test_cleanup_handler(\&end_processes);

# Another nginx with a configuration of its own; what `-t` says, and how it ends.
sub other_nginx ($server) {
    my $dir = data_dir() . '/other';
    make_path("$dir/logs", "$dir/root");
    my $modules = join '', map "load_module $_;\n", split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // '';
    my $temp = join '', map "${_}_temp_path $dir/$_;\n", qw(client_body proxy fastcgi uwsgi scgi);
    write_data('other/nginx.conf', "${modules}pid $dir/pid;\nevents {}\nhttp { access_log off;\n${temp}server { listen 127.0.0.1:" . free_port() . "; $server } }\n");
    my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
    my $said  = `timeout 10 $nginx -t -p $dir -e $dir/logs/error.log -c $dir/nginx.conf 2>&1`;
    return ($? >> 8, $said);
}

run_tests();

__DATA__

=== TEST 1: a state directory that another nginx has - nginx -t refuses it, and says who has it
--- after
my ($state, $root) = map data_dir() . "/$_", qw(state other/root);
my ($status, $said) = other_nginx("filedist_state $state; location / { filedist on; root $root; }");
isnt($status, 0, 'refused');
like($said, qr{\[emerg\] .*the state directory "\Q$state\E" is in use by the nginx of "\S+/nginx\.conf": give each nginx its own "filedist_state"}, 'why');
my $own = data_dir() . '/other/state';
($status, $said) = other_nginx("filedist_state $own; location / { filedist on; root $root; }");
is($status, 0, 'one of its own') or diag($said);
--- allow_log: emerg



=== TEST 2: the same nginx, tested and reloaded - goes on
--- after
my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $said  = `timeout 10 $nginx -t -p @{[server_root()]} -c @{[server_root()]}/conf/nginx.conf 2>&1`;
is($?, 0, 'tested') or diag($said);
is((http_get(server_port(), '/alive'))[0], 204, 'it serves');



=== TEST 3: the workers have another user - what the former one has left is theirs
--- skip_eval: 9: $> != 0 || $ENV{TEST_NGINX_USE_HUP}
--- post_setup_server_root
package main;
be_nobody();
write_data('state/journal/4194305-1', '');
write_data('state/missing/10.0.0.1:80/2026-11-22.log.html', '');
make_path(data_dir() . '/state/deleted/ab');
my ($daemon) = (getpwnam 'daemon')[2];
chown $daemon, $daemon, map { data_dir() . "/state/$_" } 'journal/4194305-1', 'missing', 'missing/10.0.0.1:80', 'missing/10.0.0.1:80/2026-11-22.log.html', 'deleted/ab';
# Somebody else's, by another name.
write_data('elsewhere', 'x');
link data_dir() . '/elsewhere', data_dir() . '/state/missing/10.0.0.1:80/2026-11-23.log.html' or die $!;
--- after
my $user = (getpwnam nobody())[2];
is((stat data_dir() . "/state/$_")[4], $user, $_) for 'missing/10.0.0.1:80', 'missing/10.0.0.1:80/2026-11-22.log.html', 'deleted/ab';
is((stat data_dir() . '/elsewhere')[4], 0, 'a file of two names stays');
like(ask('PUT', '/a', 'x'), qr/^success: root\/a stored/m, 'PUT');



=== TEST 4: a root that the workers' user may not write to - is told at the start, with the command
--- skip_eval: 4: $> != 0
--- post_setup_server_root
package main;
be_nobody();
chmod 0755, data_dir() . '/root';
--- error_log eval: [qr{\[warn\] .*the workers' user "\w[\w-]*" may not write to root "\S+/root", so that PUT and DELETE are refused: chown \w[\w-]* "\S+/root"}]



=== TEST 5: a root that is not there - is told at the start
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/disk/files; }
--- error_log eval: [qr{\[warn\] .*stat\(\) "\S+/disk/files" failed \(2: No such file or directory\): root of "filedist on"; is its disk mounted\?}]
