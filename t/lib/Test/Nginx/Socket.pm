# Test::Nginx::Socket, the subset that the tests in t/ use, for machines that
# have Debian's libtest-base-perl but not the distribution from CPAN. The POD
# at the end says what is supported; t/lib/t/ tests it.

package Test::Nginx::Socket;

use v5.36;
use Test::Base -base;

use List::Util qw(shuffle);
use Test::Nginx::Socket::Base;
use Test::Nginx::Socket::Check;
use Test::Nginx::Socket::Client;
use Test::Nginx::Socket::Peer;
use Test::Nginx::Socket::Server;
use Time::HiRes qw(sleep);

our $VERSION = '0.30';

our @EXPORT = qw(
    add_block_preprocessor add_cleanup_handler add_response_body_check
    add_test_cleanup_handler bail_out is_str log_level master_off master_on master_process_enabled
    no_long_string no_root_location no_shuffle repeat_each run_test run_tests
    server_addr server_name server_port server_port_for_client server_root
    timeout use_hup worker_connections workers
);

# Sections of the full Test::Nginx that are not supported here. A block that
# has one must fail: a check that is silently left out cannot fail.
my %unsupported = map { $_ => 1 } qw(
    curl curl_error curl_options curl_protocol error_log_file grep_error_log
    grep_error_log_out http09 http3 no_check_leak no_http2
    raw_response_headers_like raw_response_headers_unlike reload_fails request_eval
    response_body_eval response_body_filters response_body_json_sort
    skip_nginx2 skip_openssl stap stap_out stap_out_like stap_out_unlike
    stream_config stream_request stream_response stream_server_config todo
    udp_listen udp_query udp_reply udp_reply_delay user_files
    write_resp_body_file
);

# A check that has nothing to look for cannot fail either.
my @not_empty = qw(
    access_log error_code_like error_log no_access_log no_error_log
    no_shutdown_error_log response_body_like response_body_unlike
    response_headers response_headers_like shutdown_error_log
);

my (@preprocessors, @body_checks, @test_cleanups);

#------------------------------------------------------------ exported settings

sub server_root () { $root }

sub option ($name, @value) {
    $setting{$name} = $value[0] if @value;
    return $setting{$name};
}

sub repeat_each            { option('repeat_each',        @_) }
sub timeout                { option('timeout',            @_) }
sub log_level              { option('log_level',          @_) }
sub workers                { option('workers',            @_) }
sub worker_connections     { option('worker_connections', @_) }
sub server_name            { option('server_name',        @_) }
sub server_addr            { option('server_addr',        @_) }
sub master_on ()           { $setting{master}        = 1 }
sub master_off ()          { $setting{master}        = 0 }
sub use_hup ()             { $setting{hup}           = !$valgrind }
sub no_shuffle ()          { $setting{shuffle}       = 0 }
sub no_root_location ()    { $setting{root_location} = 0 }
sub no_long_string ()      { }
sub master_process_enabled { $setting{master} || $setting{hup} }

sub server_port            { option('port',               @_) }
sub server_port_for_client { option('client_port',        @_) }

sub add_block_preprocessor ($code)   { unshift @preprocessors, $code }
sub add_response_body_check ($code)  { push @body_checks,      $code }
sub add_test_cleanup_handler ($code) { unshift @test_cleanups, $code }
sub add_cleanup_handler ($code)      { at_exit($code) }

#---------------------------------------------------------------------- blocks

sub run_code ($block, $code) {
    return $code->($block) if ref $code eq 'CODE';
    eval "package main; no strict; no warnings; $code; 1"
        or bail_out($block->name . " - Perl code failed: $@");
}

# The number of tests to skip and why, from --- skip_nginx and skip_eval.
sub skipped ($block) {
    my $name = $block->name;
    if (defined(my $spec = $block->skip_nginx)) {
        my ($n, $op, @version) = $spec =~ /^\s*(\d+):\s*([<>]=?)\s*(\d+)\.(\d+)\.(\d+)\s*$/
            or bail_out("$name - Invalid --- skip_nginx spec: $spec");
        my (undef, @ours) = nginx_version();
        my ($ours, $theirs) = map { sprintf '%03d%03d%03d', @$_ } \@ours, \@version;
        my %holds = ('<' => $ours lt $theirs, '<=' => $ours le $theirs,
            '>' => $ours gt $theirs, '>=' => $ours ge $theirs);
        return ($n, "nginx version $op " . join '.', @version) if $holds{$op};
    }
    if (defined(my $spec = $block->skip_eval)) {
        my ($n, $code) = $spec =~ /^\s*(\d+):\s*(.*)$/s
            or bail_out("$name - Invalid --- skip_eval spec: $spec");
        my $true = eval "package main; no strict; no warnings; $code";
        bail_out("$name - skip_eval: $@") if $@;
        return ($n, 'skip_eval') if $true;
    }
    return;
}

