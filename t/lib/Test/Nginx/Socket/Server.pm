# The server root, nginx.conf, and the nginx process.

package Test::Nginx::Socket::Server;

use v5.36;

use Exporter qw(import);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path remove_tree);
use POSIX qw(WNOHANG);
use Test::More;
use Test::Nginx::Socket::Base;

our @EXPORT = qw(
    died newer_than nginx_runs nginx_version prepare_root reload_nginx
    start_nginx stop_nginx wants_http2 why_not_started write_config
);

my $binary = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $nginx_pid;    # a child of this process
my %last_config;

sub nginx_runs { defined $nginx_pid }

# An empty server root; with a running nginx (HUP mode) only html/ is emptied.
sub prepare_root ($block) {
    if ($nginx_pid) {
        remove_tree("$root/html", { keep_root => 1 });
    }
    elsif (-e $root) {
        opendir my $dir, $root or bail_out("cannot open $root: $!");
        my @found = grep { !/^\.\.?$/ } readdir $dir;
        bail_out("$root does not look like a server root, not removing it")
            if @found && !-d "$root/logs";
        stop_stale_nginx();
        remove_tree($root);
    }
    make_path(map { "$root/$_" } qw(conf html logs));
    write_file("$root/html/index.html", "<html><body>It works!</body></html>\n");
}

# A test that was killed could not stop its nginx: its pid file is still there.
sub stop_stale_nginx {
    my ($pid) = slurp("$root/logs/nginx.pid") =~ /^(\d+)$/ or return;
    return if slurp("/proc/$pid/cmdline") !~ /\Q$root\E/;
    kill KILL => -$pid, $pid;
    poll(2, sub { !-e "/proc/$pid/exe" });
}

sub nginx_version {
    state $output = `$binary -V 2>&1`;
    return wantarray ? ($output, $output =~ m{version: [^/\s]+/(\d+)\.(\d+)\.(\d+)}) : $output;
}

sub newer_than (@version) {
    my (undef, @ours) = nginx_version();
    return sprintf('%d.%03d%03d', @ours) > sprintf('%d.%03d%03d', @version);
}

sub wants_http2 ($block) {
    return defined $block->http2;
}

