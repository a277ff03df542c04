# Every check of Test::Nginx::Socket fails when it should.

use v5.36;
use FindBin;
use lib $FindBin::Bin;
use Child;
use Test::More;

# The tests of one location that answers 200 "hello\n".
sub block ($sections) {
    return <<"END" . $sections;
=== TEST 1: a block
--- config
    location = /t { add_header X-A b; return 200 "hello\\n"; }
--- request
GET /t
END
}

passes('what is right passes', block(<<'END'));
--- response_body
hello
--- response_headers
X-A: b
! X-B
--- response_headers_like
X-A: [a-c]
--- error_log
http uri: "/t"
--- no_error_log
[alert]
--- access_log
GET /t
END

my @wrong = (
    response_body => <<'END', qr/response_body - response is expected.*got: 'hello\n.*expected: 'hullo\n/s,
--- response_body
hullo
END
    response_body_like => <<'END', qr/response_body_like.*doesn't match/s,
--- response_body_like: hul+o
END
    response_body_unlike => <<'END', qr/response_body_unlike.*matches/s,
--- response_body_unlike: hel+o
END
    'response_body after a like that is right' => <<'END', qr/response_body - response/,
--- response_body_like: hel+o
--- response_body: hullo
END
    'response_headers, value' => <<'END', qr/header X-A ok'.*got: 'b'.*expected: 'c'/s,
--- response_headers
X-A: c
END
    'response_headers, missing' => <<'END', qr/header X-B ok'.*got: ''/s,
--- response_headers
X-B: c
END
    'response_headers, present' => <<'END', qr/header X-A not present/,
--- response_headers
! X-A
END
    'response_headers_like, whole value' => <<'END', qr/header X-A like ok/,
--- response_headers_like
X-A: b+c
END
    error_code => <<'END', qr/status code ok'.*got: '200'.*expected: '404'/s,
--- error_code: 404
END
    error_code_like => <<'END', qr/status code like'/,
--- error_code_like: ^4
END
    error_log => <<'END', qr/pattern "no such line" should match a line in error.log/,
--- error_log
no such line
END
    'error_log, one of two' => <<'END', qr/pattern "no such line" should match a line in error.log/,
--- error_log
http uri
no such line
END
    'error_log, regex' => <<'END', qr/pattern "\S*no such line\S* should match a line in error.log/,
--- error_log eval
qr/no such line/
END
    no_error_log => <<'END', qr/pattern "http uri: "\/t"" should not match.*matching lines.*http uri: "\/t"/s,
--- no_error_log
http uri: "/t"
END
    access_log => <<'END', qr/should match a line in access.log/,
--- access_log
GET /u
END
    no_access_log => <<'END', qr/should not match a line in access.log/,
--- no_access_log
GET /t
END
    must_die => <<'END', qr/die as expected'.*nginx runs/s,
--- must_die
END
    'must_die, exit code of a running nginx' => <<'END', qr/expected exit code'.*got: undef.*nginx runs/s,
--- must_die: 1
END
    'tcp_query, nobody connects' => <<'END', qr/tcp_query ok'.*got: ''.*expected: 'ping'/s,
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply: pong
--- tcp_query chomp
ping
END
    tcp_query_len => <<'END', qr/TCP query length ok'.*got: '0'.*expected: '4'/s,
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 4
END
    shutdown_error_log => <<'END', qr/pattern "no such line" should match a line in error.log/,
--- shutdown_error_log
no such line
END
    no_shutdown_error_log => <<'END', qr/pattern "exit" should not match a line in error.log/,
--- no_shutdown_error_log
exit
END
    'an unsupported section' => <<'END', qr/does not support --- stap/,
--- stap
F(ngx_http_finalize_request)
END
    'a check without a value' => <<'END', qr/nothing in --- error_log/,
--- error_log
END
    'an unknown variable' => <<'END', qr/No environment TEST_NGINX_NO_SUCH defined/,
--- response_body
$TEST_NGINX_NO_SUCH
END
);
while (my ($name, $sections, $message) = splice @wrong, 0, 3) {
    fails_with($message, $name, block($sections));
}

