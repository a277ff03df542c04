# What the tests in t/ share. Works on top of the Test::Nginx::Socket from CPAN
# and of the one in this directory; the POD at the end is the reference.

package Filedist;

use v5.36;
use Test::Nginx::Socket -base;

use File::Basename qw(dirname);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path remove_tree);
use IO::Socket::INET;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(add_block_preprocessor run_tests be_nobody data_dir free_port http_get nobody poll_until preload prepare_dirs read_data set_user write_data);

# Sections that a block may have: those of Test::Nginx, then our own. Any other
# is a misspelling, which Test::Nginx would silently ignore.
my %known = map { $_ => 1 } qw(
    ONLY SKIP LAST
    main_config http_config config post_main_config server_name init
    post_setup_server_root log_level
    request pipelined_requests raw_request raw_request_middle_delay more_headers
    http2 shutdown abort timeout wait
    response_body response_body_like response_body_unlike
    response_headers response_headers_like
    error_code error_code_like ignore_response
    error_log no_error_log
    access_log no_access_log shutdown_error_log no_shutdown_error_log
    must_die suppress_stderr skip_nginx skip_eval
    tcp_listen tcp_reply tcp_reply_delay tcp_query tcp_query_len
    tcp_query_auto_timeout tcp_no_close tcp_shutdown

    dirs data_files allow_log poll
    wait_for_file wait_for_log files_like no_files after
);
my @after_response = qw(wait_for_file wait_for_log files_like no_files after);

timeout(20);

#-------------------------------------------------------------------- data_dir

my @default_dirs;
my $block_number = 0;
my $old_log = '';    # error.log as it was before the block

sub data_base () { server_root() . '-data' }
sub data_dir ()  { data_base() . "/$block_number" }

sub prepare_dirs (@names) { @default_dirs = @names }

# Every block has a directory of its own: with a reload instead of a restart,
# the previous nginx may still be busy in the previous one.
sub new_data_dir ($block) {
    remove_tree(data_base()) if !$block_number;
    $block_number++;
    $ENV{TEST_NGINX_DATA} = data_dir();
    my $more = $block->dirs;
    for my $name ('.', @default_dirs, split ' ', $more // '') {
        make_path(data_dir() . "/$name");
        chmod 0777, data_dir() . "/$name" if $ENV{TEST_NGINX_WORKER_USER};
    }
    my (undef, @files) = split /^>>>[ \t]+(\S+)[ \t]*\n/m, $block->data_files // '';
    while (my ($name, $content) = splice @files, 0, 2) {
        write_data($name, $content // '');
    }
}

sub write_data ($name, $content) {
    my $path = data_dir() . "/$name";
    make_path(dirname($path));
    open my $file, '>:raw', $path or bail_out("cannot write $path: $!");
    print $file $content;
    close $file or bail_out("cannot write $path: $!");
}

# The content of a file below the data directory, undef if it is not there.
sub read_data ($name) { return slurp(data_dir() . "/$name") }

sub slurp ($path) {
    open my $file, '<:raw', $path or return undef;
    local $/;
    return <$file> // '';
}

#--------------------------------------------------------------------- helpers

sub free_port () {
    state %taken;
    # Below the range that the kernel gives to outgoing connections.
    # Tests that run beside each other must not take one for free that the other will listen at.
    my $lane = $ENV{TEST_NGINX_LANE} // 0;
    for (1 .. 1000) {
        my $port = 10000 + $lane * 11000 + int rand 11000;
        next if $taken{$port}++;
        return $port if IO::Socket::INET->new(
            LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1);
    }
    bail_out('no free port');
}

# Calls $done until it returns something true or the time is up.
sub poll_until ($done, $seconds = 10) {
    my $end = time + $seconds;
    while (1) {
        my $result = $done->();
        return $result if $result || time > $end;
        sleep 0.01;
    }
}

# A request apart from the block's own: status, head and body, or nothing.
sub http_get ($port, $uri, $method = 'GET') {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 3) or return;
    $socket->printflush("$method $uri HTTP/1.0\r\nHost: localhost\r\n\r\n");
    my $answer = '';
    while (1) {
        vec(my $bits = '', fileno $socket, 1) = 1;
        return if !select $bits, undef, undef, 10;
        last if !sysread $socket, $answer, 65536, length $answer;
    }
    my ($head, $body) = split /\r\n\r\n/, $answer, 2;
    return ($head =~ m{^HTTP/\S+ (\d+)})[0], $head, $body // '';
}

