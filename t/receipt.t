# The answer to a PUT or DELETE: a line a node, or a tree in JSON.

use v5.36;
use Filedist 'no_plan';
use IO::Socket::INET;
use JSON::PP qw(decode_json);

no_root_location();
worker_connections(1024);
prepare_dirs(qw(root c1 c2 c3));

# Three leaves, an upstream of the first two, and a parent, where a block says nothing else.
my $children = <<'END';
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
    }
END
my $leaves = join '', map <<"END", 1 .. 3;
    server {
        listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_$_;
        root \$TEST_NGINX_DATA/c$_;
        filedist_state \$TEST_NGINX_DATA/s$_;
        filedist_name c$_;
        filedist on;
    }
END
my $parent = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
END
add_block_preprocessor(sub ($block) {
    my $own = $block->http_config // '';
    $own = $children . $own if $own !~ /upstream children/;
    $block->set_value(http_config => $own . $leaves);
    $block->set_value(config => $parent) if !defined $block->config;
});

# A PUT as a parent sends it, with further header fields: the head and the body of the answer.
sub put_from_parent ($path, @fields) {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port(), Timeout => 2) or die "connect: $!";
    my $version = time . '000000000';
    $socket->printflush(join "\r\n", "PUT $path HTTP/1.0", "Filedist-Version: $version", 'Filedist-Via: above',
        'Content-Length: 5', @fields, '', 'hello');
    my $answer = do { local $/; <$socket> };
    return split /\r\n\r\n/, $answer, 2;
}

# The nodes of a receipt in JSON, in order.
sub nodes ($receipt) { return "$receipt->{node}=$receipt->{outcome}", map nodes($_), @{ $receipt->{children} } }

run_tests();

__DATA__

=== TEST 1: text, one node
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
--- request eval
["PUT /a/b.txt\nhello", "DELETE /a/b.txt", "DELETE /a/b.txt", "PUT /a\nhello"]
--- error_code eval
[201, 200, 404, 409]
--- response_headers eval
["Content-Type: text/plain\nContent-Length: 38", ("Content-Type: text/plain") x 3]
--- response_body eval
["success: root/a/b.txt stored: 5 bytes\n", "success: root/a/b.txt deleted\n", "success: root/a/b.txt was not there\n",
 "error: root/a failed to store: 409 (a directory is there)\n"]



=== TEST 2: JSON, one node
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
--- request eval
["PUT /a/b.txt\nhello", "DELETE /a/b.txt", "DELETE /a/b.txt", "PUT /a\nhello"]
--- more_headers
Accept: application/json
--- error_code eval
[201, 200, 404, 409]
--- response_headers eval
[("Content-Type: application/json") x 4]
--- response_body_like eval
[qr/\A\{"node":"root","path":"\/a\/b.txt","outcome":"stored","bytes":5,"version":\d{19},"children":\[\]\}\n\z/,
 qr/\A\{"node":"root","path":"\/a\/b.txt","outcome":"deleted","version":\d{19},"children":\[\]\}\n\z/,
 qr/\A\{"node":"root","path":"\/a\/b.txt","outcome":"absent","version":\d{19},"children":\[\]\}\n\z/,
 qr/\A\{"node":"root","path":"\/a","outcome":"failed","reason":"409 \(a directory is there\)","children":\[\]\}\n\z/]



=== TEST 3: text, two children - in the order of their server lines
--- request
PUT /a/b.txt
hello
--- error_code: 201
--- response_body
success: root/a/b.txt stored: 5 bytes
success: c1/a/b.txt stored: 5 bytes
success: c2/a/b.txt stored: 5 bytes



=== TEST 4: JSON, two children - a tree, with one version
--- request
PUT /a.txt
hello
--- more_headers
Accept: application/json
--- error_code: 201
--- after
my ($block, $body) = @_;
my $receipt = decode_json($body);
my $version = delete $receipt->{version};
is($version, delete $_->{version}, "version of $_->{node}") for @{ $receipt->{children} };
my $line = sub { +{ node => $_[0], path => '/a.txt', outcome => 'stored', bytes => 5, children => $_[1] } };
is_deeply($receipt, $line->(root => [$line->(c1 => []), $line->(c2 => [])]), 'the tree');



