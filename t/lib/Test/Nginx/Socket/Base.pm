# What every part of Test::Nginx::Socket uses: settings, paths and ports, time,
# files, and the end of the program.

package Test::Nginx::Socket::Base;

use v5.36;

use Cwd qw(getcwd);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use IO::Socket::INET;
use Test::More ();
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
    %setting $root $valgrind $patience
    at_exit bail_out describe error_log_path expand free_port is_str patterns
    poll seconds slurp write_file
);

our $valgrind = $ENV{TEST_NGINX_USE_VALGRIND};
our $patience = $valgrind ? 60 : 10;    # seconds that nginx gets to start or stop

my $random = $ENV{TEST_NGINX_RANDOMIZE};
my $port = $ENV{TEST_NGINX_SERVER_PORT} // $ENV{TEST_NGINX_PORT}
    // ($random ? free_port() : 1984);
$ENV{TEST_NGINX_SERVER_PORT} = $port;

our %setting = (
    # Valgrind hides the title of a process, which tells when a reload is over.
    hup                => $ENV{TEST_NGINX_USE_HUP} && !$valgrind,
    log_level          => $ENV{TEST_NGINX_LOG_LEVEL} // 'debug',
    master             => ($ENV{TEST_NGINX_MASTER_PROCESS} // 'off') eq 'on',
    no_clean           => $ENV{TEST_NGINX_NO_CLEAN},
    port               => $port,
    client_port        => $ENV{TEST_NGINX_CLIENT_PORT} // $ENV{TEST_NGINX_PORT} // $port,
    repeat_each        => 1,
    root_location      => 1,
    server_addr        => '127.0.0.1',
    server_name        => 'localhost',
    shuffle            => !$ENV{TEST_NGINX_NO_SHUFFLE},
    timeout            => $ENV{TEST_NGINX_TIMEOUT} // ($valgrind ? 30 : 3),
    workers            => 1,
    worker_connections => 64,
    env                => [qw(
        ASAN_OPTIONS LD_LIBRARY_PATH LD_PRELOAD MOCKEAGAIN MOCKEAGAIN_VERBOSE
        MOCKEAGAIN_WRITE_TIMEOUT_PATTERN MOCKNOEAGAIN MOCKNOEAGAIN_VERBOSE
    )],
);

our $root = $ENV{TEST_NGINX_SERVROOT} // getcwd() . '/t/servroot' . ($random ? "_$port" : '');
$root = getcwd() . "/$root" if $root !~ m{^/};
$root =~ s{/+$}{};

sub error_log_path { "$root/logs/error.log" }

sub free_port {
    # Below the range that the kernel gives to outgoing connections.
    state %taken;
    for (1 .. 1000) {
        my $port = 10000 + int rand 22000;
        next if $taken{$port}++;
        return $port if IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1);
    }
    die "no free port\n";
}

sub expand ($text = undef) {
    state %rand_port;
    return $text if !defined $text || ref $text;
    $text =~ s{\$(TEST_NGINX_[A-Z0-9_]+)}{
        my $name = $1;
        $name =~ /^TEST_NGINX_RAND_PORT_(\d+)$/  ? $rand_port{$1} //= free_port()
            : $name eq 'TEST_NGINX_SERVER_ROOT' ? $root
            : $ENV{$name} // bail_out("No environment $name defined.")
    }ge;
    return $text;
}

# Patterns of error_log and its relatives: lines of text, or an array.
sub patterns ($value = undef) {
    return () if !defined $value;
    return ref $value eq 'ARRAY' ? @$value : ref $value ? $value : grep {/\S/} split /\n/, $value;
}

sub seconds ($value) {
    $value =~ /^\s*([\d.]+)\s*(ms|s)?\s*$/ or bail_out("bad time: $value");
    return ($2 // '') eq 'ms' ? $1 / 1000 : $1;
}

# Runs $done every few milliseconds until it is true or the time is up.
sub poll ($seconds, $done) {
    my $end = time + $seconds;
    while (1) {
        my $result = $done->();
        return $result if $result || time > $end;
        sleep 0.003;
    }
}

sub write_file ($path, $content) {
    make_path(dirname($path));
    open my $file, '>:raw', $path or bail_out("cannot write $path: $!");
    utf8::encode($content) if utf8::is_utf8($content);
    print $file $content;
    close $file or bail_out("cannot write $path: $!");
}

sub slurp ($path, $from = 0) {
    open my $file, '<:raw', $path or return '';
    seek $file, $from, 0;
    local $/;
    return <$file> // '';
}

sub describe ($status) {
    return $status & 127 ? 'signal ' . ($status & 127) : 'exit code ' . ($status >> 8);
}

# Actions for the end of the program, the last one first.
my $test_pid = $$;
my @at_exit;

sub at_exit ($code) { unshift @at_exit, $code }

sub clean_up {
    return if $$ != $test_pid;
    $_->() for splice @at_exit;
}

sub bail_out ($message) {
    clean_up();
    Test::More::BAIL_OUT($message);
}

# Equality, or a match when a regex is expected.
sub is_str ($got, $expected, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::like($got, $expected, $name) if ref $expected eq 'Regexp';
    return Test::More::is($got, $expected, $name);
}

@SIG{qw(INT TERM HUP)} = (sub { exit 1 }) x 3;

END {
    my $status = $?;
    clean_up();
    $? = $status;
}

1;
