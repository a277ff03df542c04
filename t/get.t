# GET and HEAD: what is here as stock nginx serves it, what is not from the children.

use v5.36;
use Filedist 'no_plan';

no_root_location();
prepare_dirs(qw(root c1 c2));

# A block that says nothing else has a parent with two children. Leaves log a miss as stock nginx
# does; here they are silent, so that a line of the parent can be told.
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
        log_not_found off;
        add_header X-Node c$_ always;
        filedist on;
    }
END
my $parent = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / {
        filedist on;
        proxy_pass http://children;
        proxy_next_upstream error timeout http_404;
    }
END
add_block_preprocessor(sub ($block) {
    my $own = $block->http_config // '';
    $own = $children . $own if $own !~ /upstream children/;
    $block->set_value(http_config => $own . $leaves);
    $block->set_value(config => $parent) if !defined $block->config;
});

# Is nginx built with a module that not every one has?
sub nginx_with ($module) {
    state $options = do { my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx'; `$nginx -V 2>&1` };
    return $options =~ /--with-$module\b/;
}

run_tests();

__DATA__

=== TEST 1: get, here - served, no child is asked
--- data_files
>>> root/a.txt
here
>>> c1/a.txt
of a child
>>> c2/a.txt
of a child
--- request
GET /a.txt
--- response_headers
!X-Node
Content-Type: text/plain
--- response_body
here



=== TEST 2: get, only the first child has it
--- data_files
>>> c1/d/a.txt
of c1
--- request
GET /d/a.txt
--- response_headers
X-Node: c1
--- response_body
of c1
--- no_error_log
[error]



=== TEST 3: get, only the second child has it
--- data_files
>>> c2/d/a.txt
of c2
--- request
GET /d/a.txt
--- response_headers
X-Node: c2
--- response_body
of c2
--- no_error_log
[error]



=== TEST 4: get, from a child - not stored here
--- data_files
>>> c2/d/a.txt
of c2
--- request eval
["GET /d/a.txt", "GET /d/a.txt"]
--- response_body eval
["of c2\n", "of c2\n"]
--- error_code eval
[200, 200]
--- no_files
root/*



=== TEST 5: get, nobody has it - 404, nothing in the error log
--- request
GET /a.txt
--- error_code: 404
--- no_error_log
[error]
[warn]



=== TEST 6: get, nobody has it, again and again - 404
--- request eval
[("GET /a.txt") x 5]
--- error_code eval
[(404) x 5]



=== TEST 7: get, the first child is dead, the second has it - 200
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- data_files
>>> c2/a.txt
of c2
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code eval
[200, 200]
--- response_body eval
["of c2\n", "of c2\n"]



=== TEST 8: get, the second child is dead, the first has it - 200
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; filedist_fanout; }
--- data_files
>>> c1/a.txt
of c1
--- request eval
["GET /a.txt", "GET /a.txt", "GET /a.txt"]
--- error_code eval
[200, 200, 200]



=== TEST 9: get, the first child is dead, the second has not got it - 502
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- request
GET /a.txt
--- error_code: 502



=== TEST 10: get, the second child is dead, the first has not got it - 502
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; filedist_fanout; }
--- request
GET /a.txt
--- error_code: 502



=== TEST 11: get, a child is known to be dead, the other has not got it - 502 each time
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 fail_timeout=1m; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- request eval
[("GET /a.txt") x 5]
--- error_code eval
[(502) x 5]



=== TEST 12: get, a child is dead between two that have not got it - 502 each time
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
--- request eval
[("GET /a.txt") x 4]
--- error_code eval
[(502) x 4]



=== TEST 13: get, a child is dead between two, the last has it - 200 each time
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
--- data_files
>>> c2/a.txt
of c2
--- request eval
[("GET /a.txt") x 4]
--- error_code eval
[(200) x 4]



=== TEST 14: get, all children are dead - 502
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; server 127.0.0.1:$TEST_NGINX_RAND_PORT_8; filedist_fanout; }
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code eval
[502, 502]



=== TEST 15: get, all children are dead, it is here - 200
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; filedist_fanout; }
--- data_files
>>> root/a.txt
here
--- request
GET /a.txt
--- response_body
here



=== TEST 16: get, a child is dead, keepalive - 502 or the file, as without
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
        keepalive 4;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_http_version 1.1; proxy_set_header Connection ""; }
--- data_files
>>> c2/a.txt
of c2
--- request eval
["GET /a.txt", "GET /b.txt", "GET /a.txt", "GET /b.txt"]
--- error_code eval
[200, 502, 200, 502]



=== TEST 17: get, a child that answers nothing, the next has it - 200
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_7; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_read_timeout 100ms; }
--- data_files
>>> c2/a.txt
of c2
--- request
GET /a.txt
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
''
--- tcp_no_close
--- response_body
of c2



=== TEST 18: get, a child that answers nothing, the next has not got it - no 404
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_7; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_read_timeout 100ms; }
--- request
GET /a.txt
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
''
--- tcp_no_close
--- error_code_like: ^50[24]$



=== TEST 19: get, one has not got it, the last answers nothing - no 404
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_7; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_read_timeout 100ms; }
--- request
GET /a.txt
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
''
--- tcp_no_close
--- error_code_like: ^50[24]$



=== TEST 20: get, a child that sends a bad header, the next has not got it - no 404
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_7; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_next_upstream error timeout invalid_header; }
--- request
GET /a.txt
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
"HTTP/1.1 200 OK\r\nbad\0header: x\r\n\r\n"
--- error_code: 502



=== TEST 21: get, proxy_next_upstream is not said - the next child is asked on error and on 404
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> c2/a.txt
of c2
--- request eval
[("GET /a.txt") x 3]
--- error_code eval
[(200) x 3]



=== TEST 22: get, a child that answers 500, the next has it - as proxy_next_upstream says
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; return 500; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_next_upstream error timeout http_500; }
--- data_files
>>> c2/a.txt
of c2
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code eval
[200, 200]



=== TEST 23: get, a child that answers 500, the next has not got it - no 404
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; return 500; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_next_upstream error timeout http_500; }
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code_like eval
[qr/^50[02]$/, qr/^50[02]$/]



=== TEST 24: head, here
--- data_files
>>> root/a.txt
here
--- request
HEAD /a.txt
--- response_headers
Content-Length: 5
!X-Node
--- response_body:



=== TEST 25: head, from a child
--- data_files
>>> c2/a.txt
of c2
--- request
HEAD /a.txt
--- response_headers
Content-Length: 6
X-Node: c2
--- response_body:



=== TEST 26: head, nobody has it - 404; a child is dead - 502
--- http_config
    upstream half { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
    location /half/ { filedist on; proxy_pass http://half; }
--- request eval
["HEAD /a.txt", "HEAD /half/a.txt"]
--- error_code eval
[404, 502]



=== TEST 27: get, Range, here
--- data_files
>>> root/a.txt
0123456789
--- request
GET /a.txt
--- more_headers
Range: bytes=2-4
--- error_code: 206
--- response_headers
Content-Range: bytes 2-4/11
--- response_body chomp
234



=== TEST 28: get, Range, from a child
--- data_files
>>> c2/a.txt
0123456789
--- request eval
["GET /a.txt", "GET /a.txt", "GET /a.txt"]
--- more_headers eval
["Range: bytes=2-4", "Range: bytes=-3", "Range: bytes=20-"]
--- error_code eval
[206, 206, 416]
--- response_headers eval
["Content-Range: bytes 2-4/11", "Content-Range: bytes 8-10/11", "Content-Range: bytes */11"]
--- response_body_like eval
[qr/^234\z/, qr/^89\n\z/, qr/416/]



=== TEST 29: get, many ranges, from a child - in parts
--- data_files
>>> c2/a.txt
0123456789
--- request
GET /a.txt
--- more_headers
Range: bytes=0-1,4-5
--- error_code: 206
--- response_headers_like
Content-Type: multipart/byteranges; boundary=\d+
--- response_body_like eval
qr{\r\nContent-Range: bytes 0-1/11\r\n\r\n01\r\n.*\r\nContent-Range: bytes 4-5/11\r\n\r\n45\r\n}s



=== TEST 30: get, If-Modified-Since and If-None-Match, here
--- data_files
>>> root/a.txt
here
--- init
package main;
utime 1000000000, 1000000000, data_dir() . '/root/a.txt';
--- request eval
[("GET /a.txt") x 4]
--- more_headers eval
["If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT", 'If-None-Match: "3b9aca00-5"', 'If-None-Match: "x"']
--- error_code eval
[304, 200, 304, 200]



=== TEST 31: get, If-Modified-Since and If-None-Match, from a child
--- data_files
>>> c2/a.txt
of c2
--- init
package main;
utime 1000000000, 1000000000, data_dir() . '/c2/a.txt';
--- request eval
[("GET /a.txt") x 4]
--- more_headers eval
["If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", "If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT", 'If-None-Match: "3b9aca00-6"', 'If-None-Match: "x"']
--- error_code eval
[304, 200, 304, 200]
--- response_headers eval
[("X-Node: c2") x 4]



=== TEST 32: get, If-Match that does not match, from a child - 412
--- data_files
>>> c2/a.txt
of c2
--- request
GET /a.txt
--- more_headers
If-Match: "x"
--- error_code: 412



=== TEST 33: get, If-Range, from a child
--- data_files
>>> c2/a.txt
of c2
--- init
package main;
utime 1000000000, 1000000000, data_dir() . '/c2/a.txt';
--- request eval
["GET /a.txt", "GET /a.txt"]
--- more_headers eval
["Range: bytes=0-1\r\nIf-Range: \"3b9aca00-6\"", "Range: bytes=0-1\r\nIf-Range: \"x\""]
--- error_code eval
[206, 200]



=== TEST 34: get, arguments - here they do not matter, a child gets them
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; return 200 $request_uri; }
--- data_files
>>> root/a.txt
here
--- request eval
["GET /a.txt?x=1&y", "GET /b%20c.txt?x=1&y"]
--- error_code eval
[200, 200]
--- response_body eval
["here\n", "/b%20c.txt?x=1&y"]