=== TEST 5: text, three levels - each child's lines follow it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4;
        root $TEST_NGINX_DATA/c4;
        filedist_state $TEST_NGINX_DATA/s4;
        filedist_name c4;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- dirs: c4
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 200]
--- response_body eval
[map { my $done = $_; CORE::join '', map "success: $_/a.txt $done\n", qw(root c4 c1 c2 c3) } 'stored: 5 bytes', 'deleted']



=== TEST 6: JSON, three levels - a tree
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4;
        root $TEST_NGINX_DATA/c4;
        filedist_state $TEST_NGINX_DATA/s4;
        filedist_name c4;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- dirs: c4
--- request
PUT /a.txt
hello
--- more_headers
Accept: application/json
--- error_code: 201
--- after
my ($block, $body) = @_;
my $receipt = decode_json($body);
is_deeply([map $_->{node}, @{ $receipt->{children} }], ['c4', 'c3'], 'the children');
my ($dead, $c1) = sort { $a->{node} cmp $b->{node} } @{ $receipt->{children}[0]{children} };
is("$c1->{node} $c1->{outcome}", 'c1 stored', 'a grandchild');
like("$dead->{node} $dead->{outcome} $dead->{reason}", qr/^127\.0\.0\.1:\d+ failed 502$/, 'a dead one');



=== TEST 7: text, a dead child - an error line with its server line's name, the status stays; then it is not asked
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_9; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "DELETE /a.txt"]
--- error_code eval
[201, 200, 404]
--- response_body_like eval
[qr{\Asuccess: root/a.txt stored: 5 bytes\nerror: 127\.0\.0\.1:\d+/a.txt failed to store: 502\nsuccess: c2/a.txt stored: 5 bytes\n\z},
 qr{\Asuccess: root/a.txt deleted\nerror: 127\.0\.0\.1:\d+/a.txt queued: not reachable since \d{4}-\d\d-\d\dT[\d:]{8}Z\nsuccess: c2/a.txt deleted\n\z},
 qr{\Asuccess: root/a.txt was not there\nerror: 127\.0\.0\.1:\d+/a.txt queued: not reachable since \S+\nsuccess: c2/a.txt was not there\n\z}]



=== TEST 8: a child that refuses - an error line with its status
--- data_files
>>> c1/d/kept
kept
--- request eval
["PUT /d\nhello", "DELETE /d"]
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: root/d stored: 5 bytes\nerror: \S+/d failed to store: 409[^\n]*\nsuccess: c2/d stored: 5 bytes\n\z},
 qr{\Asuccess: root/d deleted\nerror: \S+/d failed to delete: 409[^\n]*\nsuccess: c2/d deleted\n\z}]
--- files_like
c1/d/kept /^kept$/



=== TEST 9: refused here - one line, no child is asked
--- dirs: root/d
--- request
PUT /d
hello
--- error_code: 409
--- response_body
error: root/d failed to store: 409 (a directory is there)
--- no_files
c1/d c2/d state/missing/*



=== TEST 10: Accept - JSON only for who asks for it
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist on;
--- request eval
[("PUT /a.txt\nhello") x 7]
--- more_headers eval
['', 'Accept: */*', 'Accept: text/plain', 'Accept: text/html, application/xml', 'Accept: application/json',
 'Accept: text/html, application/json;q=0.9', 'Accept: APPLICATION/JSON']
--- error_code eval
[201, (200) x 6]
--- response_headers eval
[map "Content-Type: $_", ('text/plain') x 4, ('application/json') x 3]
--- response_body_like eval
[(qr/^success: /) x 4, (qr/^\{"node":/) x 3]



=== TEST 11: filedist_name with variables
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name "$server_name-$http_x_node";
    filedist on;
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
['X-Node: here', '']
--- error_code eval
[201, 200]
--- response_body eval
["success: localhost-here/a.txt stored: 5 bytes\n", "success: localhost-/a.txt stored: 5 bytes\n"]



=== TEST 12: filedist_name with blanks, quotes and the like - one line, valid JSON
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name 'a "b" <c>\\é';
    filedist on;
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
['', 'Accept: application/json']
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: \S+/a.txt stored: 5 bytes\n\z}, qr/^\{/]
--- after eval
package main;
[undef, sub {
    my ($block, $body) = @_;
    is(decode_json($body)->{node}, "a \"b\" <c>\\\x{e9}", 'the name');
}]



