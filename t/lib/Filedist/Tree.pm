# Children of all kinds, and missing logs: what tests of deliveries share. The POD at the end is the
# reference.

package Filedist::Tree;

use v5.36;
use Exporter qw(import);
use Filedist ();

use File::Path qw(make_path);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

our @EXPORT = qw(leaf upstream child hang relay requests sent most_at_once names slurp version_of set_version
    entry seed_log log_files entries is_drained client answer ask body_of status child_status until_status master worker_pids reload kill_worker error_log_has end_processes);

#-------------------------------------------------------------------- configuration

sub leaf ($name, $listen = "127.0.0.1:\$TEST_NGINX_\U$name", $more = '') {
    return <<~END;
        server {
            listen $listen;
            filedist_state \$TEST_NGINX_DATA/$name-state;
            filedist_name $name;
            $more
            location / { filedist on; root \$TEST_NGINX_DATA/$name; client_max_body_size 0; }
        }
        END
}

sub upstream (@servers) {
    my $name = $servers[0] =~ /[\$:]/ ? 'children' : shift @servers;
    return "upstream $name { @{[ map \"server $_;\", @servers ]} filedist_fanout; }\n";
}

#------------------------------------------------------------------------- processes

my @pids;

sub end_processes (@) {
    kill KILL => map { -$_ } @pids;
    waitpid $_, 0 for @pids;
    @pids = ();
}

# However the test ends.
END { end_processes() }

# Runs the code for each connection, each in a process of its own.
sub accept_each ($address, $code) {
    my $listener;
    # One that was ended just now may still have the port.
    Filedist::poll_until(sub {
        $listener = $address =~ m{^/}
            ? IO::Socket::UNIX->new(Local => $address, Listen => 100)
            : IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $address, Listen => 100, ReuseAddr => 1);
    });
    die "cannot listen at $address: $!" if !$listener;
    chmod 0777, $address if $address =~ m{^/};
    my $pid = fork // die "fork: $!";
    if ($pid) {
        # Both do it: whoever comes first.
        setpgrp $pid, $pid;
        push @pids, $pid;
        return;
    }
    setpgrp;
    open STDOUT, '>', '/dev/null';
    $SIG{$_}   = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    $SIG{CHLD} = 'IGNORE';
    while (1) {
        my $connection = $listener->accept or next;
        my $worker = fork // die "fork: $!";
        next if $worker;
        eval { $code->($connection); 1 } or print STDERR "child: $@";
        POSIX::_exit(0);
    }
}

sub relay ($from, $to) {
    accept_each($from, sub ($client) {
        my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$to") or return;
        my %other = ($client => $server, $server => $client);
        my $all = IO::Select->new($client, $server);
        while (1) {
            for my $socket ($all->can_read) {
                sysread $socket, my $piece, 65536 or return;
                while (length $piece) {
                    my $n = syswrite $other{$socket}, $piece or return;
                    substr $piece, 0, $n, '';
                }
            }
        }
    });
}

sub record ($file, $line) {
    open my $out, '>>:raw', $file or die "$file: $!";
    syswrite $out, $line;
}