=== TEST 35: get, names of any bytes, from a child
--- init
package main;
write_data("c2/$_", $_) for "a b", "\xC3\xBC", "\xFF", "a%b", "a?b", "a#b", "a\nb", "a+b";
--- request eval
["GET /a%20b", "GET /%C3%BC", "GET /%FF", "GET /a%25b", "GET /a%3Fb", "GET /a%23b", "GET /a%0Ab", "GET /a+b"]
--- error_code eval
[(200) x 8]
--- response_body eval
["a b", "\xC3\xBC", "\xFF", "a%b", "a?b", "a#b", "a\nb", "a+b"]



=== TEST 36: get, large, from a child
--- init
package main;
write_data('c2/a.txt', CORE::join ' ', 1 .. 200_000);
--- request
GET /a.txt
--- response_body eval
CORE::join ' ', 1 .. 200_000



=== TEST 37: get, empty, here and from a child
--- init
package main;
write_data('root/a.txt', '');
write_data('c2/b.txt', '');
--- request eval
["GET /a.txt", "GET /b.txt"]
--- error_code eval
[200, 200]
--- response_headers eval
["Content-Length: 0", "Content-Length: 0"]



=== TEST 38: get, pipelined, here and from children
--- data_files
>>> root/a
here
>>> c1/b
of c1
>>> c2/c
of c2
--- pipelined_requests eval
["GET /a", "GET /b", "GET /c", "GET /d", "GET /a"]
--- error_code_like eval
[map qr/^$_$/, 200, 200, 200, 404, 200]
--- response_body_like eval
[qr/^here$/, qr/^of c1$/, qr/^of c2$/, qr/404/, qr/^here$/]