=== TEST 13: names of any bytes - one line, valid JSON
--- request eval
["PUT /a%0Aerror:%20b%22%5C%FF%C3%BC\nhello", "PUT /a%0Aerror:%20b%22%5C%FF%C3%BC\nhello"]
--- more_headers eval
['', 'Accept: application/json']
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: root/a%0Aerror:%20b%22%5C%FF%C3%BC stored: 5 bytes\nsuccess: c1/a%0A\S+ stored: 5 bytes\nsuccess: c2/\S+ stored: 5 bytes\n\z},
 qr/^\{/]
--- after eval
package main;
[undef, sub {
    my ($block, $body) = @_;
    my $receipt = decode_json($body);
    is($_->{path}, '/a%0Aerror:%20b%22%5C%FF%C3%BC', "the path at $_->{node}") for $receipt, @{ $receipt->{children} };
}]



=== TEST 14: a child that is stock dav - a line of its server line's name
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4;
        root $TEST_NGINX_DATA/c4;
        location / { dav_methods PUT DELETE; create_full_put_path on; }
    }
--- dirs: c4
--- request eval
["PUT /d/a.txt\nhello", "PUT /d/a.txt\nagain!", "DELETE /d/a.txt"]
--- error_code eval
[201, 200, 200]
--- response_body_like eval
[qr{\Asuccess: root/d/a.txt stored: 5 bytes\nsuccess: 127.0.0.1:\d+/d/a.txt stored: 5 bytes\nsuccess: c2/d/a.txt stored: 5 bytes\n\z},
 qr{\Asuccess: root/d/a.txt stored: 6 bytes\nsuccess: 127.0.0.1:\d+/d/a.txt stored: 6 bytes\nsuccess: c2/d/a.txt stored: 6 bytes\n\z},
 qr{\Asuccess: root/d/a.txt deleted\nsuccess: 127.0.0.1:\d+/d/a.txt deleted\nsuccess: c2/d/a.txt deleted\n\z}]
