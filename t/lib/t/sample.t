# A file as the tests of the module are written: runs unchanged under the full
# Test::Nginx::Socket (prove -I PATH/test-nginx/lib -It/lib) and under ours, in
# any order, and with TEST_NGINX_USE_HUP=1.

use Filedist;

repeat_each(1);
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));

run_tests();

__DATA__

=== TEST 1: put, two children - stored on both
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location / { root $TEST_NGINX_DATA/c1; dav_methods PUT; create_full_put_path on; }
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        location / { root $TEST_NGINX_DATA/c2; dav_methods PUT; create_full_put_path on; }
    }
--- config
    location /1/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/; }
    location /2/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2/; }
--- request eval
["PUT /1/d/a.txt\nhello", "PUT /2/d/a.txt\nhello, too"]
--- error_code_like eval
[qr/^20[14]$/, qr/^20[14]$/]
--- files_like
c1/d/a.txt hello
c2/d/a.txt /^hello, too$/
--- no_files
root/* c1/d/b.txt
--- wait_for_log
http uri: "/2/d/a.txt"
http uri: "/d/a.txt"



=== TEST 2: put, dead child - logged
--- config
    location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_9; }
--- request
PUT /a.txt
hello
--- error_code: 502
--- error_log
connect() failed (111: Connection refused)



=== TEST 3: put, scripted child - sees the request
--- config
    location / {
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        proxy_set_header Host child;
        proxy_set_header Connection close;
    }
--- request
PUT /a.txt
hello
--- tcp_listen: $TEST_NGINX_RAND_PORT_3
--- tcp_query eval
"PUT /a.txt HTTP/1.0\r\nHost: child\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
--- tcp_reply eval
["HTTP/1.0 201 Created\r\n", "X-Child: yes\r\n\r\n"]
--- error_code: 201
--- response_headers
X-Child: yes



=== TEST 4: a directive in the wrong place - refused
--- http_config
    dav_access sideways;
--- config
--- must_die: 1
--- error_log
[emerg]
invalid value "sideways"



=== TEST 5: put over a directory - refused, and logged
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- data_files
>>> root/d/kept.txt
kept
--- request
PUT /d
hello
--- error_code: 409
--- error_log
[error]
--- files_like
root/d/kept.txt /^kept$/



=== TEST 6: a file below a file - the expected [crit]
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- data_files
>>> root/f
kept
--- request
PUT /f/g
hello
--- error_code: 500
--- error_log
[crit]



=== TEST 7: upload that is cut off - nothing stored
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- request
PUT /a.txt
hel
--- more_headers
Content-Length: 5
--- timeout: 0.2
--- abort
--- error_code_like: ^$
--- no_files
root/*



=== TEST 8: code after the response - with the server still up
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT DELETE; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 204]
--- after eval
package main;
[
    sub {
        my ($block, $body, $index) = @_;
        my ($status, $head, $got) = http_get(server_port(), '/a.txt');
        is($got, 'hello', $block->name . ' - another request');
        is(read_data('root/a.txt'), 'hello', $block->name . ' - the file');
    },
]
--- no_files: root/a.txt



=== TEST 9: pipelined puts
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- pipelined_requests eval
["PUT /a\n1", "PUT /b\n22", "GET /a", "GET /b"]
--- error_code_like eval
[qr/^201$/, qr/^201$/, qr/^200$/, qr/^200$/]
--- response_body eval
["", "", "1", "22"]
--- files_like
root/a 1
root/b 22