=== TEST 39: get, with a body - thrown away
--- data_files
>>> root/a
here
>>> c2/b
of c2
--- pipelined_requests eval
["GET /a\nhello", "GET /b\nhello", "GET /a"]
--- error_code_like eval
[(qr/^200$/) x 3]
--- response_body eval
["here\n", "of c2\n", "here\n"]



=== TEST 40: get, a directory here - index, autoindex, redirect, as stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; location /list/ { autoindex on; proxy_pass http://children; } }
--- data_files
>>> root/d/index.html
the index
>>> root/list/a.txt
here
>>> root/list/.filedist.1.2
a temporary file
>>> root/none/a.txt
here
--- request eval
["GET /d/", "GET /list/", "GET /none/", "GET /d", "HEAD /d/"]
--- error_code eval
[200, 200, 403, 301, 200]
--- response_body_like eval
[qr/^the index$/, qr{\A(?!.*\.filedist).*<a href="a.txt">}s, qr/403/, qr/301/, qr/^$/]
--- response_headers_like eval
['', '', '', 'Location: http://localhost(?::\d+)?/d/', '']



=== TEST 41: get, a directory that is not here - no child is asked
--- data_files
>>> c1/d/index.html
of c1
--- request
GET /d/
--- error_code: 404
--- response_headers
!X-Node



=== TEST 42: get, a file is here where a child has a directory - the children are asked for what is below
--- data_files
>>> root/d
here
>>> c2/d/a.txt
of c2
--- request eval
["GET /d", "GET /d/a.txt"]
--- error_code eval
[200, 200]
--- response_body eval
["here\n", "of c2\n"]



=== TEST 43: get, may not be read here - 403, no child is asked
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; disable_symlinks on from=$document_root; }
--- data_files
>>> root/a.txt
here
>>> c1/l
of c1
--- init
package main;
symlink 'a.txt', data_dir() . '/root/l';
--- request
GET /l
--- error_code: 403
--- response_headers
!X-Node



