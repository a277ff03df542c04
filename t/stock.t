# What nginx does with a file is the same with `filedist on`, on a leaf and on a parent: a table of it.
#
# One nginx has three servers a case: stock, leaf and parent, whose one child has no file unless the case says so.
# All serve the same directory, and each answer (status, header fields, body) has to be that of stock.

use v5.36;
use Test::More;
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $nginx   = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $options = `$nginx -V 2>&1`;
my $modules = join '', map "load_module $_;\n", split ' ',
    $ENV{TEST_NGINX_LOAD_MODULES} // "$FindBin::Bin/../target/release/ngx_http_filedist_module.so";
my $dir  = tempdir('filedist-stock-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $state_dir = tempdir('filedist-state-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $user = getpwuid $>;

my %files = (
    'a.txt'           => 'plain ' x 400,
    'a.txt.gz'        => 'as if packed',
    'only.txt.gz'     => 'as if packed, and nothing else',
    'a.html'          => '<p>one two one</p>' x 100,
    'ssi.html'        => '[<!--#include virtual="/a.txt" -->][<!--#include virtual="/no" -->]',
    'a.mp4'           => 'no box in it ' x 20,
    'a.flv'           => 'FLV of a kind, ' x 10,
    'secret.txt'      => 'secret',
    'with/index.html' => 'index of with',
    'with/other.html' => 'other of with',
    'one/only.txt'    => 'the one to choose',
    'none/x.txt'      => 'x',
    'd/sub/x.txt'     => 'x',
);
my $gzip = 'Accept-Encoding: gzip';

# Each: name; what stands in `location /`, or the server if ON (what makes it a node) is in it; requests, each with
# header fields, and what stock says. Then, as far as needed: the options of nginx's build; why, of which nodes, the
# answers differ, and to what.
my @cases = (
    ['a file', '', [
        ['GET /a.txt', [], qr/^200 .*ETag: .*^Last-Modified: .*plain/ms],
        ['HEAD /a.txt', [], qr/^200 .*Content-Length: 2400/s],
        ['GET /a.txt?a=b', [], qr/^200 /],
        ['GET /a%2Etxt', [], qr/^200 /],
        ['GET //d/../a.txt', [], qr/^200 /],
        ['GET /none.txt', [], qr/^404 /],
        ['HEAD /none.txt', [], qr/^404 /],
        ['GET /a.txt/b', [], qr/^404 /],
        ['GET /' . 'n' x 300, [], qr/^404 /],
    ]],
    ['ranges', '', [
        ['GET /a.txt', ['Range: bytes=2-5'], qr/^206 .*\nain $/s],
        ['GET /a.txt', ['Range: bytes=-3'], qr/^206 /],
        ['GET /a.txt', ['Range: bytes=0-1,4-5'], qr/^206 .*multipart/s],
        ['GET /a.txt', ['Range: bytes=9999-'], qr/^416 /],
        ['HEAD /a.txt', ['Range: bytes=2-5'], qr/^206 /],
    ]],
    ['max_ranges', 'max_ranges 0;', [['GET /a.txt', ['Range: bytes=2-5'], qr/^200 /]]],
    ['conditions', '', [
        ['GET /a.txt', ['If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'], qr/^304 /],
        ['GET /a.txt', ['If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT'], qr/^200 /],
        ['GET /a.txt', ['If-Unmodified-Since: Tue, 14 Nov 2022 22:13:20 GMT'], qr/^412 /],
        ['GET /a.txt', ['If-None-Match: *'], qr/^304 /],
        ['GET /a.txt', ['If-Match: "x"'], qr/^412 /],
        ['GET /a.txt', ['If-Range: "x"', 'Range: bytes=1-2'], qr/^200 /],
    ]],
    ['if_modified_since', 'if_modified_since before;', [
        ['GET /a.txt', ['If-Modified-Since: Tue, 14 Nov 2023 22:13:21 GMT'], qr/^304 /]]],
    ['etag', 'etag off;', [['GET /a.txt', [], qr/^200 (?!.*ETag)/s]]],
    ['expires', 'expires 1h;', [['GET /a.txt', [], qr/Cache-Control: max-age=3600/]]],
    ['add_header', 'add_header X-A b; add_header X-B c always;', [
        ['GET /a.txt', [], qr/X-A: b/], ['GET /no', [], qr/^404 (?!.*X-A).*X-B: c/s]]],
    ['types', 'types { image/png txt; } default_type a/b; charset utf-8;', [
        ['GET /a.txt', [], qr{image/png}], ['GET /a.flv', [], qr{a/b}]]],

    ['gzip_static', 'gzip_static on;', [
        ['GET /a.txt', [$gzip], qr/^200 .*Content-Encoding: gzip.*as if packed/s],
        ['HEAD /a.txt', [$gzip], qr/^200 .*Content-Encoding: gzip/s],
        ['GET /a.txt', [], qr/^200 (?!.*Content-Encoding).*plain/s],
        ['GET /only.txt', [$gzip], qr/^200 .*nothing else/s],
        ['GET /only.txt', [], qr/^404 /],
        ['GET /a.html', [$gzip], qr/^200 (?!.*Content-Encoding)/s],
        ['GET /d', [$gzip], qr/^301 /],
    ], 'http_gzip_static_module'],
    ['gzip_static with Vary', 'gzip_static on; gzip_vary on;', [
        ['GET /a.txt', [$gzip], qr/Vary: Accept-Encoding/], ['GET /a.txt', [], qr/Vary: Accept-Encoding/]],
        'http_gzip_static_module'],
    ['gzip_static always', 'gzip_static always;', [
        ['GET /a.txt', [], qr/^200 .*as if packed/s], ['GET /only.txt', [], qr/^200 .*nothing else/s]],
        'http_gzip_static_module'],
    ['gzip_static with a cache', 'gzip_static on; open_file_cache max=10; open_file_cache_errors on;',
        [([['GET /a.txt', [$gzip], qr/as if packed/], ['GET /a.html', [$gzip], qr/^200 /], ['GET /no', [], qr/^404 /]]->@*)
            x 2], 'http_gzip_static_module'],
    ['gzip_static, aio', 'gzip_static on; aio threads; sendfile on;', [['GET /a.txt', [$gzip], qr/as if packed/]],
        'http_gzip_static_module'],
    ['gunzip', 'gunzip on;', [['GET /a.txt', [], qr/^200 /]], 'http_gunzip_module'],
    ['gzip', 'gzip on; gzip_types text/plain;', [
        ['GET /a.txt', [$gzip], qr/Content-Encoding: gzip/], ['GET /a.txt', [], qr/plain/]]],
    ['sub_filter', 'sub_filter one three; sub_filter_once off;', [['GET /a.html', [], qr/three two three/]],
        'http_sub_module'],
    ['addition', 'add_after_body /a.txt; addition_types *;', [['GET /a.html', [], qr/one two one.*plain/s]],
        'http_addition_module'],
    ['ssi', 'ssi on;', [['GET /ssi.html', [], qr/\[plain .*404 Not Found/s]]],
    ['limit_rate', 'limit_rate 1m;', [['GET /a.txt', [], qr/^200 /]]],
    ['small output', 'sendfile off; output_buffers 1 512; postpone_output 0;', [['GET /a.txt', [], qr/^200 /]]],

    # The order of the two that set a handler does not matter.
    ['flv', 'flv;', [
        ['GET /a.flv', [], qr/^200 .*FLV of a kind/s],
        ['GET /a.flv?start=6', [], qr/^200 .*FLV\x01\x05\0\0\0\x09\0\0\0\0 a kind/s],
        ['HEAD /a.flv?start=6', [], qr/^200 /],
        ['GET /none.flv?start=6', [], qr/^404 /],
        ['GET /d', [], qr/^301 /], ['GET /with/', [], qr/index of with/], ['GET /none/', [], qr/^403 /],
    ], 'http_flv_module'],
    ['flv behind proxy_pass', 'location / { ON flv; }', [['GET /a.flv?start=6', [], qr/FLV\x01\x05/]], 'http_flv_module'],
    ['flv before proxy_pass', 'location / { flv; ON }', [['GET /a.flv?start=6', [], qr/FLV\x01\x05/]], 'http_flv_module'],
    ['flv of some files', 'location / { ON } location ~ \.flv$ { ON flv; }', [
        ['GET /a.flv?start=6', [], qr/FLV\x01\x05/], ['GET /a.txt?start=6', [], qr/plain/]], 'http_flv_module'],
    ['flv and gzip_static', 'flv; gzip_static on;', [['GET /a.txt', [$gzip], qr/plain/]],
        'http_flv_module http_gzip_static_module'],
    # An answer that needs a real file would say no more: without the handler it is 200.
    ['mp4', 'mp4;', [
        ['GET /a.mp4', [], qr/^200 .*no box/s],
        ['GET /a.mp4?start=1', [], qr/^500 /],
        ['GET /none.mp4?start=1', [], qr/^404 /],
        ['GET /d', [], qr/^301 /],
    ], 'http_mp4_module'],
    ['mp4 before proxy_pass', 'location / { mp4; ON }', [['GET /a.mp4?start=1', [], qr/^500 /]], 'http_mp4_module'],
    ['flv, then mp4', 'location / { flv; ON mp4; }', [
        ['GET /a.flv?start=6', [], qr/^500 /], ['GET /no', [], qr/^404 /]], 'http_mp4_module'],
    ['flv, limit_except', 'flv; limit_except GET { deny all; }', [
        ['GET /a.flv?start=6', [], qr/FLV\x01\x05/], ['DELETE /a.flv', [], qr/^403 /]], 'http_flv_module'],

    ['flv, limit_except for GET too', 'flv; limit_except PUT { allow all; }', [
        ['GET /a.flv?start=6', [], qr/FLV of/], ['GET /no', [], qr/^404 /]], 'http_flv_module'],

    ['directories', '', [
        ['GET /with', [], qr{^301 .*/with/}s], ['HEAD /with', [], qr/^301 /], ['GET /with?a=b', [], qr{/with/\?a=b}],
        ['GET /with/', [], qr/index of with/], ['GET /none/', [], qr/^403 /], ['GET /missing/', [], qr/^404 /],
        ['GET /a.txt/', [], qr/^404 /],
    ]],
    ['no absolute_redirect', 'absolute_redirect off;', [['GET /with', [], qr{Location: /with/\n}]]],
    ['index', 'index none.html other.html;', [['GET /with/', [], qr/other of with/]]],
    ['index, the same for all', 'index none.html /a.txt;', [['GET /none/', [], qr/plain/]]],
    ['autoindex', 'autoindex on;', [['GET /none/', [], qr/x\.txt/], ['GET /missing/', [], qr/^404 /]]],
    ['autoindex as JSON', 'autoindex on; autoindex_format json;', [['GET /none/', [], qr/"x\.txt"/]]],
    ['random_index', 'random_index on;', [
        ['GET /one/', [], qr/the one to choose/], ['GET /missing/', [], qr/^404 /]], 'http_random_index_module'],
    ['try_files', 'try_files $uri $uri/ /a.html;', [
        ['GET /a.txt', [], qr/plain/], ['GET /with/', [], qr/index of with/], ['GET /no', [], qr/one two/]]],
    ['try_files, else 404', 'try_files $uri =404;', [['GET /a.txt', [], qr/plain/], ['GET /no', [], qr/^404 /]]],
    ['try_files, else a name', 'location / { try_files $uri @more; ON } location @more { return 200 more; }', [
        ['GET /a.txt', [], qr/plain/], ['GET /no', [], qr/more$/]]],
    ['error_page, proxy_intercept_errors', 'proxy_intercept_errors on; error_page 404 /a.html;', [
        ['GET /no', [], qr/^404 .*one two/s]]],
    ['error_page with a name, proxy_intercept_errors', 'location @else { return 203 else; }
        location / { ON proxy_intercept_errors on; error_page 404 = @else; }', [['GET /no', [], qr/^203 .*else/s]]],
    ['error_page 403', 'location = /else { return 203 else; } location / { ON error_page 403 = /else; }', [
        ['GET /none/', [], qr/^203 .*else/s]]],
    ['error_page without proxy_intercept_errors', 'location @else { return 203 else; }
        location / { ON error_page 404 = @else; }', [['GET /no', [], qr/^203 .*else/s]], undef,
        "the child's answer is passed on, as with any proxy_pass", 'parent', qr/^404 /],
    ['open_file_cache', 'open_file_cache max=10; open_file_cache_errors on; open_file_cache_min_uses 1;',
        [([['GET /a.txt', [], qr/plain/], ['GET /no', [], qr/^404 /], ['GET /with/', [], qr/index of/]]->@*) x 2]],
    ['disable_symlinks', 'disable_symlinks on;', [['GET /link', [], qr/^403 /], ['GET /a.txt', [], qr/plain/]]],
    ['symlinks', '', [['GET /link', [], qr/plain/]]],
    ['log_not_found', 'log_not_found off;', [['GET /no', [], qr/^404 /]]],
    ['alias', 'location /x/ { ON alias DIR/files/; }', [
        ['GET /x/a.txt', [], qr/plain/], ['GET /x/no', [], qr/^404 /], ['GET /x/with', [], qr{^301 .*/x/with/}s],
        ['GET /x/with/', [], qr/index of with/]]],
    ['alias with gzip_static', 'location /x/ { ON alias DIR/files/; gzip_static on; }', [
        ['GET /x/a.txt', [$gzip], qr/as if packed/]], 'http_gzip_static_module'],
    ['regular expression', 'location ~ ^/y/(.*)$ { ON alias DIR/files/$1; }', [
        ['GET /y/a.txt', [], qr/plain/], ['GET /y/no', [], qr/^404 /], ['GET /y/with', [], qr/^301 /]]],
    ['exact', 'location = /a.txt { ON }', [['GET /a.txt', [], qr/plain/]]],
    ['root with a variable', 'set $it files; root DIR/$it;', [['GET /a.txt', [], qr/plain/]]],
    ['if', 'if ($arg_a) { add_header X-If yes; }', [['GET /a.txt?a=b', [], qr/X-If: yes.*plain/s]]],
    ['if, gzip_static', 'gzip_static on; if ($arg_a) { add_header X-If yes; }', [
        ['GET /a.txt?a=b', [$gzip], qr/X-If: yes.*as if packed/s]], 'http_gzip_static_module'],
    ['if, flv', 'flv; if ($arg_a) { add_header X-If yes; }', [['GET /a.flv?a=b&start=6', [], qr/X-If: yes.*FLV\x01\x05/s], ['GET /a.flv?start=6', [], qr/FLV\x01\x05/],
        ['GET /no?a=b', [], qr/^404 /]], 'http_flv_module'],
    ['rewrite', 'rewrite ^/r/(.*) /$1 break;', [['GET /r/a.txt', [], qr/plain/]]],
    ['X-Accel-Redirect', 'location / { internal; ON gzip_static on; } location /x { proxy_pass http://accel; }', [
        ['GET /x?a.txt', [$gzip], qr/as if packed/], ['GET /x?no', [], qr/^404 /], ['GET /a.txt', [], qr/^404 /]],
        'http_gzip_static_module'],
    ['auth_request', 'location / { ON auth_request /secret.txt; } location = /secret.txt { ON }', [
        ['GET /a.txt', [], qr/plain/]], 'http_auth_request_module'],
    ['auth_request, no file', 'location / { ON auth_request /no; } location = /no { ON }', [
        ['GET /a.txt', [], qr/^500 /]], 'http_auth_request_module'],
    ['mirror', 'location / { ON mirror /m; } location = /m { ON }', [['GET /a.txt', [], qr/plain/]]],
    ['satisfy, deny', 'deny all;', [['GET /a.txt', [], qr/^403 /]]],
    ['limit_except', 'gzip_static on; limit_except GET { deny all; }', [['GET /a.txt', [$gzip], qr/as if packed/]],
        'http_gzip_static_module'],

    ['POST', '', [['POST /a.txt', [], qr/^405 /]], undef, 'PUT and DELETE are there too: Allow says so', 'leaf parent',
        qr/^405 .*Allow: GET, HEAD, PUT, DELETE\n/s],
    ['a name of temporary files', '', [['GET /.filedist.x', [], qr/^200 /]], undef,
        'a temporary file is nobody\'s', 'leaf parent', qr/^404 /],

    # A child has the file.
    ['of a child', '', [['GET /child/c.txt', [], qr/^404 /]], undef, 'the child has it', 'parent', qr/^200 .*of a child/s],
    ['of a child, flv', 'flv;', [['GET /child/c.flv?start=4', [], qr/^404 /]], 'http_flv_module',
        'the child has it, and gets what stands behind the question mark', 'parent', qr/^200 .*FLV\x01\x05.* child/s],
    ['of a child, mp4 behind proxy_pass', 'location / { ON mp4; }', [['GET /child/c.txt', [], qr/^404 /]],
        'http_mp4_module', 'the child has it', 'parent', qr/^200 .*of a child/s],
    ['of a child, gzip_static', 'gzip_static on;', [['GET /child/c.txt', [$gzip], qr/^404 /]],
        'http_gzip_static_module', 'the child has it', 'parent', qr/^200 .*of a child, packed/s],
    ['of a child, index', '', [['GET /child/', [], qr/^404 /]]],
);

#------------------------------------------------------------------------------ one nginx

sub spew ($file, $text) {
    make_path($file =~ s{/[^/]*$}{}r);
    open my $out, '>:raw', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

my @held = map { IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no free port: $!\n" } 1 .. 5;
my ($child, $accel, %port) = map $_->sockport, @held[0, 1];
@port{qw(stock leaf parent)} = map $_->sockport, @held[2 .. 4];
my %on = (stock => '', leaf => 'filedist on;', parent => 'filedist on; proxy_pass http://children; proxy_http_version 1.1;');

for my $file (keys %files) {
    spew("$dir/files/$file", $files{$file});
    utime 1700000000, 1700000000, "$dir/files/$file" or die "$file: $!\n";
}
symlink 'a.txt', "$dir/files/link" or die "link: $!\n";
spew("$dir/files/.filedist.x", 'x');
spew("$dir/child/child/c.txt", 'of a child');
spew("$dir/child/child/c.txt.gz", 'of a child, packed');
spew("$dir/child/child/c.flv", 'FLV of a child');
spew("$dir/child/child/index.html", 'index of a child');

sub is_built_with ($name) { return $options =~ /--with-$name\b/ }
my @there = grep { !grep { !is_built_with($_) } split ' ', $_->[3] // '' } @cases;
my ($servers, $number) = ('', 0);
for my $case (@there) {
    my $text = $case->[1] =~ /\bON\b/ ? $case->[1] : "location / { ON $case->[1] }";
    $text =~ s{\bDIR\b}{$dir}g;
    $text =~ s{\baio threads;}{}g if !is_built_with('threads');
    $case->[7] = 'case' . $number++;
    for my $kind (keys %on) {
        my $config = $text =~ s/\bON\b/$on{$kind}/gr;
        my $state = $kind eq 'stock' ? '' : "filedist_state $state_dir/$kind-$case->[7];";
        $servers .= "server { listen 127.0.0.1:$port{$kind}; server_name $case->[7]; root $dir/files;\n$state\n$config }\n";
    }
}
spew("$dir/nginx.conf", <<"END");
${modules}user $user;
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log info;
events { worker_connections 256; }
http {
    access_log off;
    server_names_hash_bucket_size 64;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    types { text/html html; text/plain txt; }
    filedist_catch_up off;
    upstream children { server 127.0.0.1:$child; filedist_fanout; }
    upstream accel { server 127.0.0.1:$accel; }
    server {
        listen 127.0.0.1:$child;
        root $dir/child;
        filedist_state $state_dir/child;
        filedist on;
        @{[ is_built_with('http_gzip_static_module') ? 'gzip_static on;' : '' ]}
        @{[ is_built_with('http_flv_module') ? 'location ~ \.flv$ { flv; }' : '' ]}
    }
    server { listen 127.0.0.1:$accel; location / { add_header X-Accel-Redirect /\$args; return 200; } }
    $servers
}
END

close $_ for @held;
my $pid = fork // die "fork: $!\n";
if (!$pid) {
    open STDERR, '>', "$dir/stderr";
    exec $nginx, '-p', $dir, '-e', "$dir/error.log", '-c', "$dir/nginx.conf" or die "$nginx: $!\n";
}
END { if ($pid) { local $?; kill QUIT => $pid; waitpid $pid, 0 } }
my $is_up = 0;
for (1 .. 200) {
    last if waitpid($pid, 1) == $pid;
    last if $is_up = !!IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port{parent}");
    sleep 0.05;
}
if (!$is_up) {
    $pid = 0 if !kill 0 => $pid;
    open my $said, '<', "$dir/stderr";
    BAIL_OUT('nginx does not start: ' . join '', <$said>);
}

#------------------------------------------------------------------------------ the answers

# Status, header fields in order of their names, and body, without what no two answers share.
sub answer ($kind, $host, $request, @headers) {
    my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port{$kind}", Timeout => 5) or return 'no connection';
    $socket->printflush(join "\r\n", "$request HTTP/1.1", "Host: $host", 'Connection: close', @headers, '', '');
    my $text = '';
    while (1) {
        vec(my $bits = '', fileno $socket, 1) = 1;
        return 'no answer' if !select $bits, undef, undef, 5;
        last if !sysread $socket, $text, 65536, length $text;
    }
    my ($head, $body) = split /\r\n\r\n/, $text, 2;
    my ($status, @fields) = split /\r\n/, $head // '';
    $body //= '';
    if ($head =~ /^Transfer-Encoding: chunked/mi) {
        my ($rest, $whole) = ($body, '');
        while ($rest =~ s/^([0-9a-f]+)\r\n//i) { $whole .= substr $rest, 0, hex $1, ''; $rest =~ s/^\r\n// }
        $body = $whole;
    }
    my ($boundary) = $head =~ /boundary=(\S+)/;
    @fields = grep { !/^(?:Date|Expires|Connection): /i } @fields;
    my $all = join "\n", ($status =~ /^\S+ (\d+)/ ? "$1 " : "no status "), (sort @fields), '', $body;
    $all =~ s/$boundary/BOUNDARY/g if $boundary;
    $all =~ s/\b(case\d+):\d+/$1/g;
    return $all;
}

for my $case (@cases) {
    my ($name, undef, $requests, $needs, $reason, $differing, $differently, $host) = @$case;
    SKIP: {
        skip "$name: nginx without $needs", 1 if !defined $host;
        for (@$requests) {
            my ($request, $headers, $expected) = @$_;
            my $stock = answer('stock', $host, $request, @$headers);
            my $what = join ', ', $name, $request, @$headers;
            like($stock, $expected, "$what: stock");
            for my $kind (qw(leaf parent)) {
                my $got = answer($kind, $host, $request, @$headers);
                if ($reason && " $differing " =~ / $kind /) {
                    like($got, $differently, "$what: $kind ($reason)");
                }
                else {
                    is($got, $stock, "$what: $kind");
                }
            }
        }
    }
}

done_testing();