# Makes nginx run with the configuration of the block. Returns false if it
# does not, after reporting that as a failure.
sub activate ($block) {
    my $name = $block->name;
    stop_nginx($name) if !$setting{hup};
    log_position(nginx_runs() ? -s error_log_path() : 0);
    prepare_root($block);
    run_code($block, $block->post_setup_server_root) if defined $block->post_setup_server_root;
    write_config($block);

    if (nginx_runs()) {
        my $problem = reload_nginx() // return 1;
        fail("$name - nginx reloads");
        diag($problem);
        stop_nginx($name);
        return 0;
    }
    my $status = start_nginx() // return 1;
    fail("$name - nginx starts");
    diag('nginx ended with ' . describe($status), "\n", why_not_started());
    return 0;
}

# --- must_die: nginx must refuse the configuration, not crash.
sub check_must_die ($block, $repeat) {
    my $name = $block->name;
    stop_nginx($name);
    log_position(0);
    prepare_root($block);
    write_config($block);
    my $status = start_nginx();
    my $died = $status && !($status & 127);
    if (length $block->must_die) {
        Test::More::is($died ? $status >> 8 : undef, $block->must_die,
            "$name - die with the expected exit code");
    }
    else { ok($died, "$name - die as expected") }
    diag(defined $status ? 'nginx ended with ' . describe($status) : 'nginx runs') if !$died;
    stop_nginx($name);
    check_error_log($block, $repeat);
}