=== TEST 44: get, open_file_cache - here, from a child, and nowhere, again and again
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    open_file_cache max=100 inactive=10s;
    open_file_cache_errors on;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a
here
>>> c2/b
of c2
--- request eval
["GET /a", "GET /b", "GET /c", "GET /a", "GET /b", "GET /c"]
--- error_code eval
[200, 200, 404, 200, 200, 404]
--- response_body_like eval
[qr/^here$/, qr/^of c2$/, qr/404/, qr/^here$/, qr/^of c2$/, qr/404/]
--- no_error_log
[error]



=== TEST 45: get, aio threads, sendfile - here and from a child
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    sendfile on;
    aio threads;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a
here
>>> c2/b
of c2
--- request eval
["GET /a", "GET /b", "GET /c"]
--- error_code eval
[200, 200, 404]



=== TEST 46: get, reserved names - 404, here and from a child
--- data_files
>>> root/.filedist.1.2
temporary
>>> c2/.filedist.1.3
temporary
--- request eval
["GET /.filedist.1.2", "GET /%2efiledist.1.2", "GET /.filedist.1.3", "HEAD /.filedist.1.2"]
--- error_code eval
[404, 404, 404, 404]



=== TEST 47: get, reserved names, a leaf - 404
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- data_files
>>> root/d/.filedist.1.2
temporary
--- request
GET /d/.filedist.1.2
--- error_code: 404



