# DELETE, on one node where a block says nothing else.

use v5.36;
use Filedist 'no_plan';

no_root_location();
prepare_dirs(qw(root c1 c2));

my $node = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
END
add_block_preprocessor(sub ($block) {
    $block->set_value(config => $node) if !defined $block->config;
});

run_tests();

__DATA__

=== TEST 1: delete, a file - 200, gone, with a receipt
--- data_files
>>> root/a.txt
old
>>> root/b.txt
kept
--- request
DELETE /a.txt
--- error_code: 200
--- response_headers
Content-Type: text/plain
--- response_body
success: root/a.txt deleted
--- files_like
root/b.txt /^kept$/
--- no_files
root/a.txt



=== TEST 2: delete, no file - 404, says so
--- request
DELETE /a.txt
--- error_code: 404
--- response_body
success: root/a.txt was not there
--- no_error_log
[error]



=== TEST 3: delete, twice - 200, then 404
--- data_files
>>> root/d/a.txt
old
--- request eval
["DELETE /d/a.txt", "DELETE /d/a.txt"]
--- error_code eval
[200, 404]
--- no_files
root/d/a.txt



=== TEST 4: delete, the last file of a directory - the directory stays
--- data_files
>>> root/d/a.txt
old
--- request
DELETE /d/a.txt
--- error_code: 200
--- after
ok(-d data_dir() . '/root/d', 'd is there');



=== TEST 5: delete, a file that was put
--- request eval
["PUT /d/a.txt\nhello", "DELETE /d/a.txt", "GET /d/a.txt", "PUT /d/a.txt\nagain", "GET /d/a.txt"]
--- error_code eval
[201, 200, 404, 201, 200]
--- files_like
root/d/a.txt again



