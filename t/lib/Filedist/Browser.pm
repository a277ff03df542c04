# A Chromium without a screen, for tests of pages. It is told what to do through two pipes, in the Chrome DevTools
# Protocol, and ends when they are closed, so also when the test is killed. The POD at the end is the reference.

package Filedist::Browser;

use v5.36;
use Fcntl qw(F_DUPFD);
use File::Temp qw(tempdir);
use JSON::PP ();
use POSIX ();
use Time::HiRes qw(sleep time);

# Seconds: no answer of the browser itself takes so long, on however slow a machine.
my $patience = 30;

my $json = JSON::PP->new->utf8->allow_nonref;
my %running;

my @options = (
    qw(--headless --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run
        --no-default-browser-check --disable-extensions --disable-sync --disable-quic --disable-breakpad
        --disable-background-networking --disable-component-update --no-proxy-server),
    # Nothing outside of this machine, whatever a page or Chromium itself wants.
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
);

sub program ($class) {
    my @directories = split /:/, $ENV{PATH};
    my ($program) = grep { -x } map { my $name = $_; map { "$_/$name" } @directories } qw(chromium chromium-browser google-chrome);
    return $program;
}

sub start ($class) {
    my $program = $class->program // die "there is no chromium\n";
    my $home = tempdir('filedist-browser-XXXXXX', TMPDIR => 1, CLEANUP => 1);
    pipe my $commands, my $to or die "pipe: $!";
    pipe my $from, my $answers or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    become($home, $commands, $answers, $program, @options) if !$pid;
    setpgrp $pid, $pid;
    $running{$pid} = $$;
    my $self = bless { pid => $pid, to => $to, from => $from, got => '', id => 0, events => [] }, $class;
    my $page = $self->tell('Target.createTarget', url => 'about:blank')->{targetId};
    $self->{session} = $self->tell('Target.attachToTarget', targetId => $page, flatten => $JSON::PP::true)->{sessionId};
    $self->tell("$_.enable") for qw(Page Runtime Log Network);
    return $self;
}

# Chromium reads commands at 3 and answers at 4.
sub become ($home, $commands, $answers, @command) {
    setpgrp;
    my @above = map { fcntl $_, F_DUPFD, 10 } $commands, $answers;
    open STDIN,  '<', '/dev/null';
    open STDOUT, '>', "$home/log";
    open STDERR, '>&', \*STDOUT;
    POSIX::dup2($above[0], 3);
    POSIX::dup2($above[1], 4);
    POSIX::close($_) for @above;
    @ENV{qw(HOME XDG_CONFIG_HOME XDG_CACHE_HOME)} = ($home) x 3;
    exec @command, "--user-data-dir=$home/profile", 'about:blank' or POSIX::_exit(127);
}

