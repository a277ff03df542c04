# The list of all files: its forms, what is in it and what is not, and how it ends when it cannot be whole.

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);
use JSON::PP ();
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root pages));

# What a user may put into ROOT/__index__/ is below "pages": the files have a root of their own.
sub node ($server = '', $index = '') {
    return <<~END;
        root \$TEST_NGINX_DATA/pages;
        filedist_state \$TEST_NGINX_DATA/state;
        location = /alive { return 204; }
        location / { filedist on; root \$TEST_NGINX_DATA/root; }
        location /__missing__/ { filedist_missing; }
        location /__status__/  { filedist_status; }
        location /__index__/   { filedist_index; $index }
        $server
        END
}

our $old = '1763810645123456789';

# Any bytes that a name can have.
our @hostile = ('a b', 'a"b', "a'b", 'a<b>', 'a&amp;b', 'a&b', "a\nb", "a\r\nb", "\xff\xfe", "\xc3\xa4", 'a%2Fb', 'a%b', 'a?b', 'a#b',
    'a\\b', "a\tb", "a\x7fb", "\x01", ' ', '-rf', '...', 'javascript:x', 'x' x 255, 'd/e f/"', "d/\xff/<");

add_block_preprocessor(sub ($block) {
    $block->set_value(config => node()) if !defined $block->config;
    if (!defined $block->request) {
        $block->set_value(request    => 'GET /alive');
        $block->set_value(error_code => 204);
    }
    workers(1);
    master_on();
});

add_test_cleanup_handler(\&end_processes);