=== TEST 6: delete, no directory - 404
--- request
DELETE /d/e/a.txt
--- error_code: 404
--- no_files
root/*



=== TEST 7: delete, an empty directory - 200, gone
--- dirs: root/d root/e
--- request eval
["DELETE /d", "DELETE /e/"]
--- error_code eval
[200, 200]
--- response_body eval
["success: root/d deleted\n", "success: root/e/ deleted\n"]
--- no_files
root/*



=== TEST 8: delete, a directory that is not empty - 409, it stays
--- data_files
>>> root/d/kept.txt
kept
--- request eval
["DELETE /d", "DELETE /d/"]
--- error_code eval
[409, 409]
--- response_body eval
["error: root/d failed to delete: 409 (the directory is not empty)\n", "error: root/d/ failed to delete: 409 (the directory is not empty)\n"]
--- files_like
root/d/kept.txt /^kept$/



=== TEST 9: delete, the root - 409, it stays
--- request eval
["DELETE /", "DELETE //", "DELETE /x/.."]
--- error_code eval
[409, 409, 409]
--- after
ok(-d data_dir() . '/root', 'the root is there');



=== TEST 10: delete, a slash at the end of a file's name - 404, the file stays
--- data_files
>>> root/a.txt
kept
--- request
DELETE /a.txt/
--- error_code: 404
--- files_like
root/a.txt /^kept$/



=== TEST 11: delete, below a file - 404, the file stays
--- data_files
>>> root/a.txt
kept
--- request eval
["DELETE /a.txt/b", "DELETE /a.txt/b/c/"]
--- error_code eval
[404, 404]
--- files_like
root/a.txt /^kept$/



=== TEST 12: delete, with a body - 415, the file stays
--- data_files
>>> root/a.txt
kept
--- request
DELETE /a.txt
hello
--- error_code: 415
--- response_body
error: root/a.txt failed to delete: 415 (DELETE takes no body)
--- files_like
root/a.txt /^kept$/



=== TEST 13: delete, with a chunked body - 415, the file stays
--- data_files
>>> root/a.txt
kept
--- raw_request eval
"DELETE /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- error_code: 415
--- files_like
root/a.txt /^kept$/



=== TEST 14: delete, Content-Length: 0 - no body
--- data_files
>>> root/a.txt
old
--- request
DELETE /a.txt
--- more_headers
Content-Length: 0
--- error_code: 200
--- no_files
root/a.txt



=== TEST 15: delete, HTTP/1.0
--- data_files
>>> root/a.txt
old
--- request
DELETE /a.txt HTTP/1.0
--- error_code: 200
--- no_files
root/a.txt



=== TEST 16: delete, pipelined
--- data_files
>>> root/a
old
>>> root/b
old
--- pipelined_requests eval
["DELETE /a", "DELETE /a", "DELETE /b", "DELETE /", "GET /a"]
--- error_code_like eval
[map qr/^$_$/, 200, 404, 200, 409, 404]
--- no_files
root/*



=== TEST 17: delete, a symbolic link - the link goes, what it points to stays
--- data_files
>>> kept.txt
kept
>>> root/d/kept.txt
kept
--- init
package main;
symlink '../kept.txt', data_dir() . '/root/a';
symlink 'd', data_dir() . '/root/b';
symlink 'nothing', data_dir() . '/root/c';
--- request eval
["DELETE /a", "DELETE /b", "DELETE /c"]
--- error_code eval
[200, 200, 200]
--- files_like
kept.txt /^kept$/
root/d/kept.txt /^kept$/
--- after
ok(!-l data_dir() . "/root/$_", "$_ is gone") for qw(a b c);



=== TEST 18: delete, through a symbolic link within the root
--- data_files
>>> root/d/a.txt
old
--- init
package main;
symlink 'd', data_dir() . '/root/l';
--- request
DELETE /l/a.txt
--- error_code: 200
--- no_files
root/d/a.txt



=== TEST 19: delete, disable_symlinks on - 403 through and of a link, nothing changed
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
    disable_symlinks on from=$document_root;
--- data_files
>>> root/d/f
kept
>>> root/d/g
old
--- init
package main;
symlink 'd', data_dir() . '/root/l';
symlink 'f', data_dir() . '/root/d/m';
--- request eval
["DELETE /l/f", "DELETE /l/nothing", "DELETE /d/m", "DELETE /l", "DELETE /d/g", "DELETE /d/nothing"]
--- error_code eval
[403, 403, 403, 403, 200, 404]
--- files_like
root/d/f /^kept$/
--- after
is(readlink data_dir() . '/root/l', 'd', 'l is there');
is(readlink data_dir() . '/root/d/m', 'f', 'm is there');



=== TEST 20: delete, reserved names - 403, they stay
--- data_files
>>> root/.filedist.1.2
kept
>>> root/.filedist.d/a
kept
--- request eval
["DELETE /.filedist.1.2", "DELETE /%2efiledist.1.2", "DELETE /.filedist.d/a", "DELETE /.filedist.d/"]
--- error_code eval
[403, 403, 403, 403]
--- files_like
root/.filedist.1.2 /^kept$/
root/.filedist.d/a /^kept$/



=== TEST 21: delete, out of the root - 400, the file stays
--- data_files
>>> kept.txt
kept
--- request eval
["DELETE /../kept.txt", "DELETE /%2e%2e/kept.txt", "DELETE /x%2f..%2f..%2fkept.txt"]
--- error_code eval
[400, 400, 400]
--- files_like
kept.txt /^kept$/



=== TEST 22: delete, a NUL in the name - 400
--- data_files
>>> root/a
kept
--- request
DELETE /a%00b
--- error_code: 400
--- files_like
root/a /^kept$/



=== TEST 23: delete, alias
--- config
    location /pre { alias $TEST_NGINX_DATA/root/x; filedist on; }
    filedist_state $TEST_NGINX_DATA/state;
--- data_files
>>> root/x/a.txt
old
>>> root/kept.txt
kept
--- request eval
["DELETE /pre/a.txt", "DELETE /pre../kept.txt", "DELETE /pre/", "DELETE /pre"]
--- error_code eval
[200, 400, 409, 409]
--- files_like
root/kept.txt /^kept$/
--- no_files
root/x/a.txt
--- after
ok(-d data_dir() . '/root/x', 'the directory of the alias is there');



=== TEST 24: delete, alias in a location by regular expression
--- config
    location ~ ^/u/(\w+)/(.+)$ { alias $TEST_NGINX_DATA/root/$1/www/$2; filedist on; }
    filedist_state $TEST_NGINX_DATA/state;
--- data_files
>>> root/joe/www/a.txt
old
--- request
DELETE /u/joe/a.txt
--- error_code: 200
--- no_files
root/joe/www/a.txt



=== TEST 25: delete, names of any bytes
--- init
package main;
open my $file, '>', data_dir() . "/root/$_" for "a b", "\xFF", "a\nb", "a%b", "?";
--- request eval
["DELETE /a%20b", "DELETE /%FF", "DELETE /a%0Ab", "DELETE /a%25b", "DELETE /%3F"]
--- error_code eval
[200, 200, 200, 200, 200]
--- response_body eval
["success: root/a%20b deleted\n", "success: root/%FF deleted\n", "success: root/a%0Ab deleted\n", "success: root/a%25b deleted\n", "success: root/%3F deleted\n"]
--- no_files
root/*



=== TEST 26: delete, a name of 256 bytes - 400 or 404, said clearly
--- request eval
["DELETE /" . 'a' x 256]
--- error_code_like eval
[qr/^40[04]$/]
--- no_error_log
[crit]



=== TEST 27: delete, aio threads
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    aio threads;
--- data_files
>>> root/a.txt
old
>>> root/d/kept.txt
kept
--- request eval
["DELETE /a.txt", "DELETE /a.txt", "DELETE /d"]
--- error_code eval
[200, 404, 409]
--- files_like
root/d/kept.txt /^kept$/
--- no_files
root/a.txt



=== TEST 28: delete, a reader has the file open - it reads on
--- data_files
>>> root/a.txt
old
--- init
package main;
open $main::reader, '<', data_dir() . '/root/a.txt';
--- request
DELETE /a.txt
--- error_code: 200
--- after
is(readline $main::reader, "old\n", 'the content');



=== TEST 29: delete, open_file_cache - gone at the next GET
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    open_file_cache max=10 inactive=10s;
    open_file_cache_valid 10s;
    open_file_cache_errors off;
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "GET /a.txt"]
--- error_code eval
[201, 200, 404]



=== TEST 30: delete, If-None-Match and the like - not answered as a GET would be
--- data_files
>>> root/a
old
>>> root/b
old
>>> root/c
old
--- request eval
["DELETE /a", "DELETE /b", "DELETE /c"]
--- more_headers eval
["If-None-Match: *", "If-Match: \"x\"", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"]
--- error_code eval
[200, 200, 200]
--- response_body_like eval
[(qr/^success/) x 3]
--- no_files
root/*



=== TEST 31: delete, Expect - the final status, no other
--- data_files
>>> root/a.txt
old
--- request
DELETE /a.txt
--- more_headers
Expect: 100-continue
--- error_code: 200
--- no_files
root/a.txt



=== TEST 32: delete, children - gone everywhere, each has its line
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/s1;
        filedist_name c1;
        filedist on;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        root $TEST_NGINX_DATA/c2;
        filedist_state $TEST_NGINX_DATA/s2;
        filedist_name c2;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a
old
>>> c1/a
old
>>> c2/a
old
>>> c2/b
old
>>> c1/d/kept
kept
>>> c2/d/kept
kept
--- request eval
["DELETE /a", "DELETE /b", "DELETE /c"]
--- error_code eval
[200, 404, 404]
--- response_body eval
["success: root/a deleted\nsuccess: c1/a deleted\nsuccess: c2/a deleted\n",
 "success: root/b was not there\nsuccess: c1/b was not there\nsuccess: c2/b deleted\n",
 "success: root/c was not there\nsuccess: c1/c was not there\nsuccess: c2/c was not there\n"]
--- no_files
root/* c1/a c2/a c2/b
state/missing/*



=== TEST 33: delete, refused here - no child hears of it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/s1;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/d/kept
kept
--- dirs: c1/d
--- request
DELETE /d
--- error_code: 409
--- response_body
error: root/d failed to delete: 409 (the directory is not empty)
--- no_files
state/missing/*
--- after
ok(-d data_dir() . '/c1/d', "the child's directory is there");
