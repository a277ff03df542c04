# Runs blocks in a test program of their own, for the tests of tests: a check
# is worth something only if it fails when it should.

package Child;

use v5.36;
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

our @EXPORT = qw(child_of start_child leftover fails_with passes);

my $lib = dirname(__FILE__) . '/..';
my $dir = tempdir(CLEANUP => 1);

sub free_port {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
}

# Writes the program. Options: head, Perl before run_tests(); use, the module.
sub program ($blocks, %opt) {
    state $n = 0;
    my $file = "$dir/" . ++$n . '.t';
    open my $out, '>', $file or die "$file: $!";
    my $module = $opt{use} // 'Test::Nginx::Socket';
    print $out "use $module 'no_plan';\nno_shuffle();\n", $opt{head} // '', "\nrun_tests();\n",
        $opt{tail} // '', "\n__DATA__\n", $blocks;
    close $out;
    return $file;
}

# Starts the program, returns its process id and a handle to what it prints.
sub start_child ($blocks, %opt) {
    my $file = program($blocks, %opt);
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    return ($pid, $pipe) if $pid;
    delete @ENV{ grep {/^TEST_NGINX_(?!BINARY|LOAD_MODULES)/} keys %ENV };
    $ENV{TEST_NGINX_SERVROOT} = "$dir/servroot";
    $ENV{TEST_NGINX_PORT} = free_port();
    %ENV = (%ENV, %{ $opt{env} // {} });
    open STDERR, '>&', \*STDOUT;
    exec $^X, "-I$lib", $file or die "exec: $!";
}

sub child_of ($blocks, %opt) {
    my ($pid, $pipe) = start_child($blocks, %opt);
    my $output = do { local $/; <$pipe> };
    close $pipe;
    return ($? >> 8, $output);
}

# Processes that have to do with the program or its server root: named in
# their command line, or with open files there.
sub leftover {
    return grep {
        my $process = $_;
        slurp("$process/cmdline") =~ m{\Q$dir/}
            || grep { (readlink // '') =~ m{^\Q$dir/} } glob "$process/fd/*";
    } grep { $_ ne "/proc/$$" } glob '/proc/[0-9]*';
}

sub slurp ($path) {
    open my $in, '<', $path or return '';
    local $/;
    return <$in> // '';
}

sub fails_with ($message, $name, $blocks, %opt) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $output) = child_of($blocks, %opt);
    my $failed = $status && $output =~ /^(?:not ok|Bail out!)/m;
    ok($failed && $output =~ $message, $name) or diag("expected a failure like $message, got:\n$output");
}

sub passes ($name, $blocks, %opt) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $output) = child_of($blocks, %opt);
    ok($status == 0 && $output =~ /^ok 1 /m && $output !~ /^not ok/m, $name) or diag($output);
}

1;
