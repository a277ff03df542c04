# The readme: each command in it runs as it is printed, whatever the node, its address and its children are called.

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);
use IO::Socket::IP;
use JSON::PP ();

plan skip_all => 'needs curl and wget' if 2 > grep { my $name = $_; grep { -x "$_/$name" } split /:/, $ENV{PATH} } qw(curl wget);
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2 scratch));

# All nodes are on this machine: no proxy has a part in it.
delete @ENV{ grep /_proxy$/i, keys %ENV };

# C1 and C2 are nodes, L leads to the second one.
our ($c1, $c2, $l);

sub new_ports () {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 L);
    ($c1, $c2, $l) = map "127.0.0.1:$ENV{\"TEST_NGINX_$_\"}", qw(C1 C2 L);
}

our $format = <<'END';
log_format short '$status $request';
END

our $pages = <<'END';
location /__missing__/    { filedist_missing manage; }
location /__index__/      { filedist_index; }
location /__status__/     { filedist_status manage; }
location = /__readme.txt  { filedist_readme; }
END

sub node ($locations = $pages, $server = '') {
    $server .= ' filedist_name root;' if $server !~ /filedist_name/;
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        filedist_catch_up on max_backoff=100ms;
        access_log \$TEST_NGINX_DATA/access.log short;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        $server
        location = /alive { access_log off; return 204; }
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            proxy_pass http://children;
        }
        $locations
        END
}

sub child_of ($name) { return leaf($name, "127.0.0.1:\$TEST_NGINX_\U$name", $pages) }

our $tree = $format . upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_C2') . child_of('c1') . child_of('c2');
# The second child is behind a relay.
our $linked = $format . upstream('127.0.0.1:$TEST_NGINX_C1', '127.0.0.1:$TEST_NGINX_L') . child_of('c1') . child_of('c2');

our $leaf = <<'END';
filedist_state $TEST_NGINX_DATA/state;
access_log $TEST_NGINX_DATA/access.log short;
location = /alive { access_log off; return 204; }
location / { filedist on; root $TEST_NGINX_DATA/root; }
END

add_block_preprocessor(sub ($block) {
    new_ports();
    $block->set_value(http_config => $tree) if !defined $block->http_config;
    $block->set_value(config => node())     if !defined $block->config;
    $block->set_value(request    => 'GET /alive');
    $block->set_value(error_code => 204);
    worker_connections(512);
});

add_test_cleanup_handler(\&end_processes);

sub answer_to ($host, @headers) {
    my $socket = client();
    $socket->printflush(join "\r\n", 'GET /__readme.txt HTTP/1.1', "Host: $host", 'Connection: close', @headers, '', '');
    return answer($socket);
}

# The page, asked for by that Host and other header fields.
sub readme ($host = '127.0.0.1:' . server_port(), @headers) {
    my $answer = answer_to($host, @headers);
    like($answer, qr{^HTTP/1.1 200 OK\r.*^Content-Type: text/plain; charset=utf-8\r}ms, "the page, of $host");
    return body_of($answer);
}

