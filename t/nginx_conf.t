# The files of nginx-conf/: nginx -t accepts each, and a tree of nodes that run them does its job, with TLS too.
# Changed for the test are only addresses, paths and the user.

use v5.36;
use Test::More;
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $conf   = "$FindBin::Bin/../nginx-conf";
my $nginx  = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $module = $ENV{TEST_NGINX_LOAD_MODULES}
    // "$FindBin::Bin/../target/release/ngx_http_filedist_module.so";
my $dir  = tempdir('filedist-conf-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $user = getpwuid $>;
my %running;

END { stop($_) for keys %running }

sub slurp ($file) {
    open my $in, '<', $file or return '';
    local $/;
    return scalar <$in>;
}

sub spew ($file, $text) {
    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

my @held;

sub free_port () {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no free port: $!\n";
    push @held, $socket;
    return $socket->sockport;
}

# A node: one of the files, on this port, with these ports of children, in a directory of its own.
sub node ($name, $file, $port, @children) {
    my $home = "$dir/$name";
    mkdir $_ for $home, "$home/files";
    my $text = slurp("$conf/$file");
    $text =~ s{modules/ngx_http_filedist_module\.so}{$module};
    $text =~ s{^user .*;}{user $user;}m;
    $text =~ s{/run/nginx\.pid}{$home/nginx.pid};
    $text =~ s{/var/log/nginx/}{$home/}g;
    $text =~ s{/etc/nginx/mime\.types}{$dir/mime.types};
    $text =~ s{/etc/nginx/filedist/ca\.crt}{$dir/ca.crt}g;
    $text =~ s{/etc/nginx/filedist/node}{$home/node}g;
    $text =~ s{/srv/files}{$home/files}g;
    $text =~ s{/var/lib/nginx/filedist}{$home/state}g;
    $text =~ s{listen \K\d+}{127.0.0.1:$port};
    $text =~ s{server \K10\.0\.0\.\d:\d+}{'127.0.0.1:' . shift @children}ge;
    $text =~ s{allow 10\.0\.0\.1;}{allow 127.0.0.1;};

    # As much as any machine lets us have.
    $text =~ s/^worker_rlimit_nofile .*\n//m;
    $text =~ s/worker_connections \K\d+/256/;

    # nginx's own are where only root may write.
    $text =~ s/^http \{\n\K/join '', map "    ${_}_temp_path $home\/$_;\n", qw(client_body proxy fastcgi uwsgi scgi)/me;
    spew("$home/nginx.conf", $text);
    return $home;
}

sub nginx ($home, @more) {
    my $out = `$nginx -p $home -c nginx.conf -e error.log @more 2>&1`;
    return ($? >> 8, $out);
}

sub start ($home) {
    my ($rc, $out) = nginx($home);
    is($rc, 0, "$home starts") or diag $out;
    $running{$home} = 1;
}

sub stop ($home) {
    my $pid = slurp("$home/nginx.pid") or return;
    local $?;
    kill TERM => $pid;
    for (1 .. 200) {
        last if !-e "$home/nginx.pid";
        sleep 0.02;
    }
    delete $running{$home};
}

sub curl (@args) {
    return scalar `curl -sS -m 20 -w '\\n%{http_code}' @args 2>&1`;
}

# A key and a certificate that the authority signed: DIR/NAME.key, .crt.
sub certificate ($authority, $file, $names) {
    spew("$file.ext", "subjectAltName = $names\n");
    my $new = 'openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=node';
    system("$new -keyout $file.key -out $file.csr 2>$file.log"
            . " && openssl x509 -req -in $file.csr -CA $authority.crt -CAkey $authority.key -CAcreateserial"
            . " -extfile $file.ext -days 2 -out $file.crt 2>>$file.log") == 0
        or die slurp("$file.log");
}

sub authority ($file) {
    system('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2'
            . " -subj /CN=authority -keyout $file.key -out $file.crt 2>$file.log") == 0
        or die slurp("$file.log");
}

# The pages of a parent with one file, and what they ask of this child, which has it.
sub pages_work ($url, $child, @options) {
    my $tree = curl(@options, "'$url/__status__/?tree&format=json'");
    like($tree, qr/^200\z/m, 'the whole tree has a status');
    is(scalar(() = $tree =~ /"node":\{"name":"child\d\.example/g), 2, 'and each child says how it is');
    like(curl(@options, "'$url/__status__/?compare=$child'"), qr/^same: 1 files$/m, 'the files of a child are compared');
    like(curl(@options, "-X POST '$url/__status__/?compare=$child'"), qr/^same: 1 files$/m, 'and put right');
    like(curl(@options, "-X POST $url/__missing__/$child/"), qr/^202\z/m, 'a child is provided');
    like(curl(@options, "'$url/__index__/?format=txt'"), qr{\A/a/hello\.txt\n\n200\z}, 'the index has the file');
    like(curl(@options, "$url/__readme.txt"), qr/^curl -X POST \S+__missing__\S+\Q$child\E/m, 'the readme knows the child');
}

chmod 0755, $dir;
spew("$dir/mime.types", "types { text/plain txt; }\n");
my $names = 'DNS:children.filedist.example,DNS:localhost,IP:127.0.0.1';
authority("$dir/$_") for qw(ca foreign);

my ($port, @ports) = map free_port(), 1 .. 3;
my ($tls, @tls_ports) = map free_port(), 1 .. 3;
my $parent     = node('parent',     'parent.conf',     $port, @ports);
my @children   = map node("child$_", 'child.conf', $ports[ $_ - 1 ]), 1, 2;
my $tls_parent = node('tls-parent', 'tls-parent.conf', $tls,  @tls_ports);
my @tls        = map node("tls-child$_", 'tls-child.conf', $tls_ports[ $_ - 1 ]), 1, 2;
certificate("$dir/ca", "$_/node", $names) for $tls_parent, @tls;
certificate("$dir/foreign", "$dir/stranger", $names);
@held = ();

subtest 'nginx -t accepts each file' => sub {
    my %node = (
        'parent.conf'     => $parent,
        'child.conf'      => $children[0],
        'tls-parent.conf' => $tls_parent,
        'tls-child.conf'  => $tls[0],
    );
    is_deeply([ sort keys %node ], [ sort map s{.*/}{}r, glob "$conf/*.conf" ], 'all files are tested');
    for my $file (sort keys %node) {
        my ($rc, $out) = nginx($node{$file}, '-t');
        is($rc, 0, "$file is accepted") or diag $out;
        unlike($out, $> ? qr/\[emerg\]/ : qr/\[(?:warn|emerg)\]/, "$file has nothing to warn of");
    }
};

spew("$dir/hello.txt", "hello\n");

subtest 'parent.conf and child.conf: a PUT is on all nodes' => sub {
    start($_) for @children, $parent;
    my $out = curl("-T $dir/hello.txt http://127.0.0.1:$port/a/hello.txt");
    like($out, qr{^success: root\.example:8080/a/hello\.txt stored: 6 bytes$}m, 'stored on the parent');
    is(scalar(() = $out =~ m{^success: child2\.example:8080/a/hello\.txt stored: 6 bytes$}mg), 2, 'and on the children');
    like($out, qr/^201\z/m, 'status 201');
    is(slurp("$_/files/a/hello.txt"), "hello\n", "the file is in $_") for $parent, @children;
    like(curl("http://127.0.0.1:$port/__missing__/"), qr/^200\z/m, 'nothing is missing, and the page says so');
    pages_work("http://127.0.0.1:$port", "127.0.0.1:$ports[0]");
    for my $page (qw(__status__/ __missing__/ __index__/ __readme.txt)) {
        like(curl("--interface 127.0.0.2 http://127.0.0.1:$port/$page"), qr/^403\z/m, "strangers do not see $page");
        next if $page eq '__missing__/';
        like(curl("--interface 127.0.0.2 http://127.0.0.1:$ports[0]/$page"), qr/^403\z/m, "nor that of a child");
    }
    like(curl("--interface 127.0.0.2 http://127.0.0.1:$port/a/hello.txt"), qr/^hello$/m, 'but files');
    stop($_) for $parent, @children;
};

subtest 'tls-parent.conf and tls-child.conf: a PUT is on all nodes, with certificates on both sides' => sub {
    start($_) for @tls, $tls_parent;
    my $out = curl("--cacert $dir/ca.crt -T $dir/hello.txt https://127.0.0.1:$tls/a/hello.txt");
    like($out, qr/^201\z/m, 'status 201');
    is(slurp("$_/files/a/hello.txt"), "hello\n", "the file is in $_") for $tls_parent, @tls;

    pages_work("https://127.0.0.1:$tls", "127.0.0.1:$tls_ports[0]", "--cacert $dir/ca.crt");

    my $child = "https://127.0.0.1:$tls_ports[0]/a/hello.txt";
    like(curl("--cacert $dir/ca.crt $child"), qr/^400\z/m, 'a child does not talk without a certificate');
    like(curl("--cacert $dir/ca.crt --cert $dir/stranger.crt --key $dir/stranger.key $child"),
        qr/^400\z/m, 'nor with one of another authority');
    like(curl("--cacert $dir/ca.crt --cert $tls_parent/node.crt --key $tls_parent/node.key $child"),
        qr/^hello$/m, 'but with one of the tree');
};

subtest 'tls-parent.conf: who has no certificate of the tree is not a child' => sub {
    stop($tls[1]);
    rename "$dir/stranger.$_", "$tls[1]/node.$_" for qw(crt key);
    start($tls[1]);
    my $out = curl("--cacert $dir/ca.crt -T $dir/hello.txt https://127.0.0.1:$tls/b/hello.txt");
    like($out, qr{^error: 127\.0\.0\.1:$tls_ports[1]/b/hello\.txt failed to store}m, 'the receipt says so');
    ok(!-e "$tls[1]/files/b/hello.txt", 'the stranger has not got the file');
    is(slurp("$tls[0]/files/b/hello.txt"), "hello\n", 'the child has');
    like(curl("--cacert $dir/ca.crt https://127.0.0.1:$tls/__missing__/"),
        qr/127\.0\.0\.1:$tls_ports[1]/, 'the missing log knows');
    stop($_) for $tls_parent, @tls;
};

for my $home ($parent, @children, $tls_parent, @tls) {
    unlike(slurp("$home/error.log"), qr/\[(?:alert|crit|emerg)\]/, "no alert in $home");
}

done_testing();
