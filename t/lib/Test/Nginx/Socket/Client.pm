# The client: requests as the blocks write them, and responses.

package Test::Nginx::Socket::Client;

use v5.36;

use Errno qw(EAGAIN EINTR);
use Exporter qw(import);
use IO::Socket::INET;
use List::Util qw(max);
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Test::Nginx::Socket::Base;
use Time::HiRes qw(time);

our @EXPORT = qw(build_request parse_response talk talk_http2 wire_pieces);

# One element of --- request to the pieces that go over the wire.
sub build_request ($block, $spec, $headers, $keep_alive) {
    my @pieces = map { ref $_ eq 'HASH' ? {%$_} : { value => $_ } } ref $spec ? @$spec : $spec;
    my $name = $block->name;
    my $first = $pieces[0]{value} // '';
    utf8::encode($_->{value}) for grep { utf8::is_utf8($_->{value}) } @pieces;
    $first =~ s/\A(?:\s*#[^\n]*\n)+//;
    $first =~ s/\A\s*(\S[^\n]*?)[ \t\r]*(?:\n|\z)//
        or bail_out("$name - Request line should be non-empty");
    my ($method, $uri, $version, @more) = split ' ', $1;
    bail_out("$name - bad request line: $1") if @more;
    $uri //= '/';
    $version //= 'HTTP/1.1';

    my @fields = grep {length} split /[\r\n]+/, $headers // '';
    my %given = map { lc((split /\s*:/, $_, 2)[0]) => 1 } @fields;
    unshift @fields, 'Connection: ' . ($keep_alive ? 'keep-alive' : 'close') if !$given{connection};
    unshift @fields, 'Host: ' . ($block->server_name // $setting{server_name}) if !$given{host};

    my $has_body = length $first || @pieces > 1;
    $pieces[0]{value} = $first;
    if ($has_body && !$given{'content-length'} && !$given{'transfer-encoding'}) {
        $pieces[0]{value} =~ s/\A\s+//;
        $pieces[-1]{value} =~ s/\s+\z//;
        my $length = 0;
        $length += length $_->{value} for @pieces;
        push @fields, "Content-Length: $length";
    }
    my $head = join "\r\n", "$method $uri $version", @fields, '', '';
    return { method => $method, uri => $uri, version => $version, fields => \@fields,
        head => $head, pieces => \@pieces };
}

# Requests to pieces for the wire. Several requests go out together.
sub wire_pieces (@requests) {
    my @pieces;
    for my $request (@requests) {
        my ($first, @rest) = @{ $request->{pieces} };
        push @pieces, { %$first, value => $request->{head} . $first->{value} }, @rest;
    }
    return @pieces if @requests == 1 || grep { $_->{delay_before} } @pieces;
    return { value => join '', map { $_->{value} } @pieces };
}

# Sends the pieces and reads until nginx closes the connection. The time-out
# limits each wait for the socket. Returns what was read and a problem.
sub talk ($block, @pieces) {
    my $limit = seconds(length($block->timeout // '') ? $block->timeout : $setting{timeout});
    my $gap = $block->raw_request_middle_delay;
    my $socket = IO::Socket::INET->new(
        PeerAddr => $setting{server_addr}, PeerPort => $setting{client_port}, Timeout => $limit)
        or return ('', "cannot connect to port $setting{client_port}: $!");
    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
    $socket->blocking(0);
    local $SIG{PIPE} = 'IGNORE';

    my ($input, $output, $problem) = ('', '', undef);
    my $due = 0;
    while (1) {
        if (!length $output && @pieces && time >= $due) {
            $output = (shift @pieces)->{value};
            $due = time + ($pieces[0]{delay_before} // $gap // $ENV{TEST_NGINX_SLEEP} // 0.015)
                if @pieces;
        }
        my ($can_read, $can_write) = ('', '');
        vec($can_read, fileno $socket, 1) = 1;
        vec($can_write, fileno $socket, 1) = 1 if length $output;
        my $pause = @pieces && !length $output ? max(0, $due - time) : undef;
        if (!select $can_read, length $output ? $can_write : undef, undef, $pause // $limit) {
            next if defined $pause;
            $problem = 'ERROR: client socket timed out';
            last;
        }
        if (vec $can_write, fileno $socket, 1) {
            my $sent = syswrite $socket, $output;
            if (defined $sent) { substr $output, 0, $sent, '' }
            elsif ($! != EAGAIN && $! != EINTR) { ($output, @pieces) = ('') }
            if (!length $output && !@pieces && defined $block->shutdown) {
                shutdown $socket, length $block->shutdown ? $block->shutdown : 1;
            }
        }
        if (vec $can_read, fileno $socket, 1) {
            my $read = sysread $socket, $input, 65536, length $input;
            next if !defined $read && ($! == EAGAIN || $! == EINTR);
            last if !$read;
        }
    }
    close $socket;
    return ($input, $problem);
}

# The same through curl, which speaks HTTP/2.
sub talk_http2 ($block, $request) {
    my $limit = seconds(length($block->timeout // '') ? $block->timeout : $setting{timeout});
    my @command = (qw(curl -isS --http2-prior-knowledge -H Expect: -X), $request->{method},
        '--max-time', $limit);
    push @command, '-I' if $request->{method} eq 'HEAD';
    for my $field (@{ $request->{fields} }) {
        push @command, '-H', $field if $field !~ /^(?:Connection|Content-Length|Transfer-Encoding)\s*:/i;
    }
    my $body = join '', map { $_->{value} } @{ $request->{pieces} };
    if ($request->{head} =~ /^Content-Length:/mi) {
        write_file("$root/logs/curl_body", $body);
        push @command, '--data-binary', "\@$root/logs/curl_body", '-H', 'Content-Type:';
    }
    push @command, "http://$setting{server_addr}:$setting{client_port}$request->{uri}";
    my $pid = open(my $pipe, '-|') // bail_out("fork: $!");
    if (!$pid) {
        open STDERR, '>', "$root/logs/curl_stderr";
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    binmode $pipe;
    my $input = do { local $/; <$pipe> } // '';
    close $pipe;
    my $problem = $? ? slurp("$root/logs/curl_stderr") || 'curl: ' . describe($?) : undef;
    return ($input, defined $problem && $? >> 8 == 28 ? 'ERROR: client socket timed out' : $problem);
}

# Takes one response off the front of the input. The body of a response on a
# connection that is kept ends where its own framing says.
sub parse_response ($input, $method, $is_last) {
    my %response = (code => '', head => '', header => {}, body => '');
    my $head;
    do {
        $$input =~ s/\A(HTTP\/[\d.]+ (\d+)[^\r\n]*(?:\r?\n[^\r\n]+)*)\r?\n\r?\n//
            or return { %response, body => $$input };
        ($head, $response{code}) = ("$1\r\n", $2);
    } while $response{code} =~ /^1/;
    $response{head} = $head;
    for my $line (split /\r?\n/, $head) {
        my ($name, $value) = $line =~ /^([^:\s]+):[ \t]*(.*?)[ \t]*$/ or next;
        push @{ $response{header}{ lc $name } }, $value;
    }
    my $length = $response{header}{'content-length'};
    return \%response if $method eq 'HEAD';
    if (($response{header}{'transfer-encoding'}[0] // '') =~ /chunked/i) {
        while (1) {
            my $size = $$input =~ s/\A([0-9a-fA-F]+)[^\r\n]*\r\n// ? hex $1 : undef;
            last if defined $size && !$size && $$input =~ s/\A(?:[^\r\n]+\r\n)*\r\n//;
            $response{body} .= substr $$input, 0, $size, '' if $size && length $$input >= $size;
            next if $size && $$input =~ s/\A\r\n//;
            $response{problem} = 'chunked body is cut off';
            last;
        }
    }
    elsif ($is_last) {
        $response{body} = $$input;
        $response{short} = $length && length $$input < $length->[0];
    }
    elsif ($length) { $response{body} = substr $$input, 0, $length->[0], '' }
    return \%response;
}

1;
