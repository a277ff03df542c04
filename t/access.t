# Access control, logs, variables, rewriting and other modules: as with any location of nginx.

use v5.36;
use Filedist 'no_plan';
use IO::Socket::INET;
use MIME::Base64 qw(encode_base64);

no_root_location();
prepare_dirs(qw(root c1 c2));

# A parent with two children, where a block says nothing else; a leaf's configuration is the block's
# own. The children write no access log.
my $children = <<'END';
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
END
my $leaves = join '', map <<"END", 1, 2;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_$_;
        root \$TEST_NGINX_DATA/c$_;
        filedist_state \$TEST_NGINX_DATA/s$_;
        filedist_name c$_;
        access_log off;
        client_max_body_size 0;
        filedist on;
    }
END
my $node = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
END
add_block_preprocessor(sub ($block) {
    my $own = $block->http_config // '';
    $own = $children . $own if $own !~ /upstream children/;
    $block->set_value(http_config => $own . $leaves);
    $block->set_value(config => $node . $block->config);
});

# The lines of an access log in the data directory, once there are as many as expected.
sub logged ($name, $lines) {
    my $text;
    poll_until(sub { ($text = read_data($name) // '') =~ tr/\n// >= $lines });
    return $text;
}

# What comes back for some bytes, until the connection ends or is silent.
sub exchange ($bytes) {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 2) or die "connect: $!";
    $socket->printflush($bytes);
    my $got = '';
    while (1) {
        vec(my $bits = '', fileno $socket, 1) = 1;
        select $bits, undef, undef, length $got ? 0.15 : 2 or last;
        sysread $socket, $got, 65536, length $got or last;
    }
    return $got;
}

sub statuses ($got) { return join ' ', $got =~ m{^HTTP/1\.1 (\d+)}mg }

sub basic ($user) { return 'Authorization: Basic ' . encode_base64($user, '') }

# Is nginx built with a module that not every one has?
sub nginx_with ($module) {
    state $options = do { my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx'; `$nginx -V 2>&1` };
    return $options =~ /--with-$module\b/;
}

run_tests();

__DATA__

=== TEST 1: limit_except, deny - 403 for PUT and DELETE, GET and HEAD go on
--- config
    location / { filedist on; proxy_pass http://children; limit_except GET { deny all; } }
--- data_files
>>> root/a.txt
here
>>> c1/a.txt
of c1
>>> c2/b.txt
of c2
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "PUT /new.txt\nhello", "GET /a.txt", "HEAD /a.txt", "GET /b.txt", "GET /none"]
--- error_code eval
[403, 403, 403, 200, 200, 200, 404]
--- files_like
root/a.txt /^here$/
c1/a.txt /^of c1$/
--- no_files
root/new.txt c1/new.txt state/missing/*



=== TEST 2: limit_except, allow - PUT and DELETE reach the children
--- config
    location / { filedist on; proxy_pass http://children; limit_except GET { allow 127.0.0.1; deny all; } }
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello", "DELETE /b.txt", "GET /a.txt"]
--- error_code eval
[201, 201, 200, 200]
--- files_like
root/a.txt hello
c1/a.txt hello
c2/a.txt hello
--- no_files
root/b.txt c1/b.txt c2/b.txt



=== TEST 3: limit_except for some methods
--- config
    location / { filedist on; limit_except GET PUT { deny all; } }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "POST /a.txt\nhello"]
--- error_code eval
[201, 403, 403]
--- files_like
root/a.txt hello



=== TEST 4: allow and deny, in a location
--- config
    location / { filedist on; proxy_pass http://children; allow 127.0.0.1; deny all; }
    location /no/ { filedist on; deny all; }
--- request eval
["PUT /a.txt\nhello", "PUT /no/a.txt\nhello", "GET /no/a.txt"]
--- error_code eval
[201, 403, 403]
--- files_like
c1/a.txt hello
--- no_files
root/no



=== TEST 5: refused access - the next request on the connection is understood
--- config
    location / { filedist on; limit_except GET { deny all; } }
--- data_files
>>> root/a.txt
here
--- pipelined_requests eval
["PUT /a.txt\nhello", "PUT /a.txt\n" . 'x' x 100_000, "GET /a.txt"]
--- error_code_like eval
[qr/^403$/, qr/^403$/, qr/^200$/]
--- response_body_like eval
[qr/403/, qr/403/, qr/^here$/]



=== TEST 6: refused access, Expect - no "100 Continue"
--- config
    location / { filedist on; limit_except GET { deny all; } }
--- request: HEAD /a
--- error_code: 404
--- after
is(statuses(exchange("PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")), '403', 'one status');



=== TEST 7: auth_basic - 401 without, stored with, on the children too
--- data_files
>>> users
joe:{PLAIN}secret
--- config
    location / { filedist on; proxy_pass http://children; auth_basic files; auth_basic_user_file $TEST_NGINX_DATA/users; }
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello", "PUT /a.txt\nhello", "DELETE /a.txt", "GET /a.txt"]
--- more_headers eval
['', main::basic('joe:wrong'), main::basic('joe:secret'), '', main::basic('joe:secret')]
--- error_code eval
[401, 401, 201, 401, 200]
--- response_headers eval
['WWW-Authenticate: Basic realm="files"', 'WWW-Authenticate: Basic realm="files"', '', 'WWW-Authenticate: Basic realm="files"', '']
--- files_like
root/a.txt hello
c1/a.txt hello
c2/a.txt hello



=== TEST 8: auth_basic in limit_except - GET is free
--- data_files
>>> users
joe:{PLAIN}secret
>>> root/a.txt
here
--- config
    location / { filedist on; limit_except GET { auth_basic files; auth_basic_user_file $TEST_NGINX_DATA/users; } }
--- request eval
["GET /a.txt", "PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
['', '', main::basic('joe:secret')]
--- error_code eval
[200, 401, 200]
--- files_like
root/a.txt hello



=== TEST 9: auth_basic at a child - the client's name and password reach it, as proxy_pass passes them
--- data_files
>>> users
joe:{PLAIN}secret
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        filedist on;
        auth_basic files;
        auth_basic_user_file $TEST_NGINX_DATA/users;
    }
--- config
    location / { filedist on; proxy_pass http://children; }
--- dirs: c3
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello"]
--- more_headers eval
[main::basic('joe:secret'), '']
--- error_code eval
[201, 201]
--- response_body_like eval
[qr{^success: 127\S+/a.txt stored}m, qr{^error: 127\S+/b.txt failed to store: 401$}m]
--- files_like
c3/a.txt hello
--- no_files
c3/b.txt



=== TEST 10: satisfy any
--- data_files
>>> users
joe:{PLAIN}secret
--- config
    satisfy any;
    deny all;
    auth_basic files;
    auth_basic_user_file $TEST_NGINX_DATA/users;
    filedist on;
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
['', main::basic('joe:secret')]
--- error_code eval
[401, 201]
--- files_like
root/a.txt hello



=== TEST 11: access log - one line a request, with the status and the bytes of the answer
--- config
    access_log $TEST_NGINX_DATA/access.log combined;
    location / { filedist on; proxy_pass http://children; }
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello", "DELETE /a.txt", "DELETE /a.txt", "PUT /\nhello", "GET /none", "POST /a.txt\nhello"]
--- error_code eval
[201, 200, 200, 404, 409, 404, 405]
--- after eval
package main;
my @lengths;
[map { my $n = $_; sub {
    my ($block, $body) = @_;
    push @lengths, length $body;
    return if $n < 7;
    my $log = logged('access.log', 7);
    my @lines = map [/"([A-Z]+ \S+) HTTP\/1\.1" (\d+) (\d+)/], split /\n/, $log;
    is_deeply(\@lines, [['PUT /a.txt', 201, $lengths[0]], ['PUT /a.txt', 200, $lengths[1]], ['DELETE /a.txt', 200, $lengths[2]],
        ['DELETE /a.txt', 404, $lengths[3]], ['PUT /', 409, $lengths[4]], ['GET /none', 404, $lengths[5]], ['POST /a.txt', 405, $lengths[6]]],
        'the lines') or diag $log;
} } 1 .. 7]



=== TEST 12: access log - the children's lines are those of their parent's requests
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        access_log $TEST_NGINX_DATA/child.log combined;
        filedist on;
    }
--- config
    location / { filedist on; proxy_pass http://children; }
--- dirs: c3
--- request eval
["PUT /a%20b.txt?x=1\nhello", "DELETE /a%20b.txt"]
--- error_code eval
[201, 200]
--- after
like(logged('child.log', 2), qr{"PUT /a%20b\.txt\?x=1 HTTP/1\.0" 201 \d+ .*\n.*"DELETE /a%20b\.txt HTTP/1\.0" 200 }, 'the lines');



=== TEST 13: variables in the access log
--- http_config
    log_format mine '$request_method $status $body_bytes_sent $request_length $request_time $request_completion $content_length $request_filename $uri $server_protocol';
--- config
    access_log $TEST_NGINX_DATA/access.log mine;
    location / { filedist on; proxy_pass http://children; }
--- raw_request eval
["PUT /d/../a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n" . 'x' x 50_000, 'x' x 50_000]
--- raw_request_middle_delay
0.2
--- error_code: 201
--- after
my ($block, $body) = @_;
my $length = length "PUT /d/../a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n";
my ($method, $status, $sent, $request_length, $time, $completion, $content_length, $file, $uri) = split ' ', logged('access.log', 1);
is("$method $status $uri", 'PUT 201 /a.txt', 'request');
is($sent, length $body, '$body_bytes_sent');
is($request_length, $length + 100_000, '$request_length');
cmp_ok($time, '>=', 0.15, '$request_time');
is($completion, 'OK', '$request_completion');
is($content_length, 100_000, '$content_length');
like($file, qr{/root/a\.txt$}, '$request_filename');



=== TEST 14: $request_length of a chunked PUT, $request_body - no harm
--- http_config
    log_format mine '$status $request_length "$request_body" "$request_body_file" "$upstream_status"';
--- config
    access_log $TEST_NGINX_DATA/access.log mine;
    location / { filedist on; proxy_pass http://children; }
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- error_code: 201
--- after
like(logged('access.log', 1), qr{^201 94 "[^"]*" "-?" "-?"$}, 'the line');



=== TEST 15: log_subrequest - a line for each delivery, no harm
--- config
    access_log $TEST_NGINX_DATA/access.log combined;
    log_subrequest on;
    location / { filedist on; proxy_pass http://children; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 200]
--- after eval
package main;
[undef, sub {
    my $log = logged('access.log', 6);
    is(() = $log =~ /" 20[01] /g, 6, 'six lines') or diag $log;
}]



=== TEST 16: access_log if a variable is set by a map of the status
--- http_config
    map $status $is_error { ~^[45] 1; default 0; }
--- config
    access_log $TEST_NGINX_DATA/access.log combined if=$is_error;
    location / { filedist on; }
--- request eval
["PUT /a.txt\nhello", "PUT /\nhello", "DELETE /none"]
--- error_code eval
[201, 409, 404]
--- after eval
package main;
[undef, undef, sub {
    my @lines = logged('access.log', 2) =~ /" (\d+) /g;
    is("@lines", '409 404', 'the lines');
}]



=== TEST 17: add_header, expires - on answers of PUT and DELETE too
--- config
    location / { filedist on; add_header X-Always yes always; add_header X-Good yes; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "DELETE /a.txt", "PUT /\nhello"]
--- error_code eval
[201, 200, 404, 409]
--- response_headers eval
["X-Always: yes\nX-Good: yes", "X-Always: yes\nX-Good: yes", "X-Always: yes\n!X-Good", "X-Always: yes\n!X-Good"]



=== TEST 18: return and rewrite in the same server
--- config
    if ($arg_stop) { return 403 stopped; }
    rewrite ^/old/(.*)$ /new/$1;
    location / { filedist on; proxy_pass http://children; }
    location /gone/ { filedist on; return 410; }
    location /moved/ { filedist on; rewrite ^/moved/(.*)$ /new/$1 break; }
--- request eval
["PUT /a.txt?stop=1\nhello", "PUT /old/a.txt\nhello", "PUT /gone/a.txt\nhello", "PUT /moved/b.txt\nhello", "GET /old/a.txt", "DELETE /old/a.txt"]
--- error_code eval
[403, 201, 410, 201, 200, 200]
--- response_body_like eval
[qr/^stopped$/, qr{\Asuccess: root/new/a.txt stored: 5 bytes\nsuccess: c1/new/a.txt stored}, qr/410/, qr{^success: root/new/b.txt}, qr/^hello$/, qr{^success: root/new/a.txt deleted}]
--- files_like
root/new/b.txt hello
--- no_files
root/old root/a.txt root/gone root/moved c1/old



=== TEST 19: rewritten by the parent - the children get the new name, once
--- config
    location / { filedist on; rewrite ^/(.*)$ /x/$1 break; proxy_pass http://children; }
--- request
PUT /a%20b.txt
hello
--- error_code: 201
--- files_like eval
+{ map { ("$_/x/a b.txt" => 'hello') } qw(root c1 c2) }
--- no_files
c1/x/x



=== TEST 20: proxy_pass with a path - the children store there
--- config
    location /in/ { filedist on; proxy_pass http://children/out/; }
--- request
PUT /in/a.txt
hello
--- error_code: 201
--- files_like
root/in/a.txt hello
c1/out/a.txt hello
c2/out/a.txt hello



=== TEST 21: error_page for refused access - a page from the files
--- config
    error_page 403 /403.html;
    location / { filedist on; proxy_pass http://children; limit_except GET { deny all; } }
--- data_files
>>> c2/403.html
you may not
--- request eval
["PUT /a.txt\nhello", "PUT /403.html\nhello", "DELETE /a.txt"]
--- error_code eval
[403, 403, 403]
--- response_body eval
["you may not\n", "you may not\n", "you may not\n"]
--- no_files
root/*



=== TEST 22: error_page 405 to a named location with filedist - PUT goes there
--- config
    location / { error_page 405 = @put; }
    location @put { filedist on; proxy_pass http://children; }
--- request eval
["PUT /a.txt\nhello", "GET /a.txt", "DELETE /a.txt"]
--- error_code eval
[201, 200, 200]
--- no_files
root/a.txt c1/a.txt c2/a.txt



=== TEST 23: auth_request - PUT and GET are stored, asked of children, or refused
--- config
    location / { filedist on; proxy_pass http://children; auth_request /auth; }
    location = /auth { internal; if ($http_x_key = open) { return 204; } return 403; }
--- data_files
>>> c2/b.txt
of c2
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nworld", "GET /a.txt", "GET /b.txt", "GET /b.txt", "DELETE /a.txt", "PUT /l\n" . 'x' x 300_000]
--- more_headers eval
[map { $_ ? 'X-Key: open' : '' } 1, 0, 1, 1, 0, 0, 1]
--- error_code eval
[201, 403, 200, 200, 403, 403, 201]
--- files_like eval
+{ 'root/a.txt' => 'hello', 'c1/a.txt' => 'hello', 'c2/a.txt' => 'hello', 'c2/l' => 'x' x 300_000 }



=== TEST 24: auth_request that goes to another server
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; access_log off; if ($http_x_key = open) { return 204; } return 401; }
--- config
    location / { filedist on; proxy_pass http://children; auth_request /auth; }
    location = /auth { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
--- pipelined_requests eval
["PUT /a.txt\nhello", "PUT /b.txt\n" . 'x' x 100_000, "GET /a.txt"]
--- more_headers
X-Key: open
--- error_code_like eval
[qr/^201$/, qr/^201$/, qr/^200$/]
--- files_like eval
+{ 'c1/a.txt' => 'hello', 'c2/b.txt' => 'x' x 100_000 }



=== TEST 25: auth_request whose location is filedist's own - a file decides
--- config
    location / { filedist on; proxy_pass http://children; auth_request /auth/yes; }
    location /auth/ { internal; filedist on; proxy_pass http://children; auth_request off; }
--- data_files
>>> c2/auth/yes
yes
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 200]
--- no_files
root/a.txt c1/a.txt root/auth/yes



=== TEST 26: mirror, a small body - stored, on the children too, and mirrored whole
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        access_log off;
        location / { root $TEST_NGINX_DATA/mirror; dav_methods PUT; }
    }
--- config
    location / { filedist on; proxy_pass http://children; mirror /mirror; }
    location = /mirror { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3$request_uri; }
--- dirs: mirror
--- request
PUT /a.txt
hello
--- timeout: 2
--- error_code: 201
--- files_like
root/a.txt hello
c1/a.txt hello
c2/a.txt hello
mirror/a.txt hello



=== TEST 27: mirror, a body that nginx has put into a file - stored whole
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        access_log off;
        client_max_body_size 0;
        location / { root $TEST_NGINX_DATA/mirror; dav_methods PUT; }
    }
--- config
    client_body_buffer_size 1k;
    location / { filedist on; proxy_pass http://children; mirror /mirror; }
    location = /mirror { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3$request_uri; }
--- dirs: mirror
--- request eval
"PUT /a.txt\n" . CORE::join ' ', 1 .. 50_000
--- timeout: 2
--- error_code: 201
--- files_like eval
+{ map { ("$_/a.txt" => CORE::join ' ', 1 .. 50_000) } qw(root c1 c2 mirror) }



=== TEST 28: mirror without the body, and for GET and DELETE
--- http_config
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; access_log off; return 204; }
--- config
    location / { filedist on; proxy_pass http://children; mirror /mirror; mirror_request_body off; }
    location = /mirror { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
--- pipelined_requests eval
["PUT /a.txt\nhello", "GET /a.txt", "PUT /b.txt\n" . 'x' x 100_000, "DELETE /a.txt"]
--- error_code_like eval
[map qr/^$_$/, 201, 200, 201, 200]
--- files_like eval
+{ 'root/b.txt' => 'x' x 100_000 }
--- no_files
root/a.txt c1/a.txt c2/a.txt



=== TEST 29: add_before_body, add_after_body - around a receipt and a file of a child
--- skip_eval: 18: !main::nginx_with('http_addition_module')
--- config
    location / { filedist on; proxy_pass http://children; addition_types *; add_before_body /add/before; add_after_body /add/after; }
    location /add/ { filedist on; proxy_pass http://children; }
--- data_files
>>> root/add/before
before
>>> c2/add/after
after
>>> c2/b.txt
of c2
--- request eval
["GET /b.txt", "GET /b.txt", "PUT /b.txt\nhello"]
--- error_code eval
[200, 200, 201]
--- response_body_like eval
[qr/^before\nof c2\nafter\n$/, qr/^before\nof c2\nafter\n$/, qr{success: root/b.txt stored: 5 bytes\nsuccess: c1/b.txt stored}]
--- files_like
c1/b.txt hello



=== TEST 30: SSI - includes of what is here and of what a child has
--- config
    location / { filedist on; proxy_pass http://children; ssi on; ssi_types text/plain; }
--- data_files
>>> root/page
<!--#include virtual="/here" -->,<!--#include virtual="/there" -->
>>> root/here
here
>>> c2/there
of c2
--- request
GET /page
--- response_body_like: ^here\n,of c2\n\n$



=== TEST 31: limit_req with a delay, limit_conn - stored later
--- http_config
    limit_req_zone $binary_remote_addr zone=r:1m rate=20r/s;
    limit_conn_zone $binary_remote_addr zone=c:1m;
--- config
    location / { filedist on; proxy_pass http://children; limit_req zone=r burst=5; limit_conn c 5; }
--- pipelined_requests eval
["PUT /a.txt\nhello", "PUT /b.txt\n" . 'x' x 100_000, "GET /a.txt"]
--- error_code_like eval
[qr/^201$/, qr/^201$/, qr/^200$/]
--- files_like eval
+{ 'c1/a.txt' => 'hello', 'c1/b.txt' => 'x' x 100_000 }



=== TEST 32: limit_req that refuses - 503, nothing stored
--- http_config
    limit_req_zone $server_name zone=refuse:1m rate=1r/m;
--- config
    location / { filedist on; limit_req zone=refuse; limit_req_log_level notice; }
--- pipelined_requests eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello"]
--- error_code_like eval
[qr/^201$/, qr/^503$/]
--- no_files
root/b.txt



=== TEST 33: X-Accel-Redirect and X-Accel-Limit-Rate of a child - a GET follows them as with any proxy_pass
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; access_log off; add_header X-Accel-Redirect /internal/a.txt; return 204; }
--- config
    location / { filedist on; proxy_pass http://children; }
    location /internal/ { internal; filedist on; }
--- data_files
>>> root/internal/a.txt
by redirect
--- request
GET /b.txt
--- response_body
by redirect



=== TEST 34: X-Accel-Redirect of a child in its answer to PUT and DELETE - not followed
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; access_log off; add_header X-Accel-Redirect /internal/a.txt; return 200 ok; }
--- config
    location / { filedist on; proxy_pass http://children; }
    location /internal/ { internal; return 418; }
--- request eval
["PUT /b.txt\nhello", "DELETE /b.txt"]
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: root/b.txt stored: 5 bytes\nsuccess: 127\S+ stored: 5 bytes\n\z}, qr{\Asuccess: root/b.txt deleted\nsuccess: 127\S+ deleted\n\z}]



=== TEST 35: proxy_set_header, proxy_hide_header, proxy_pass_request_headers - as the location says
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; access_log off; return 200 "success: $http_host $http_x_mine $http_x_client $http_content_type\n"; }
--- config
    location / {
        filedist on;
        proxy_pass http://children;
        proxy_set_header Host tree.example;
        proxy_set_header X-Mine $request_method;
        proxy_set_header X-Client "";
    }
--- request
PUT /b.txt
hello
--- more_headers
X-Client: secret
Content-Type: audio/mpeg
--- error_code: 201
--- response_body
success: root/b.txt stored: 5 bytes
success: tree.example PUT  audio/mpeg



=== TEST 36: no request is counted for ever
--- config
    location / { filedist on; proxy_pass http://children; }
    location /status { stub_status; }
--- init
package main;
(undef, undef, $main::before) = http_get(server_port(), '/status');
--- request eval
[(map "PUT /$_.txt\nhello", 1 .. 3), "DELETE /1.txt", "PUT /\nx", "GET /2.txt"]
--- error_code eval
[201, 201, 201, 200, 409, 200]
--- after
my $busy = sub { $_[0] =~ /Writing: (\d+)/; return $1 };
my $now;
poll_until(sub { (undef, undef, $now) = http_get(server_port(), '/status'); $busy->($now) <= $busy->($main::before) });
cmp_ok($busy->($now), '<=', $busy->($main::before), 'no more than before');
