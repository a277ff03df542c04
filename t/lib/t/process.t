# nginx as a process: it starts, reloads and stops when it should, and nothing
# is left behind however the test ends.

use v5.36;
use FindBin;
use lib $FindBin::Bin;
use Child;
use Test::More;
use Time::HiRes qw(sleep time);

my $block = <<'END';
=== TEST 1: a block
--- config
    location = /t { return 200 "1\n"; }
--- request
GET /t
--- response_body
1
END

sub none_left ($name) {
    for (1 .. 1000) { last if !leftover(); sleep 0.01 }
    is(join(' ', leftover()), '', "$name - no process is left");
}

for my $master ('', 'master_on(); workers(2);') {
    passes("starts and stops $master", $block, head => $master);
    none_left('after success');

    my ($status) = child_of($block, head => $master, tail => 'die "in the test\n";');
    isnt($status, 0, 'a program that dies fails');
    none_left('after a program that dies');

    ($status) = child_of($block . "--- init\nmain::bail_out('enough');\n", head => $master);
    isnt($status, 0, 'a program that bails out fails');
    none_left('after a program that bails out');
}

my $slow = <<'END';
=== TEST 1: a block
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply_delay: 20
--- tcp_reply: late
--- timeout: 20
--- request
GET /t
END
for my $signal (qw(TERM INT)) {
    my ($pid, $pipe) = start_child($slow, head => 'master_on();');
    for (1 .. 300) { last if leftover() >= 3; sleep 0.01 }
    cmp_ok(scalar leftover(), '>=', 2, 'nginx runs');
    sleep 0.1;
    kill $signal => $pid;
    close $pipe;
    none_left("after SIG$signal");
}

my ($pid, $pipe) = start_child($slow);
for (1 .. 300) { last if leftover(); sleep 0.01 }
sleep 0.1;
kill KILL => $pid;
close $pipe;
passes('after a program that was killed, the next one starts', $block);
none_left('that one stops the old nginx');

# Each configuration must be the active one when the request is made.
my $many = join '', map { <<"END" } 1 .. 20;
=== TEST $_: configuration $_
--- config
    location = /t { return 200 "$_\\n"; }
--- request
GET /t
--- response_body
$_
END
my %hup = (TEST_NGINX_USE_HUP => 1);
my $start = time;
passes('20 restarts', $many);
diag(sprintf '20 restarts took %.1f s', time - $start);
$start = time;
passes('20 reloads', $many, env => \%hup, head => 'workers(2);');
diag(sprintf '20 reloads took %.1f s', time - $start);
none_left('after reloads');

my $with_bad = <<'END' . $block =~ s/TEST 1/TEST 3/r;
=== TEST 1: the first
--- config
    location = /t { return 200 "0\n"; }
--- request
GET /t
=== TEST 2: refused
--- config
    no_such;
--- must_die
--- error_log
unknown directive "no_such"
END
passes('must_die between reloads', $with_bad, env => \%hup);

passes('repeat_each', $block, head => 'repeat_each(3);');
passes('TEST_NGINX_RANDOMIZE', $block, env => { TEST_NGINX_RANDOMIZE => 1 });
passes('the previous configuration is used again', $block . <<'END');
=== TEST 2: no configuration
--- request
GET /t
--- response_body
1
END

SKIP: {
    skip 'no curl', 2 if !grep { -x "$_/curl" } split /:/, $ENV{PATH};
    # What reads the body: nginx resets the stream of one that it does not want, which curl takes for an error if it
    # comes while the body is on its way.
    my $http2 = <<'END';
=== TEST 1: http2
--- config
    location = /t {
        root $TEST_NGINX_SERVER_ROOT/html;
        dav_methods PUT;
        add_header X-Got "$server_protocol $request_method $http_x_a";
    }
--- http2
--- request
PUT /t
12345
--- more_headers
X-A: b
--- error_code: 201
END
    passes('http2', $http2 . "--- response_headers\nX-Got: HTTP/2.0 PUT b\n");
    fails_with(qr/header X-Got/, 'http2, another header', $http2 . "--- response_headers\nX-Got: HTTP/1.1 PUT b\n");
}

done_testing();