#---------------------------------------------------------------- the workers' user

my $usual_user = $ENV{TEST_NGINX_WORKER_USER};
add_test_cleanup_handler(sub (@) { set_user($usual_user) });

# Test::Nginx of CPAN reads the environment only once.
sub set_user ($user) {
    no warnings 'once';
    $Test::Nginx::Util::WorkerUser = $user;
    defined $user ? $ENV{TEST_NGINX_WORKER_USER} = $user : delete $ENV{TEST_NGINX_WORKER_USER};
}

sub nobody () {
    return (grep { getpwnam $_ && getgrnam $_ } qw(www-data nginx nobody daemon))[0];
}

sub be_nobody () {
    return if $>;
    chmod 0777, map { data_dir() . "/$_" } '.', @default_dirs;
    set_user(nobody());
}

# Test::Nginx of CPAN sets it to what it was.
sub preload ($library) {
    no warnings 'once';
    $Test::Nginx::Util::ld_preload = $library;
    defined $library ? $ENV{LD_PRELOAD} = $library : delete $ENV{LD_PRELOAD};
}

#--------------------------------------------------------------- before a block

sub prepare ($block) {
    my $name = $block->name;
    for my $section (@{ $block->{_section_order}[0] // [] }) {
        bail_out("$name - unknown section --- $section") if !$known{$section};
    }
    for my $section (@after_response) {
        my $value = $block->$section // next;
        bail_out("$name - nothing in --- $section") if !ref $value && $value !~ /\S/;
        for my $without (qw(must_die ignore_response)) {
            bail_out("$name - --- $section is not checked together with --- $without")
                if defined $block->$without;
        }
    }
    new_data_dir($block);
    $old_log = slurp(server_root() . '/logs/error.log') // '';
    forbid_in_log($block, 'no_error_log', $block->error_log);
    forbid_in_log($block, 'no_shutdown_error_log', $block->shutdown_error_log)
        if !defined $block->must_die;
    # Test::Nginx runs code where the functions of the test are not, in an older Perl.
    my $main = 'package main; use v5.36; no strict; no warnings;';
    for my $section (qw(init post_setup_server_root)) {
        my $code = $block->$section;
        $block->set_value($section => "$main $code") if defined $code && !ref $code;
    }
    $block->set_value(skip_eval => $block->skip_eval =~ s/:/: $main/r) if defined $block->skip_eval;
}

# Test::Nginx runs the last of its preprocessors first: it has but one of ours, which keeps their order.
my @preprocessors = \&prepare;

no warnings qw(redefine prototype);    # of those of Test::Nginx, which are called here

sub add_block_preprocessor ($code) { push @preprocessors, $code }

sub run_tests () {
    Test::Nginx::Socket::add_block_preprocessor(sub ($block) { $_->($block) for @preprocessors, \&leave_alone, \&older_http2 });
    Test::Nginx::Socket::run_tests();
}

# What is not about them does without catch-up, which would come in between, and without waiting
# for the disk. Children are asked in HTTP/1.0 where nothing else is said: that was nginx's default up to
# 1.29.6.
sub leave_alone ($block) {
    my $config = join "\n", map { $block->$_ // '' } qw(http_config config post_main_config);
    my $off = join '', map { "$_ off;\n" } grep { $config !~ /\b$_\b/ }
        $config =~ /filedist_ack +local/ ? () : 'filedist_catch_up', 'filedist_fsync';
    $block->set_value(http_config => "${off}proxy_http_version 1.0;\n" . ($block->http_config // ''));
}

# Test::Nginx 0.33 writes "http2 on" from nginx 1.19.9 on, which knows it from 1.25.1 on.
sub older_http2 ($block) {
    no warnings 'once';
    my $version = \$Test::Nginx::Util::NginxVersion;
    $$version = '1.019008' if defined $block->http2 && ($$version // 2) < 1.025001;
}

# Adds [alert], [crit] and [emerg] to what the log must not have, except what
# the block expects in the log or allows; and a panic, which nothing allows.
sub forbid_in_log ($block, $section, $expected = undef) {
    my @own = patterns($block->$section);
    my $said = join "\n", patterns($expected), map { "[$_]" } split ' ', $block->allow_log // '';
    $said .= "\n[emerg]" if defined $block->must_die;
    my @levels = grep { my $level = $_; $said !~ /\\?\[$level\\?\]/ } qw(alert crit emerg);
    my %own = map { $_ => 1 } @own;
    $block->set_value($section, [@own, grep { !$own{$_} } 'panicked', map { "[$_]" } @levels]);
}

sub patterns ($value = undef) {
    return () if !defined $value;
    return ref $value eq 'ARRAY' ? @$value : ref $value ? $value : grep {/\S/} split /\n/, $value;
}

#-------------------------------------------------------------- after a response

add_response_body_check(sub ($block, $body, $index, $repeat, $dry_run) {
    my $requests = $block->pipelined_requests // $block->request;
    my $last = ref $requests eq 'ARRAY' ? $#$requests : 0;
    my %check = (
        wait_for_file => \&check_wait_for_file,
        wait_for_log  => \&check_wait_for_log,
        files_like    => \&check_files_like,
        no_files      => \&check_no_files,
        after         => sub ($name, $code, $) { run_after($block, $body, $index, $code) },
    );
    my $limit = $block->poll // 10;
    for my $section (@after_response) {
        my $value = $block->$section // next;
        # An array has a value for each request, anything else is for the last.
        if    (ref $value eq 'ARRAY') { $value = $value->[$index] // next }
        elsif ($index != $last)       { next }
        $check{$section}->($block->name . " - $section", $value, $limit);
    }
});

sub check_wait_for_file ($name, $list, $limit) {
    for my $file (split ' ', $list) {
        ok(poll_until(sub { -e data_dir() . "/$file" }, $limit), "$name: $file exists")
            or diag(listing());
    }
}

sub check_wait_for_log ($name, $list, $limit) {
    for my $pattern (patterns($list)) {
        my $re = ref $pattern ? $pattern : qr/\Q$pattern\E/;
        ok(poll_until(sub { new_log() =~ $re }, $limit), "$name: $pattern")
            or diag("not in error.log within $limit s");
    }
}

# What the block added to error.log. After a reload the file still begins with
# what was there before; after a restart it is another file.
sub new_log () {
    my $log = slurp(server_root() . '/logs/error.log') // '';
    return index($log, $old_log) == 0 ? substr $log, length $old_log : $log;
}

sub check_files_like ($name, $list, $limit) {
    my @wanted = ref $list eq 'HASH'
        ? map { [$_, $list->{$_}] } sort keys %$list
        : map { [split /[ \t]+/, $_, 2] } grep {/\S/} split /\n/, $list;
    for (@wanted) {
        my ($file, $content) = @$_;
        $content //= '';
        $content = qr/$1/ if !ref $content && $content =~ m{^/(.+)/\s*$}s;
        my $got;
        my $right = poll_until(sub {
            $got = read_data($file) // return 0;
            return ref $content ? $got =~ $content : $got eq $content;
        }, $limit);
        if (!defined $got) {
            fail("$name: $file exists");
            diag(listing());
        }
        elsif (ref $content) { like($got, $content, "$name: $file") }
        else                 { Test::More::is($got, $content, "$name: $file") }
    }
}

sub check_no_files ($name, $list, $limit) {
    for my $pattern (split ' ', $list) {
        my @found;
        poll_until(sub {
            @found = grep { !m{/\.\.?$} && -e } bsd_glob(data_dir() . "/$pattern");
            return !@found;
        }, $limit);
        ok(!@found, "$name: $pattern") or diag("exists: @found");
    }
}

sub run_after ($block, $body, $index, $code) {
    my $done = eval {
        $code = eval "package main; sub { $code }" // die $@ if !ref $code;
        $code->($block, $body, $index);
        1;
    };
    if (!$done) {
        fail($block->name . ' - after');
        diag($@);
    }
}

sub listing () {
    my $list = '';
    my @todo = (data_dir());
    while (defined(my $path = shift @todo)) {
        $list .= '  ' . substr($path, length(data_dir())) . "\n" if $path ne data_dir();
        push @todo, grep { !m{/\.\.?$} } bsd_glob("$path/{*,.*}") if -d $path;
    }
    return "files in the data directory:\n$list";
}

add_cleanup_handler(sub {
    return if $ENV{TEST_NGINX_NO_CLEAN} || !Test::More->builder->is_passing;
    remove_tree(data_base());
});

1;

__END__

=head1 NAME

Filedist - what the tests of this module share

=head1 SYNOPSIS

    use Filedist 'no_plan';
    no_root_location();
    prepare_dirs(qw(root c1));
    run_tests();
    __DATA__

    === TEST 1: put - stored
    --- config
        location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
    --- request
    PUT /a.txt
    hello
    --- error_code: 201
    --- files_like
    root/a.txt hello
    --- no_files
    root/*.tmp c1/*

=head1 DESCRIPTION

Everything of Test::Nginx::Socket, with:

=over

=item *

An empty directory for each block, $TEST_NGINX_DATA in its configuration. It
lies beside the server root, because Test::Nginx wants nothing it does not know
inside, and each block has another one, because after a reload the previous
nginx may still be busy. A run that failed leaves the directories behind.

=item *

No C<[alert]>, C<[crit]> or C<[emerg]> in the log, nor in what nginx logs while
it stops. A block that expects one names it in C<error_log>: then the other two
are forbidden. C<--- allow_log: crit> permits one that only may appear. A line with
C<panicked> fails any block, whatever it expects or allows.

=item *

The end of the program at a section whose name is not known: Test::Nginx
ignores a misspelt one.

=item *

A time-out of 20 s. A time-out, and what waits until something holds, costs nothing where all is well, and a busy
machine may take long.

=back

A block whose configuration does not name C<filedist_catch_up> or C<filedist_fsync> has them off. Where it does not
name C<proxy_http_version>, that is 1.0.

=head1 SECTIONS

Those from C<wait_for_file> on are checked after the response, in this order,
while nginx still runs. They wait up to 10 s, or C<--- poll: SECONDS>, until
they hold. With several requests they belong to the last one, or are an array
with a value, or undef, for each. Names are relative to $TEST_NGINX_DATA.

A block with C<ignore_response> or C<must_die> cannot have them, as Test::Nginx
looks at no response there. A client that gives up is C<--- abort> with
C<--- error_code_like: ^$>.

=over

=item dirs

Directories that the block needs besides those of C<prepare_dirs>.

=item data_files

Files to start with, below the data directory, each after a line C<E<gt>E<gt>E<gt> NAME>.

=item wait_for_file

Names of files that must exist.

=item wait_for_log

Lines, or an array for eval, that this block's part of error.log must have.
Test::Nginx checks C<error_log> for each of several requests; this is for all.

=item files_like

A name and its content on each line. The content is a regular expression
between slashes, else the whole content. With eval, a hash of names.

=item no_files

Names or globs of what must not exist. C<*> does not match a leading dot.

=item after

Perl code, run in package main, with the block, the response's body and the
number of the request as arguments. For an array of code references write
C<--- after eval> and C<package main;> before the array.

=back

=head1 FUNCTIONS

=over

=item add_block_preprocessor(CODE)

As that of Test::Nginx, but the first one that was added is the first to run.

=item prepare_dirs(NAMES)

Directories that every block finds empty in $TEST_NGINX_DATA.

=item data_dir(), read_data(NAME), write_data(NAME, CONTENT)

The directory of this block, and its files. C<read_data> gives undef for a file
that is not there.

=item http_get(PORT, URI, METHOD)

Another request, HTTP/1.0, GET if not said otherwise: its status, head and body.

=item poll_until(CODE, SECONDS)

Calls the code until it returns something true, and returns that. 10 s.

=item be_nobody(), nobody(), set_user(NAME)

Where the tests run as root: has the workers of this block run as a user that may
not do everything, with the directories of C<prepare_dirs> open to it; the name of
such a user; any user, until the end of the block.

=item preload(LIBRARY)

Has nginx load this library first, from C<post_setup_server_root> on; undef ends it.

=item free_port()

A port on which nothing listens. In configurations use
$TEST_NGINX_RAND_PORT_1 and so on instead.

=back

=cut