--- no_files
c4/d/a.txt state/missing/*



=== TEST 15: JSON, a child that is stock dav - in the tree
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4;
        root $TEST_NGINX_DATA/c4;
        location / { dav_methods PUT DELETE; create_full_put_path on; }
    }
--- dirs: c4
--- request
PUT /a.txt
hello
--- more_headers
Accept: application/json
--- error_code: 201
--- response_body_like eval
qr/,"children":\[\{"node":"127\.0\.0\.1:\d+","path":"\/a.txt","outcome":"stored","bytes":5,"children":\[\]\},\{"node":"c2",.*\}\]\}\n\z/
--- files_like
c4/a.txt hello



=== TEST 16: a child that answers 2xx with something else - stored
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; return 200 "<html>hello</html>"; }
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_body_like eval
qr{\Asuccess: root/a.txt stored: 5 bytes\nsuccess: 127.0.0.1:\d+/a.txt stored: 5 bytes\nsuccess: c2/a.txt stored: 5 bytes\n\z}
--- no_files
state/missing/*



=== TEST 17: a child that answers 2xx with a lot - stored, the other children have it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; root $TEST_NGINX_DATA/c4; error_page 405 =200 /large; }
--- data_files eval
">>> c4/large\n" . 'x' x 10_000
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_body_like eval
qr{\Asuccess: root/a.txt stored: 5 bytes\nsuccess: 127.0.0.1:\d+/a.txt stored: 5 bytes\nsuccess: c2/a.txt stored: 5 bytes\n\z}
--- files_like
root/a.txt hello
c2/a.txt hello
--- no_files
state/missing/*



=== TEST 18: a child that refuses with a large page - an error line, the other children have it
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; root $TEST_NGINX_DATA/c4; error_page 405 =403 /large; }
--- data_files eval
">>> c4/large\n" . 'x' x 100_000
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: root/a.txt stored: 5 bytes\nerror: 127.0.0.1:\d+/a.txt failed to store: 403\nsuccess: c2/a.txt stored: 5 bytes\n\z},
 qr{\Asuccess: root/a.txt deleted\nerror: 127.0.0.1:\d+/a.txt failed to delete: 403\nsuccess: c2/a.txt deleted\n\z}]
--- no_files
c2/a.txt



=== TEST 19: a child that answers text where JSON was asked, and the reverse - not taken over
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_5; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; return 200 "success: fake/a stored: 1 bytes\n"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_5; return 200 "{\"node\":\"fake\",\"children\":[]}"; }
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
['', 'Accept: application/json']
--- error_code eval
[201, 200]
--- after eval
package main;
[sub {
    my ($block, $body) = @_;
    like($body, qr{\Asuccess: root/\S+ stored: 5 bytes\nsuccess: fake/a stored: 1 bytes\nsuccess: 127.0.0.1:\d+/a.txt stored: 5 bytes\n\z}, 'text');
}, sub {
    my ($block, $body) = @_;
    like(join(' ', nodes({ %{ decode_json($body) }, children => [] })), qr/^root=stored$/, 'JSON');
    is($body =~ tr/\n//, 1, 'one line');
}]



=== TEST 20: a child that answers broken JSON - the whole is valid all the same
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_4; server 127.0.0.1:$TEST_NGINX_RAND_PORT_5; filedist_fanout; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; return 200 "{\"node\":\"x\",\"children\":[}]}"; }
    server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_5; return 200 "{\"node\":\"x\"}]},{\"node\":\"y\"}"; }
--- request
PUT /a.txt
hello
--- more_headers
Accept: application/json
--- error_code: 201
--- after
my ($block, $body) = @_;
my @nodes = nodes(decode_json($body));
like("@nodes", qr/^root=stored 127\.0\.0\.1:\d+=stored 127\.0\.0\.1:\d+=stored$/, 'the nodes');



=== TEST 21: a child with gzip, a client that takes it - receipts are read all the same
--- http_config
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    gzip_proxied any;
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; gzip off; proxy_pass http://children; proxy_http_version 1.1; }
--- request eval
[("PUT /a.txt\nhello") x 2]
--- more_headers
Accept-Encoding: gzip
--- error_code eval
[201, 200]
--- response_body eval
[(CORE::join '', map "success: $_/a.txt stored: 5 bytes\n", qw(root c1 c2)) x 2]



=== TEST 22: children over HTTP/1.1 with keepalive - receipts as with HTTP/1.0
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
        server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
        filedist_fanout;
        keepalive 4;
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; proxy_http_version 1.1; proxy_set_header Connection ""; }
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello", "DELETE /a.txt", "DELETE /a.txt"]
--- error_code eval
[201, 200, 200, 404]
--- response_body eval
[(CORE::join '', map "success: $_/a.txt stored: 5 bytes\n", qw(root c1 c2)) x 2,
 (CORE::join '', map "success: $_/a.txt deleted\n", qw(root c1 c2)),
 (CORE::join '', map "success: $_/a.txt was not there\n", qw(root c1 c2))]



=== TEST 23: a client - the receipt is whole, however long
--- http_config eval
"upstream children {\n" . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 80) . "filedist_fanout;\n}\n"
. "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4; location / { return 201; } }\n"
--- request eval
"PUT /" . 'x' x 150 . "\nhello"
--- error_code: 201
--- response_body_like eval
qr{\Asuccess: root/x{150} stored: 5 bytes\n(?:success: 127.0.0.1:\d+/x{150} stored: 5 bytes\n){80}\z}



=== TEST 24: a parent, text - bounded: failures first, then successes, then counts
--- http_config eval
"upstream children {\n" . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 40) . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_9;\n" x 4)
. ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 40) . "filedist_fanout;\n}\n"
. "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4; location / { return 201; } }\n"
--- request: HEAD /none
--- error_code_like: ^\d+$
--- after
my $name = 'x' x 150;
my ($head, $body) = put_from_parent("/$name");
cmp_ok(length $body, '<=', 3072, 'fits');
like($body, qr{\Asuccess: root/$name stored: 5 bytes\n(?:error: \S+ failed to store: 502\n){4}(?:success: \S+ stored: 5 bytes\n)+success: \d+ more nodes\n\z}, 'the lines');
is(($body =~ tr/\n//) - 2 + ($body =~ /^success: (\d+) more nodes$/m)[0], 84, 'every node is counted');



=== TEST 25: a parent, JSON - bounded: failures first, then successes, then counts
--- http_config eval
"upstream children {\n" . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 40) . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_9;\n" x 4)
. ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 40) . "filedist_fanout;\n}\n"
. "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4; location / { return 201; } }\n"
--- request: HEAD /none
--- error_code_like: ^\d+$
--- after
my ($head, $body) = put_from_parent('/' . 'x' x 150, 'Accept: application/json');
cmp_ok(length $body, '<=', 3072, 'fits');
my $receipt = decode_json($body);
my @outcomes = map $_->{outcome}, @{ $receipt->{children} };
like("@outcomes", qr/^(?:failed ){4}stored(?: stored)*$/, 'the children');
is($receipt->{omitted}{failed}, 0, 'no failure is left out');
is(@outcomes + $receipt->{omitted}{succeeded}, 84, 'every node is counted');



=== TEST 26: three levels, many grandchildren - the counts reach the client, nothing is missing
--- http_config eval
"upstream children { server 127.0.0.1:\$TEST_NGINX_RAND_PORT_5; server 127.0.0.1:\$TEST_NGINX_RAND_PORT_1; filedist_fanout; }\n"
. "upstream grandchildren {\n" . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_4;\n" x 80) . "server 127.0.0.1:\$TEST_NGINX_RAND_PORT_9;\nfiledist_fanout;\n}\n"
. "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_4; location / { return 201; } }\n"
. "server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_5; root \$TEST_NGINX_DATA/c5; filedist_state \$TEST_NGINX_DATA/s5; filedist_name c5;\n"
. " location / { filedist on; proxy_pass http://grandchildren; } }\n"
--- dirs: c5
--- request eval
["PUT /" . 'x' x 150 . "\nhello", "PUT /" . 'y' x 150 . "\nhello"]
--- more_headers eval
['', 'Accept: application/json']
--- error_code eval
[201, 201]
--- response_body_like eval
[qr{\Asuccess: root/x{150} stored: 5 bytes\nsuccess: c5/x{150} stored: 5 bytes\nerror: \S+ failed to store: 502\n(?:success: 127\S+ stored: 5 bytes\n)+success: \d+ more nodes\nsuccess: c1/x{150} stored: 5 bytes\n\z},
 qr/"node":"c5".*"omitted":\{"failed":0,"succeeded":\d+\}.*"node":"c1"/]
--- no_files
state/missing/*



=== TEST 27: many failures - counted too
--- http_config eval
"upstream children {\n" . ("server 127.0.0.1:\$TEST_NGINX_RAND_PORT_9;\n" x 50) . "server 127.0.0.1:\$TEST_NGINX_RAND_PORT_1;\nfiledist_fanout;\n}\n"
--- request: HEAD /none
--- error_code_like: ^\d+$
--- after
my ($head, $body) = put_from_parent('/' . 'x' x 150);
cmp_ok(length $body, '<=', 3072, 'fits');
my ($errors) = $body =~ /^error: (\d+) more nodes$/m;
is($errors + (() = $body =~ /^error: .* failed to store: 502$/mg), 50, 'every failure is counted');
like($body, qr/^success: (?:1 more nodes|c1\S+ stored.*)$/m, 'the success too');



=== TEST 28: a name longer than the bound when escaped - each node has its line all the same
--- request eval
"PUT /" . CORE::join('/', ('%01' x 250) x 6) . "\nhello"
--- error_code: 201
--- response_body_like eval
my $path = CORE::join '/', ('%01' x 250) x 6;
qr{\Asuccess: root/\Q$path\E stored: 5 bytes\nsuccess: \S+/\Q$path\E stored: 5 bytes\nsuccess: \S+/\Q$path\E stored: 5 bytes\n\z}
--- no_files
state/missing/*
