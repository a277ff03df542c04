# nginx.filedist: what it writes is accepted by nginx -t, whatever the options, and gives nodes that do their job. What is
# wrong is refused with the name of the option, with status 2, and without a word on stdout.

use v5.36;
use Test::More;
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::IP;
use Time::HiRes qw(sleep);

my $repo   = "$FindBin::Bin/..";
my $nginx  = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $module = $ENV{TEST_NGINX_LOAD_MODULES} // "$repo/target/release/ngx_http_filedist_module.so";

# Beside the module; as cargo names it, else as tools/build leaves it.
my ($generator) = grep -x, map dirname($module) . "/$_", 'nginx-filedist', 'nginx.filedist';
BAIL_OUT('nginx.filedist is not built') if !$generator;

my $dir   = tempdir('filedist-generator-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $owner = getpwuid($>) . ':' . getgrgid((split ' ', $))[0]);
my @running;

# All nodes are on this machine: no proxy has a part in it.
delete @ENV{ grep /_proxy$/i, keys %ENV };

END { stop_all() }

sub slurp ($file) {
    open my $in, '<', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub spew ($file, $text) {
    open my $out, '>', $file or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
}

my @held;

sub free_port () {
    my $socket = IO::Socket::IP->new(Listen => 1, LocalHost => '127.0.0.1', LocalPort => 0) or die "no free port: $@\n";
    push @held, $socket;
    return $socket->sockport;
}

# Status, stdout and stderr of a command.
sub run (@command) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN,  '<', '/dev/null'   or die $!;
        open STDOUT, '>', "$dir/stdout" or die $!;
        open STDERR, '>', "$dir/stderr" or die $!;
        exec 'timeout', 60, @command or exit 99;
    }
    waitpid $pid, 0;
    return ($? >> 8, slurp("$dir/stdout"), slurp("$dir/stderr"));
}

sub generate (@options) { return run($generator, @options) }

#--------------------------------------------------- what nginx -t is asked about

# Directives that the template uses and that the module may not know yet: a line that nginx refuses for that reason is
# left out, or written without its parameter. Where the module knows all of them, nothing is changed.
my %instead;

sub with_known_directives ($conf) {
    return $conf =~ s/^ *\K(filedist_(?:missing|index|status|readme)\b.*;)$/$instead{$1} \/\/= instead_of($1)/gmer;
}

sub instead_of ($line) {
    my ($name) = $line =~ /^(\w+)/;
    for my $try ($line, "$name;") {
        my $location = $name eq 'filedist_readme' ? '= /x' : '/x/';
        spew("$dir/known.conf", "load_module $module; pid $dir/known.pid; events {}\n"
                . "http { access_log off; server { listen 127.0.0.1:1; location $location { $try } } }\n");
        my ($rc, undef, $said) = run($nginx, '-t', '-e', "$dir/known.log", '-c', "$dir/known.conf");
        return $try if $said !~ /unknown directive "$name"|(?:number of arguments in|invalid parameter.*) "$name"/;
    }
    return '';
}

# The configuration for this machine: of what is not an option, as much as any machine lets us have.
sub here ($conf) {
    $conf =~ s/^worker_rlimit_nofile .*\n//m or die 'no worker_rlimit_nofile';
    $conf =~ s/worker_connections \K\d+/256/ or die 'no worker_connections';
    $conf =~ s/^user .*\n//m if $>;
    return with_known_directives($conf);
}

sub nginx ($conf, @more) {
    my ($rc, $out, $said) = run($nginx, '-e', "$dir/error.log", '-c', $conf, @more);
    return ($rc, $said);
}

# What nginx -t has against it.
sub problem ($conf) {
    my ($rc, $said) = nginx($conf, '-t');
    return $rc || $said =~ /\[(?:warn|alert|crit|emerg)\]/ ? "status $rc: $said" : '';
}

#------------------------------------------------------------------- running nodes