sub write_config ($block) {
    my %section;
    my $own = defined $block->config;
    for my $name (qw(main_config http_config config post_main_config)) {
        my $value = $block->$name;
        $value = $last_config{$name} if !defined $value && !$own;
        $section{$name} = $value;
    }
    %last_config = %section;
    $_ = expand($_) // '' for values %section;

    my $http2 = wants_http2($block);
    my $old_http2 = $http2 && !newer_than(1, 25, 0);
    my $version = nginx_version();
    my $temp = join ' ', map { "${_}_temp_path $root/${_}_temp;" } 'client_body', 'proxy',
        grep { $version !~ /--without-http_${_}_module/ } qw(fastcgi scgi uwsgi);
    my $user = $> ? '' : 'user ' . ($ENV{TEST_NGINX_WORKER_USER} // 'root') . ';';
    my $listen = join ' ', "$setting{server_addr}:$setting{port}", $old_http2 ? 'http2' : ();

    write_file("$root/conf/nginx.conf", join "\n",
        (map {"load_module $_;"} split ' ', $ENV{TEST_NGINX_LOAD_MODULES} // ''),
        "worker_processes $setting{workers};",
        'daemon off;',
        'master_process ' . ($setting{master} || $setting{hup} ? 'on;' : 'off;'),
        "error_log $root/logs/error.log " . ($block->log_level // $setting{log_level}) . ';',
        "pid $root/logs/nginx.pid;",
        $user,
        (map { /\s/ ? "env '$_';" : "env $_;" } @{ $setting{env} }),
        $section{main_config},
        'http {',
        "    access_log $root/logs/access.log;",
        "    $temp",
        '    default_type text/plain;',
        '    keepalive_timeout 68000ms;',
        $section{http_config},
        '    server {',
        "        listen $listen;",
        $http2 && !$old_http2 ? '        http2 on;' : '',
        "        server_name '" . ($block->server_name // $setting{server_name}) . "';",
        '        client_max_body_size 30M;',
        $section{config},
        $setting{root_location} ? "        location / { root $root/html; }" : '',
        '    }',
        '}',
        $section{post_main_config},
        'events {',
        '    accept_mutex off;',
        "    worker_connections $setting{worker_connections};",
        $ENV{TEST_NGINX_EVENT_TYPE} ? "    use $ENV{TEST_NGINX_EVENT_TYPE};" : '',
        "}\n",
    );
}

# Starts nginx. Returns undef when it runs, else its wait status.
sub start_nginx {
    my @command = ($binary, '-e', error_log_path(), '-p', "$root/", '-c', "$root/conf/nginx.conf");
    if ($valgrind) {
        my @how = $valgrind =~ /^\d+$/
            ? qw(--tool=memcheck --leak-check=full --keep-debuginfo=yes --show-possibly-lost=no --num-callers=100)
            : split ' ', $valgrind;
        push @how, '--gen-suppressions=all', "--log-file=$root/logs/valgrind.%p";
        push @how, '--suppressions=valgrind.suppress' if -e 'valgrind.suppress';
        unshift @command, 'valgrind', '-q', @how;
    }

    my $pid = fork // bail_out("fork: $!");
    if (!$pid) {
        setpgrp;
        open STDIN,  '<',  '/dev/null';
        open STDOUT, '>>', "$root/logs/stdout";
        open STDERR, '>>', "$root/logs/stderr";
        no warnings 'exec';
        exec { $command[0] } @command or print STDERR "cannot run $command[0]: $!\n";
        POSIX::_exit(127);
    }

    # nginx writes its pid file after it has opened the listening sockets.
    my $status;
    poll($patience, sub {
        if (waitpid($pid, WNOHANG) == $pid) { $status = $?; return 1 }
        return slurp("$root/logs/nginx.pid") =~ /^$pid\n/;
    }) or do {
        kill KILL => -$pid, $pid;
        waitpid $pid, 0;
        bail_out("nginx did not start within $patience s");
    };
    $nginx_pid = $pid if !defined $status;
    bail_out(slurp("$root/logs/stderr")) if ($status // 0) >> 8 == 127;
    return $status;
}

# What nginx said when it did not start: its [emerg] lines, else everything.
sub why_not_started {
    my $said = slurp("$root/logs/stderr") . slurp(error_log_path());
    my @emerg = $said =~ /^(.*\[emerg\].*)$/mg;
    my %seen;
    return join "\n", @emerg ? grep { !$seen{ s/^.*?\[emerg\] (\d+#\d+: )?//r }++ } @emerg : $said;
}

sub stop_nginx ($name) {
    my $pid = $nginx_pid or return;
    $nginx_pid = undef;
    my $status;
    my $gone = sub { waitpid($pid, WNOHANG) == $pid ? do { $status = $?; 1 } : 0 };
    kill(($ENV{TEST_NGINX_FAST_SHUTDOWN} ? 'TERM' : 'QUIT'), $pid);
    if (!poll($patience / 2, $gone)) {
        diag("$name - nginx still runs after a graceful quit, terminating it");
        kill TERM => $pid;
        if (!poll($patience / 2, $gone)) {
            kill KILL => -$pid, $pid;
            waitpid $pid, 0;
            fail("$name - nginx did not stop, killed it");
        }
    }
    kill KILL => -$pid;    # a worker that outlived its master
    keep_log() if $ENV{TEST_NGINX_ERROR_LOG};
    fail("$name - nginx ended with " . describe($status)) if $status;

    for my $file (bsd_glob "$root/logs/valgrind.*") {
        my $report = slurp($file);
        next if $report !~ /\S/;
        fail("$name - valgrind reports errors");
        diag($report);
    }
}

sub keep_log {
    open my $all, '>>:raw', $ENV{TEST_NGINX_ERROR_LOG} or bail_out("$ENV{TEST_NGINX_ERROR_LOG}: $!");
    print $all slurp(error_log_path());
}

# The wait status of an nginx that ended on its own, else undef.
sub died {
    return undef if !$nginx_pid || waitpid($nginx_pid, WNOHANG) != $nginx_pid;
    my $status = $?;
    kill KILL => -$nginx_pid;
    $nginx_pid = undef;
    return $status;
}

# Worker processes of a master, each with 1 when it accepts connections.
sub worker_pids ($master) {
    my %accepting;
    for my $pid (split ' ', slurp("/proc/$master/task/$master/children")) {
        my $title = slurp("/proc/$pid/cmdline");
        next if $title !~ /worker process/;
        $accepting{$pid} = $title !~ /shutting down/ ? 1 : 0;
    }
    return %accepting;
}

# Reloads, and waits until only workers of the new configuration accept
# connections. Returns what nginx said if it refused the configuration.
sub reload_nginx {
    my $from = -s error_log_path() // 0;
    my %old = worker_pids($nginx_pid);
    kill HUP => $nginx_pid or return "nginx is gone";
    my $refused;
    my $done = poll($patience, sub {
        my %now = worker_pids($nginx_pid);
        my $new = grep { $now{$_} && !exists $old{$_} } keys %now;
        return 1 if $new >= $setting{workers} && !grep { $now{$_} } keys %old;
        ($refused) = slurp(error_log_path(), $from) =~ /^(.*\[emerg\].*)$/m;
        return defined $refused;
    });
    return $refused // ($done ? undef : 'nginx did not reload');
}

# Leaves no process behind, however the test ends.
at_exit(sub {
    return if $setting{no_clean} || !$nginx_pid;
    my $pid = $nginx_pid;
    $nginx_pid = undef;
    kill TERM => $pid;
    poll(2, sub { waitpid($pid, WNOHANG) == $pid });
    kill KILL => -$pid, $pid;
    waitpid $pid, 0;
});

1;
