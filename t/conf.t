# The directives: where they may stand, what is inherited, and which configurations nginx refuses.

use v5.36;
use Filedist 'no_plan';

no_root_location();
prepare_dirs(qw(root c1));

# A block that neither is refused nor asks for anything shows that a PUT is stored.
add_block_preprocessor(sub ($block) {
    if (defined $block->must_die) {
        # Links that a configuration is to stumble over.
        my $code = $block->post_setup_server_root;
        eval "package main; $code; 1" or bail_out($@) if defined $code;
        return;
    }
    return if defined $block->request || defined $block->pipelined_requests;
    $block->set_value(request    => "PUT /a.txt\nhello");
    $block->set_value(error_code => 201);
    $block->set_value(files_like => 'root/a.txt hello') if !defined $block->files_like;
});

# Is nginx built with a module that not every one has?
sub nginx_with ($module) {
    state $options = do { my $nginx = $ENV{TEST_NGINX_BINARY} // 'nginx'; `$nginx -V 2>&1` };
    return $options =~ /--with-$module\b/;
}

run_tests();

__DATA__

=== TEST 1: filedist on, in a location
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; }



=== TEST 2: filedist on, in a server without a location
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;



=== TEST 3: filedist on, in a server, inherited by its locations
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location / { location /b { } }
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello"]
--- error_code eval
[201, 201]
--- files_like
root/a.txt hello
root/b.txt hello



=== TEST 4: filedist on, in http
--- http_config
    filedist on;
    filedist_state $TEST_NGINX_DATA/state;
--- config
    root $TEST_NGINX_DATA/root;



=== TEST 5: filedist on, root and state in http, with a location
--- http_config
    filedist on;
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
--- config
    location / { }



=== TEST 6: filedist off, in a location below - stock
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /off/ { filedist off; }
--- data_files
>>> root/off/a.txt
stock
--- request eval
["PUT /off/a.txt\nhello", "GET /off/a.txt", "PUT /on.txt\nhello"]
--- error_code eval
[405, 200, 201]
--- files_like
root/off/a.txt /^stock$/
root/on.txt hello



=== TEST 7: filedist off, in a nested location - stock, and on again below
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / {
        filedist on;
        location /off/ {
            filedist off;
            location /off/on/ { filedist on; }
        }
    }
--- dirs: root/off
--- request eval
["PUT /a.txt\nhello", "PUT /off/a.txt\nhello", "PUT /off/on/a.txt\nhello"]
--- error_code eval
[201, 405, 201]
--- files_like
root/a.txt hello
root/off/on/a.txt hello
--- no_files
root/off/a.txt