sub run_requests ($block, $repeat) {
    my $name = $block->name;
    my $pipelined = $block->pipelined_requests;
    my $raw = $block->raw_request;
    my @specs;
    if (defined $raw) { @specs = ($raw) }
    else {
        my $list = $pipelined // $block->request // bail_out("$name - no --- request");
        @specs = ref $list eq 'ARRAY' ? @$list : $list;
        @specs = map { expand($_) } @specs if defined $pipelined;
    }

    my @requests;
    for my $i (0 .. $#specs) {
        next if defined $raw;
        my $headers = $block->more_headers;
        $headers = $headers->[$i] if ref $headers eq 'ARRAY';
        push @requests, build_request($block, $specs[$i], $headers, defined $pipelined && $i < $#specs);
    }

    my @rounds = defined $pipelined ? ([0 .. $#specs]) : map { [$_] } 0 .. $#specs;
    for my $round (@rounds) {
        start_tcp_server($block);
        my ($input, $problem) =
              defined $raw        ? talk($block, map { { value => $_ } } ref $raw ? @$raw : $raw)
            : wants_http2($block) ? talk_http2($block, $requests[ $round->[0] ])
            :                       talk($block, wire_pieces(@requests[@$round]));
        if ($ENV{TEST_NGINX_VERBOSE}) {
            diag("request:\n", map { $_->{value} } wire_pieces(@requests[@$round])) if !defined $raw;
            diag("response:\n$input");
        }
        if (defined $problem && !(defined $block->abort && $problem =~ /timed out/)) {
            fail("$problem - $name");
        }
        for my $i (@$round) {
            if (!defined $block->ignore_response) {
                my $start = defined $raw ? ref $raw ? $raw->[0] : $raw : $requests[$i]{head};
                my ($method) = $start =~ /^(\w*)/;
                my $response = parse_response(\$input, $method, $i == $round->[-1]);
                check_complete($block, $response);
                check_response($block, $response, $i, scalar @specs, $repeat);
                $_->($block, $response->{body}, $i, $repeat, 0) for @body_checks;
            }
            sleep seconds($block->wait) if length($block->wait // '');
            check_tcp_query($block) if $i == $#specs;
            check_alive($block);
            check_error_log($block, $repeat);
            my $access_pos = 0;
            check_log($name, "$root/logs/access.log", \$access_pos,
                [patterns($block->access_log)], [patterns($block->no_access_log)]);
        }
    }
}

# A body that ends early, which is no surprise to a block that looks at it.
sub check_complete ($block, $response) {
    return if defined $block->abort;
    my $problem = $response->{problem};
    $problem //= 'body is shorter than Content-Length' if $response->{short}
        && !grep { defined $block->$_ } qw(response_body response_body_like response_body_unlike);
    fail($block->name . " - $problem") if defined $problem;
}

sub check_alive ($block) {
    my $status = died() // return;
    fail($block->name . ' - nginx is still running');
    diag('nginx ended with ' . describe($status));
}

sub check_shutdown ($block) {
    my $name = $block->name;
    my @must     = patterns($block->shutdown_error_log);
    my @must_not = patterns($block->no_shutdown_error_log);
    if ($setting{hup}) {
        SKIP: { skip "$name - no shutdown in HUP mode", @must + @must_not if @must || @must_not }
        return;
    }
    return if $setting{no_clean} || !nginx_runs();
    my $from = log_position();
    stop_nginx($name);
    check_log($name, error_log_path(), \$from, \@must, \@must_not);
}

sub run_test ($block) {
    $_->($block) for @preprocessors;
    my $name = "$0 " . $block->name;
    $block->set_value(name => $name);
    for my $section (grep { $unsupported{$_} } keys %$block) {
        bail_out("$name - this Test::Nginx does not support --- $section");
    }
    for my $section (@not_empty) {
        my $value = $block->$section;
        bail_out("$name - nothing in --- $section") if defined $value && !ref $value && $value !~ /\S/;
    }
    if (my ($count, $why) = skipped($block)) {
        SKIP: { skip "$name - $why", $count }
        return;
    }

    my @repeats = 0 .. $setting{repeat_each} - 1;
    if (defined $block->must_die) {
        check_must_die($block, $_) for @repeats;
    }
    elsif (activate($block)) {
        run_code($block, $block->init) if defined $block->init;
        for my $repeat (@repeats) {
            run_requests($block, $repeat) if nginx_runs();
        }
    }
    stop_tcp_server();
    $_->($block) for @test_cleanups;
    check_shutdown($block) if !defined $block->must_die;
}

sub run_tests () {
    $| = 1;
    my @blocks = blocks();
    @blocks = shuffle @blocks if $setting{shuffle};
    run_test($_) for @blocks;
    stop_nginx($0) if !$setting{no_clean};
}

1;

__END__

=head1 NAME

Test::Nginx::Socket - a subset of the module of this name on CPAN

=head1 SYNOPSIS

    use Test::Nginx::Socket 'no_plan';
    run_tests();
    __DATA__

    === TEST 1: a file that does not exist
    --- config
        location /files/ { root $TEST_NGINX_SERVER_ROOT; }
    --- request
    GET /files/a
    --- error_code: 404
    --- error_log
    No such file or directory

    prove -It/lib t

=head1 DESCRIPTION

Needs Test::Base (Debian: libtest-base-perl), Linux, and nginx. A file that
runs with it also runs with the full module, version 0.30 or later:

    prove -I PATH/test-nginx/lib -It/lib t

What follows works as the documentation of the full module says. Any other of
its sections ends the test program, so that no check is left out in silence.

=head2 Functions

add_block_preprocessor, add_cleanup_handler, add_response_body_check,
add_test_cleanup_handler, bail_out, is_str, log_level, master_off, master_on,
master_process_enabled, no_root_location, no_shuffle, repeat_each, run_tests,
server_addr, server_name, server_port, server_port_for_client, server_root,
timeout, use_hup, worker_connections, workers, and those of Test::Base. C<no_long_string> does
nothing: differences are always shown as Test::More does it.

=head2 Sections

Configuration: main_config, http_config, config, post_main_config, server_name,
log_level, init, post_setup_server_root.

Request: request, pipelined_requests, raw_request, raw_request_middle_delay,
more_headers, http2 (needs curl), shutdown, timeout, abort, wait.

Response: response_body, response_body_like, response_body_unlike,
response_headers, response_headers_like, error_code, error_code_like,
ignore_response.

Logs: error_log, no_error_log, access_log, no_access_log, shutdown_error_log,
no_shutdown_error_log.

Scripted server: tcp_listen, tcp_reply, tcp_reply_delay, tcp_query,
tcp_query_len, tcp_query_auto_timeout, tcp_no_close, tcp_shutdown.

Other: must_die, skip_nginx, skip_eval, ONLY, SKIP, LAST, and the filters of
Test::Base. nginx's own messages are never printed unless a test fails, so
suppress_stderr has nothing to do.

=head2 Environment

TEST_NGINX_BINARY, CLIENT_PORT, ERROR_LOG, EVENT_TYPE, FAST_SHUTDOWN,
LOAD_MODULES, LOG_LEVEL, MASTER_PROCESS, NO_CLEAN, NO_SHUFFLE, PORT, RANDOMIZE,
SERVER_PORT, SERVROOT, SLEEP, USE_HUP, USE_VALGRIND, VERBOSE and
WORKER_USER, each with the prefix, and TEST_NGINX_TIMEOUT, the default of
C<timeout>, which the full module does not have.

=head1 DIFFERENCES

=over

=item *

nginx listens on 127.0.0.1 only, and runs with C<daemon off> as a child of the
test program. It is stopped at the end of its block, not at the start of the
next, and must end with exit code 0.

=item *

Where a block has both C<response_body> and C<response_body_like>, or any
similar pair, both are checked; the full module checks one of them. So the
number of tests differs in such a block.

=item *

A line that C<error_log> demands may appear up to 0.3 s after the response.
Use C<wait> where it may take longer.

=item *

C<must_die> is not satisfied by a crash, nor by an nginx that is not there.

=item *

With an expected query whose length is not known, C<tcp_listen> reads until the
client pauses for 20 ms; the full module may stop at the first packet. Give
C<tcp_query_len> in such a block. One connection is served.

=item *

Under valgrind nginx is restarted for every block, TEST_NGINX_USE_HUP or not,
and any report of valgrind is a failure.

=back

=cut
