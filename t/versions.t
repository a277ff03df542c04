# Versions: a file's mtime, the same on all nodes; the newest wins, and a change passes a node once.

use v5.36;
use Filedist 'no_plan';
use Digest::MD5 qw(md5_hex);
use IO::Socket::INET;
use File::Path qw(make_path);
use JSON::PP qw(decode_json);

no_root_location();
prepare_dirs(qw(root c1 c2));

# A node without children, where a block says nothing else, and two leaves.
my $node = <<'END';
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist on;
END
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
        filedist on;
    }
END
add_block_preprocessor(sub ($block) {
    my $own = $block->http_config // '';
    $own = $children . $own if $own !~ /upstream children/;
    $block->set_value(http_config => $own . $leaves);
    $block->set_value(config => $node) if !defined $block->config;
});

# The mtime of a file in nanoseconds.
sub mtime ($name) {
    my $file = data_dir() . "/$name";
    return `stat -c %.9Y '$file'` =~ s/[.\s]//gr;
}

# Sets it, seconds from now.
sub touch ($name, $seconds) {
    my $time = time + $seconds;
    utime $time, $time, data_dir() . "/$name";
    return $time . '000000000';
}

# A version, seconds from now.
sub version ($seconds) { return (time + $seconds) . '000000000' }

sub port_of ($n) {
    my $conf = do { local (@ARGV, $/) = server_root() . '/conf/nginx.conf'; <> };
    return ($conf =~ /listen 127\.0\.0\.1:(\d+);\s*root \S+\/c$n;/)[0];
}

# The tombstone of a file below "root".
sub tombstone ($name) {
    my ($directory, $rest) = unpack 'a2 a*', md5_hex(data_dir() . "/root/$name");
    return data_dir() . "/state/deleted/$directory/$rest";
}

sub bury ($name, $version) {
    my $file = tombstone($name);
    make_path($file =~ s{/[^/]*$}{}r);
    symlink $version, $file or die "symlink: $!";
}

# The head of a PUT of which no body follows, and what comes back within two seconds.
sub put_without_body ($path, @headers) {
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()) or die;
    $socket->printflush(join "\r\n", "PUT $path HTTP/1.1", 'Host: a', 'Content-Length: 1000000', @headers, '', '');
    my $got = '';
    vec(my $bits = '', fileno $socket, 1) = 1;
    while (select(my $ready = $bits, undef, undef, 2) && sysread $socket, $got, 65536, length $got) { last if $got =~ /\n\z/ && $got =~ /\r\n\r\n/ }
    return $got;
}

run_tests();

__DATA__

=== TEST 1: put - the version in the receipt is the file's mtime, to the nanosecond
--- request
PUT /a.txt
hello
--- more_headers
Accept: application/json
--- error_code: 201
--- after
my ($block, $body) = @_;
my ($version) = $body =~ /"version":(\d+)/;
is(mtime('root/a.txt'), $version, 'the mtime');
cmp_ok(abs($version / 1e9 - time), '<', 5, 'it is now');



=== TEST 2: put, children - the same mtime, Last-Modified and ETag on all nodes
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- request
PUT /d/a.txt
hello
--- error_code: 201
--- after
is(mtime("$_/d/a.txt"), mtime('root/d/a.txt'), "mtime at $_") for qw(c1 c2);
my %seen;
for my $port (server_port(), port_of(1), port_of(2)) {
    my ($status, $head) = http_get($port, '/d/a.txt');
    $seen{ join ' ', $head =~ /^((?:ETag|Last-Modified): .*)\r$/mg }++;
}
is_deeply([values %seen], [3], 'ETag and Last-Modified');
like((keys %seen)[0], qr/ETag/, 'there is one');



=== TEST 3: put, chunked, children - the same mtime on all nodes
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- raw_request eval
"PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
--- error_code: 201
--- after
is(mtime("$_/a.txt"), mtime('root/a.txt'), "mtime at $_") for qw(c1 c2);



