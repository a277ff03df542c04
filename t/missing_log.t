# The missing log: its lines, its files, and how it is served, so that whoever follows its links has what
# a child lacks.

use v5.36;
use Filedist;
use Filedist::Tree qw(slurp);

use File::Path qw(remove_tree);
use POSIX qw(strftime);
use Time::HiRes qw(sleep time);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root));

# Nothing listens there, but where a block says so.
$ENV{"TEST_NGINX_$_"} = free_port() for qw(DEAD DEAD2);
our $dead = "127.0.0.1:$ENV{TEST_NGINX_DEAD}";

our $one_dead = 'upstream children { server 127.0.0.1:$TEST_NGINX_DEAD max_fails=0; filedist_fanout; }';

sub node ($more = '', $upstream = 'children') {
    return <<~END;
        filedist_state \$TEST_NGINX_DATA/state;
        location / {
            filedist on;
            root \$TEST_NGINX_DATA/root;
            proxy_pass http://$upstream;
        }
        location /__missing__/ { filedist_missing; }
        $more
        END
}

our $two_lists = node(<<'END', 'children');
    location /y/ { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://others; }
END
our $two_dead = $one_dead . 'upstream others { server 127.0.0.1:$TEST_NGINX_DEAD2 max_fails=0; filedist_fanout; }';

# Names as a client sends them.
our @hostile = ('a%20b', 'a%3Fb', 'a%23b', 'a%25b', 'a%2541b', 'a%0Ab', 'a%0D%0Ab', 'a%22b', "a'b", 'a%3Cscript%3Eb', 'a%26amp;b', "%C3%A4", '%FF%FE',
    'a+b', 'a;b=c,d', 'a%5Cb', 'a%09b', 'a:b', 'a%7Fb', '-rf', 'javascript:x', '%e2%80%ae');

our $began;
my @pids;

add_block_preprocessor(sub ($block) {
    $block->set_value(http_config => $one_dead) if !defined $block->http_config;
    $block->set_value(config => node())         if !defined $block->config;
    workers($block->name =~ /workers/ ? 3 : 1);
    $block->name =~ /workers/ ? master_on() : master_off();
    $began = time;
});

add_test_cleanup_handler(sub {
    kill KILL => @pids;
    waitpid $_, 0 for @pids;
    @pids = ();
});

# A child that takes its time.
sub slow_child ($seconds) {
    my $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => $ENV{TEST_NGINX_DEAD2}, Listen => 5, ReuseAddr => 1)
        or die "cannot listen: $!";
    push @pids, my $pid = fork // die "fork: $!";
    return if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
    while (my $connection = $listener->accept) {
        sysread $connection, my $request, 65536;
        sleep $seconds;
        syswrite $connection, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
    }
    POSIX::_exit(0);
}

sub log_files () { return my @files = glob data_dir() . '/state/missing/*/*' }
sub entries ()   { return map { split /^/, slurp($_) } log_files() }

sub names ($directory) {
    opendir my $handle, $directory or return;
    return sort grep { !/^\.\.?$/ } readdir $handle;
}

# Or the worker would say so once more when it ends, after the block has.
sub make_writable () { unlink data_dir() . "/state/missing/$dead" or die $! }