sub start ($conf, $pid_file) {
    my ($rc, $said) = nginx($conf);
    is($rc, 0, "$conf starts") or diag $said;
    # The process that was started has ended before its child writes this.
    for (1 .. 250) {
        last if -s $pid_file;
        sleep 0.02;
    }
    push @running, $pid_file;
}

sub stop_all () {
    local $?;
    for my $file (splice @running) {
        my $pid = slurp($file) or next;
        kill TERM => $pid;
        for (1 .. 250) {
            last if !-e $file;
            sleep 0.02;
        }
    }
}

# Answer and status.
sub curl (@args) {
    my (undef, $out, $said) = run('curl', '-sS', '-m', 20, '-w', "\n%{http_code}", @args);
    return $out . $said;
}

my @machine = ('-u', $owner, '--module', $module, '--mime-types', "$dir/mime.types");
my @logs    = ('-l', $dir, '-i', "$dir/[SERVERNAME].pid");

# As the generator says on stderr.
sub make_directory ($hints) {
    my ($install) = $hints =~ /^ +(install .*)$/m;
    is((run('sh', '-c', $install // 'false'))[0], 0, 'the hint makes the directory');
}

# Starts a node of these options, whose directory of files is DIR/NAME.
sub node ($name, $server, @options) {
    my ($rc, $out, $said) = generate('-s', $server, '-r', "$dir/$name", @machine, @logs, @options);
    is($rc, 0, "$name is written") or diag $said;
    make_directory($said);
    spew("$dir/$name.conf", here($out));
    is(problem("$dir/$name.conf"), '', "nginx -t accepts $name");
    start("$dir/$name.conf", "$dir/$server.pid");
}

chmod 0755, $dir;
spew("$dir/mime.types", "types { text/plain txt; }\n");
spew("$dir/hello.txt", "hello\n");
my $readme = slurp("$repo/README.md");

#--------------------------------------------------------------------- the synopsis

# The commands of the README, for this user, this directory, and ports that are free.
subtest 'the commands of the synopsis give a root and two children' => sub {
    my @commands = $readme =~ /^(nginx\.filedist -u niko .*)$/mg;
    is(scalar @commands, 3, 'the README has three');
    my %port = map { $_ => free_port() } 8080, 8081, 8082;
    @held = ();
    make_path("$dir/bin", "$dir/tree");
    symlink $generator, "$dir/bin/nginx.filedist";
    local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
    my %hints;
    for my $command (@commands) {
        $command =~ s/niko/$owner/;
        $command =~ s{/tmp\b}{$dir/tree}g;
        $command =~ s/localhost:(808\d)/localhost:$port{$1}/g;
        my ($file) = $command =~ / > (\S+)$/;
        my ($rc, $out, $said) = run('bash', '-c', "cd $dir/tree && $command");
        is($rc, 0, $command) or diag $said;
        $hints{$file} = $said;
        my $conf = slurp("$dir/tree/$file");
        ok($conf =~ s{modules/ngx_http_filedist_module\.so}{$module}, 'the module is where nginx looks for modules');
        ok($conf =~ s{/etc/nginx/mime\.types}{$dir/mime.types}, 'the types are those of nginx');
        spew("$dir/tree/$file", here($conf));
        make_directory($said);
        is(problem("$dir/tree/$file"), '', "nginx -t accepts $file");
        my ($server) = $command =~ /-s (\S+)/;
        start("$dir/tree/$file", "$dir/tree/nginx.$server.pid");
        ok(-s "$dir/tree/nginx.$server.pid", 'its pid file has the name of the server');
    }
    my $url = "http://localhost:$port{8080}";
    like($hints{'master.conf'}, qr{^ +curl -T some\.mp3 \Q$url\E/export/webroot/lautfm/var/some/path/file\.mp3$}m, 'how to PUT is said');
    like($hints{'master.conf'}, qr{a node with 2 children}, 'and what it is');

    my $path = '/export/webroot/lautfm/var/some/path/file.mp3';
    my $out = curl('-T', "$dir/hello.txt", "$url$path");
    like($out, qr/^201\z/m, 'a PUT at the root');
    like($out, qr{^success: localhost:$port{$_}\Q$path\E stored: 6 bytes$}m, "is on $_") for sort keys %port;
    is(slurp("$dir/tree/$_$path"), "hello\n", "the file is in $_") for qw(foo foo1 foo2);
    is(curl("http://localhost:$port{$_}$path"), "hello\n\n200", "$_ serves it") for sort keys %port;
    unlink "$dir/tree/foo$path";
    is(curl("$url$path"), "hello\n\n200", 'the root asks a child for what it has not');
    like(curl('-T', "$dir/hello.txt", "$url/elsewhere.txt"), qr/^404\z/m, 'no PUT outside of the prefix');
    like(curl("$url/"), qr/^404\z/m, 'no GET either');
    like(curl("$url/__missing__/"), qr/^200\z/m, 'there is a missing log');
    like(curl('-X', 'DELETE', "http://localhost:$port{8081}$path"), qr/^200\z/m, 'a DELETE at a child');
    ok(!-e "$dir/tree/foo1$path", 'is carried out');
    ok(-s "$dir/tree/localhost:$port{8080}.access.log", 'there is an access log');
    stop_all();
    for my $server (map "localhost:$_", values %port) {
        unlike(slurp("$dir/tree/$server.error.log"), qr/\[(?:alert|crit|emerg)\]/, "no alert of $server");
    }
};

#---------------------------------------------------------------------- combinations

# A key and a certificate that the authority signed: FILE.key, FILE.crt.
sub certificate ($authority, $file, $names) {
    spew("$file.ext", "subjectAltName = $names\n");
    my $new = 'openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=node';
    my ($rc, undef, $said) = run('sh', '-c', "$new -keyout $file.key -out $file.csr"
            . " && openssl x509 -req -in $file.csr -CA $authority.crt -CAkey $authority.key -CAcreateserial"
            . " -extfile $file.ext -days 2 -out $file.crt");
    die $said if $rc;
}

my ($rc, undef, $said) = run('sh', '-c', 'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
        . " -days 2 -subj /CN=authority -keyout $dir/ca.key -out $dir/ca.crt");
die $said if $rc;
certificate("$dir/ca", "$dir/node", 'DNS:children.example,DNS:localhost,IP:127.0.0.1');

my @ca   = ('--tls-ca', "$dir/ca.crt");
my @pair = ('--tls', "$dir/node.crt,$dir/node.key");
my $ipv6 = IO::Socket::IP->new(Listen => 1, LocalHost => '::1', LocalPort => 0);
my $odd  = q(odd ;{}#"'\\%);

subtest 'nginx -t accepts all combinations of options' => sub {
    my $port = free_port();
    @held = ();
    make_path("$dir/files", "$dir/$odd", "$dir/a/b");

    # Each of these four meets each other one; the rest takes turns beside them.
    my @servers  = ("localhost:$port", "127.0.0.1:$port", "0.0.0.0:$port", $ipv6 ? ("[::1]:$port", "[::]:$port") : ());
    my @children = ([], [ '-c', 'localhost:1' ], [ '-c', 'localhost:1,127.0.0.1:2', '-c', '[::1]:3' ]);
    my @tls      = ([], [@pair], [ @pair, @ca, '--tls-name', 'children.example' ],
        [ @pair, @ca, '--tls-name', 'children.example', '--tls-verify-client' ]);
    my @roots = ([ '-r', "$dir/files" ], [ '-r', "$dir/$odd/", '-p', "/$odd" ], [ '-r', "$dir/files", '-p', '/a' ], [ '-p', "$dir/a/b" ]);
    my @rest  = (
        [ [@logs], [ '-l', "$dir/$odd", '-i', "$dir/$odd/pid" ] ],
        [ [], [ '--allow', 'all' ], [ '--allow', '10.0.0.0/8,fd00::/8', '--allow', '127.0.0.1' ] ],
        [ [], [ '-m', 0 ], [ '-m', '30m' ], [ '-m', '1G' ], [ '--max-body-size', '16384' ] ],
        [ [], [ '--body-timeout', '45s' ], map [ '--body-timeout', $_ ], qw(500ms 2m 7 1h 10) ],
        [ [], ([ '--state', "$dir/state $odd" ]) x 10 ],
        [ [], [ '--name', 'node1.example:8080' ], ([ '--name', '[fd00::1]:80' ]) x 11 ],
    );
    my ($count, $bad) = (0, 0);
    for my $structure (product(\@servers, \@children, \@tls, \@roots)) {
        my ($server, $children, $tls, $root) = @$structure;
        next if @$children && "@$tls" eq "@pair";    # is refused, see below
        my @options = ('-s', $server, @machine, @$children, @$tls, @$root, map { $_->[ $count % @$_ ]->@* } @rest);
        $count++;
        my ($rc, $out, $problem) = generate(@options);
        if ($rc == 0) {
            spew("$dir/some.conf", here($out));
            $problem = problem("$dir/some.conf");
            $problem = "there is a variable in\n$out" if $out =~ s/^\s*#.*//mgr =~ s/\$host\b//r =~ /\$/;
        }
        next if !$problem;
        $bad++;
        diag "@options\n$problem";
    }
    is($bad, 0, "$count combinations");
    is($count, @servers * 10 * @roots, 'these are all');
};

sub product ($first, @others) {
    return map [$_], @$first if !@others;
    my @tails = product(@others);
    return map { my $head = $_; map [ $head, @$_ ], @tails } @$first;
}

#--------------------------------------------------------------------- what nodes do

subtest 'names that nginx.conf needs in quotes' => sub {
    my $port = free_port();
    @held = ();
    node($odd, "127.0.0.1:$port", '-p', "/p $odd", '--state', "$dir/state of $odd");
    my $url = "http://127.0.0.1:$port/" . "p $odd/a.txt" =~ s/([^\w.\/])/sprintf '%%%02X', ord $1/ger;
    like(curl('-T', "$dir/hello.txt", $url), qr/^201\z/m, 'a PUT');
    is(slurp("$dir/$odd/p $odd/a.txt"), "hello\n", 'the file is where it belongs');
    is(curl($url), "hello\n\n200", 'a GET');
    ok(-d "$dir/state of $odd/journal", 'the state, too');
    stop_all();
};

subtest 'with the whole disk as root, a path is the same in URLs and on the disk' => sub {
    my $port = free_port();
    @held = ();
    my ($rc, $out, $said) = generate('-s', "127.0.0.1:$port", '-p', "$dir/export/var", @machine, @logs);
    make_directory($said);
    spew("$dir/disk.conf", here($out));
    start("$dir/disk.conf", "$dir/127.0.0.1:$port.pid");
    like(curl('-T', "$dir/hello.txt", "http://127.0.0.1:$port$dir/export/var/a/b.txt"), qr/^201\z/m, 'a PUT');
    is(slurp("$dir/export/var/a/b.txt"), "hello\n", 'the file is there');
    is(curl("http://127.0.0.1:$port$dir/export/var/a/b.txt"), "hello\n\n200", 'a GET');
    like(curl("http://127.0.0.1:$port$dir/hello.txt"), qr/^404\z/m, 'and nothing else is served');
    ok(-d "$dir/export/var.filedist/journal", 'the state is beside it');
    stop_all();
};

subtest '--allow: who may PUT and DELETE' => sub {
    my ($own, $other) = map "127.0.0.1:" . free_port(), 1, 2;
    @held = ();
    my ($port) = $own =~ /:(\d+)/;
    node('own', "0.0.0.0:$port");
    node('other', $other, '--allow', '127.0.0.2,10.0.0.0/8');
    my @put = ('-T', "$dir/hello.txt");
    like(curl(@put, "http://$own/a.txt"), qr/^201\z/m, 'by default this machine may');
    like(curl(@put, '--interface', '127.0.0.2', "http://127.0.0.2:$port/a.txt"), qr/^403\z/m, 'and nobody else');
    like(curl('-X', 'DELETE', '--interface', '127.0.0.2', "http://127.0.0.2:$port/a.txt"), qr/^403\z/m, 'no DELETE either');
    is(curl('--interface', '127.0.0.2', "http://127.0.0.2:$port/a.txt"), "hello\n\n200", 'but everybody may GET');
    like(curl(@put, "http://$other/a.txt"), qr/^403\z/m, 'who is not named may not');
    like(curl(@put, '--interface', '127.0.0.2', "http://$other/a.txt"), qr/^201\z/m, 'who is named may');
    stop_all();
};

subtest '--max-body-size' => sub {
    my $port = free_port();
    @held = ();
    node('small', "127.0.0.1:$port", '-m', 5);
    like(curl('-T', "$dir/hello.txt", "http://127.0.0.1:$port/a.txt"), qr/^413\z/m, 'a file that is larger is refused');
    stop_all();
};

subtest '--tls: a tree that talks https, with certificates on both sides' => sub {
    my ($root, $middle, $leaf) = map free_port(), 1 .. 3;
    @held = ();
    my @children = (@ca, '--tls-name', 'children.example');
    node('tls-leaf', "127.0.0.1:$leaf", @pair, @ca, '--tls-verify-client');
    node('tls-middle', "127.0.0.1:$middle", @pair, @children, '--tls-verify-client', '-c', "127.0.0.1:$leaf");
    node('tls-root', "127.0.0.1:$root", @pair, @children, '-c', "127.0.0.1:$middle");
    my $out = curl('--cacert', "$dir/ca.crt", '-T', "$dir/hello.txt", "https://127.0.0.1:$root/a.txt");
    like($out, qr/^201\z/m, 'a PUT');
    is(slurp("$dir/$_/a.txt"), "hello\n", "is on $_") for qw(tls-root tls-middle tls-leaf);
    like(curl('--cacert', "$dir/ca.crt", "https://127.0.0.1:$leaf/a.txt"), qr/^400\z/m, 'the leaf wants a certificate');
    stop_all();

    node('tls-root', "127.0.0.1:$root", @pair, @ca, '--tls-name', 'strangers.example', '-c', "127.0.0.1:$middle");
    node('tls-middle', "127.0.0.1:$middle", @pair);
    $out = curl('--cacert', "$dir/ca.crt", '-T', "$dir/hello.txt", "https://127.0.0.1:$root/b.txt");
    like($out, qr/^error: 127\.0\.0\.1:$middle/m, 'who has not the name of --tls-name is no child');
    stop_all();
};

#------------------------------------------------------------------------ what is wrong

my @right = ('-s', 'localhost:8080', '-r', '/srv/files');

sub refused ($option, @options) {
    my ($rc, $out, $said) = generate(@options);
    my $shown = join ' ', map { s/([^ -~])/sprintf '\\x%02x', ord $1/ger } @options;
    is("$rc|$out", '2|', "refused: $shown");
    like($said, qr/\Q$option\E(?![\w-])/, "$option is named");
}

subtest 'what is wrong is refused, and named' => sub {
    refused('--server', '-r', '/srv/files');
    refused('--server', '-r', '/srv/files', '-s', $_) for '', '8080', 'localhost', 'localhost:0', '::1:80', 'a b:80', '$a:80', "a:80;\n";
    refused('--server', @right, '-s', 'localhost:1');
    refused('--root', '-s', 'localhost:8080');
    refused('--root', '-s', 'localhost:8080', '-r', $_) for '', 'files', '/srv/../etc', '/srv/$host', "/srv/a\nb";
    refused('--child-nodes', @right, '-c', $_)
        for '', 'localhost', 'localhost:1,', 'localhost:8080', 'a:1,a:1', '[::]:1', 'http://a:1', 'a:1;b:2';
    refused('--path-prefix', @right, '-p', $_) for '', 'a', '/..', '/a%20b', '/__missing__/', '/__status__', '/$a';
    refused('--state', @right, '--state', $_) for '', 'state', '/srv/files', '/srv/files/state', '/srv', '/';
    refused('--allow', @right, '--allow', $_) for '', 'localhost', '10.0.0.0/33', '10.0.0.1/8', '10.0.0.1;', '10.0.0.1,';
    refused('--max-body-size', @right, '-m', $_) for '', '30mb', '-1', '1.5m', '9223372036854775807k', '1;';
    refused('--body-timeout', @right, '--body-timeout', $_) for '', '0', '1d', '-1', 'soon';
    refused('--name', @right, '--name', $_) for '', 'a,b', 'a b', '$hostname', "a\n";
    refused('--user', @right, '-u', $_) for '', 'a b', 'a;', ':', '-';
    refused('--pid', @right, '-i', $_) for '', 'nginx.pid', "/run/\n", '/srv/files/pid';
    refused('--log-dir', @right, '-l', $_) for '', 'log', '/srv/files/log', '/var/$a';
    refused('--module', @right, '--module', $_) for '', "a\n";
    refused('--mime-types', @right, '--mime-types', $_) for '', 'mime.types', "/\t";
    refused('--tls', @right, '--tls', $_) for '', '/a', '/a,b', '/a,/b,/c', '/a,/srv/files/key';
    refused('--tls', @right, @ca);
    refused('--tls', @right, '--tls-name', 'a');
    refused('--tls-ca', @right, '--tls', '/a,/b', '--tls-ca', $_) for '', 'ca', '/srv/files/ca';
    refused('--tls-ca', @right, '--tls', '/a,/b', '--tls-verify-client');
    refused('--tls-ca', @right, '--tls', '/a,/b', '-c', 'a:1');
    refused('--tls-name', @right, '--tls', '/a,/b', '-c', 'a:1', @ca);
    refused('--tls-name', @right, '--tls', '/a,/b', '--tls-name', '');
    refused('--print-template', @right, '--print-template');
    refused('--nothing', @right, '--nothing');
    refused('TEMPLATE', @right, $_) for '', "$dir/nothing.tmpl", $dir;
    refused('--server', '-r', '/srv/files', '-s', "\xff:80");
    refused('--root', '-s', 'localhost:8080', '-r', "/\xff");
};

subtest 'stdout that takes nothing' => sub {
    my ($rc, undef, $said) = run('sh', '-c', "$generator @right > /dev/full");
    is($rc, 1, 'is a failure');
    like($said, qr/cannot write to stdout: No space left/, 'and said');
};

#---------------------------------------------------------------------- templates, help

subtest 'a template of one\'s own' => sub {
    spew("$dir/my.tmpl", "root {{ root }}; # {{ server }}{% for child in child_nodes %} {{ child }}{% endfor %}.\n");
    my @odd = ('-s', 'localhost:1', '-r', "/srv/$odd", '-c', 'a:1,b:2');
    my ($rc, $out) = generate(@odd, "$dir/my.tmpl");
    is("$rc|$out", '0|root "/srv/' . $odd =~ s/(["\\])/\\$1/gr . qq(";) . " # localhost:1 a:1 b:2.\n", 'is used, values are quoted');

    my (undef, $built_in) = generate('--print-template');
    is($built_in, slurp("$repo/nginx-conf/nginx.conf.tmpl"), '--print-template prints the one that is built in');
    spew("$dir/copy.tmpl", $built_in);
    my ($with, $without) = map { (generate(@right, @$_))[1] =~ s/^#  +nginx\.filedist .*//mr } [], ["$dir/copy.tmpl"];
    is($with, $without, 'which does the same');
    like($with, qr/^load_module /m, 'that is');
};

sub fails ($name, $template, @expected) {
    spew("$dir/wrong.tmpl", $template);
    my ($rc, $out, $said) = generate(@right, "$dir/wrong.tmpl");
    is("$rc|$out", '1|', $name);
    like($said, $_, 'and says why') for @expected;
}

subtest 'a template that is wrong' => sub {
    my $line = qr{\Q$dir/wrong.tmpl\E, line 3: };
    fails('a name that is not known', "a;\n\nroot {{ rot }};\n", $line, qr/undefined/, qr/^    root \{\{ rot \}\};$/m);
    fails('a block that does not end', "a;\n\n{% if root %}\n", qr{wrong\.tmpl, line \d+: syntax error});
    fails('syntax', "a;\n\nroot {{ root ;\n", $line, qr/syntax error/);
    fails('a filter that is not known', "a;\n\n{{ root|rot }}\n", $line, qr/filter/);
    fails('one of the Ruby generator', "root <%= conf.root %>;\n", qr/wrong\.tmpl is an ERB template/, qr/--print-template/);
};

subtest '--help' => sub {
    my ($rc, $help) = generate('--help');
    is($rc, 0, 'is no failure');
    my @examples = $help =~ s/\\\n *//gr =~ /^ +(nginx\.filedist .*)$/mg;
    cmp_ok(scalar @examples, '>=', 8, 'has examples');
    local $ENV{PATH} = "$dir/bin:$ENV{PATH}";
    for my $example (@examples) {
        my ($rc, undef, $said) = run('bash', '-c', "cd $dir && $example");
        is($rc, 0, $example) or diag $said;
    }
    like(slurp("$dir/node.conf"), qr/^ +filedist on;$/m, 'that write configurations');

    # The table of the README has the options that there are, and their defaults.
    my ($section) = $readme =~ /^## The generator\n(.*?)^## /ms;
    my %row     = map { /`(--[a-z-]+)`/ ? ($1 => $_) : () } $section =~ /^\|.*/mg;
    my %options = map { $_ => 1 } grep !/^--(?:help|version)$/, $help =~ /^ +(?:-\w, )?(--[a-z-]+)/mg;
    is_deeply([ sort keys %row ], [ sort keys %options ], 'the README has all options');
    my %default = (generate('-h'))[1] =~ /(--[a-z-]+) .*\[default: (\S+)\]/g;
    cmp_ok(scalar keys %default, '>=', 8, 'some have defaults');
    like($row{$_}, qr/\| `\Q$default{$_}\E`/, "$_ is by default $default{$_}") for sort keys %default;
};

subtest 'manual page and completions' => sub {
    my ($rc, $page) = generate('--print-man');
    is($rc, 0, 'there is a page');
    my @options = (generate('--help'))[1] =~ /^ +(?:-\w, )?--([a-z-]+)/mg;
    my @missing = grep { my $name = s/-/\\-/gr; $page !~ /^\.TP\n.*\\fB\\-\\-\Q$name\E\\fR/m } @options;
    is("@missing", '', 'with all options');
    like($page, qr/^\.SH EXAMPLES\n.*^    nginx\.filedist \\-r .* \\e$/ms, 'and the examples');
    for my $shell (qw(bash zsh fish)) {
        my ($rc, $script) = generate('--print-completions', $shell);
        is($rc, 0, "completions for $shell");
        @missing = grep $script !~ /\b$_\b/, @options;
        is("@missing", '', 'with all options');
    }
    refused('--print-completions', '--print-completions', 'csh');
};

done_testing();