=== TEST 4: put, three levels - the same mtime on all nodes
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream grandchildren { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        filedist_name c3;
        location / { filedist on; proxy_pass http://grandchildren; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- dirs: c3
--- request
PUT /a.txt
hello
--- error_code: 201
--- after
is(mtime("$_/a.txt"), mtime('root/a.txt'), "mtime at $_") for qw(c3 c1 c2);



=== TEST 5: put, again and again - each version is newer
--- pipelined_requests eval
[map "PUT /a.txt\n$_", 1 .. 5]
--- more_headers
Accept: application/json
--- error_code_like eval
[qr/^201$/, (qr/^200$/) x 4]
--- after eval
package main;
my @versions;
[map { my $n = $_; sub {
    my ($block, $body) = @_;
    push @versions, $body =~ /"version":(\d+)/;
    return if $n < 5;
    my %seen = map { $_ => 1 } @versions;
    is(join(' ', @versions), join(' ', sort keys %seen), 'ascending');
    is($versions[-1], mtime('root/a.txt'), 'the last one is there');
} } 1 .. 5]



=== TEST 6: put, Filedist-Version - taken over
--- request
PUT /a.txt
hello
--- more_headers
Filedist-Version: 1763810645123456789
Accept: application/json
--- error_code: 201
--- response_body
{"node":"root","path":"/a.txt","outcome":"stored","bytes":5,"version":1763810645123456789,"children":[]}
--- after
is(mtime('root/a.txt'), '1763810645123456789', 'the mtime');



=== TEST 7: put, older - 200 superseded, the file stays
--- data_files
>>> root/a.txt
newer
--- init
package main;
$main::version = touch('root/a.txt', -10);
--- request
PUT /a.txt
hello
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code: 200
--- response_body
success: root/a.txt superseded: a newer version is there
--- files_like
root/a.txt /^newer$/
--- after
is(mtime('root/a.txt'), $main::version, 'the mtime');



=== TEST 8: put, older by a nanosecond - superseded; newer by one - stored
--- request eval
[("PUT /a.txt\none"), "PUT /a.txt\ntwo", "PUT /a.txt\nthree"]
--- more_headers eval
[map "Filedist-Version: 176381064512345678$_", 8, 7, 9]
--- error_code eval
[201, 200, 200]
--- response_body eval
["success: root/a.txt stored: 3 bytes\n", "success: root/a.txt superseded: a newer version is there\n", "success: root/a.txt stored: 5 bytes\n"]
--- files_like
root/a.txt three



=== TEST 9: put, the same version - 200 unchanged, the file is not touched
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nworld"]
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code eval
[201, 200]
--- response_body eval
["success: root/a.txt stored: 5 bytes\n", "success: root/a.txt unchanged: this version is there\n"]
--- files_like
root/a.txt hello



=== TEST 10: put, older or the same - in JSON
--- request eval
[("PUT /a.txt\nhello") x 3]
--- more_headers eval
[map "Accept: application/json\r\nFiledist-Version: $_", 1763810645123456789, 1763810645123456789, 1763810645123456788]
--- error_code eval
[201, 200, 200]
--- response_body_like eval
[qr/"outcome":"stored"/, qr/"outcome":"unchanged"/, qr/"outcome":"superseded"/]



=== TEST 11: put, older, larger than all buffers - superseded, the connection goes on
--- data_files
>>> root/a.txt
newer
--- pipelined_requests eval
["PUT /a.txt\n" . 'x' x 300_000, "GET /a.txt"]
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code_like eval
[qr/^200$/, qr/^200$/]
--- response_body eval
["success: root/a.txt superseded: a newer version is there\n", "newer\n"]
--- no_files
root/.filedist*



=== TEST 12: put, a version that is none - 400, the file stays
--- data_files
>>> root/a.txt
old
--- request eval
[("PUT /a.txt\nhello") x 8]
--- more_headers eval
[map "Filedist-Version: $_", 'garbage', '-1', '+1', '1.5', '0x10', '1 2', '99999999999999999999', '']
--- error_code eval
[(400) x 8]
--- response_body_like eval
[(qr{^error: root/a.txt failed to store: 400 \(Filedist-Version is no number of nanoseconds since 1970\)$}) x 8]
--- files_like
root/a.txt /^old$/



=== TEST 13: put, a version of the future - 400, says to check the clocks; a few minutes are no matter
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello", "PUT /c.txt\nhello"]
--- more_headers eval
[map "Filedist-Version: " . main::version($_), 400, 200, 10_000_000]
--- error_code eval
[400, 201, 400]
--- response_body_like eval
[qr/check the clocks/, qr/^success/, qr/check the clocks/]
--- no_files
root/a.txt root/c.txt



=== TEST 14: put, a version of long ago - stored where nothing is
--- request eval
["PUT /a.txt\nhello", "PUT /b.txt\nhello"]
--- more_headers eval
["Filedist-Version: 1", "Filedist-Version: 0999999999"]
--- error_code eval
[201, 201]
--- after eval
package main;
[undef, sub {
    is(mtime('root/a.txt'), '0000000001', 'the mtime') or 1;
    is(mtime('root/b.txt'), '0999999999', 'another');
}]



=== TEST 15: put, a newer file came by other means - the version is one more
--- data_files
>>> root/a.txt
copied
--- init
package main;
$main::version = touch('root/a.txt', 3600);
--- request
PUT /a.txt
hello
--- error_code: 200
--- files_like
root/a.txt hello
--- after
my $later = mtime('root/a.txt') - $main::version;
ok($later >= 1 && $later <= 65536, "the mtime is $later ns later");



=== TEST 16: put, a newer file came by other means to a child - it stays there
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> c1/a.txt
copied
--- init
package main;
touch('c1/a.txt', 100);
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_body
success: root/a.txt stored: 5 bytes
success: c1/a.txt superseded: a newer version is there
success: c2/a.txt stored: 5 bytes
--- files_like
c1/a.txt /^copied$/
c2/a.txt hello
--- no_files
state/missing/*



=== TEST 17: put, the present file is a little ahead - a little later than that, on all nodes
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a.txt
old
>>> c1/a.txt
old
--- init
package main;
$main::version = touch($_, 100) for qw(root/a.txt c1/a.txt);
--- request
PUT /a.txt
hello
--- error_code: 200
--- after
for my $node (qw(root c1 c2)) {
    is(mtime("$node/a.txt"), mtime('root/a.txt'), "mtime at $node");
    my $later = mtime("$node/a.txt") - $main::version;
    ok($later >= 1 && $later <= 65536, "$later ns later");
    is(read_data("$node/a.txt"), 'hello', "file at $node");
}



=== TEST 18: put, older than this node's file - the children do not hear of it
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a.txt
newer
--- request
PUT /a.txt
hello
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code: 200
--- response_body
success: root/a.txt superseded: a newer version is there
--- files_like
root/a.txt /^newer$/
--- no_files
c1/a.txt c2/a.txt state/missing/*



=== TEST 19: put, larger than a buffer, started earlier, ended later - the one that started last wins
--- request: HEAD /a.txt
--- error_code: 404
--- after
my ($early, $late) = map IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()), 1, 2;
my $head = "PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n";
$early->printflush($head . 'e' x 99_999);
select undef, undef, undef, 0.1;
$late->printflush($head . 'l' x 100_000);
local $/;
like(scalar <$late>, qr/^HTTP\/1.1 201.*stored: 100000 bytes\n$/s, 'the later one');
$early->printflush('e');
like(scalar <$early>, qr/^HTTP\/1.1 200.*superseded: a newer version is there\n$/s, 'the earlier one');
ok(read_data('root/a.txt') eq 'l' x 100_000, 'the file');



=== TEST 20: put, an older version ends while a newer one is under way - the newer one wins
--- request: HEAD /a.txt
--- error_code: 404
--- after
my ($new, $old) = map IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()), 1, 2;
my $head = "PUT /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nFiledist-Version: %s\r\n\r\n";
$new->printflush(sprintf($head, version(-1)) . 'newe');
$old->printflush(sprintf($head, version(-100)) . 'older');
local $/;
like(scalar <$old>, qr/^HTTP\/1.1 201/, 'the older one');
$new->printflush('r');
like(scalar <$new>, qr/^HTTP\/1.1 200.*stored: 5 bytes\n$/s, 'the newer one');
is(read_data('root/a.txt'), 'newer', 'the file');



=== TEST 21: delete, older than the file - 200 superseded, the file stays
--- data_files
>>> root/a.txt
newer
--- request
DELETE /a.txt
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code: 200
--- response_body
success: root/a.txt superseded: a newer version is there
--- files_like
root/a.txt /^newer$/



=== TEST 22: delete, newer than the file - gone
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "DELETE /a.txt"]
--- more_headers eval
[map "Filedist-Version: $_", 1763810645123456789, 1763810645123456788, 1763810645123456790]
--- error_code eval
[201, 200, 200]
--- response_body eval
["success: root/a.txt stored: 5 bytes\n", "success: root/a.txt superseded: a newer version is there\n", "success: root/a.txt deleted\n"]
--- no_files
root/a.txt



=== TEST 23: delete by a client, a file that is ahead - gone, on the children too
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a.txt
old
>>> c1/a.txt
old
--- init
package main;
touch($_, 100) for qw(root/a.txt c1/a.txt);
--- request
DELETE /a.txt
--- error_code: 200
--- no_files
root/a.txt c1/a.txt state/missing/*



=== TEST 24: delete, a version that is none, or of the future - 400, the file stays
--- data_files
>>> root/a.txt
old
--- request eval
[("DELETE /a.txt") x 3]
--- more_headers eval
[map "Filedist-Version: $_", 'garbage', '', main::version(400)]
--- error_code eval
[400, 400, 400]
--- files_like
root/a.txt /^old$/



=== TEST 25: Filedist-Via names this node - 508, nothing changed, logged
--- data_files
>>> root/a.txt
old
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello", "PUT /a.txt\nhello", "DELETE /a.txt", "PUT /b.txt\nhello"]
--- more_headers eval
[map "Filedist-Via: $_", 'root', 'above, root', 'above,root , between', 'root', 'root']
--- error_code eval
[(508) x 5]
--- response_body_like eval
[(qr/^error: root\S+ failed to (?:store|delete): 508 \("root" is in Filedist-Via "[^"]*root[^"]*" already: two nodes have this filedist_name, or the children form a loop\)$/) x 5]
--- wait_for_log eval
[qr/\[error\] .*two nodes have this filedist_name, or the children form a loop/]
--- files_like
root/a.txt /^old$/
--- no_files
root/b.txt



=== TEST 26: Filedist-Via names others - stored
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello"]
--- more_headers eval
["Filedist-Via: above, root2, toor, roo", "Filedist-Via: "]
--- error_code eval
[201, 200]



=== TEST 27: a child gets the version and the way
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_5; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_5;
        location / { return 200 "success: $http_filedist_version, $http_filedist_via, $http_accept, $http_expect\n"; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt", "PUT /a.txt\nhello"]
--- more_headers eval
["Filedist-Version: 1763810645123456789\r\nFiledist-Via: above", "Filedist-Version: 1763810645123456790\r\nFiledist-Via: top, above", "Accept: text/html"]
--- error_code eval
[201, 200, 201]
--- response_body_like eval
[qr{\n\Qsuccess: 1763810645123456789, above, root, text/plain, \E\n\z}, qr{\n\Qsuccess: 1763810645123456790, top, above, root, text/plain, \E\n\z},
 qr{\nsuccess: \d{19}, root, text/plain, \n\z}]



=== TEST 28: two nodes, each the other's child - a change goes round once, the loop is reported
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; filedist_fanout; }
    upstream back { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; filedist_fanout; }
    server {
        listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
        root $TEST_NGINX_DATA/c3;
        filedist_state $TEST_NGINX_DATA/s3;
        filedist_name c3;
        location / { filedist on; proxy_pass http://back; }
    }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- dirs: c3
--- request eval
["PUT /a.txt\nhello", "DELETE /a.txt"]
--- error_code eval
[201, 200]
--- response_body_like eval
[qr{\Asuccess: root/a.txt stored: 5 bytes\nsuccess: c3/a.txt stored: 5 bytes\nerror: \S+/a.txt failed to store: 508},
 qr{\Asuccess: root/a.txt deleted\nsuccess: c3/a.txt deleted\nerror: \S+/a.txt failed to delete: 508}]
--- wait_for_log
the children form a loop
--- no_files
root/a.txt c3/a.txt



=== TEST 29: a node that is its own child - the same
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; filedist_fanout; }
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- request
PUT /a.txt
hello
--- error_code: 201
--- response_body_like eval
qr{\Asuccess: 127\.0\.0\.1:\d+/a.txt stored: 5 bytes\nerror: 127\.0\.0\.1:\d+/a.txt failed to store: 508}
--- files_like
root/a.txt hello



=== TEST 30: get - Last-Modified and ETag are the version's
--- request eval
["PUT /a.txt\nhello", "GET /a.txt"]
--- more_headers eval
["Filedist-Version: 1000000000123456789", ""]
--- error_code eval
[201, 200]
--- response_headers eval
["", "Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT\nETag: \"3b9aca00-5\""]



=== TEST 31: delete - what is remembered is a symbolic link whose text is the version
--- data_files
>>> root/a.txt
old
--- request
DELETE /a.txt
--- more_headers eval
"Filedist-Version: " . ($::deleted = main::version(200))
--- error_code: 200
--- response_body
success: root/a.txt deleted
--- after
is(readlink tombstone('a.txt'), $main::deleted, 'the link');



=== TEST 32: put, older than the DELETE - superseded, the file does not come back; the same - unchanged; newer - stored
--- request eval
["PUT /a.txt\none", "DELETE /a.txt", ("PUT /a.txt\ntwo") x 3, "GET /a.txt"]
--- more_headers eval
[(map "Filedist-Version: 176381064512345678$_", 1, 5, 4, 5, 6), '']
--- error_code eval
[201, 200, 200, 200, 201, 200]
--- response_body eval
["success: root/a.txt stored: 3 bytes\n", "success: root/a.txt deleted\n", "success: root/a.txt superseded: a newer version is there\n",
 "success: root/a.txt unchanged: this version is there\n", "success: root/a.txt stored: 3 bytes\n", "two"]
--- no_files eval
[undef, undef, 'root/a.txt', 'root/a.txt', undef, undef]



=== TEST 33: delete of what never was - is remembered
--- request eval
["DELETE /d/a.txt", "PUT /d/a.txt\nlate"]
--- more_headers eval
[map "Filedist-Version: 176381064512345678$_", 5, 4]
--- error_code eval
[404, 200]
--- response_body eval
["success: root/d/a.txt was not there\n", "success: root/d/a.txt superseded: a newer version is there\n"]
--- no_files
root/*



=== TEST 34: delete again, the same version, an older one, a newer one
--- request eval
[("DELETE /a.txt") x 4, "PUT /a.txt\nlate"]
--- more_headers eval
[map "Filedist-Version: 176381064512345678$_", 5, 5, 4, 8, 7]
--- error_code eval
[404, 404, 200, 404, 200]
--- response_body eval
[("success: root/a.txt was not there\n") x 2, "success: root/a.txt superseded: a newer version is there\n", "success: root/a.txt was not there\n",
 "success: root/a.txt superseded: a newer version is there\n"]



=== TEST 35: put by a client after a DELETE that is ahead - a little newer than that, the same on all nodes
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- post_setup_server_root
package main;
bury('a.txt', $main::version = version(200));
--- request
PUT /a.txt
hello
--- error_code: 201
--- after
my $mtime = mtime('root/a.txt');
cmp_ok($mtime, '>', $main::version, 'newer');
cmp_ok($mtime, '<', $main::version + 10_000_000, 'a little');
is(mtime("$_/a.txt"), $mtime, "mtime at $_") for qw(c1 c2);



=== TEST 36: delete by a client after a DELETE that is ahead - a little newer than that
--- post_setup_server_root
package main;
bury('a.txt', $main::version = version(200));
--- request
DELETE /a.txt
--- error_code: 404
--- after
my $version = readlink tombstone('a.txt');
cmp_ok($version, '>', $main::version, 'newer');
cmp_ok($version, '<', $main::version + 10_000_000, 'a little');



=== TEST 37: a DELETE of before the start - is remembered
--- post_setup_server_root
package main;
bury('a.txt', '1763810645123456789');
--- request eval
["PUT /a.txt\nlate", "PUT /a.txt\nnew"]
--- more_headers eval
[map "Filedist-Version: 17638106451234567$_", 88, 90]
--- error_code eval
[200, 201]
--- files_like
root/a.txt new



=== TEST 38: a tombstone that is none - does no harm
--- post_setup_server_root
package main;
bury('a.txt', 'garbage');
--- request
PUT /a.txt
hello
--- error_code: 201
--- files_like
root/a.txt hello



=== TEST 39: a file that came by other means after a DELETE - counts with its mtime
--- post_setup_server_root
package main;
bury('a.txt', version(0));
write_data('root/a.txt', 'copied');
touch('root/a.txt', -1000);
--- request eval
["GET /a.txt", "PUT /a.txt\nhello"]
--- more_headers eval
['', "Filedist-Version: " . main::version(-500)]
--- error_code eval
[200, 200]
--- response_body eval
['copied', "success: root/a.txt stored: 5 bytes\n"]



=== TEST 40: put, older, larger than a buffer - answered before the body is sent
--- data_files
>>> root/a.txt
newer
--- request: GET /a.txt
--- after
for my $expect ([], ['Expect: 100-continue']) {
    my $answer = put_without_body('/a.txt', 'Filedist-Version: 1763810645123456789', @$expect);
    like($answer, qr{\AHTTP/1\.1 200 .*\r\n\r\nsuccess: root/a.txt superseded: a newer version is there\n\z}s, "@$expect");
}



=== TEST 41: put, the same, larger than a buffer - answered before the body is sent
--- request
PUT /a.txt
hello
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code: 201
--- after
for my $expect ([], ['Expect: 100-continue']) {
    my $answer = put_without_body('/a.txt', 'Filedist-Version: 1763810645123456789', @$expect);
    like($answer, qr{\AHTTP/1\.1 200 .*\r\n\r\nsuccess: root/a.txt unchanged: this version is there\n\z}s, "@$expect");
}



=== TEST 42: put, older than the DELETE, larger than a buffer - answered before the body is sent
--- request
DELETE /a.txt
--- error_code: 404
--- after
for my $expect ([], ['Expect: 100-continue']) {
    my $answer = put_without_body('/a.txt', 'Filedist-Version: 1763810645123456789', @$expect);
    like($answer, qr{\AHTTP/1\.1 200 .*superseded}s, "@$expect");
}
like(put_without_body('/b.txt', 'Filedist-Version: 1763810645123456789', 'Expect: 100-continue'), qr{\AHTTP/1\.1 100 [^\r]*\r\n\r\n\z}, 'what is news is asked for');



=== TEST 43: head with a version - 204 where that or a newer one is there, else 404
--- request eval
["PUT /a.txt\nhello", ("HEAD /a.txt") x 3, ("HEAD /none.txt") x 2, "DELETE /b.txt", ("HEAD /b.txt") x 3]
--- more_headers eval
[map "Filedist-Version: 176381064512345678$_", 5, 4, 5, 6, 5, 5, 5, 4, 5, 6]
--- error_code eval
[201, 204, 204, 404, 404, 404, 404, 204, 204, 404]
--- response_headers eval
['', ('Filedist-Version: 1763810645123456785') x 2, ('!Filedist-Version') x 4, ('Filedist-Version: 1763810645123456785') x 2, '!Filedist-Version']



=== TEST 44: get with a version - the file, with the version that it has
--- request eval
["PUT /a.txt\nhello", ("GET /a.txt") x 3, "GET /none.txt", "GET /a.txt"]
--- more_headers eval
[(map "Filedist-Version: 176381064512345678$_", 5, 4, 5, 6, 5), '']
--- error_code eval
[201, 200, 200, 200, 404, 200]
--- response_headers eval
['', ("Filedist-Version: 1763810645123456785") x 3, '', '!Filedist-Version']
--- response_body_like eval
[qr/stored/, (qr/^hello$/) x 3, qr/./, qr/^hello$/]



=== TEST 45: get with a version of what is below - comes from there, with its version
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> c2/a.txt
below
--- init
package main;
$main::version = touch('c2/a.txt', -100);
--- request
GET /a.txt
--- more_headers
Filedist-Version: 1763810645123456789
--- response_body
below
--- after
my $port = server_port();
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die;
$socket->printflush("GET /a.txt HTTP/1.0\r\nFiledist-Version: 1\r\n\r\n");
local $/;
like(scalar <$socket>, qr/^Filedist-Version: $main::version\r$/m, 'its version');



=== TEST 46: head and get with a version that is none - 400
--- data_files
>>> root/a.txt
old
--- request eval
[map { ("HEAD /a.txt", "GET /a.txt") } 1 .. 3]
--- more_headers eval
[map { ("Filedist-Version: $_") x 2 } 'garbage', '', '-1']
--- error_code eval
[(400) x 6]



=== TEST 47: delete, older than this node's file, and again - the children do not hear of it
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- data_files
>>> root/a.txt
newer
>>> c1/a.txt
old
--- init
package main;
utime 1000, 1000, data_dir() . '/c1/a.txt';
--- request
DELETE /a.txt
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code: 200
--- response_body
success: root/a.txt superseded: a newer version is there
--- files_like
c1/a.txt /^old$/



=== TEST 48: put, this version again - the children do not hear of it
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    location / { filedist on; proxy_pass http://children; }
--- request eval
["PUT /a.txt\nhello", "PUT /a.txt\nhello", "PUT /large\n" . 'x' x 100_000, "PUT /large\n" . 'x' x 100_000]
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code eval
[201, 200, 201, 200]
--- response_body_like eval
[qr/\n.*\n.*\n/, qr{\Asuccess: root/a.txt unchanged: [^\n]*\n\z}, qr/\n.*\n.*\n/, qr{\Asuccess: root/large unchanged: [^\n]*\n\z}]



=== TEST 49: a name with any byte - is remembered
--- request eval
['DELETE /d/%FF%0A%25%20x', "PUT /d/%FF%0A%25%20x\nlate", "PUT /d/%FF%0A%25%20y\nother"]
--- more_headers
Filedist-Version: 1763810645123456789
--- error_code eval
[404, 200, 201]