sub commands ($text) { return grep { !/^#/ && /\S/ } split /\n/, $text }

# Its exit code and what it has printed.
sub run_command ($command, $directory = 'scratch') {
    my $base = data_dir();
    write_data('command', "cd '$base/$directory' || exit 99\n$command\n");
    my $output = `timeout 20 sh '$base/command' 2>'$base/stderr'`;
    return ($? >> 8, $output);
}

# Runs all commands of a page. What they have printed.
sub run_all ($text, $directory = 'scratch') {
    my @printed;
    for my $command (commands($text)) {
        my ($code, $output) = run_command($command, $directory);
        is($code, 0, $command) or diag(slurp(data_dir() . '/stderr'));
        push @printed, [$command, $output];
    }
    return @printed;
}

# What the one command printed that begins so.
sub printed ($all, $pattern) {
    my @those = grep { $_->[0] =~ $pattern } @$all;
    is(scalar @those, 1, "one command is $pattern") or diag(join "\n", map { $_->[0] } @$all);
    return $those[0][1] // '';
}

# Requests that were not answered well.
sub refused () { return grep { !/^2/ } split /\n/, read_data('access.log') // '' }

sub url () { return 'http://127.0.0.1:' . server_port() }

END { unlink '/tmp/filedist-example.txt' }

run_tests();

__DATA__

=== TEST 1: a tree where all is well - each command runs as printed
--- after
write_data('root/d/a b', 'x');
make_path(data_dir() . '/root/empty/too');
ok(!system('cp', '-pr', (map { data_dir() . "/$_" } qw(root/d c1))), 'c1 has it');
my $text = readme();
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
my $url = url();
my $file = "$url/filedist-example.txt";
like(printed(\@all, qr{^curl -T \S+ \Q$file\E$}), qr{\A(success: \S+/filedist-example.txt stored: 6 bytes\n){3}\z}, 'stored on three nodes');
my $json = JSON::PP::decode_json(printed(\@all, qr{^curl -H 'Accept: application/json' -T}));
is(scalar $json->{children}->@*, 2, 'told in JSON');
is(printed(\@all, qr{^curl \Q$file\E$}), "hello\n", 'the file');
like(printed(\@all, qr{^curl -X DELETE \Q$file\E$}), qr{\A(success: \S+/filedist-example.txt deleted\n){3}\z}, 'deleted on three nodes');
is(JSON::PP::decode_json(printed(\@all, qr{__status__/\?format=json'$}))->{name}, 'root', 'the status');
is(JSON::PP::decode_json(printed(\@all, qr{__status__/\?tree&format=json'$}))->{children}[1]{node}{name}, 'c2', 'that of the tree');
like(printed(\@all, qr{format=prometheus'$}), qr{^filedist_child_up\{}m, 'the metrics');
like(printed(\@all, qr{\?digest&tree'$}), qr{^(same|different): }m, 'the digest');
like(printed(\@all, qr{^curl \S+/__index__/$}), qr{href="[^"]*d/a%20b"}, 'the index');
like(printed(\@all, qr{__index__/\?format=json'$}), qr{"path":"/d/a%20b"}, 'in JSON');
like(printed(\@all, qr{__index__/\?format=txt'$}), qr{^/d/a}m, 'as text');
like(printed(\@all, qr{^curl \S+/__missing__/$}), qr{<title>missing log</title>}, 'the missing log');
for my $child ($main::c1, $main::c2) {
    like(printed(\@all, qr{^curl -X POST \S+/__missing__/\Q$child\E/$}), qr{everything is being put into the missing log of \Q$child\E}, 'provisioning');
    like(printed(\@all, qr{^curl -X DELETE \S+/__missing__/\Q$child\E/$}), qr{\Q$child\E is dropped}, 'and none');
    like(printed(\@all, qr{^curl '\S+\?compare=\Q$child\E'$}), qr{^(same|different): }m, 'compare');
    like(printed(\@all, qr{^curl -X POST '\S+\?compare=\Q$child\E'$}), qr{^(same|different): }m, 'and repair');
}
ok(!-e data_dir() . '/root/empty', 'empty directories are removed');
is(read_data('root/d/a b'), 'x', 'files are not');
is_deeply([names('scratch')], [], 'nothing is left where they ran');
ok(is_drained(), 'nothing is missing');
is(read_data('c2/d/a b'), 'x', 'the other child has got what it lacked');



=== TEST 2: the same in one go
--- after
my $text = readme();
my ($code) = run_command("set -e\n$text");
is($code, 0, 'the exit code') or diag(slurp(data_dir() . '/stderr'));
is_deeply([refused()], [], 'all requests are answered well');



=== TEST 3: a child whose nginx does not run - wget fetches what it lacks
--- http_config eval: $::linked
--- after
write_data('root/before', 'x');
ask('PUT', "/$_", "content $_") for 'a', 'd/e%20f';
is(scalar entries($main::l), 2, 'it lacks two files');
my @commands = commands(readme());
my ($missing) = grep { m{^curl \S+/__missing__/$} } @commands;
like((run_command($missing))[1], qr{\Q$main::l\E}, 'the missing log names it');
my ($wget) = grep { m{^wget .*/\Q$main::l\E/$} } @commands;
my ($remove) = grep {/^rm /} @commands;
is((run_command($wget, 'c2'))[0], 0, $wget);
ok(-d data_dir() . '/c2/__missing__', 'the log is there too');
is((run_command($remove, 'c2'))[0], 0, $remove);
is_deeply([names('c2')], [qw(a d)], 'the child has what it lacked');
is(read_data('c2/d/e f'), 'content d/e%20f', 'a file');



=== TEST 4: a leaf - no commands about children
--- http_config eval: $::format
--- config eval: $::leaf . $::pages
--- after
my $text = readme();
like($text, qr{\A# 127\.0\.0\.1:\d+: files at \Q@{[url()]}\E/, no children\.\n}, 'the first line');
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
unlike($text, qr{missing|wget|compare|-X POST|rm -r}, 'none');
is(printed(\@all, qr{^curl \S+/filedist-example.txt$}), "hello\n", 'the file');
like(printed(\@all, qr{\?digest&tree'$}), qr{^[0-9a-f]{32} 0 files 0 bytes }, 'the digest');



=== TEST 5: no other page - no commands about them
--- http_config eval: $::format
--- config eval: $::leaf . 'location = /__readme.txt { filedist_readme; }'
--- after
my $text = readme();
run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
unlike($text, qr{status|index|missing}, 'none');
is(scalar commands($text), 6, 'those about a file, and empty directories');



=== TEST 6: without "manage" - no commands that change missing logs
--- config eval: main::node($::pages =~ s/ manage//gr)
--- after
my $text = readme();
run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
unlike($text, qr{-X POST|-X DELETE \S+__}, 'none');
like($text, qr{\?compare=}, 'but those that look');



=== TEST 7: without an index - nothing to compare
--- config eval: main::node($::pages =~ s/location .__index__.*//r)
--- after
my $text = readme();
run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
unlike($text, qr{index|compare}, 'none');



=== TEST 8: one child
--- http_config eval: $::format . main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::child_of('c1')
--- after
my $text = readme();
like($text, qr{\A# root: files at \S+, 1 child\.$}m, 'the first line');
run_all($text);
is_deeply([refused()], [], 'all requests are answered well');



=== TEST 9: pages at other paths, with and without a slash at their end
--- config eval
main::node(<<'END')
location /x/m/         { filedist_missing manage; }
location /i            { filedist_index; }
location = /s          { filedist_status manage; }
location = /__readme.txt  { filedist_readme; }
END
--- http_config eval
$::format . main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1', 'location /i { filedist_index; } location = /s { filedist_status; }')
--- after
write_data('root/a', 'x');
my $text = readme();
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
like(printed(\@all, qr{\?tree&format=json'$}), qr{"name":"c1"}, 'the tree');
like(printed(\@all, qr{^curl \S+/i/?$}), qr{<a href="[^"]*a"}, 'the index');
like($text, qr{^rm -rf \./x/m$}m, 'what wget leaves');



=== TEST 10: a status page by regular expression - it has no path that could be printed
--- config eval: main::node('location ~ ^/[st] { filedist_status; } location = /__readme.txt { filedist_readme; }')
--- after
my $text = readme();
run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
unlike($text, qr{\^}, 'nor is its expression');



=== TEST 11: paths with anything in them
--- config eval
<<'END'
filedist_state $TEST_NGINX_DATA/state;
filedist_name root;
filedist_catch_up on max_backoff=100ms;
access_log $TEST_NGINX_DATA/access.log short;
location = /alive { access_log off; return 204; }
location "/f `touch x` 'a/" { filedist on; alias "$TEST_NGINX_DATA/root/o'dd `touch y`;(d)&/"; proxy_pass http://children; }
location "/m `touch z`;/" { filedist_missing manage; }
location "/s \"?&/" { filedist_status manage; }
location /i%/ { filedist_index; }
location = /__readme.txt { filedist_readme; }
END
--- http_config eval
$::format . main::upstream('127.0.0.1:$TEST_NGINX_C1') . main::leaf('c1', '127.0.0.1:$TEST_NGINX_C1', q(location "/s \"?&/" { filedist_status; } location /i%/ { filedist_index; }))
--- after
my $base = data_dir() . "/root/o'dd `touch y`;(d)&";
make_path("$base/empty");
my $text = readme();
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
is_deeply([names('scratch')], [], 'nothing else was run, and nothing is left');
ok(!-e "$base/empty", 'the empty directory is removed');
is(printed(\@all, qr{^curl \S+/filedist-example.txt$}), "hello\n", 'the file');



=== TEST 12: files below a location of their own - the one that has children
--- config eval
<<'END'
filedist_state $TEST_NGINX_DATA/state;
filedist_name root;
access_log $TEST_NGINX_DATA/access.log short;
location = /alive { access_log off; return 204; }
location /alone/ { filedist on; root $TEST_NGINX_DATA/root; }
location /export/files/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children; }
location = /__readme.txt { filedist_readme; }
END
--- after
make_path(data_dir() . '/root/export/files/d');
my $text = readme();
like($text, qr{\A# root: files at \Q@{[url()]}\E/export/files/, 2 children\.\n}, 'the first line');
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
is(printed(\@all, qr{^curl \S+/export/files/filedist-example.txt$}), "hello\n", 'the file');
like(printed(\@all, qr{^curl -X DELETE}), qr{\A(success: .* deleted\n){3}\z}, 'it is gone from all');
ok(!-e data_dir() . '/root/export/files/d', 'an empty directory is removed');



=== TEST 13: a root that depends on the request - has no directory that could be printed
--- http_config eval: $::format
--- config eval: $::leaf =~ s{root \S+;}{root \$TEST_NGINX_DATA/root/\$not_there; set \$not_there "";}r . $::pages
--- after
my $text = readme();
unlike($text, qr{^find }m, 'none');
unlike($text, qr{\$}, 'nor a variable');



=== TEST 14: a child at a unix socket with anything in its path - its commands run
--- http_config eval
$::format . main::upstream(q('unix:$TEST_NGINX_DATA/a b;c&"d')) . main::leaf('c1', q('unix:$TEST_NGINX_DATA/a b;c&"d'), $::pages)
--- after
write_data('root/a', 'x');
my $text = readme();
my @all = run_all($text);
is_deeply([refused()], [], 'all requests are answered well');
like(printed(\@all, qr{^curl -X POST \S+/__missing__/}), qr{^everything is being put}, 'provisioning');
like(printed(\@all, qr{^curl '\S+\?compare=}), qr{^(same|different): }m, 'compare');
is_deeply([names('scratch')], [], 'nothing is left');



=== TEST 15: a child at a unix socket that is away - wget fetches what it lacks
--- http_config eval: $::format . main::upstream('unix:$TEST_NGINX_DATA/s')
--- allow_log: crit
--- after
ask('PUT', '/a', 'hello');
my ($wget) = grep {/^wget /} commands(readme());
is((run_command($wget, 'c1'))[0], 0, $wget);
is(read_data('c1/a'), 'hello', 'the file');



=== TEST 16: a Host with something for a shell - the node's address instead, or nginx itself refuses it
--- after
my $address = '127.0.0.1:' . server_port();
for my $host ('x$(touch y)', 'x`touch y`', 'x;touch y', "x'touch", 'x"y', 'x|y', 'x&y', 'x>y', 'x{y,z}', 'x*', 'x?y', 'x~', '~', '!x', 'x#y', 'x@y', 'x\\y', 'x%0ay', "x\xc3\xa4", 'x=y', '$IFS', 'x,y', 'x(y)', '$x') {
    my $answer = answer_to($host =~ s/ /\$IFS/r);
    like($answer, qr{^HTTP/1.1 (?:200|400) }, "answered, for $host");
    my $text = body_of($answer);
    is(scalar(() = $text =~ m{http://\Q$address\E/}g), scalar(() = $text =~ m{http://}g), "the address, for $host");
    unlike($text, qr{touch}, 'nothing of it');
}
my $with = readme($address);
is(readme('x$(touch y)' =~ s/ /\$IFS/r), $with, 'it is the same page');



=== TEST 17: no Host at all
--- after
my (undef, $head, $body) = http_get(server_port(), '/__readme.txt');
like($body, qr{http://localhost/}, 'that of HTTP/1.0 with one');
my $socket = client();
$socket->printflush("GET /__readme.txt HTTP/1.0\r\n\r\n");
like(body_of(answer($socket)), qr{http://127\.0\.0\.1:@{[server_port()]}/}, 'the address');



=== TEST 18: a Host with and without a port, a name, IPv6
--- after
for my $host ('files.example.org', 'files.example.org:8443', 'localhost:' . server_port(), '[::1]', '[2001:db8::17]:8080', '10.0.0.1') {
    my $text = readme($host);
    is(scalar(() = $text =~ m{http://\Q$host\E/}g), scalar(() = $text =~ m{http://}g), $host);
}
run_all(readme('localhost:' . server_port()));
is_deeply([refused()], [], 'all requests are answered well');



=== TEST 19: IPv6 - each command runs as printed
--- skip_eval: 4: !IO::Socket::IP->new(LocalHost => '::1', LocalPort => 0, Listen => 1)
--- config eval: main::node() . 'listen [::1]:$TEST_NGINX_L;'
--- after
run_all(readme("[::1]:$ENV{TEST_NGINX_L}"));
is_deeply([refused()], [], 'all requests are answered well');



=== TEST 20: https
--- post_setup_server_root
my $node = data_dir() . '/node';
system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -keyout $node.key -out $node.crt 2>$node.log") == 0 or bail_out("openssl: see $node.log");
--- config eval: main::node() . 'listen 127.0.0.1:$TEST_NGINX_L ssl; ssl_certificate $TEST_NGINX_DATA/node.crt; ssl_certificate_key $TEST_NGINX_DATA/node.key;'
--- after
my $text = `curl -sk https://$main::l/__readme.txt`;
is(scalar(() = $text =~ m{https://\Q$main::l\E/}g), scalar(() = $text =~ m{https?://}g), 'all are');
cmp_ok(scalar(() = $text =~ m{https://}g), '>', 10, 'and there are some');



=== TEST 21: a name that a client gives - stays in its comment
--- config eval: main::node($::pages, 'filedist_name $http_x_name;')
--- after
for my $name ('a; touch y', '$(touch y)', "a\ttouch y", "a\xc2\x85touch y", "a\xe2\x80\xa8touch y", "a\xff") {
    my $text = readme('127.0.0.1:' . server_port(), "X-Name: $name");
    unlike(join("\n", commands($text)), qr{touch}, 'no command has it');
    is((run_command($_))[0], 0, $_) for (commands($text))[0];
    unlike($text, qr{[\0-\x09\x0b-\x1f\x7f]}, 'no control bytes');
}
is_deeply([names('scratch')], [], 'nothing was run');



=== TEST 22: missing logs at the top - nothing is removed but what wget has made
--- config eval
<<'END'
filedist_state $TEST_NGINX_DATA/state;
filedist_name root;
location = /alive { access_log off; return 204; }
location / { filedist_missing; }
location /files/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children; }
location = /__readme.txt { filedist_readme; }
END
--- after
unlike(readme(), qr{^rm -rf \.?/?$}m, 'no such command');



=== TEST 23: HEAD, and other methods
--- after
my $answer = ask('HEAD', '/__readme.txt');
like($answer, qr{^HTTP/1.1 200 .*^Content-Length: [1-9]\d+\r}ms, 'HEAD');
is(body_of($answer), '', 'without a body');
like(ask($_, '/__readme.txt', 'x'), qr{^HTTP/1.1 405 .*^Allow: GET, HEAD\r}ms, $_) for qw(POST PUT);
like(ask('DELETE', '/__readme.txt'), qr{^HTTP/1.1 405 }ms, 'DELETE');



=== TEST 24: missing logs at a path with anything in it - what wget has left of them is removed
--- http_config eval: $::linked
--- config eval: main::node(q(location "/m i;'`j`/" { filedist_missing; } location = /__readme.txt { filedist_readme; }))
--- after
ask('PUT', '/a', 'hello');
my @commands = commands(readme());
my ($wget) = grep { m{^wget .*/\Q$main::l\E/$} } @commands;
my ($remove) = grep {/^rm /} @commands;
is((run_command($wget, 'c2'))[0], 0, $wget);
is(scalar(my @there = names('c2')), 2, 'the log is there too');
is((run_command($remove, 'c2'))[0], 0, $remove);
is_deeply([names('c2')], ['a'], 'the file alone');