=== TEST 8: filedist off, in a server below http
--- http_config
    filedist on;
    filedist_state $TEST_NGINX_DATA/state;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        filedist off;
        root $TEST_NGINX_DATA/root;
        location / { dav_methods PUT; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    location /b { filedist off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello", "PUT /b.txt\nhello"]
--- error_code eval
[201, 201, 204]
--- files_like
root/a.txt hello
root/b.txt hello



=== TEST 9: no filedist - stock, with the module loaded
--- config
    root $TEST_NGINX_DATA/root;
--- data_files
>>> root/a.txt
stock
--- request eval
["PUT /a.txt\nhello", "GET /a.txt", "DELETE /a.txt"]
--- error_code eval
[405, 200, 405]
--- files_like
root/a.txt /^stock$/



=== TEST 10: filedist on above return, stub_status, rewrite, and dav_methods - they stay what they are
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /return { return 200 returned; }
    location /status { stub_status; }
    location /rewrite/ { rewrite ^/rewrite/(.*)$ /$1 last; }
    location /dav { filedist off; dav_methods PUT; }
--- request eval
["PUT /return\nhello", "GET /status", "PUT /status\nhello", "PUT /rewrite/a.txt\nhello", "PUT /dav.txt\nhello"]
--- error_code eval
[200, 200, 405, 201, 201]
--- response_body_like eval
[qr/^returned$/, qr/^Active connections/, qr/405/, qr/^success: \S+\/a.txt stored/, qr/^$/]
--- files_like
root/a.txt hello
root/dav.txt hello
--- no_files
root/return root/status root/rewrite



=== TEST 11: filedist on above fastcgi_pass - it stays what it is
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /app { fastcgi_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_9; }
--- request eval
["PUT /app\nhello", "PUT /a.txt\nhello"]
--- error_code eval
[502, 201]
--- no_files
root/app



=== TEST 12: filedist on with dav_methods in one location - PUT and DELETE are filedist's
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; dav_methods PUT DELETE MKCOL; }
--- request eval
["PUT /d/a.txt\nhello", "DELETE /d/a.txt", "MKCOL /e/"]
--- error_code eval
[201, 200, 405]
--- response_body_like eval
[qr{^success: root/d/a.txt stored}, qr{^success: root/d/a.txt deleted}, qr/./]
--- no_files
root/e



=== TEST 13: filedist on before and after proxy_pass, limit_except - the order does not matter
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
    location /a { filedist on; proxy_pass http://children; limit_except GET { allow all; } }
    location /b { limit_except GET { allow all; } proxy_pass http://children; filedist on; }
    location /c { proxy_pass http://children; filedist on; limit_except GET PUT { deny all; } }
--- request eval
["PUT /a\nhello", "PUT /b\nhello", "PUT /c\nhello", "DELETE /a", "DELETE /b", "DELETE /c", "GET /c"]
--- error_code eval
[201, 201, 201, 200, 200, 403, 200]
--- files_like
root/c hello
c1/c hello
--- no_files
root/a root/b c1/a c1/b



=== TEST 14: filedist on with proxy_pass, an upstream that is defined later
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
}
upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    root $TEST_NGINX_DATA/c1;
    filedist_state $TEST_NGINX_DATA/s1;
    filedist on;
--- files_like
root/a.txt hello
c1/a.txt hello



=== TEST 15: filedist on with proxy_pass, in a location below a server's filedist on
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
    filedist on;
    location / { proxy_pass http://children; }
--- files_like
root/a.txt hello
c1/a.txt hello



=== TEST 16: filedist on in a location nested in one with proxy_pass - a leaf, if it says so itself
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
    location / { filedist on; proxy_pass http://children; location /local/ { filedist on; } }
--- request
PUT /local/a.txt
hello
--- error_code: 201
--- files_like
root/local/a.txt hello
--- no_files
c1/local



=== TEST 17: "if" in a location - PUT, DELETE and GET go the same way
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
    location / {
        filedist on;
        proxy_pass http://children;
        if ($request_method ~ .) { set $x 1; add_header X-If yes always; }
    }
--- data_files
>>> c1/c.txt
of the child
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello", "DELETE /b.txt", "GET /c.txt"]
--- error_code eval
[201, 201, 200, 200]
--- response_headers eval
[("X-If: yes") x 4]
--- files_like
root/a.txt hello
c1/a.txt hello
--- no_files
root/b.txt c1/b.txt



=== TEST 18: "if" in a leaf's location
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / {
        filedist on;
        if ($request_method = DELETE) { return 403; }
        if ($arg_x) { add_header X-If yes always; }
    }
--- request eval
["PUT /a.txt?x=1\nhello", "DELETE /a.txt", "GET /a.txt?x=1"]
--- error_code eval
[201, 403, 200]
--- response_headers eval
["X-If: yes", "!X-If", "X-If: yes"]
--- files_like
root/a.txt hello



=== TEST 19: "if" in a server
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    if ($request_method = DELETE) { return 403; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 403]
--- files_like
root/a.txt hello



=== TEST 20: limit_except in a leaf's location
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; limit_except GET PUT { deny all; } }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "GET /a.txt"]
--- error_code eval
[201, 403, 200]
--- files_like
root/a.txt hello



=== TEST 21: an internal redirect to a location of a leaf
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /in/ { rewrite ^/in(/.*)$ /files$1 last; }
    location /files/ { internal; }
--- request eval
["PUT /in/a.txt\nhello", "PUT /files/b.txt\nhello"]
--- error_code eval
[201, 404]
--- files_like
root/files/a.txt hello
--- no_files
root/files/b.txt



=== TEST 22: filedist_name in http, server and location - the innermost
--- http_config
    filedist_name of-http;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /s/ { filedist_name of-location; location /s/t/ { } }
--- request eval
["PUT /a.txt\nhello", "PUT /s/a.txt\nhello", "PUT /s/t/a.txt\nhello"]
--- error_code eval
[201, 201, 201]
--- response_body_like eval
[qr{^success: of-http/}, qr{^success: of-location/}, qr{^success: of-location/}]



=== TEST 23: filedist_name in a server - before that of http
--- http_config
    filedist_name of-http;
--- config
    filedist_name of-server;
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- response_body_like: ^success: of-server/



=== TEST 24: filedist_name, none - the address and port
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- response_body_like eval
my $port = main::server_port();
qr{^success: 127\.0\.0\.1:$port/a\.txt stored}



=== TEST 25: filedist_zone, the least that is allowed
--- http_config
    filedist_zone 32k;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;



=== TEST 26: filedist_zone without filedist on
--- http_config
    filedist_zone 1m;
--- config
    return 204;
--- request
GET /
--- error_code: 204



=== TEST 27: filedist_state - nginx makes the directory, for the worker's user
--- post_setup_server_root
package main;
set_user(nobody()) if $> == 0;
chmod 0777, data_dir() . '/root';
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- request
GET /a.txt
--- error_code: 404
--- after
my $conf = do { local (@ARGV, $/) = server_root() . '/conf/nginx.conf'; <> };
my $user = $conf =~ /^user (\S+);/m ? getpwnam $1 : $>;
for my $name (qw(state state/missing)) {
    my ($mode, $owner) = (stat data_dir() . "/$name")[2, 4];
    is($owner, $user, "$name is the worker's");
    is($mode & 0700, 0700, "$name may be written");
}



=== TEST 28: filedist_state - a directory that is there is kept
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- data_files
>>> state/missing/c/2026-11-22.log.html
kept
--- files_like
root/a.txt hello
state/missing/c/2026-11-22.log.html /^kept$/



=== TEST 29: filedist_state - relative to nginx's prefix
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state client_body_temp;
    filedist on;
--- request
GET /
--- error_code_like: ^40[34]$
--- after
ok(-d server_root() . '/client_body_temp/missing', 'the directory');



=== TEST 30: filedist_state in http - for the one server that uses it, others may do without
--- http_config
    filedist_state $TEST_NGINX_DATA/state;
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { return 204; } }
--- config
    root $TEST_NGINX_DATA/root;
    location / { filedist on; }
    location /b/ { filedist on; }



=== TEST 31: filedist_state in http and in a server - the server's
--- http_config
    filedist_state $TEST_NGINX_DATA/of-http;
--- config
    filedist_state $TEST_NGINX_DATA/state;
    root $TEST_NGINX_DATA/root;
    filedist on;
--- after
ok(-d data_dir() . '/state/missing', 'the directory of the server');
ok(!-d data_dir() . '/of-http/missing', 'not that of http');



=== TEST 32: filedist_state, each server its own
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/s1;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;



=== TEST 33: filedist_state beside the root, with a name that begins like it
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/root-state;
    filedist on;



=== TEST 34: filedist_missing in a server that inherits filedist on
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /__missing__/ { filedist_missing; }
--- request eval
["GET /__missing__/", "PUT /__missing__/a\nhello", "DELETE /__missing__/a", "PUT /a.txt\nhello"]
--- error_code eval
[200, 405, 405, 201]
--- response_body_like eval
[qr/nothing is missing/, qr/GET, HEAD/, qr/GET, HEAD/, qr/^success/]
--- no_files
state/missing/a



=== TEST 35: filedist_missing in another server - the same logs
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        filedist_state $TEST_NGINX_DATA/state;
        location /m/ { filedist_missing; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /ask { filedist off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/m/c/a.log.html; }
--- data_files
>>> state/missing/c/a.log.html
a log
--- request
GET /ask
--- response_body
a log



=== TEST 36: filedist_missing in locations nested or by exact name
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { location /x/y/ { filedist_missing; } }
    location = /m/ { filedist_missing; }
    location ^~ /n/ { filedist_missing; }
--- data_files
>>> state/missing/c/a.log.html
a log
--- request eval
["GET /x/y/c/a.log.html", "GET /m/", "GET /n/c/a.log.html"]
--- response_body_like eval
[qr/^a log$/, qr{href="./c/"}, qr/^a log$/]
--- error_code eval
[200, 200, 200]



=== TEST 37: filedist_fanout with zone, keepalive, weights, several addresses and options
--- http_config
    upstream children {
        zone children 128k;
        filedist_fanout;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 weight=3 max_fails=2 fail_timeout=1s max_conns=100;
        keepalive 4;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/s1;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- files_like
root/a.txt hello
c1/a.txt hello



=== TEST 38: filedist_fanout, an upstream that is used without filedist - round robin
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 child; }
--- config
    location / { proxy_pass http://children; }
--- request
GET /
--- response_body chomp
child



=== TEST 39: filedist_fanout, upstreams of two locations - each its own
--- http_config
    upstream one { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/s1;
        filedist on;
    }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        root $TEST_NGINX_DATA/c2;
        filedist_state $TEST_NGINX_DATA/s2;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /1/ { filedist on; proxy_pass http://one; }
    location /2/ { filedist on; proxy_pass http://two; }
--- dirs: c2
--- request eval
["PUT /1/a\none", "PUT /2/a\ntwo"]
--- error_code eval
[201, 201]
--- files_like
c1/1/a one
c2/2/a two
--- no_files
c1/2 c2/1



=== TEST 40: a value that is neither on nor off - refused
--- config
    filedist maybe;
--- must_die: 1
--- error_log
[emerg]
invalid value "maybe" in "filedist" directive, it must be "on" or "off"



=== TEST 41: filedist without a value - refused
--- config
    filedist;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist" directive



=== TEST 42: filedist twice - refused
--- config
    filedist on;
    filedist off;
--- must_die: 1
--- error_log
[emerg]
"filedist" directive is duplicate



=== TEST 43: filedist in "if" - refused
--- config
    location / { if ($arg_x) { filedist on; } }
--- must_die: 1
--- error_log
[emerg]
"filedist" directive is not allowed here



=== TEST 44: filedist in an upstream - refused
--- http_config
    upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist on; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist" directive is not allowed here



=== TEST 45: filedist outside of http - refused
--- main_config
    filedist on;
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist" directive is not allowed here



=== TEST 46: filedist on, no filedist_state - refused
--- config
    root $TEST_NGINX_DATA/root;
    location / { filedist on; }
--- must_die: 1
--- error_log eval
["[emerg]", qr{"filedist on" without "filedist_state": name a directory of this server's own, outside of "root", for example "filedist_state /\S+;" in \S+nginx\.conf:\d+}]



=== TEST 47: filedist on in http, a server without filedist_state - refused
--- http_config
    filedist on;
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_state $TEST_NGINX_DATA/s1; root $TEST_NGINX_DATA/c1; }
--- config
    root $TEST_NGINX_DATA/root;
--- must_die: 1
--- error_log
[emerg]
"filedist on" without "filedist_state"



=== TEST 48: filedist on, proxy_pass to an upstream without filedist_fanout - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" with "proxy_pass" to "children", which has no "filedist_fanout": add it to that upstream



=== TEST 49: filedist on, proxy_pass to an address - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://127.0.0.1:8080; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" with "proxy_pass" to "127.0.0.1", which has no "filedist_fanout"



=== TEST 50: filedist on, proxy_pass to a unix socket - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://unix:/nowhere.sock; }
--- must_die: 1
--- error_log
[emerg]
which has no "filedist_fanout"



=== TEST 51: filedist on, proxy_pass with a variable - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    set $children children;
    location / { filedist on; proxy_pass http://$children; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" needs a "proxy_pass" with the name of an upstream, without variables



=== TEST 52: filedist on in the server, proxy_pass with a variable in a location - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    set $children children;
    filedist on;
    location / { proxy_pass http://$children; }
--- must_die: 1
--- error_log
[emerg]
without variables



=== TEST 53: filedist on in the server, proxy_pass to another server in a location - refused, says what to do
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /app/ { proxy_pass http://127.0.0.1:8080; }
--- must_die: 1
--- error_log
[emerg]
or say "filedist off" in this location



=== TEST 54: filedist on with fastcgi_pass - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; fastcgi_pass 127.0.0.1:9000; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" needs a "proxy_pass" with the name of an upstream



=== TEST 55: filedist on with stub_status - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; stub_status; }
--- must_die: 1
--- error_log
[emerg]
or no content handler at all



=== TEST 56: one state directory for two servers - refused
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/state;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- must_die: 1
--- error_log eval
["[emerg]", qr{two servers use the state directory "\S+/state": give each its own "filedist_state" in \S+nginx\.conf:\d+}]



=== TEST 57: one state directory for two servers, inherited from http - refused
--- http_config
    filedist_state $TEST_NGINX_DATA/state;
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; root $TEST_NGINX_DATA/c1; filedist on; }
--- config
    root $TEST_NGINX_DATA/root;
    location / { filedist on; }
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 58: one state directory for two servers, the second by a symbolic link - refused
--- post_setup_server_root
package main;
mkdir data_dir() . '/state';
symlink 'state', data_dir() . '/link';
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/state;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/link;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 59: one state directory for two servers, written in two ways - refused
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/root/../state;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 60: one state directory for two servers, one writes a slash at its end - refused
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/state;
        filedist on;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state/;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 61: state inside of root - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/root/state;
    filedist on;
--- must_die: 1
--- error_log eval
["[emerg]", qr{the state directory "\S+/root/state" and the root "\S+/root" lie inside one another: move "filedist_state" elsewhere in \S+nginx\.conf:\d+}]



=== TEST 62: root inside of state - refused
--- config
    root $TEST_NGINX_DATA/state/files;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 63: root and state the same - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/root/;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 64: state inside of root by a symbolic link - refused
--- post_setup_server_root
package main;
mkdir data_dir() . '/root/d';
symlink 'root/d', data_dir() . '/link';
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/link/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 65: root inside of state by a symbolic link - refused
--- post_setup_server_root
package main;
mkdir data_dir() . "/$_" for qw(state state/files);
symlink 'state/files', data_dir() . '/link';
--- config
    root $TEST_NGINX_DATA/link;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 66: state inside of root, both relative to nginx's prefix - refused
--- config
    root html;
    filedist_state html/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 67: state inside of root, by dots - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/c1/../root/state;
    filedist on;
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 68: state inside of the root of a location below - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/c1/state;
    filedist on;
    location /c1/ { root $TEST_NGINX_DATA; }
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 69: state inside of an alias - refused
--- config
    filedist_state $TEST_NGINX_DATA/c1/state;
    location /c1/ { alias $TEST_NGINX_DATA/c1/; filedist on; }
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 70: filedist_state without a value, with two - refused
--- config
    filedist_state a b;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_state" directive



=== TEST 71: filedist_state twice - refused
--- config
    filedist_state a;
    filedist_state b;
--- must_die: 1
--- error_log
[emerg]
"filedist_state" directive is duplicate



=== TEST 72: filedist_state in a location - refused
--- config
    location / { filedist_state $TEST_NGINX_DATA/state; }
--- must_die: 1
--- error_log
[emerg]
"filedist_state" directive is not allowed here



=== TEST 73: filedist_state, a directory that cannot be made - refused
--- config
    filedist_state $TEST_NGINX_DATA/no/such/directory;
--- must_die: 1
--- error_log
[emerg]
No such file or directory



=== TEST 74: filedist_state, a file - refused
--- data_files
>>> file
no directory
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/file;
    filedist on;
--- must_die: 1
--- error_log
[emerg]



=== TEST 75: filedist_zone too small - refused
--- http_config
    filedist_zone 31k;
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_zone" is too small: give it at least 32k, or leave it out for 8m



=== TEST 76: filedist_zone, no size - refused
--- http_config
    filedist_zone large;
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_zone" directive invalid value



=== TEST 77: filedist_zone twice - refused
--- http_config
    filedist_zone 1m;
    filedist_zone 1m;
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_zone" directive is duplicate



=== TEST 78: filedist_zone in a server - refused
--- config
    filedist_zone 1m;
--- must_die: 1
--- error_log
[emerg]
"filedist_zone" directive is not allowed here



=== TEST 79: filedist_name without a value - refused
--- config
    filedist_name;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_name" directive



=== TEST 80: filedist_name twice - refused
--- config
    filedist_name a;
    filedist_name b;
--- must_die: 1
--- error_log
[emerg]
"filedist_name" directive is duplicate



=== TEST 81: filedist_name with a variable that is not known - refused
--- config
    filedist_name $no_such_variable;
--- must_die: 1
--- error_log
[emerg]
unknown "no_such_variable" variable



=== TEST 82: filedist_missing, no filedist_state - refused
--- config
    location /m/ { filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" without "filedist_state": name the directory of this server's state



=== TEST 83: filedist_missing and filedist on in one location - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /m/ { filedist on; filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" and "filedist_missing" in one location: give "filedist_missing" a location of its own



=== TEST 84: filedist_missing in a location by regular expression - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location ~ ^/m/ { filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" needs a location by prefix, as in "location /__missing__/"



=== TEST 85: filedist_missing in a location by regular expression that begins with a slash - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location ~ /m/ { filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" needs a location by prefix, as in "location /__missing__/"



=== TEST 86: filedist_missing in a named location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location @m { filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" needs a location by prefix



=== TEST 87: filedist_missing in a server - refused
--- config
    filedist_missing;
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" directive is not allowed here



=== TEST 88: filedist_missing with a value - refused
--- config
    location /m/ { filedist_missing on; }
--- must_die: 1
--- error_log
[emerg]
invalid parameter "on" of "filedist_missing": the only one is "manage"



=== TEST 89: filedist_missing twice - refused
--- config
    location /m/ { filedist_missing; filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" directive is duplicate



=== TEST 90: filedist_missing with proxy_pass in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /m/ { filedist_missing; proxy_pass http://127.0.0.1:8080; }
--- must_die: 1
--- error_log
[emerg]



=== TEST 91: filedist_fanout after keepalive - refused
--- http_config
    upstream u { server 127.0.0.1:8080; keepalive 4; filedist_fanout; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_fanout" after "keepalive" or another load-balancing method: put it before "keepalive", and use no other method in this upstream



=== TEST 92: filedist_fanout after least_conn - refused
--- http_config
    upstream u { server 127.0.0.1:8080; least_conn; filedist_fanout; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_fanout" after "keepalive" or another load-balancing method



=== TEST 93: filedist_fanout before least_conn - refused
--- http_config
    upstream children { server 127.0.0.1:8080; filedist_fanout; least_conn; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- must_die: 1
--- error_log
[emerg]
use no other method in this upstream



=== TEST 94: filedist_fanout before hash and keepalive - refused
--- http_config
    upstream children { server 127.0.0.1:8080; filedist_fanout; hash $request_uri; keepalive 4; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- must_die: 1
--- error_log
[emerg]
use no other method in this upstream



=== TEST 95: filedist_fanout twice - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_fanout; filedist_fanout; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_fanout" directive is duplicate



=== TEST 96: filedist_fanout with a value - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_fanout on; }
--- config
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_fanout" directive



=== TEST 97: filedist_fanout in a server - refused
--- config
    filedist_fanout;
--- must_die: 1
--- error_log
[emerg]
"filedist_fanout" directive is not allowed here



=== TEST 98: a directive that does not exist - refused
--- config
    filedist_fan_out;
--- must_die: 1
--- error_log
[emerg]
unknown directive "filedist_fan_out"



=== TEST 99: a location nested in one with proxy_pass, without one - refused, its files would reach no child
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; location /local/ { } }
--- must_die: 1
--- error_log
[emerg]
repeat "proxy_pass"



=== TEST 100: an alias with a slash at its end in a location without - refused, requests could leave it
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /pre { alias $TEST_NGINX_DATA/root/; filedist on; }
--- must_die: 1
--- error_log
[emerg]
add the slash to the location



=== TEST 101: the root of one server holds the state of another - refused
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA;
        filedist_state /var/tmp/filedist-elsewhere;
        filedist on;
    }
--- config
    root /var/tmp/filedist-root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; }
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 102: a root with a variable that may name the state directory - refused
--- config
    root $TEST_NGINX_DATA/$host;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; }
--- must_die: 1
--- error_log
[emerg]
lie inside one another



=== TEST 103: filedist_catch_up, all parameters, in a server
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_catch_up on concurrency=4 rate=20m max_backoff=30s;
    location / { filedist on; }



=== TEST 104: filedist_catch_up off, in http, on in a server
--- http_config
    filedist_catch_up off;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_catch_up on max_backoff=500ms concurrency=1024;
    location / { filedist on; }



=== TEST 105: filedist_catch_up on concurrency=0 - refused
--- config
    filedist_catch_up on concurrency=0;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=0" of "filedist_catch_up"



=== TEST 106: filedist_catch_up on concurrency=1025 - refused
--- config
    filedist_catch_up on concurrency=1025;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=1025" of "filedist_catch_up"



=== TEST 107: filedist_catch_up on concurrency=-1 - refused
--- config
    filedist_catch_up on concurrency=-1;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=-1" of "filedist_catch_up"



=== TEST 108: filedist_catch_up on concurrency=x - refused
--- config
    filedist_catch_up on concurrency=x;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=x" of "filedist_catch_up"



=== TEST 109: filedist_catch_up on concurrency= - refused
--- config
    filedist_catch_up on concurrency=;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=" of "filedist_catch_up"



=== TEST 110: filedist_catch_up on rate=0 - refused
--- config
    filedist_catch_up on rate=0;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "rate=0" of "filedist_catch_up"



=== TEST 111: filedist_catch_up on rate=x - refused
--- config
    filedist_catch_up on rate=x;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "rate=x" of "filedist_catch_up"



=== TEST 112: filedist_catch_up on rate=-1k - refused
--- config
    filedist_catch_up on rate=-1k;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "rate=-1k" of "filedist_catch_up"



=== TEST 113: filedist_catch_up on rate= - refused
--- config
    filedist_catch_up on rate=;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "rate=" of "filedist_catch_up"



=== TEST 114: filedist_catch_up on max_backoff=0 - refused
--- config
    filedist_catch_up on max_backoff=0;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "max_backoff=0" of "filedist_catch_up"



=== TEST 115: filedist_catch_up on max_backoff=x - refused
--- config
    filedist_catch_up on max_backoff=x;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "max_backoff=x" of "filedist_catch_up"



=== TEST 116: filedist_catch_up on max_backoff= - refused
--- config
    filedist_catch_up on max_backoff=;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "max_backoff=" of "filedist_catch_up"



=== TEST 117: filedist_catch_up on max_backoff=-1s - refused
--- config
    filedist_catch_up on max_backoff=-1s;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "max_backoff=-1s" of "filedist_catch_up"



=== TEST 118: filedist_catch_up on fast - refused
--- config
    filedist_catch_up on fast;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "fast" of "filedist_catch_up"



=== TEST 119: filedist_catch_up on off - refused
--- config
    filedist_catch_up on off;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "off" of "filedist_catch_up"



=== TEST 120: filedist_catch_up on on - refused
--- config
    filedist_catch_up on on;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "on" of "filedist_catch_up"



=== TEST 121: filedist_catch_up on Concurrency=3 - refused
--- config
    filedist_catch_up on Concurrency=3;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "Concurrency=3" of "filedist_catch_up"



=== TEST 122: filedist_catch_up off with a parameter - refused
--- config
    filedist_catch_up off concurrency=4;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "off" of "filedist_catch_up"



=== TEST 123: filedist_catch_up maybe - refused
--- config
    filedist_catch_up maybe;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "maybe" of "filedist_catch_up": say "on" or "off", and after "on" any of "concurrency=N" (1 to 1024), "rate=SIZE" (bytes a second) and "max_backoff=TIME"



=== TEST 124: filedist_catch_up with a parameter and no on - refused
--- config
    filedist_catch_up concurrency=4;
--- must_die: 1
--- error_log
[emerg]
invalid parameter "concurrency=4" of "filedist_catch_up"



=== TEST 125: filedist_catch_up without a value - refused
--- config
    filedist_catch_up;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_catch_up" directive



=== TEST 126: filedist_catch_up twice - refused
--- config
    filedist_catch_up on;
    filedist_catch_up on;
--- must_die: 1
--- error_log
[emerg]
"filedist_catch_up" directive is duplicate



=== TEST 127: filedist_catch_up in a location - refused
--- config
    location / { filedist_catch_up on; }
--- must_die: 1
--- error_log
[emerg]
"filedist_catch_up" directive is not allowed here



=== TEST 128: filedist_catch_up in an upstream - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_catch_up on; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_catch_up" directive is not allowed here



=== TEST 129: filedist_fsync, in http, server and location
--- http_config
    filedist_fsync off;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_fsync on;
    location / { filedist on; filedist_fsync off; }



=== TEST 130: filedist_fsync maybe - refused
--- config
    filedist_fsync maybe;
--- must_die: 1
--- error_log
[emerg]
invalid value "maybe" in "filedist_fsync" directive, it must be "on" or "off"



=== TEST 131: filedist_fsync without a value - refused
--- config
    filedist_fsync;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_fsync" directive



=== TEST 132: filedist_fsync twice - refused
--- config
    location / { filedist_fsync on; filedist_fsync off; }
--- must_die: 1
--- error_log
[emerg]
"filedist_fsync" directive is duplicate



=== TEST 133: filedist_fsync in an upstream - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_fsync on; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_fsync" directive is not allowed here



=== TEST 134: filedist_ack, in http, server and location
--- http_config
    filedist_ack local;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_ack children;
    location / { filedist on; filedist_ack local; }



=== TEST 135: filedist_ack with another value - refused
--- config
    filedist_ack nobody;
--- must_die: 1
--- error_log
[emerg]
invalid value "nobody"



=== TEST 136: filedist_ack with two values - refused
--- config
    filedist_ack local children;
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_ack" directive



=== TEST 137: filedist_ack twice - refused
--- config
    filedist_ack local;
    filedist_ack local;
--- must_die: 1
--- error_log
[emerg]
"filedist_ack" directive is duplicate



=== TEST 138: filedist_ack in an upstream - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_ack local; }
--- config
--- must_die: 1
--- error_log
[emerg]
"filedist_ack" directive is not allowed here



=== TEST 139: filedist_ack local with filedist_catch_up off - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_catch_up off;
    location / { filedist on; filedist_ack local; proxy_pass http://children; }
--- must_die: 1
--- error_log
[emerg]
"filedist_ack local" with "filedist_catch_up off": nothing would reach the children; leave one of them out



=== TEST 140: filedist_ack local with filedist_catch_up off, both in http - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    filedist_catch_up off;
    filedist_ack local;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- must_die: 1
--- error_log
[emerg]
"filedist_ack local" with "filedist_catch_up off": nothing would reach the children; leave one of them out



=== TEST 141: filedist_catch_up off behind a location with filedist_ack local - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; filedist_ack local; proxy_pass http://children; }
    filedist_catch_up off;
--- must_die: 1
--- error_log
[emerg]
"filedist_ack local" with "filedist_catch_up off": nothing would reach the children; leave one of them out



=== TEST 142: filedist_ack local where filedist_catch_up is off in http only
--- http_config
    filedist_catch_up off;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_catch_up on;
    location / { filedist on; filedist_ack local; }



=== TEST 143: filedist_index twice - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_index; filedist_index; }
--- must_die: 1
--- error_log
[emerg]
"filedist_index" directive is duplicate



=== TEST 144: filedist_status twice - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status; filedist_status; }
--- must_die: 1
--- error_log
[emerg]
"filedist_status" directive is duplicate



=== TEST 145: filedist_readme twice - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_readme; filedist_readme; }
--- must_die: 1
--- error_log
[emerg]
"filedist_readme" directive is duplicate



=== TEST 146: filedist_status and filedist_missing in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status; filedist_missing; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" and "filedist_status" in one location: give each a location of its own



=== TEST 147: filedist_missing and filedist_index in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_missing; filedist_index; }
--- must_die: 1
--- error_log
[emerg]
"filedist_index" and "filedist_missing" in one location: give each a location of its own



=== TEST 148: filedist_readme and filedist_status in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_readme; filedist_status; }
--- must_die: 1
--- error_log
[emerg]
"filedist_status" and "filedist_readme" in one location: give each a location of its own



=== TEST 149: filedist_index and filedist_readme in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_index; filedist_readme; }
--- must_die: 1
--- error_log
[emerg]
"filedist_readme" and "filedist_index" in one location: give each a location of its own



=== TEST 150: filedist_status with an unknown parameter - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status tree; }
--- must_die: 1
--- error_log
[emerg]
invalid parameter "tree" of "filedist_status": the only one is "manage"



=== TEST 151: filedist_missing with a parameter in capitals - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_missing Manage; }
--- must_die: 1
--- error_log
[emerg]
invalid parameter "Manage" of "filedist_missing": the only one is "manage"



=== TEST 152: filedist_status with an empty parameter - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status ""; }
--- must_die: 1
--- error_log
[emerg]
invalid parameter "" of "filedist_status": the only one is "manage"



=== TEST 153: filedist_missing with two parameters - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_missing manage manage; }
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_missing" directive



=== TEST 154: filedist_status with two parameters - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status manage manage; }
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_status" directive



=== TEST 155: filedist_index with a parameter - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_index manage; }
--- must_die: 1
--- error_log
[emerg]
invalid parameter "manage" of "filedist_index": say "exclude=NAME"



=== TEST 156: filedist_readme with a parameter - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_readme manage; }
--- must_die: 1
--- error_log
[emerg]
invalid number of arguments in "filedist_readme" directive



=== TEST 157: filedist_index in a location by regular expression - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location ~ ^/i/ { filedist_index; }
--- must_die: 1
--- error_log
[emerg]
"filedist_index" needs a location by prefix, as in "location /__index__/"



=== TEST 158: filedist_index in a named location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location @i { filedist_index; }
--- must_die: 1
--- error_log
[emerg]
"filedist_index" needs a location by prefix, as in "location /__index__/"



=== TEST 159: filedist_missing manage in a location by regular expression - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location ~ ^/m/ { filedist_missing manage; }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" needs a location by prefix, as in "location /__missing__/"



=== TEST 160: filedist_index, no filedist_state - refused
--- config
    location /x/ { filedist_index; }
--- must_die: 1
--- error_log
[emerg]
"filedist_index" without "filedist_state": name the directory of this server's state



=== TEST 161: filedist_status, no filedist_state - refused
--- config
    location /x/ { filedist_status; }
--- must_die: 1
--- error_log
[emerg]
"filedist_status" without "filedist_state": name the directory of this server's state



=== TEST 162: filedist_readme, no filedist_state - refused
--- config
    location /x/ { filedist_readme; }
--- must_die: 1
--- error_log
[emerg]
"filedist_readme" without "filedist_state": name the directory of this server's state



=== TEST 163: filedist_index and filedist on in one location - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_index; filedist on; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" and "filedist_index" in one location: give "filedist_index" a location of its own



=== TEST 164: filedist_status and filedist on in one location - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status; filedist on; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" and "filedist_status" in one location: give "filedist_status" a location of its own



=== TEST 165: filedist_readme and filedist on in one location - refused
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_readme; filedist on; }
--- must_die: 1
--- error_log
[emerg]
"filedist on" and "filedist_readme" in one location: give "filedist_readme" a location of its own