=== TEST 48: get, proxy_intercept_errors and error_page - a page of this node's own
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    error_page 404 /404.html;
    location / { filedist on; proxy_pass http://children; proxy_intercept_errors on; }
--- data_files
>>> root/404.html
not found anywhere
>>> c2/a
of c2
--- request eval
["GET /none", "GET /a"]
--- error_code eval
[404, 200]
--- response_body eval
["not found anywhere\n", "of c2\n"]



=== TEST 49: get, error_page of a child that could not be asked
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    error_page 502 =503 @busy;
    location @busy { filedist off; return 503 "ask again"; }
    location / { filedist on; proxy_pass http://children; }
--- request
GET /none
--- error_code: 503
--- response_body chomp
ask again



=== TEST 50: get, alias, from a child by its own path
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /pre/ { alias $TEST_NGINX_DATA/root/x/; filedist on; proxy_pass http://children; }
--- data_files
>>> root/x/a
here
>>> c2/pre/b
of c2
--- request eval
["GET /pre/a", "GET /pre/b", "GET /pre/c"]
--- error_code eval
[200, 200, 404]
--- response_body_like eval
[qr/^here$/, qr/^of c2$/, qr/404/]



=== TEST 51: get, proxy_pass with a path
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /pre/ { filedist on; proxy_pass http://children/other/; }
--- data_files
>>> c2/other/b
of c2
--- request
GET /pre/b
--- response_body
of c2



=== TEST 52: get, three levels - the last one has it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- dirs: c3
--- data_files
>>> c2/d/a.txt
of a grandchild
--- request eval
["GET /d/a.txt", "GET /d/a.txt", "GET /b.txt", "GET /b.txt"]
--- error_code_like eval
[qr/^200$/, qr/^200$/, qr/^502$/, qr/^502$/]
--- response_body_like eval
[qr/^of a grandchild$/, qr/^of a grandchild$/, qr/502/, qr/502/]



=== TEST 53: get, three levels, nobody has it - 404
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- dirs: c3
--- request
GET /a.txt
--- error_code: 404
--- no_error_log
[error]



=== TEST 54: get, a child's own children could not be asked, another child has it - 200
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9 max_fails=0; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- dirs: c3
--- data_files
>>> c1/a.txt
of c1
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code eval
[200, 200]



=== TEST 55: get, proxy_cache - filled from the children
--- http_config
    proxy_cache_path $TEST_NGINX_DATA/cache keys_zone=c:1m;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; proxy_cache c; proxy_cache_valid 200 1m; add_header X-Cache $upstream_cache_status; }
--- data_files
>>> c2/a
of c2
>>> root/b
here
--- request eval
["GET /a", "GET /a", "GET /b"]
--- error_code eval
[200, 200, 200]
--- response_headers eval
["X-Cache: MISS", "X-Cache: HIT", "!X-Cache"]
--- response_body eval
["of c2\n", "of c2\n", "here\n"]



=== TEST 56: get, a leaf - as stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /list/ { autoindex on; }
--- data_files
>>> root/a.txt
here
>>> root/d/index.html
the index
>>> root/list/a.txt
here
--- request eval
["GET /a.txt", "GET /d/", "GET /list/", "GET /d", "GET /none", "HEAD /a.txt", "GET /list/none/"]
--- error_code eval
[200, 200, 200, 301, 404, 200, 404]
--- response_body_like eval
[qr/^here$/, qr/^the index$/, qr/a\.txt/, qr/301/, qr/404/, qr/^$/, qr/404/]



=== TEST 57: get, a leaf, a miss - logged as in stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- request
GET /none
--- error_code: 404
--- error_log eval
qr{\[error\] .*open\(\) "\S+/root/none" failed \(2: No such file or directory\)}



=== TEST 58: get, a leaf, Range and conditions - as stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- data_files
>>> root/a.txt
0123456789
--- init
package main;
utime 1000000000, 1000000000, data_dir() . '/root/a.txt';
--- request eval
[("GET /a.txt") x 5]
--- more_headers eval
["Range: bytes=1-2", "Range: bytes=1-2,4-5", "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT", 'If-None-Match: "3b9aca00-b"', 'If-Match: "x"']
--- error_code eval
[206, 206, 304, 304, 412]



=== TEST 59: get, try_files above the children - as stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; try_files $uri $uri/index.html /default.txt; }
--- data_files
>>> root/d/index.html
the index
>>> root/default.txt
the default
--- request eval
["GET /d", "GET /none"]
--- error_code eval
[200, 200]
--- response_body eval
["the index\n", "the default\n"]



=== TEST 60: get, a backup child - asked when the others have not got it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup; filedist_fanout; }
--- data_files
>>> c2/a.txt
of the backup
--- request eval
["GET /a.txt", "GET /a.txt"]
--- error_code eval
[200, 200]



=== TEST 61: get, a child that is down - not asked
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 down; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- data_files
>>> c1/a.txt
of c1
>>> c2/b.txt
of c2
--- request eval
["GET /a.txt", "GET /b.txt", "GET /b.txt"]
--- error_code_like eval
[qr/^(?:404|502)$/, qr/^200$/, qr/^200$/]



=== TEST 62: get, a leaf, gzip_static - as stock
--- skip_eval: 8: !main::nginx_with('http_gzip_static_module')
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    gzip_static on;
--- data_files
>>> root/a.txt
plain
>>> root/a.txt.gz
as if packed
--- request
GET /a.txt
--- more_headers
Accept-Encoding: gzip
--- response_headers
Content-Encoding: gzip
--- response_body
as if packed



=== TEST 63: get, two nodes that are each other's child - 508, not one request after the other
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream back { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        location / { filedist on; proxy_pass http://back; }
    }
--- dirs: c3
--- data_files
>>> c3/b
of c1
--- request eval
["GET /nope", "GET /b"]
--- error_code eval
[508, 200]
--- response_body_like eval
[qr//, qr/^of c1$/]



=== TEST 64: get, of a child - with the nodes on the way, without the client's body
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_7; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; proxy_set_header Connection close; }
--- request
GET /a.txt
hello
--- more_headers
Filedist-Via: above
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
"HTTP/1.0 200 OK\r\n\r\nyes"
--- tcp_query eval
qr/^GET \/a\.txt HTTP\/1\.0\r\n(?!.*Content-Length)(?=.*Filedist-Via: above, root\r\n).*\r\n\r\n\z/s
--- tcp_query_len: 85
--- response_body chomp
yes



=== TEST 65: get, deleted here, a child has not got the DELETE - 404; what is stored there afterwards is found
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_8; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_8;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        log_not_found off;
        location / { filedist on; limit_except GET { deny all; } }
    }
--- data_files
>>> c3/a.txt
old
>>> c3/b.txt
other
--- request eval
["DELETE /a.txt", "GET /a.txt", "HEAD /a.txt", "GET /b.txt"]
--- error_code eval
[404, 404, 404, 200]
--- after eval
package main;
[
    undef, undef, undef,
    sub {
        write_data('c3/a.txt', 'newer');
        my ($status, undef, $body) = http_get(Filedist::server_port(), '/a.txt');
        is("$status $body", '200 newer', 'newer than the DELETE');
    },
]



=== TEST 66: get, deleted here - a child with an old file asks its own children for a newer one
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_8; filedist_fanout; }
    upstream below { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_8;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        location / { filedist on; proxy_pass http://below; limit_except GET { deny all; } }
    }
--- data_files
>>> c3/a.txt
old
>>> c1/a.txt
old
--- request eval
["DELETE /a.txt", "GET /a.txt"]
--- error_code eval
[404, 404]
--- after eval
package main;
[
    undef,
    sub {
        write_data('c1/a.txt', 'newer');
        my ($status, undef, $body) = http_get(Filedist::server_port(), '/a.txt');
        is("$status $body", '200 newer', 'newer than the DELETE');
    },
]



=== TEST 67: get, a parent asks for a newer file with something that is no version - 400
--- data_files
>>> root/a.txt
here
--- request
GET /a.txt
--- more_headers
Filedist-Newer: yesterday
--- error_code: 400