# The kernel's policy (sched(7)) for each thread of the worker: 0 is the ordinary one, 5 is SCHED_IDLE.
sub policies () {
    my ($worker) = worker_pids();
    return map { (split ' ', slurp($_) =~ s/.*\)//sr)[38] } glob "/proc/$worker/task/*/stat";
}

sub put ($name, $content = $name, $version = $old) {
    write_data($name, $content);
    set_version($name, $version);
}

# Status, head and body.
sub index_of ($form = 'txt', $below = '') { return http_get(server_port(), "/__index__/$below?format=$form") }

sub body ($form = 'txt', $below = '') {
    my ($status, undef, $body) = index_of($form, $below);
    is($status, 200, "/__index__/$below as $form");
    return $body;
}

sub paths ($below = '') { return split /\n/, body('txt', $below) }

sub unpercent ($text) { return $text =~ s/%([0-9A-F]{2})/chr hex $1/ger }

sub unhtml ($text) {
    my %char = (lt => '<', gt => '>', amp => '&', quot => '"');
    return $text =~ s/&(?:#(\d+)|(\w+));/defined $1 ? chr $1 : $char{$2}/ger;
}

# curl's exit status, and what it said; HTTP/1.1 unless the options say otherwise.
sub curl (@options) {
    my $file = data_dir() . '/curl.out';
    my $url  = 'http://127.0.0.1:' . server_port() . pop @options;
    system('curl', '-s', '-S', '--max-time', 20, '-o', $file, '--stderr', "$file.err", @options, $url);
    return ($? >> 8, slurp($file));
}

run_tests();

__DATA__

=== TEST 1: without a form - links in HTML
--- init
main::put('root/a/b c');
main::put('root/x');
--- request
GET /__index__/
--- response_headers
Content-Type: text/html; charset=utf-8
--- response_body
<!DOCTYPE html>
<meta charset="utf-8">
<title>index of /</title>
<a href="/a/b%20c">/a/b c</a><br>
<a href="/x">/x</a><br>



=== TEST 2: format=html - the same
--- init
main::put('root/x');
--- request
GET /__index__/?format=html
--- response_headers
Content-Type: text/html; charset=utf-8
--- response_body
<!DOCTYPE html>
<meta charset="utf-8">
<title>index of /</title>
<a href="/x">/x</a><br>



=== TEST 3: format=json - an object a line
--- init
main::put('root/a/b c', 'hello');
main::put('root/x', '');
--- request
GET /__index__/?format=json
--- response_headers
Content-Type: application/x-ndjson
--- response_body
{"path":"/a/b%20c","size":5,"version":1763810645123456789}
{"path":"/x","size":0,"version":1763810645123456789}



=== TEST 4: format=txt - a path a line
--- init
main::put('root/a/b c');
main::put('root/x');
--- request
GET /__index__/?format=txt
--- response_headers
Content-Type: text/plain
--- response_body
/a/b%20c
/x



=== TEST 5: format=list - version, size and path, and how many they are
--- init
main::put('root/a/b c', 'hello');
main::put('root/x', '');
--- request
GET /__index__/?format=list
--- response_headers
Content-Type: text/plain
--- response_body
1763810645123456789 5 /a/b%20c
1763810645123456789 0 /x
end 2



=== TEST 6: no file - lists without files
--- after
is(body('txt'), '', 'txt');
is(body('json'), '', 'json');
is(body('list'), "end 0\n", 'list');
like(body('html'), qr{\A<!DOCTYPE html>\n.*\n<title>index of /</title>\n\z}, 'html');



=== TEST 7: another format - 400
--- request
GET /__index__/?format=xml
--- error_code: 400
--- response_headers
Content-Type: text/plain
--- response_body
error: format is html, json or txt



=== TEST 8: an empty format - 400
--- request
GET /__index__/?format=
--- error_code: 400



=== TEST 9: POST - 405
--- request
POST /__index__/
--- error_code: 405
--- response_headers
Allow: GET, HEAD



=== TEST 10: PUT and DELETE - 405, and nothing is stored
--- after
like(ask('PUT', '/__index__/a', 'x'), qr{^HTTP/1.1 405 .*^Allow: GET, HEAD\r}ms, 'PUT');
like(ask('DELETE', '/__index__/'), qr{^HTTP/1.1 405 }, 'DELETE');
is_deeply([names('pages')], [], 'no file');



=== TEST 11: HEAD - the head only
--- init
main::put('root/x');
--- after
for my $form (qw(html json txt list)) {
    my ($status, $head, $body) = http_get(server_port(), "/__index__/?format=$form", 'HEAD');
    my (undef, $of_get) = index_of($form);
    my ($type) = $of_get =~ /^(Content-Type: .*?)\r?$/m;
    is($status, 200, "status of $form");
    like($head, qr/^\Q$type\E\r?$/m, "type of $form");
    is($body, '', "body of $form");
}



=== TEST 12: the order - that of the paths, byte by byte, over directories
--- after
my @files = ('a', 'a-b', 'a.b', 'b!', 'b/x-y', 'b/x/y', 'b/x0', 'b0', 'b-c/d', 'b.c/d', 'B', 'Z/a', "\xc3\xa4", "\xff", '~', ' ');
write_data("root/$_", 'x') for @files;
my @sorted = map "/$_", sort { $a cmp $b } @files;
is_deeply([map main::unpercent($_), paths()], \@sorted, 'sorted');
is_deeply([paths('b/')], ['/b/x-y', '/b/x/y', '/b/x0'], 'below a directory');



=== TEST 13: a file beside directories around the slash - in its place
--- after
write_data("root/$_", 'x') for 'd/a-b', 'd/a/x', 'd/a0', 'd/a/-', 'd/a.';
is_deeply([paths()], ['/d/a-b', '/d/a.', '/d/a/-', '/d/a/x', '/d/a0'], 'the order');



=== TEST 14: names with any bytes - survive in each form
--- after
put("root/$_", $_) for @main::hostile;
my @sorted = sort map "/$_", @main::hostile;
is_deeply([map main::unpercent($_), paths()], \@sorted, 'txt');
is_deeply([map { /\A\d+ (\d+) (\S+)\z/ ? main::unpercent($2) : $_ } split /\n/, body('list')], [@sorted, 'end ' . @sorted], 'list');
my @objects = map JSON::PP->new->utf8->decode($_), split /\n/, body('json');
is_deeply([map main::unpercent($_->{path}), @objects], \@sorted, 'json');
is_deeply([map "$_->{version}", @objects], [map $main::old, @sorted], 'their versions');
my @lines = grep {/<br>$/} split /\n/, body('html');
is_deeply([map { m{">(.*)</a><br>\z}s ? main::unhtml($1) : "? $_" } @lines], \@sorted, 'text of html');
is_deeply([map { /^<a href="([^"<>& ]*)">/ ? main::unpercent($1) : "? $_" } @lines], \@sorted, 'links of html');



=== TEST 15: names with any bytes - their links lead to them
--- after
put("root/$_", "content of $_") for @main::hostile;
my @links = body('html') =~ /href="([^"]*)"/g;
is(scalar @links, scalar @main::hostile, 'links');
for my $link (@links) {
    my (undef, undef, $body) = http_get(server_port(), $link);
    is($body, 'content of ' . substr(main::unpercent($link), 1), $link);
}



=== TEST 16: below a directory - only its files, with their whole paths
--- after
write_data("root/$_", 'x') for 'a/b/c', 'a/b/d/e', 'a/bc', 'a/b-', 'b/c', 'a/b c/d';
is_deeply([paths('a/b/')], ['/a/b/c', '/a/b/d/e'], 'the files');
is_deeply([paths('a/b%20c/')], ['/a/b%20c/d'], 'of a name that is escaped');
is_deeply([paths('a//b/')], ['/a/b/c', '/a/b/d/e'], 'slashes are merged');
like(body('html', 'a/b/'), qr{<title>index of /a/b/</title>.*<a href="/a/b/c">}s, 'html');



=== TEST 17: a directory that is not there - 404
--- after
write_data('root/a/b', 'x');
for my $path ('nowhere/', 'a/b/', 'a/b/c/', 'A/', '%FF/') {
    my ($status) = http_get(server_port(), "/__index__/$path?format=txt");
    is($status, 404, $path);
}
my ($status) = http_get(server_port(), '/__index__/a');
is($status, 404, 'nor without the slash');



=== TEST 18: names of temporary files, and what no request reaches - are not listed
--- after
write_data("root/$_", 'x') for 'a', '.filedist.1.2.3', '.filedist.d/a', 'd/.filedist.', 'd/.filedist', 'd/filedist.1', '__missing__/a', '__status__/a',
    '__index__/a', '__missing__a', '__index__x/a';
is_deeply([paths()], ['/__index__x/a', '/__missing__a', '/a', '/d/.filedist', '/d/filedist.1'], 'the files');
for my $path ('__missing__/', '__index__/', '__status__/', '.filedist.d/') {
    my (undef, undef, $body) = index_of('txt', $path);
    unlike($body, qr{^/}m, "nor below $path");
}



=== TEST 19: the file of an upload under way - is not listed
--- after
write_data('root/a', 'x');
my $client = client();
print $client "PUT /late HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n", 'x' x 150_000;
# With a temporary name, or without one.
my ($worker) = worker_pids();
my $root = data_dir() . '/root/';
ok(poll_until(sub { grep { index(readlink($_) // '', $root) == 0 } glob "/proc/$worker/fd/*" }), 'its file is open');
is_deeply([paths()], ['/a'], 'the files');
print $client 'x' x 50_000;
like(answer($client), qr{^HTTP/1.1 201 }, 'the upload ends');
is_deeply([paths()], ['/a', '/late'], 'then it is');



=== TEST 20: nested locations - each under its prefix, from where its files are
--- config eval
main::node(<<'END');
    location /other/   { filedist on; root  $TEST_NGINX_DATA/mounts; }
    location /alias/   { filedist on; alias $TEST_NGINX_DATA/away/; }
    location /a/deep/  { filedist on; alias $TEST_NGINX_DATA/deep/; }
    location = /one    { filedist on; alias $TEST_NGINX_DATA/away/x; }
    location /hidden/  { filedist off; root $TEST_NGINX_DATA/mounts; }
    location /plain/   { root $TEST_NGINX_DATA/mounts; }
    location = /secret { filedist off; }
END
--- after
write_data($_, 'x') for qw(root/a/b root/a/deep/covered root/alias/covered root/hidden/a root/other/covered root/plain/a root/secret root/z
    mounts/other/a away/x away/y/z deep/f mounts/hidden/b mounts/plain/b);
my @all = qw(/a/b /a/deep/f /alias/x /alias/y/z /one /other/a /z);
is_deeply([paths()], \@all, 'all');
is_deeply([paths('alias/')], ['/alias/x', '/alias/y/z'], 'of an alias');
is_deeply([paths('a/')], ['/a/b', '/a/deep/f'], 'of one that has another below');
for my $path (@all) {
    my ($status) = http_get(server_port(), $path);
    is($status, 200, "GET $path");
}



=== TEST 21: files in ROOT/__index__/ - are served as they are
--- after
write_data('root/a', 'x');
write_data('pages/__index__/mine.txt', 'my list');
my ($status, $head, $body) = http_get(server_port(), '/__index__/mine.txt');
is($status, 200, 'status');
is($body, 'my list', 'as it is');
is_deeply([paths()], ['/a'], 'and is not listed');



=== TEST 22: an index.html in ROOT/__index__/ - for the bare directory
--- after
write_data('root/a', 'x');
write_data('pages/__index__/index.html', 'my index');
write_data('pages/__index__/a/index.html', 'my index of a');
my ($status, $head, $body) = http_get(server_port(), '/__index__/');
is("$status $body", '200 my index', 'without a form');
is(body('txt'), "/a\n", 'with one');
like(body('html'), qr{<a href="/a">/a</a>}, 'with html');
($status, $head, $body) = http_get(server_port(), '/__index__/a/');
is("$status $body", '200 my index of a', 'below');



=== TEST 23: a symbolic link - to a file is one, to a directory is not followed
--- after
write_data('root/a', 'four');
write_data('away/b', 'x');
my $root = data_dir() . '/root';
symlink 'a', "$root/link" or die;
symlink '../away', "$root/directory" or die;
symlink '.', "$root/loop" or die;
symlink 'nowhere', "$root/dead" or die;
is_deeply([paths()], ['/a', '/link'], 'the files');
like(body('list'), qr{^\d+ 4 /link$}m, 'its size');



=== TEST 24: what is no file - is not listed
--- after
write_data('root/a', 'x');
my $root = data_dir() . '/root';
make_path("$root/empty");
require POSIX;
POSIX::mkfifo("$root/fifo", 0666) or die;
my $socket = IO::Socket::UNIX->new(Local => "$root/s", Listen => 1);
is_deeply([paths()], ['/a'], 'the files');
is(body('txt', 'empty/'), '', 'of an empty directory');



=== TEST 25: a directory that cannot be read - the answer has no end, and the error log says why
--- post_setup_server_root: main::be_nobody()
--- after
write_data("root/$_", $_) for qw(a b/c d);
my $root = data_dir() . '/root';
chmod 0, "$root/b";
for my $form (qw(html json txt list)) {
    my ($code, $said) = curl("/__index__/?format=$form");
    is($code, 18, "curl on $form");
    like($said, qr{/a}, 'what could be read');
    unlike($said, qr{^end}m, 'no end');
}
ok(error_log_has(qr{\[error\].*"\Q$root\E/b/?" failed \(13: }), 'the error log');
my ($code) = curl('/__index__/d/?format=txt');
is($code, 0, 'what is no directory is not cut off');
chmod 0755, "$root/b";
($code) = curl('/__index__/?format=list');
is($code, 0, 'readable again');



=== TEST 26: HTTP/1.0 - without chunks, up to the end of the connection
--- init
main::put('root/a');
--- after
my ($status, $head, $body) = index_of('list');
is($status, 200, 'status');
unlike($head, qr/^Transfer-Encoding/mi, 'not chunked');
is($body, "$main::old 6 /a\nend 1\n", 'the list');
my ($code, $said) = curl('-0', '/__index__/?format=list');
is("$code $said", "0 $main::old 6 /a\nend 1\n", 'curl');



=== TEST 27: HTTP/1.1 - chunked, whole, and the connection lives on
--- after
write_data("root/$_", 'x') for 'a' .. 'z';
my ($code, $said) = curl('-w', '%{num_connects}\n', '/__index__/?format=list');
is($code, 0, 'curl');
like($said, qr/^end 26$/m, 'the list');
my $client = client();
for my $n (1, 2) {
    print $client "GET /__index__/?format=list HTTP/1.1\r\nHost: x\r\n\r\n";
    my $answer = answer($client);
    like($answer, qr/^Transfer-Encoding: chunked\r$/m, "chunked, time $n");
    like($answer, qr/^end 26\n.*^0\r\n\r\n\z/ms, "whole, time $n");
}



=== TEST 28: with gzip - the same after unpacking
--- config eval: main::node('gzip on; gzip_types *; gzip_min_length 0;')
--- after
write_data("root/$_", 'x') for 1000 .. 2200;
my $plain = body('list');
like($plain, qr/^end 1201$/m, 'whole');
my ($code, $said) = curl('--compressed', '-D', data_dir() . '/head', '/__index__/?format=list');
is($code, 0, 'curl');
like(read_data('head'), qr/^Content-Encoding: gzip/mi, 'it is compressed');
ok($said eq $plain, 'the list');



=== TEST 29: many files in one directory, and deep ones - all, in order
--- after
write_data("root/$_", '') for map { sprintf 'f%05d', $_ } 1 .. 1200;
my $deep = join '/', ('d') x 300;
write_data("root/$deep/f", 'x');
my $list = body('list');
my @paths = $list =~ m{^\d+ \d+ (/\S+)$}mg;
is_deeply(\@paths, ["/$deep/f", map { sprintf '/f%05d', $_ } 1 .. 1200], 'the paths');
like($list, qr/^end 1201\n\z/m, 'the end');



=== TEST 30: a slow client - blocks nobody
--- config eval: main::node('', 'limit_rate 100k;')
--- after
write_data("root/$_-" . 'x' x 200, '') for 1 .. 600;
my $slow = client();
print $slow "GET /__index__/?format=list HTTP/1.0\r\n\r\n";
sysread $slow, my $begin, 1000;
like($begin, qr/^HTTP\/1.1 200/, 'it has begun');
for my $n (1 .. 5) {
    my ($status) = http_get(server_port(), '/alive');
    is($status, 204, "another request $n");
}
my ($code) = curl('/__index__/nowhere/');
is($code, 0, 'of the index too');
my $rest = '';
1 while sysread $slow, $rest, 65536, length $rest;
like($rest, qr/^end 600\n\z/m, 'it gets all');



=== TEST 31: wget --recursive - an identical tree, and no other list
--- after
put("root/$_", "content of $_", $main::old - 1_000_000_000 * ++$main::age) for 'a', 'b c', 'd/e/f', 'd/g&h', 'a"b', "d/\xff", 'a%2Fb', 'a?b', 'a#b', 'd/i<j>';
my ($root, $copy) = map { data_dir() . "/$_" } qw(root copy);
make_path($copy);
my $port = server_port();
my $wget = sub (@more) {
    return system('timeout', 20, 'wget', '-q', '-P', $copy, '--recursive', '--level=1', '-nH', '-N', '-e', 'robots=off', '--tries=1',
        '--restrict-file-names=nocontrol', @more, "http://127.0.0.1:$port/__index__/") >> 8;
};
is($wget->(), 0, 'wget');
is_deeply([names('copy')], [sort '__index__', names('root')], 'only the files and this list');
is_deeply([names('copy/__index__')], ['index.html'], 'of the index only the one page');
is(system('rm', '-r', "$copy/__index__"), 0, 'which is removed');
my $tree = sub ($base) {
    my %files;
    open my $out, '-|', 'find', $base, qw(-type f -printf %P\0%T@\0) or die "find: $!";
    local $/ = "\0";
    while (defined(my $path = <$out>)) {
        chomp(my $time = <$out>);
        chomp $path;
        $files{$path} = int($time) . ' ' . slurp("$base/$path");
    }
    return \%files;
};
is(scalar keys $tree->($root)->%*, 10, 'files');
is_deeply($tree->($copy), $tree->($root), 'names, bytes and times');



=== TEST 32: wget --recursive as deep as it likes - takes no list but the one that it was given
--- after
write_data("root/$_", 'x') for 'a', 'd/e/f', 'd/g';
write_data('pages/__index__/index.html.mine', 'x');
my $copy = data_dir() . '/copy';
make_path($copy);
my $url = 'http://127.0.0.1:' . server_port() . '/__index__/d/';
is(system('timeout', 20, 'wget', '-q', '-P', $copy, '--recursive', '-nH', '-N', '-e', 'robots=off', '--tries=1', $url) >> 8, 0, 'wget');
open my $out, '-|', 'find', $copy, qw(-type f -printf %P\n) or die "find: $!";
is_deeply([sort map { s/\n//r } <$out>], ['__index__/d/index.html', 'd/e/f', 'd/g'], 'what it has');



=== TEST 33: paths that cannot be - are refused
--- after
write_data('root/a/b', 'x');
for my $path ('a%00/', 'x/' x 2000, 'x' x 300 . '/', '%zz/', '../../') {
    my ($status, undef, $body) = index_of('txt', $path);
    like($status // '', qr/^4\d\d$/, substr $path, 0, 30);
    unlike($body // '', qr{^/a}m, 'nothing is listed');
}



=== TEST 34: what the query says besides - does not matter
--- after
write_data('root/a', 'x');
for my $query ('format=t%78t', 'x&format=txt', 'format=txt&format=json', 'formats=json&format=txt&y=1') {
    my ($status, undef, $body) = http_get(server_port(), "/__index__/?$query");
    is("$status $body", "200 /a\n", $query);
}
my ($status, undef, $body) = http_get(server_port(), '/__index__/?formats=json');
like($body, qr/^<!DOCTYPE html>/, 'another name is no form');



=== TEST 35: a PUT and a DELETE - are in the next list
--- after
like(ask('PUT', '/d/a%20b', 'hello'), qr{^HTTP/1.1 201 }, 'PUT');
my $version = version_of('root/d/a b');
is(body('list'), "$version 5 /d/a%20b\nend 1\n", 'after the PUT');
like(ask('DELETE', '/d/a%20b'), qr{^HTTP/1.1 200 }, 'DELETE');
is(body('list'), "end 0\n", 'after the DELETE');



=== TEST 36: the client leaves in the middle - the worker goes on
--- config eval: main::node('', 'limit_rate 20k;')
--- after
write_data("root/$_-" . 'x' x 200, '') for 1 .. 1200;
my ($worker) = worker_pids();
my $sockets = sub { scalar grep { (readlink // '') =~ /^socket:/ } glob "/proc/$worker/fd/*" };
my $before = $sockets->();
for my $n (1 .. 3) {
    my $client = client();
    print $client "GET /__index__/?format=list HTTP/1.1\r\nHost: x\r\n\r\n";
    sysread $client, my $begin, 1000;
    cmp_ok($sockets->(), '>', $before, "it is being sent, time $n");
    close $client;
}
ok(poll_until(sub { $sockets->() <= $before }, 8), 'no connection stays open');
is_deeply([worker_pids()], [$worker], 'the same worker');
my ($status) = http_get(server_port(), '/alive');
is($status, 204, 'it answers');



=== TEST 37: the worker's threads that walk - run when nobody else wants the processor, the event loop as ever
--- after
write_data("root/$_", '') for 1 .. 300;
like(body('list'), qr/^end 300$/m, 'the list');
my ($event_loop, @threads) = policies();
is($event_loop, 0, 'the event loop');
like(join(' ', sort @threads), qr/^(0 )*5( 5)?$/, 'the threads');



=== TEST 38: as many of them as the configuration says
--- main_config: thread_pool filedist_walks threads=1;
--- after
write_data("root/$_", '') for 1 .. 300;
like(body('list'), qr/^end 300$/m, 'the list') for 1 .. 3;
is(scalar(grep { $_ == 5 } policies()), 1, 'one');



=== TEST 39: a node without pages - has no threads
--- config
    root $TEST_NGINX_DATA/root;
    filedist_state $TEST_NGINX_DATA/state;
    location = /alive { return 204; }
    location / { filedist on; }
--- after
is_deeply([policies()], [0], 'the event loop');



=== TEST 40: exclude - names are in no list, wherever they are
--- config eval: main::node() =~ s/filedist_index;/filedist_index exclude=tmp exclude=.snapshots;/r
--- after
put($_) for map "root/$_", 'a', 'tmp', 'd/tmp/x', 'd/tmpx', 'd/.snapshots/1/a', 'd/e/tmp';
is_deeply([paths()], ['/a', '/d/tmpx'], 'all');
is((http_get(server_port(), '/__status__/?digest'))[2] =~ / (\d+) files /, 1, 'a digest');
like((http_get(server_port(), '/__status__/?digest'))[2], qr/ 2 files /, 'of these');



=== TEST 41: lost+found at the top of a disk, which cannot be read - is left out
--- post_setup_server_root
package main;
be_nobody();
put("root/$_") for 'a', 'd/lost+found/b';
mkdir data_dir() . '/root/lost+found', 0700 or die $!;
--- after
is_deeply([paths()], ['/a', '/d/lost+found/b'], 'the files');
rmdir data_dir() . '/root/lost+found';



=== TEST 42: a page without the slash at its end - a redirect to it
--- request eval: [map "GET /__${_}__", qw(index status missing)]
--- error_code eval: [301, 301, 301]
--- response_headers_like eval: [map "Location: http://\\S+/__${_}__/", qw(index status missing)]