=== TEST 166: filedist_index with proxy_pass in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { proxy_pass http://127.0.0.1:8080; filedist_index; }
--- must_die: 1
--- error_log
[emerg]
another content handler and "filedist_index" in one location: give "filedist_index" a location of its own



=== TEST 167: filedist_status with proxy_pass in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { proxy_pass http://127.0.0.1:8080; filedist_status; }
--- must_die: 1
--- error_log
[emerg]
another content handler and "filedist_status" in one location: give "filedist_status" a location of its own



=== TEST 168: filedist_readme with proxy_pass in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { proxy_pass http://127.0.0.1:8080; filedist_readme; }
--- must_die: 1
--- error_log
[emerg]
another content handler and "filedist_readme" in one location: give "filedist_readme" a location of its own



=== TEST 169: filedist_status with stub_status in one location - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { filedist_status; stub_status; }
--- must_die: 1
--- error_log
[emerg]
another content handler and "filedist_status" in one location: give "filedist_status" a location of its own



=== TEST 170: filedist_index in a server - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    filedist_index;
--- must_die: 1
--- error_log
[emerg]
"filedist_index" directive is not allowed here



=== TEST 171: filedist_status in a server - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    filedist_status;
--- must_die: 1
--- error_log
[emerg]
"filedist_status" directive is not allowed here



=== TEST 172: filedist_readme in a server - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    filedist_readme;
--- must_die: 1
--- error_log
[emerg]
"filedist_readme" directive is not allowed here



=== TEST 173: filedist_status in http - refused
--- http_config
    filedist_status;
--- config

--- must_die: 1
--- error_log
[emerg]
"filedist_status" directive is not allowed here



=== TEST 174: filedist_status in an upstream - refused
--- http_config
    upstream u { server 127.0.0.1:8080; filedist_status; }
--- config

--- must_die: 1
--- error_log
[emerg]
"filedist_status" directive is not allowed here



=== TEST 175: filedist_status in if - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { if ($arg_x) { filedist_status; } }
--- must_die: 1
--- error_log
[emerg]
"filedist_status" directive is not allowed here



=== TEST 176: filedist_missing in limit_except - refused
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /x/ { limit_except GET { filedist_missing manage; } }
--- must_die: 1
--- error_log
[emerg]
"filedist_missing" directive is not allowed here



=== TEST 177: filedist_status in another server of the same state - refused
--- http_config
    filedist_state $TEST_NGINX_DATA/state;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location /__status__/ { filedist_status; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    location / { filedist on; }
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 178: filedist_missing manage in another server of the same state - refused
--- http_config
    filedist_state $TEST_NGINX_DATA/state;
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        location /__missing__/ { filedist_missing manage; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    location / { filedist on; }
--- must_die: 1
--- error_log
[emerg]
two servers use the state directory



=== TEST 179: all pages, below a server with filedist on
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /__missing__/   { filedist_missing manage; }
    location /__index__/     { filedist_index; }
    location /__status__/    { filedist_status manage; }
    location = /__readme.txt { filedist_readme; }
--- request eval
["PUT /a.txt\nhello", map "GET $_", qw(/__missing__/ /__index__/?format=txt /__status__/?format=json /__readme.txt)]
--- error_code eval
[201, (200) x 4]
--- response_body_like eval
[qr/^success/, qr/^nothing is missing$/m, qr{^/a\.txt$}m, qr/"stored":1/, qr/^# .*no children/]



=== TEST 180: all pages, in locations nested in one with filedist on and proxy_pass
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / {
        filedist on;
        proxy_pass http://children;
        location /__missing__/   { filedist_missing; }
        location /__index__/     { filedist_index; }
        location /__status__/    { filedist_status; }
        location = /__readme.txt { filedist_readme; }
    }
--- request eval
["PUT /a.txt\nhello", map "GET $_", qw(/__missing__/ /__index__/?format=txt /__status__/?format=json /__readme.txt)]
--- error_code eval
[201, (200) x 4]
--- response_body_like eval
[qr/^success/, qr/href=/, qr{^/a\.txt$}m, qr/"stored":1.*"entries":1/, qr/^# .*1 child/]



=== TEST 181: a page is not inherited
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /s/ { filedist_status; location /s/below/ { } }
    location /i/ { filedist_index; location /i/below/ { } }
--- request eval
["GET /s/", "GET /s/x", "GET /s/below/x", "GET /i/below/x"]
--- error_code eval
[200, 200, 404, 404]



=== TEST 182: pages with if and limit_except in their location - the same within
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; }
    location /s/ { filedist_status; if ($arg_x) { set $y 1; } limit_except GET { allow 127.0.0.1; deny all; } }
    location /i/ { filedist_index;  if ($arg_x) { set $y 1; } limit_except GET { allow 127.0.0.1; deny all; } }
    location /m/ { filedist_missing; if ($arg_x) { set $y 1; } limit_except GET { allow 127.0.0.1; deny all; } }
    location /r  { filedist_readme; if ($arg_x) { set $y 1; } limit_except GET { allow 127.0.0.1; deny all; } }
--- request eval
["PUT /a.txt\nhello", (map "GET $_", qw(/s/?format=json&x=1 /i/?format=txt&x=1 /m/?x=1 /r?x=1)), map "POST $_\nx", qw(/s/ /i/ /m/ /r)]
--- error_code eval
[201, (200) x 4, (405) x 4]
--- response_body_like eval
[qr/^success/, qr/"stored":1/, qr{^/a\.txt$}m, qr/^nothing is missing$/m, qr/^# /, (qr/^error: use GET, HEAD$/) x 4]



=== TEST 183: filedist_status and filedist_readme in locations of all kinds
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location = /s     { filedist_status; }
    location ~ ^/t/   { filedist_status; }
    location ^~ /u    { filedist_status; }
    location ~ \.txt$ { filedist_readme; }
--- request eval
["GET /s?format=json", "GET /t/x?format=json", "GET /uv?format=json", "GET /a.txt"]
--- error_code eval
[(200) x 4]
--- response_body_like eval
[(qr/"children":\[\]/) x 3, qr/^# /]



=== TEST 184: filedist_state in http, pages in a server
--- http_config
    filedist_state $TEST_NGINX_DATA/state;
--- config
    location /s/ { filedist_status; }
    location /m/ { filedist_missing manage; }
--- request eval
["GET /s/?format=json", "GET /m/", "POST /m/x/"]
--- error_code eval
[200, 200, 404]



=== TEST 185: filedist off and filedist_status in one location
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /s/ { filedist off; filedist_status; }
--- request eval
["PUT /a.txt\nhello", "GET /s/?format=json"]
--- error_code eval
[201, 200]



=== TEST 186: pages of two servers, each with its state
--- http_config
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        root $TEST_NGINX_DATA/c1;
        filedist_state $TEST_NGINX_DATA/c1-state;
        location / { filedist on; }
        location /s/ { filedist_status; }
        location /i/ { filedist_index; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; }
    location /s/ { filedist_status; }
    location /i/ { filedist_index; }
    location /other/ { filedist off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/; }
--- request eval
["PUT /a.txt\nhello", "GET /s/?format=json", "GET /other/s/?format=json", "GET /i/?format=txt", "GET /other/i/?format=txt"]
--- error_code eval
[201, (200) x 4]
--- response_body_like eval
[qr/^success/, qr/"stored":1/, qr/"stored":0/, qr{^/a\.txt$}m, qr{\A(?!.*a\.txt)}s]



=== TEST 187: filedist_zone of the least size, with a page
--- http_config
    filedist_zone 32k;
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
    location /s/ { filedist_status; }
--- request eval
["PUT /a.txt\nhello", "GET /s/?format=json"]
--- error_code eval
[201, 200]
--- response_body_like eval
[qr/^success/, qr/"stored":1.*"unreachable":1/]



=== TEST 188: flv in a location nested in one with proxy_pass, without one - refused as any other
--- skip_eval: 3: !main::nginx_with('http_flv_module')
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; location ~ \.flv$ { flv; } }
--- must_die: 1
--- error_log
[emerg]
repeat "proxy_pass"



=== TEST 189: flv in a location that inherits filedist on - stored, with proxy_pass before it for the children too
--- skip_eval: 9: !main::nginx_with('http_flv_module')
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location / { flv; }
    location /c/ { proxy_pass http://children; flv; }
--- request eval
["PUT /a.flv\nhello", "PUT /c/a.flv\nhello"]
--- error_code eval
[201, 201]
--- response_body_like eval
[qr/\Asuccess: .* stored: 5 bytes\n\z/, qr/\Asuccess: .* stored: 5 bytes\nerror: /]
--- files_like
root/a.flv hello
root/c/a.flv hello



=== TEST 190: another proxy_pass in limit_except - refused, since what is delivered later would not be told the block
--- http_config
    upstream one { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://one; limit_except GET { proxy_pass http://two; } }
--- must_die: 1
--- error_log
[emerg]
"proxy_pass" of its own in an "if" or "limit_except" block of a location with "filedist on"



=== TEST 191: another root in an if block - refused, since what is delivered later would not be told the block
--- http_config
    upstream one { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
    upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://one; if ($http_x) { root $TEST_NGINX_DATA/other; } }
--- must_die: 1
--- error_log
[emerg]
"root" of its own in an "if" or "limit_except" block of a location with "filedist on"



=== TEST 192: proxy_pass with a URI, two locations whose files are the same on a child - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /    { proxy_pass http://children; }
    location /in/ { proxy_pass http://children/out/; }
--- must_die: 1
--- error_log eval
qr{\[emerg\] .*what locations "/" and "/in/" store has the same path on the child ".*", below "/out/": .* location "/out/" with "filedist off"}



=== TEST 193: proxy_pass with a URI, another location keeps their files apart
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 max_fails=0; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
    location /     { proxy_pass http://children; }
    location /in/  { proxy_pass http://children/out/; }
    location /out/ { filedist off; }
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_body_like: error: \S+/a.txt failed to store: 502$



=== TEST 194: proxy_pass with a URI that has no slash at its end - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /in/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children/out; }
--- must_die: 1
--- error_log
[emerg]
the URI "/out" of "proxy_pass" ends in another way than the location: end both with a slash, or neither



=== TEST 195: proxy_pass with a URI that has a query - refused
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; filedist_fanout; }
--- config
    filedist_state $TEST_NGINX_DATA/state;
    location /in/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children/out/?a=/; }
--- must_die: 1
--- error_log
[emerg]
the URI "/out/?a=/" of "proxy_pass" has a query: leave it out
