# --- tcp_listen: a server that the block scripts, in a process of its own. It
# serves one connection and leaves what it received in a file.

package Test::Nginx::Socket::Peer;

use v5.36;

use Exporter qw(import);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Test::More ();
use Test::Nginx::Socket::Base;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(check_tcp_query start_tcp_server stop_tcp_server);

my $tcp_pid;    # a child of this process
my $tester;     # this process, as the child knows it
at_exit(\&stop_tcp_server);

sub start_tcp_server ($block) {
    return if $tcp_pid;
    my $address = expand($block->tcp_listen) // return;
    $address =~ s/^\s+|\s+$//g;
    unlink "$root/logs/tcp_query", $address =~ /\.sock$/ ? $address : ();
    my $listener = $address =~ /\.sock$/
        ? IO::Socket::UNIX->new(Local => $address, Listen => 5)
        : IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $address, Listen => 5, ReuseAddr => 1);
    $listener or bail_out($block->name . " - cannot listen on $address: $! $@");

    $tester = $$;
    $tcp_pid = fork // bail_out("fork: $!");
    return if $tcp_pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    $SIG{PIPE} = 'IGNORE';
    eval { serve_tcp($block, $listener); 1 } or print STDERR "# tcp_listen: $@";
    POSIX::_exit(0);
}

sub serve_tcp ($block, $listener) {
    doze(0) until readable($listener, 0.2);
    my $connection = $listener->accept or return;
    shutdown $connection, $block->tcp_shutdown if length($block->tcp_shutdown // '');

    # Without a known length: what comes until the peer pauses.
    my $wanted = wanted_query_length($block);
    my $pause = seconds(length($block->tcp_query_auto_timeout // '') ? $block->tcp_query_auto_timeout : 0.02);
    open my $record, '>:raw', "$root/logs/tcp_query" or die "$root/logs/tcp_query: $!\n";
    $record->autoflush;
    my $query = '';
    while (!defined $wanted || length $query < $wanted) {
        last if length $query && !defined $wanted && !readable($connection, $pause);
        sysread $connection, my $piece, 65536 or last;
        $query .= $piece;
        print $record $piece;
    }
    doze(seconds($block->tcp_reply_delay // 0));

    my $reply = $block->tcp_reply;
    $reply = $reply->($query) if ref $reply eq 'CODE';
    for my $piece (ref $reply ? @$reply : $reply // ()) {
        $connection->syswrite($piece) or last;
        sleep 0.005 if ref $reply;
    }
    if (defined $block->tcp_no_close) { doze(1) while 1 }
    shutdown $connection, 1;
    while (readable($connection, 1)) {    # no reset because of unread bytes
        sysread $connection, my $piece, 65536 or last;
        print $record $piece;
    }
    close $connection;
    doze(1) while 1;    # keep listening until the test is over
}

# Sleeps, but not longer than the test lives: one that is killed cannot end its server.
sub doze ($seconds) {
    my $end = time + $seconds;
    do {
        POSIX::_exit(0) if getppid() != $tester;
        my $rest = $end - time;
        sleep($rest < 0.2 ? $rest : 0.2) if $rest > 0;
    } while (time < $end);
}

sub readable ($socket, $seconds) {
    my $bits = '';
    vec($bits, fileno $socket, 1) = 1;
    return select($bits, undef, undef, $seconds) > 0;
}

sub wanted_query_length ($block) {
    return $block->tcp_query_len if length($block->tcp_query_len // '');
    return ref $block->tcp_query ? undef : defined $block->tcp_query ? length $block->tcp_query : undef;
}

sub stop_tcp_server {
    my $pid = $tcp_pid or return;
    $tcp_pid = undef;
    kill KILL => $pid;
    waitpid $pid, 0;
}

sub check_tcp_query ($block) {
    my $name = $block->name;
    my $query = $block->tcp_query;
    if (defined $query || length($block->tcp_query_len // '')) {
        my $file = "$root/logs/tcp_query";
        my $enough = wanted_query_length($block);
        poll(0.5, sub { defined $enough ? (-s $file // 0) >= $enough : slurp($file) =~ $query });
        my $got = slurp($file);
        is_str($got, $query, "$name - tcp_query ok") if defined $query;
        Test::More::is(length $got, $block->tcp_query_len, "$name - TCP query length ok")
            if length($block->tcp_query_len // '');
    }
    stop_tcp_server();
}

1;