sub links ($page) { return map { s/&quot;/"/gr =~ s/&lt;/</gr =~ s/&gt;/>/gr =~ s/&amp;/&/gr } $page =~ /href="([^"]*)"/g }

# What a browser makes of a link on a page.
sub resolve ($page, $link) {
    return $link if $link =~ m{^/};
    return ($page =~ s{[^/]*\z}{}r) . ($link =~ s{^\./}{}r);
}

# Follows all links from a page of the missing log, and returns the bodies of what is not of the log itself.
sub crawl ($page) {
    my (%seen, %found);
    my @todo = ($page);
    while (defined(my $uri = shift @todo)) {
        next if $seen{$uri}++ || keys %seen > 200;
        my ($status, $head, $body) = http_get(server_port(), $uri);
        is($status, 200, "GET $uri");
        if ($uri =~ m{^/__missing__/}) { push @todo, map { resolve($uri, $_) } links($body) }
        else                           { $found{$uri} = $body }
    }
    return \%found;
}

run_tests();

__DATA__

=== TEST 1: the line of a PUT
--- request
PUT /a/b.mp3
hello
--- error_code: 201
--- after
my ($version) = (entries())[0] =~ / (\d{19}) /;
like((entries())[0], qr{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ PUT <a href="/a/b\.mp3">/a/b\.mp3</a> \d{19} 502<br>\n\z}, 'line');
is(scalar entries(), 1, 'one line');
is(substr($version, 0, 10), (stat data_dir() . '/root/a/b.mp3')[9], 'the version is the mtime');



=== TEST 2: the line of a DELETE - no link
--- data_files
>>> root/c.mp3
x
--- request
DELETE /c.mp3
--- after: like((entries())[0], qr{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ DELETE /c\.mp3 \d{19} 502<br>\n\z}, 'line')



=== TEST 3: its time - now, UTC
--- request
PUT /a
hello
--- error_code: 201
--- after
my ($time) = (entries())[0] =~ /^(\S+)Z /;
cmp_ok($time, 'ge', strftime('%Y-%m-%dT%H:%M:%S', gmtime($main::began - 1)), 'not earlier');
cmp_ok($time, 'le', strftime('%Y-%m-%dT%H:%M:%S', gmtime(time)), 'not later');



=== TEST 4: its file - the child as in its server line, the day
--- request eval: ["PUT /a\nhello", "PUT /b\nhello", 'DELETE /a']
--- error_code eval: [201, 201, 200]
--- after
my ($file, @more) = map { substr $_, length data_dir() } log_files();
like($file, qr{^/state/missing/127\.0\.0\.1:$ENV{TEST_NGINX_DEAD}/\d{4}-\d\d-\d\d\.log\.html$}, 'name');
my ($day) = $file =~ /(\d{4}-\d\d-\d\d)/;
ok((grep { $day eq strftime('%Y-%m-%d', gmtime $_) } $main::began, time), 'today');
is(scalar entries(), 3, 'three lines in one file');
is(scalar @more, 0, 'no other file');



=== TEST 5: two children - a file each
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_DEAD;
        server 127.0.0.1:$TEST_NGINX_DEAD2;
        filedist_fanout;
    }
--- request
PUT /a
hello
--- error_code: 201
--- after
is(scalar log_files(), 2, 'two files');
is(scalar entries(), 2, 'a line in each');



=== TEST 6: any name - a line, and a link that leads to the file
--- request eval
[map "PUT /$::hostile[$_]\ncontent $_", 0 .. $#::hostile]
--- error_code eval: [(201) x 22]
--- after
is(scalar entries(), 22, 'a line each');
my @lines = entries();
for my $n (0 .. $#lines) {
    my ($link) = links($lines[$n]);
    my ($status, $head, $body) = http_get(server_port(), $link);
    is($body, "content $n", "$main::hostile[$n]: $link");
    like($lines[$n], qr{\A\S+Z PUT <a href="[^"<>]*">[^<>]*</a> \d{19} 502<br>\n\z}, "$main::hostile[$n]: line");
    is(scalar(() = $lines[$n] =~ /[\0-\x09\x0b-\x1f\x7f]/g), 0, "$main::hostile[$n]: no control bytes");
}



=== TEST 7: any name, DELETE - a line
--- request eval: ['DELETE /a%0Ab', 'DELETE /%3Cb%3E', 'DELETE /a%26lt;', 'DELETE /%FF']
--- error_code eval: [404, 404, 404, 404]
--- after
is(scalar entries(), 4, 'a line each');
like($_, qr{\A\S+Z DELETE [^<>"]* \d{19} 502<br>\n\z}, 'line') for entries();
like((entries())[2], qr{ DELETE /a&amp;lt; }, 'an ampersand is escaped');



=== TEST 8: two slashes at the start of a name - no link to another machine
--- config eval: 'merge_slashes off;' . main::node()
--- request
PUT //elsewhere/a
hello
--- error_code_like: ^(201|4..)$
--- after: unlike(join('', entries()), qr{href="//}, 'link')



=== TEST 9: served - the children
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_DEAD;
        server 127.0.0.1:$TEST_NGINX_DEAD2;
        filedist_fanout;
    }
--- request eval: ["PUT /a\nhello", 'GET /__missing__/']
--- error_code eval: [201, 200]
--- response_headers eval: ['', 'Content-Type: text/html']
--- after
is_deeply([sort(links($_[1]))], [sort map "./127.0.0.1:$ENV{$_}/", qw(TEST_NGINX_DEAD TEST_NGINX_DEAD2)], 'a link to each');



=== TEST 10: served - the days of a child
--- request eval: ["PUT /a\nhello", "GET /__missing__/$::dead/"]
--- error_code eval: [201, 200]
--- response_headers eval: ['', 'Content-Type: text/html']
--- after: like($_[1], qr{href="\./\d{4}-\d\d-\d\d\.log\.html"}, 'a link to the day')



=== TEST 11: served - a day
--- request
PUT /a
hello
--- error_code: 201
--- after
my ($file) = map { s{.*/}{}r } log_files();
my ($status, $head, $body) = http_get(server_port(), "/__missing__/$main::dead/$file");
is($status, 200, 'status');
is($body, join('', entries()), 'body');
like($head, qr{^Content-Type: text/html\r?$}mi, 'Content-Type');



=== TEST 12: served where html is no known type - text/html
--- http_config eval: $::one_dead . 'types { text/plain txt; }'
--- request
PUT /a
hello
--- error_code: 201
--- after
my ($file) = map { s{.*/}{}r } log_files();
my ($status, $head) = http_get(server_port(), "/__missing__/$main::dead/$file");
like($head, qr{^Content-Type: text/html\r?$}mi, 'Content-Type');



=== TEST 13: served in another location
--- config eval: main::node('location /lost/ { filedist_missing; }')
--- request eval: ["PUT /a\nhello", 'GET /lost/', "GET /lost/$::dead/"]
--- error_code eval: [201, 200, 200]
--- response_body_like eval: [qr/./, qr{href="\./$::dead/"}, qr{\.log\.html"}]



=== TEST 14: HEAD
--- request eval: ["PUT /a\nhello", 'HEAD /__missing__/', "HEAD /__missing__/$::dead/"]
--- error_code eval: [201, 200, 200]
--- response_body_like eval: [qr/./, qr/^$/, qr/^$/]



=== TEST 15: nothing missing - a page that says so
--- request
GET /__missing__/
--- response_body_like: nothing is missing
--- response_headers
Content-Type: text/html



=== TEST 16: unknown child, day, file - 404
--- request eval
["PUT /a\nhello", 'GET /__missing__/nobody/', 'GET /__missing__/nobody', "GET /__missing__/$::dead/2001-01-01.log.html", "GET /__missing__/$::dead/x/", "GET /__missing__/$::dead/x/y"]
--- error_code eval: [201, (404) x 5]



=== TEST 17: child without the slash - leads to its page
--- request eval: ["PUT /a\nhello", "GET /__missing__/$::dead"]
--- error_code_like eval: [qr/201/, qr/30[12]|200|404/]



=== TEST 18: other methods - 405, with those that there are
--- request eval: ["PUT /__missing__/a\nhello", 'DELETE /__missing__/a', "POST /__missing__/\nhello"]
--- error_code eval: [405, 405, 405]
--- response_headers eval: [('Allow: GET, HEAD') x 3]



=== TEST 19: DELETE of a log - it stays
--- request eval: ["PUT /a\nhello", "DELETE /__missing__/$::dead/"]
--- error_code eval: [201, 405]
--- after: is(scalar entries(), 1, 'the line is there')



=== TEST 20: no way out
--- data_files
>>> secret
secret
>>> state/secret
secret
>>> state/missing/c/2026-01-01.log.html
a log
--- raw_request eval
CORE::join '', (map "GET $_ HTTP/1.1\r\nHost: x\r\n\r\n", qw(/__missing__/../secret /__missing__/c/../../../secret /__missing__/%2e%2e/secret
    /__missing__/%2e%2e/state/secret /__missing__/..%2fsecret /__missing__/c/%2e%2e/%2e%2e/secret /__missing__//../../secret
    /__missing__/c/..%5c..%5csecret)), "GET /__missing__/../ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
--- error_code_like: ^[45]
--- response_body_unlike: (?m)^secret$
--- timeout: 2
--- abort



=== TEST 21: a symbolic link among the logs that leads outside, disable_symlinks - 403
--- config eval: main::node('disable_symlinks on;')
--- data_files
>>> secret
secret
>>> state/missing/c/x
--- init: symlink data_dir() . '/secret', data_dir() . '/state/missing/c/link'
--- request
GET /__missing__/c/link
--- error_code: 403



=== TEST 22: access rules
--- config eval: main::node() =~ s/filedist_missing;/filedist_missing; deny all;/r
--- request
GET /__missing__/
--- error_code: 403



=== TEST 23: from the page to the file
--- request eval: ["PUT /a\nhello", "PUT /d/b%20c\nworld"]
--- error_code eval: [201, 201]
--- after: is_deeply(crawl('/__missing__/'), { '/a' => 'hello', '/d/b%20c' => 'world' }, 'what is found')



=== TEST 24: unix socket - a directory of one name, and the way through it
--- http_config
    upstream children { server unix:$TEST_NGINX_DATA/none.sock; filedist_fanout; }
--- request
PUT /a
hello
--- error_code: 201
--- error_log
[crit]
--- after
is_deeply([names(data_dir() . '/state/missing')], ['unix:' . data_dir() =~ s{/}{%2F}gr . '%2Fnone.sock'], 'directory');
is_deeply(crawl('/__missing__/'), { '/a' => 'hello' }, 'what is found');



=== TEST 25: IPv6 child
--- skip_eval: 5: !eval { require IO::Socket::IP; IO::Socket::IP->new(Listen => 1, LocalHost => '::1') }
--- http_config
    upstream children { server [::1]:$TEST_NGINX_DEAD; filedist_fanout; }
--- request
PUT /a
hello
--- error_code: 201
--- after
is_deeply([names(data_dir() . '/state/missing')], ["[::1]:$ENV{TEST_NGINX_DEAD}"], 'directory');
is_deeply(crawl('/__missing__/'), { '/a' => 'hello' }, 'what is found');



=== TEST 26: a child by its host name
--- http_config
    upstream children { server localhost:$TEST_NGINX_DEAD; filedist_fanout; }
--- request
PUT /a
hello
--- error_code: 201
--- after
is_deeply([names(data_dir() . '/state/missing')], ["localhost:$ENV{TEST_NGINX_DEAD}"], 'directory');



=== TEST 27: wget - fetches what the child lacks, and nothing else
--- skip_eval: 8: !grep { -x "$_/wget" } split /:/, $ENV{PATH}
--- http_config eval: $::two_dead
--- config eval: $::two_lists
--- request eval
["PUT /x/1\none", "PUT /x/d/two%20words\ntwo", "PUT /y/3\nthree", "PUT /x/gone\ngone", 'DELETE /x/gone', "PUT /x/r%22%3C%26\nfour", "PUT /x/%C3%A4%3F%23%25\nfive", "PUT /x/1\nagain"]
--- error_code eval: [201, 201, 201, 201, 200, 201, 201, 200]
--- after
my $got = data_dir() . '/got';
my $url = 'http://127.0.0.1:' . server_port() . "/__missing__/$main::dead/";
system('wget', '-q', '--tries=1', '--timeout=5', '--no-proxy', '--recursive', '-nH', '--restrict-file-names=nocontrol', '-P', $got, $url);
is_deeply([names($got)], [qw(__missing__ x)], 'nothing of another child');
is_deeply([names("$got/__missing__")], [$main::dead], 'no log of another child');
is_deeply([names("$got/x")], [sort 1, 'd', 'r"<&', "\xc3\xa4?#%"], 'what is missing');
is(slurp("$got/x/1"), 'again', 'content');
is(slurp("$got/x/d/two words"), 'two', 'content below a directory');
is(slurp("$got/x/r\"<&"), 'four', 'content of a hostile name');
is(slurp("$got/x/\xc3\xa4?#%"), 'five', 'content of another one');



=== TEST 28: the log cannot be written - [crit] with child and path, and the client has its answer
--- init: write_data("state/missing/$main::dead", 'no directory')
--- request
PUT /a/b
hello
--- error_code: 201
--- response_body_like: (?m)^error: \S+/a/b failed to store: 502$
--- error_log eval
[qr{\[crit\].*\Q; child "$::dead" lacks PUT "/a/b"}]
--- after: main::make_writable()



=== TEST 29: the log cannot be written, DELETE
--- init: write_data("state/missing/$main::dead", 'no directory')
--- request
DELETE /a/b
--- error_code: 404
--- error_log eval
[qr{\[crit\].*\Q; child "$::dead" lacks DELETE "/a/b"}]
--- after: main::make_writable()



=== TEST 30: the log cannot be written, hostile name - one line
--- init: write_data("state/missing/$main::dead", 'no directory')
--- request
PUT /a%0Ab
hello
--- error_code: 201
--- error_log eval
[qr{\[crit\].*lacks PUT "/a.*b"}]
--- after: main::make_writable()



=== TEST 31: the directory of the logs was removed - it is made again
--- request eval: ["PUT /a\nhello", "PUT /b\nhello"]
--- error_code eval: [201, 201]
--- after eval
package main;
[
    sub { remove_tree(data_dir() . '/state/missing') },
    sub { is(scalar entries(), 1, 'the second line is there') },
]



=== TEST 32: a child still at work - the line of the other one is there already
--- http_config
    upstream children {
        server 127.0.0.1:$TEST_NGINX_DEAD;
        server 127.0.0.1:$TEST_NGINX_DEAD2;
        filedist_fanout;
    }
--- init: slow_child(0.8)
--- request
PUT /a
hello
--- error_code: 201
--- after
is(scalar entries(), 1, 'one line');
cmp_ok((Time::HiRes::stat((log_files())[0]))[10], '<', time - 0.5, 'written long before the answer');



=== TEST 33: several workers - no line is malformed, none is lost
--- http_config
    upstream children { server 127.0.0.1:$TEST_NGINX_DEAD max_fails=0; filedist_fanout; zone children 64k; }
--- request
PUT /a
hello
--- error_code: 201
--- after
my @clients;
for my $client (1 .. 6) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        for my $n (1 .. 30) {
            my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . server_port()) or last;
            syswrite $socket, "PUT /$client/$n/" . 'long' x 40 . " HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi";
            while (sysread $socket, my $got, 4096) { }
        }
        POSIX::_exit(0);
    }
    push @clients, $pid;
}
waitpid $_, 0 for @clients;
my @lines = entries();
is(scalar @lines, 181, 'a line each');
is(scalar(grep { !m{\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ PUT <a href="(/[\w/]+)">\1</a> \d{19} 502<br>\n\z} } @lines), 0, 'all well formed');



=== TEST 34: the log - for everybody to read
--- request
PUT /a
hello
--- error_code: 201
--- after: is(sprintf('%o', (stat((log_files())[0]))[2] & 0777), '644', 'mode')