fails_with(qr/status code ok'.*got: '404'/s, 'error_code is 200 if not given', <<'END');
=== TEST 1: a block
--- config
    location = /t { return 404; }
--- request
GET /t
END

fails_with(qr/nginx starts'.*unknown directive "no_such"/s, 'a configuration that is wrong', <<'END');
=== TEST 1: a block
--- config
    no_such;
--- request
GET /t
END

fails_with(qr/nginx reloads'.*unknown directive "no_such"/s, 'the same in a reload',
    <<'END', env => { TEST_NGINX_USE_HUP => 1 });
=== TEST 1: a block
--- config
    location = /t { return 200; }
--- request
GET /t
=== TEST 2: another
--- config
    no_such;
--- request
GET /t
END

fails_with(qr/expected exit code'.*got: '1'.*expected: '2'/s, 'must_die, another exit code', <<'END');
=== TEST 1: a block
--- config
    no_such;
--- must_die: 2
END

fails_with(qr/pattern "another" should match a line in error.log/, 'must_die for another reason', <<'END');
=== TEST 1: a block
--- config
    no_such;
--- must_die
--- error_log
another
END

fails_with(qr/no_such_nginx/, 'no nginx at all, though must_die',
    <<'END', env => { TEST_NGINX_BINARY => '/no_such_nginx' });
=== TEST 1: a block
--- config
    no_such;
--- must_die
END

fails_with(qr/ERROR: client socket timed out - \S+ TEST 1: silent/, 'a time-out', <<'END');
=== TEST 1: silent
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply_delay: 5
--- tcp_reply: late
--- error_code:
--- timeout: 100ms
END

passes('the same time-out with --- abort', <<'END');
=== TEST 1: silent
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply_delay: 5
--- tcp_reply: late
--- error_code_like: ^$
--- timeout: 100ms
--- abort
END

my $child = <<'END';
=== TEST 1: a child
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_http_version 1.0; proxy_set_header Host h; proxy_set_header Connection close; }
--- request
PUT /t
12345
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
["HTTP/1.0 201 Created\r\n", "X-C: d\r\n\r\nmade"]
--- error_code: 201
--- response_headers
X-C: d
--- response_body chomp
made
END
my $query = 'PUT /t HTTP/1.0\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\n';
passes('tcp_query', $child . qq{--- tcp_query eval\n"${query}12345"\n});
passes('tcp_query, a regex', $child . qq{--- tcp_query eval\nqr/12345\$/\n});
fails_with(qr/tcp_query ok'/, 'tcp_query, other bytes', $child . qq{--- tcp_query eval\n"${query}12346"\n});
fails_with(qr/tcp_query ok'/, 'tcp_query, a regex that does not match', $child . qq{--- tcp_query eval\nqr/6\$/\n});
fails_with(qr/TCP query length ok'/, 'tcp_query_len', $child . "--- tcp_query_len: 20\n");

fails_with(qr/worker process \d+ exited on signal 9/, 'an alert in the log', <<'END', head => 'master_on();');
=== TEST 1: a block
--- config
    location = /t { return 200; }
--- init
my ($worker) = split ' ', `pgrep -P \`cat @{[ server_root() ]}/logs/nginx.pid\``;
kill KILL => $worker;
--- request
GET /t
--- wait: 0.1
--- no_error_log
[alert]
END

fails_with(qr/nginx is still running'.*signal 9/s, 'an nginx that dies', <<'END');
=== TEST 1: a block
--- config
    location = /t { return 200; }
--- init
open my $pid, '<', server_root() . '/logs/nginx.pid';
kill KILL => <$pid>;
--- request
GET /t
END

fails_with(qr/chunked body is cut off/, 'a chunked body that ends early', <<'END');
=== TEST 1: a block
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_http_version 1.1; }
--- request
GET /t
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe"
--- response_body_like: hello
END

fails_with(qr/body is shorter than Content-Length/, 'a body that ends early', <<'END');
=== TEST 1: a block
--- config
    location = /t { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request
GET /t
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhello"
END

my $two = <<'END';
=== TEST 1: two requests
--- config
    location ~ . { return 200 "$uri\n"; }
--- request eval
["GET /a", "GET /b"]
END
passes('two requests', $two . qq{--- response_body eval\n["/a\\n", "/b\\n"]\n});
fails_with(qr/req 1\)/, 'the second of two', $two . qq{--- response_body eval\n["/a\\n", "/c\\n"]\n});
fails_with(qr/2 requests, but 1 values/, 'one value in an array for two', $two . "--- error_code eval\n[200]\n");
fails_with(qr/many requests need an array/, 'one value for two', $two . "--- response_body: /a\n");
fails_with(qr/should match a line/, 'error_log is that of the request', $two . qq{--- error_log\nhttp uri: "/a"\n});

SKIP: {
    skip 'no valgrind', 1 if !grep { -x "$_/valgrind" } split /:/, $ENV{PATH};
    fails_with(qr/valgrind reports errors/, 'an error that valgrind finds',
        <<'END', env => { TEST_NGINX_USE_VALGRIND => '--tool=memcheck --leak-check=full --show-leak-kinds=all' });
=== TEST 1: a block
--- config
    location = /t { return 200; }
--- request
GET /t
END
}

is(leftover(), 0, 'no process is left');

done_testing();