sub child ($address, $answer = sub ($) { }) {
    my $file = Filedist::data_dir() . '/requests';
    accept_each($address, sub ($c) {
        my $got = '';
        record($file, sprintf "%.3f connection\n", time);
        while (1) {
            while ($got !~ /\r\n\r\n/) { sysread $c, $got, 65536, length $got or return }
            my ($head, $body) = split /\r\n\r\n/, $got, 2;
            my ($length) = $head =~ /^Content-Length: (\d+)/mi;
            while (length $body < ($length // 0)) { sysread $c, $body, 65536, length $body or return }
            my ($method, $path) = $head =~ /^(\S+) (\S+)/;
            my ($version) = $head =~ /^Filedist-Version: (\S+)/mi;
            my %request = (method => $method, path => $path, head => $head, body => $body, version => $version // '-');
            record($file, sprintf "%.3f > %s %s %s %d\n", time, $method, $path, $version // '-', length $body);
            my $said = $answer->(\%request) // { HEAD => 404, PUT => 201, DELETE => 200, GET => 404 }->{$method};
            record($file, sprintf "%.3f < %s %s\n", time, $method, $path);
            return if $said eq 'close';
            # A node that has what it is asked for says in which version.
            my $own = $said eq '204' && defined $version ? "Filedist-Version: $version\r\n" : '';
            $said = "HTTP/1.1 $said \r\n${own}Content-Length: 0\r\n\r\n" if $said =~ /^\d+$/;
            syswrite $c, $said;
            ($got) = ('');
        }
    });
}

sub hang ($address) {
    my $go = Filedist::data_dir() . '/go';
    child($address, sub ($r) { sleep 60 if $r->{method} =~ /PUT|DELETE/ && !-e $go; undef });
}

sub record_of_child () { return Filedist::read_data('requests') // '' }

sub requests ($with = '') {
    my @all = record_of_child() =~ /^\S+ > (\S+ \S+)/mg;
    return grep { index($_, $with) == 0 } @all;
}

sub sent ($pattern) { return my @times = record_of_child() =~ /^(\S+) [><] $pattern/mg }

sub most_at_once ($method) {
    my ($now, $most) = (0, 0);
    for my $step (record_of_child() =~ /^\S+ ([><]) \Q$method\E /mg) {
        $now += $step eq '>' ? 1 : -1;
        $most = $now if $now > $most;
    }
    return $most;
}

#----------------------------------------------------------------------------- files

sub slurp ($file) {
    open my $in, '<:raw', $file or return '';
    local $/;
    return <$in> // '';
}

sub names ($directory) {
    opendir my $handle, Filedist::data_dir() . "/$directory" or return;
    return my @names = sort grep { !/^\.\.?$/ } readdir $handle;
}

sub version_of ($name) {
    my $file = Filedist::data_dir() . "/$name";
    open my $out, '-|', qw(stat -c %.9Y), $file or die "stat: $!";
    return <$out> =~ s/[.\s]//gr;
}

sub set_version ($name, $version) {
    my $time = substr($version, 0, -9) . '.' . substr $version, -9;
    system('touch', '-d', "\@$time", Filedist::data_dir() . "/$name") == 0 or die 'touch';
    return $version;
}

#------------------------------------------------------------------------ missing log

sub entry ($method, $path, $version, $reason = '502') {
    my $link = $path =~ s{([^A-Za-z0-9/\-._~+,:=@])}{sprintf '%%%02X', ord $1}ger =~ s{^//}{/%2F}r;
    my $name = $path =~ s/&/&amp;/gr =~ s/</&lt;/gr =~ s/>/&gt;/gr =~ s/"/&quot;/gr =~ s/([\0-\x1f\x7f])/'&#' . ord($1) . ';'/ger;
    $name = qq(<a href="$link">$name</a>) if $method eq 'PUT';
    return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime) . " $method $name $version $reason<br>\n";
}

sub seed_log ($child, @lines) {
    my $day = @lines && $lines[0] =~ /^\d{4}-\d\d-\d\d$/ ? shift @lines : strftime('%Y-%m-%d', gmtime);
    my $directory = Filedist::data_dir() . "/state/missing/$child";
    make_path($directory);
    open my $out, '>>:raw', "$directory/$day.log.html" or die "$directory: $!";
    print $out @lines;
    close $out or die $!;
    chmod 0777, $directory;
    chmod 0666, "$directory/$day.log.html";
}

sub log_files ($child = '*') { return my @files = glob Filedist::data_dir() . "/state/missing/$child/*.log.html" }
sub entries ($child = '*')   { return grep {/<br>$/} map { split /^/, slurp($_) } log_files($child) }

sub is_drained ($child = '*', $seconds = 20) { return Filedist::poll_until(sub { !log_files($child) }, $seconds) }

#---------------------------------------------------------------------------- client

sub client () {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . Filedist::server_port(), Timeout => 5) // die "connect: $!";
}

sub answer ($socket, $seconds = 20) {
    my $got = '';
    while (1) {
        vec(my $bits = '', fileno $socket, 1) = 1;
        last if !select($bits, undef, undef, $seconds) || !sysread $socket, $got, 65536, length $got;
        next if $got !~ /\r\n\r\n/;
        last if $got =~ /\AHTTP\/1.1 204/;
        last if $got =~ /^Content-Length: (\d+)/mi && length($got) - index($got, "\r\n\r\n") - 4 >= $1;
        last if $got =~ /^Transfer-Encoding: chunked/mi && $got =~ /^0\r\n\r\n\z/m;
    }
    return $got;
}

sub ask ($method, $path, $body = undef, @headers) {
    my $socket = client();
    push @headers, 'Content-Length: ' . length $body if defined $body;
    $socket->printflush(join "\r\n", "$method $path HTTP/1.1", 'Host: x', 'Connection: close', @headers, '', $body // '');
    return answer($socket);
}

sub body_of ($answer) { return $answer =~ /\r\n\r\n(.*)\z/s ? $1 : '' }

sub status ($args = '') {
    my $answer = ask('GET', "/__status__/?format=json$args");
    return eval { JSON::PP->new->utf8->decode(body_of($answer)) } // die "no status: $answer";
}

sub child_status ($name, $status = status()) {
    my ($child) = grep { $_->{name} eq $name } @{ $status->{children} };
    return $child // die "no child $name in the status";
}

sub until_status ($name, $done, $seconds = 20) {
    return Filedist::poll_until(sub { local $_ = child_status($name); $done->($_) && $_ }, $seconds);
}

#---------------------------------------------------------------------------- workers

sub master () { return slurp(Filedist::server_root() . '/logs/nginx.pid') =~ s/\s+//gr }

# Those that accept connections.
sub worker_pids () {
    my @children = split ' ', slurp('/proc/' . master() . '/task/' . master() . '/children');
    return grep { my $title = slurp("/proc/$_/cmdline"); $title =~ /worker process/ && $title !~ /shutting down/ } @children;
}

sub reload () {
    my %old = map { $_ => 1 } my @old = worker_pids();
    kill HUP => master();
    return Filedist::poll_until(sub { @old <= grep { !$old{$_} } worker_pids() }, 20);
}

sub kill_worker ($signal = 'KILL') {
    my %old = map { $_ => 1 } my @old = worker_pids();
    kill $signal => @old;
    return Filedist::poll_until(sub { @old <= grep { !$old{$_} } worker_pids() }, 20);
}

sub error_log_has ($pattern) {
    return Filedist::poll_until(sub { slurp(Filedist::server_root() . '/logs/error.log') =~ $pattern }, 20);
}

1;

__END__

=head1 NAME

Filedist::Tree - children of all kinds, and missing logs

=head1 SYNOPSIS

    use Filedist;
    use Filedist::Tree;
    $ENV{TEST_NGINX_S} = free_port();
    add_test_cleanup_handler(\&end_processes);

    --- init: seed_log("127.0.0.1:$ENV{TEST_NGINX_S}", entry('PUT', '/a', 17))
    --- after
    child($ENV{TEST_NGINX_S}, sub ($request) { $request->{path} eq '/a' ? 403 : undef });
    ok(is_drained(), 'nothing is missing');
    is(join(' ', requests('PUT')), 'PUT /b', 'what was sent');

=head1 FUNCTIONS

Configuration:

=over

=item leaf(NAME, LISTEN, MORE)

A server that is a leaf: its files are below NAME, its state in NAME-state. It
listens at $TEST_NGINX_NAME if not said otherwise.

=item upstream(NAME, SERVERS)

An upstream with C<filedist_fanout>, C<children> if there is no name.

=back

Processes. A test calls end_processes() after each block.

=over

=item child(ADDRESS, CODE)

A child at a port or the path of a unix socket. CODE gets each request (method,
path, head, body, version) and returns a status, a whole answer, C<close>, or
undef for what a leaf without any file says. It may sleep: each connection has a
process of its own.

=item hang(ADDRESS)

A child that does not answer a change until there is a file F<go>.

=item relay(FROM, TO)

Passes connections at one port on to another: a child that was away is back.

=item requests(PREFIX)

What the scripted children of this block were asked, as C<PUT /path>.

=item sent(PATTERN)

The times of requests, and of the answers to them, whose C<METHOD path version
bytes> (of an answer C<METHOD path>) matches.

=item most_at_once(METHOD)

How many such requests were under way at once.

=back

Files below the data directory:

=over

=item names(DIRECTORY), slurp(FILE)

The names in a directory, sorted; the content of any file, empty if there is none.

=item version_of(NAME), set_version(NAME, VERSION)

The mtime of a file in nanoseconds.

=item entry(METHOD, PATH, VERSION, REASON)

A line of a missing log.

=item seed_log(CHILD, DAY, LINES)

Appends lines to a missing log, that of today if no day is given.

=item log_files(CHILD), entries(CHILD)

The files and lines of missing logs.

=item is_drained(CHILD, SECONDS)

Waits until no file of a missing log is left.

=back

Clients and workers:

=over

=item client(), answer(SOCKET, SECONDS), ask(METHOD, PATH, BODY, HEADERS)

A connection to the server; what comes on one; a request on one of its own.

=item body_of(ANSWER)

What follows the head of an answer.

=item status(ARGUMENTS), child_status(NAME, STATUS), until_status(NAME, CODE, SECONDS)

What F</__status__/> says in JSON, with C<&tree> or other arguments; what it says of
a child; the same as soon as CODE, which gets it, says that it is as wanted.

=item master(), worker_pids(), reload(), kill_worker(SIGNAL)

The master, and its workers that accept connections. reload() waits until there
are new ones, as does kill_worker().

=item error_log_has(PATTERN)

Waits until error.log has what matches.

=back

=cut