sub end ($self) {
    my $pid = $self->{pid};
    return if ($running{$pid} // 0) != $$;
    delete $running{$pid};
    kill KILL => -$pid;
    waitpid $pid, 0;
}

# However the test ends.
END {
    local $?;
    Filedist::Browser::end({ pid => $_ }) for keys %running;
}

#------------------------------------------------------------------------ protocol

sub tell ($self, $method, %params) {
    my $id = ++$self->{id};
    my %command = (id => $id, method => $method, params => \%params);
    $command{sessionId} = $self->{session} if $self->{session};
    local $SIG{PIPE} = 'IGNORE';
    my $text = $json->encode(\%command) . "\0";
    while (length $text) {
        my $n = syswrite $self->{to}, $text or die "the browser is gone: $!\n";
        substr $text, 0, $n, '';
    }
    my $end = time + $patience;
    while (time < $end) {
        my $message = $self->next_message($end - time) // next;
        next if ($message->{id} // 0) != $id;
        die "$method: $message->{error}{message}\n" if $message->{error};
        return $message->{result};
    }
    die "$method: no answer of the browser\n";
}

# The next answer or event; nothing when the time is up. Events are kept.
sub next_message ($self, $seconds) {
    my $end = time + $seconds;
    while ($self->{got} !~ /\0/) {
        my $left = $end - time;
        vec(my $bits = '', fileno $self->{from}, 1) = 1;
        return if !select $bits, undef, undef, $left > 0 ? $left : 0;
        sysread $self->{from}, $self->{got}, 65536, length $self->{got} or die "the browser is gone\n";
    }
    $self->{got} =~ s/\A([^\0]*)\0//;
    my $message = $json->decode($1);
    push $self->{events}->@*, $message if $message->{method};
    return $message;
}

sub events ($self, $method) {
    while ($self->next_message(0)) { }
    return map { $_->{params} } grep { $_->{method} eq $method } $self->{events}->@*;
}

#---------------------------------------------------------------------------- pages

sub open ($self, $url) {
    my $loaded = $self->events('Page.loadEventFired');
    my $error = $self->tell('Page.navigate', url => $url)->{errorText};
    die "$url: $error\n" if $error;
    my $end = time + $patience;
    while ($self->events('Page.loadEventFired') == $loaded) {
        die "$url does not load\n" if time > $end;
        $self->next_message(1);
    }
}

sub value ($self, $script) {
    my $answer = $self->tell('Runtime.evaluate',
        expression => $script, returnByValue => $JSON::PP::true, awaitPromise => $JSON::PP::true);
    my $error = $answer->{exceptionDetails};
    die "$script: $error->{text} " . ($error->{exception}{description} // '') . "\n" if $error;
    return $answer->{result}{value};
}

sub becomes ($self, $script, $seconds = 15) {
    my $end = time + $seconds;
    while (1) {
        return 1 if $self->value($script);
        return 0 if time > $end;
        sleep 0.1;
    }
}

sub problems ($self) {
    my @console = map { "console: " . join ' ', map { $_->{value} // $_->{description} // '' } $_->{args}->@* }
        grep { $_->{type} =~ /^(?:error|warning|assert)$/ } $self->events('Runtime.consoleAPICalled');
    my @thrown = map { "exception: $_->{exceptionDetails}{text} " . ($_->{exceptionDetails}{exception}{description} // '') }
        $self->events('Runtime.exceptionThrown');
    my @log = map { "$_->{entry}{source}: $_->{entry}{text} " . ($_->{entry}{url} // '') }
        grep { $_->{entry}{level} =~ /^(?:error|warning)$/ } $self->events('Log.entryAdded');
    return @console, @thrown, @log;
}

sub requested ($self) {
    return map { $_->{request}{url} } $self->events('Network.requestWillBeSent');
}

sub forget ($self) { $self->events(''), $self->{events} = [] }

1;

__END__

=head1 NAME

Filedist::Browser - a Chromium without a screen

=head1 SYNOPSIS

    use Filedist::Browser;
    plan skip_all => 'chromium is not installed' if !Filedist::Browser->program;
    my $browser = Filedist::Browser->start;
    $browser->open("http://127.0.0.1:$port/");
    ok($browser->becomes('document.title === "done"'), 'done');
    is_deeply([$browser->problems], [], 'no error in the console');
    $browser->end;

=head1 METHODS

They die when the browser does not answer. A browser whose test has ended, however, is ended too.

=over

=item program

The path of the program, nothing where there is none.

=item start, end

A browser with a profile of its own, and one page. It resolves no names, and asks no proxy.

=item open(URL)

Waits until the page has loaded.

=item value(SCRIPT)

The value of an expression, or of what a promise becomes.

=item becomes(SCRIPT, SECONDS)

Waits until the expression is true; false if it is not within 15 seconds.

=item problems

What is in the console as error or warning, exceptions that nobody caught, and what the browser itself complains of,
such as requests that failed or were forbidden.

=item requested

The URLs of all requests.

=item forget

Of both, what was until now.

=item tell(METHOD, PARAMETERS)

A command of the protocol; its result.

=back

=cut
