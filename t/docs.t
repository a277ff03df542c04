# The README and docs/ say what is so: each directive is documented with the contexts of the code's table, links lead
# somewhere, configurations are accepted, and the commands of the README print what it shows. Each check is a function
# that returns what it finds wrong; each is also given a text with a mistake, which it has to find.

use v5.36;
use Test::More;
use Cwd qw(abs_path);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use IO::Socket::INET;
use Time::HiRes qw(sleep);

my $repo   = abs_path("$FindBin::Bin/..");
my $nginx  = $ENV{TEST_NGINX_BINARY} // 'nginx';
my $module = $ENV{TEST_NGINX_LOAD_MODULES} // "$repo/target/release/ngx_http_filedist_module.so";
my $dir    = tempdir('filedist-docs-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $user   = getpwuid $>;
my @nodes  = qw(root child1 child2);

# All nodes are on this machine: no proxy has a part in it.
delete @ENV{ grep /_proxy$/i, keys %ENV };

END {
    local $?;
    for my $node (@nodes) {
        my $pid = slurp("$dir/target/demo/$node/nginx.pid") or next;
        kill TERM => $pid;
        for (1 .. 100) {
            last if !-e "$dir/target/demo/$node/nginx.pid";
            sleep 0.02;
        }
    }
}

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

# The code blocks of a text that are marked as $kind.
sub blocks ($text, $kind) { return $text =~ /^```\Q$kind\E\n(.*?)^```$/msg }

# $text with one passage changed, which has to be there.
sub with ($text, $from, $to) {
    $text =~ s/$from/$to/ or die "there is no $from to change\n";
    return $text;
}

sub right ($name, @problems) {
    diag "  $_" for @problems;
    return ok(!@problems, $name);
}

sub wrong ($name, $expected, @problems) {
    like(join("\n", @problems), $expected, "would find $name");
}

my $readme   = slurp("$repo/README.md");
my $commands = slurp("$repo/src/conf/commands.rs");
my @pages    = ("$repo/README.md", "$repo/CHANGELOG.md", glob "$repo/docs/*.md");

#------------------------------------------------------------------ directives

my %context = (
    MAIN_CONF => 'http',
    SRV_CONF  => 'server',
    LOC_CONF  => 'location',
    UPS_CONF  => 'upstream',
    SIF_CONF  => 'if in server',
    LIF_CONF  => 'if in location',
    LMT_CONF  => 'limit_except',
);

# Name => contexts, of the table in commands.rs.
sub directives_of_code ($rust) {
    my %directives;
    while ($rust =~ /name: ngx_string!\("(\w+)"\),\s*type_: \(([^)]*)\)/g) {
        my ($name, $flags) = ($1, $2);
        my @contexts = map $context{$_} // "NGX_HTTP_$_", $flags =~ /NGX_HTTP_(\w+)/g;
        $directives{$name} = join ', ', sort @contexts;
    }
    return %directives;
}

# Name => text of its section, of the README's reference.
sub sections ($text) {
    my ($reference) = $text =~ /^## Directives\n(.*?)^## /ms;
    my (undef, %sections) = split /^### (.+)\n/m, $reference // '';
    return %sections;
}

sub directive_problems ($rust, $text) {
    my %code     = directives_of_code($rust);
    my %sections = sections($text);
    return 'no directives in commands.rs' if !%code;
    my @problems = map "$_ has a section, and is not in the table", grep !exists $code{$_}, sort keys %sections;
    for my $name (sort keys %code) {
        my $section = $sections{$name};
        push @problems, "$name has no section" and next if !defined $section;
        push @problems, "$name: no syntax" if $section !~ /^\*\*Syntax:\*\* \*\*`\Q$name\E`\*\*/m;
        push @problems, "$name: no default" if $section !~ /^\*\*Default:\*\* \S/m;
        push @problems, "$name: not said when it appeared"
            if $section !~ /^_This directive appeared in version \d+\.\d+\.\d+\._$/m;
        push @problems, "$name: no example" if !blocks($section, 'nginx');
        my ($line) = $section =~ /^\*\*Context:\*\* (.+)$/m;
        my $contexts = join ', ', sort split /, /, $line // '';
        push @problems, "$name: contexts are $code{$name}, the README says $contexts" if $contexts ne $code{$name};
    }
    return @problems;
}

subtest 'each directive has its reference' => sub {
    right('table and README agree', directive_problems($commands, $readme));
    my $find = sub ($name, $expected, $rust, $text) { wrong($name, $expected, directive_problems($rust, $text)) };
    $find->('a directive without section', qr/^filedist_x has no section/m, with($commands, '"filedist_zone"', '"filedist_x"'), $readme);
    $find->('a section without directive', qr/^filedist_y has a section/m, $commands, with($readme, '### filedist_zone', '### filedist_y'));
    $find->('a wrong context', qr/^filedist: contexts are/m, $commands, with($readme, 'http, server, location', 'http, server'));
    $find->('a new context', qr/^filedist_zone: contexts are/m,
        with($commands, qr/\(NGX_HTTP_MAIN_CONF \| NGX_CONF_TAKE1\)/, '(NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_CONF_TAKE1)'), $readme);
    $find->('a missing syntax',  qr/^filedist: no syntax/m,  $commands, with($readme, qr/^\*\*Syntax:.*\n/m,  ''));
    $find->('a missing default', qr/^filedist: no default/m, $commands, with($readme, qr/^\*\*Default:.*\n/m, ''));
    $find->('a missing version', qr/^filedist: not said/m,   $commands, with($readme, qr/^_This directive.*\n/m, ''));
};

#----------------------------------------------------------- fields, variables

my $formats    = slurp("$repo/docs/formats.md");
my $model      = slurp("$repo/src/pages/status/model.rs");
my $prometheus = slurp("$repo/src/pages/status/prometheus.rs");
my $variables  = slurp("$repo/src/nginx/variables.rs");

# Rows of the first table below a heading: first cell, without its quotes => the others.
sub table ($text, $heading) {
    my ($section) = $text =~ /^#+ \Q$heading\E\n(.*?)(?=^#|\z)/ms;
    my ($table) = ($section // '') =~ /((?:^\|.*\n)+)/m;
    my %rows;
    for my $row (split /\n/, $table // '') {
        my ($first, @cells) = $row =~ /([^|]+)\|/g;
        $rows{$1} = \@cells if ($first // '') =~ /^ `(.+)` $/;
    }
    return %rows;
}

# Field => type in JSON, of a structure in model.rs and of those in it; not of Node in Child, which is one of its own.
sub fields_of_code ($rust, $struct) {
    my ($body) = $rust =~ /^pub\(crate\) struct $struct \{\n(.*?)^\}/ms;
    my %json = (String => 'string', u64 => 'number', f64 => 'number', bool => 'boolean');
    my %fields;
    for my $field (($body // '') =~ /^    pub\(crate\) (\w+: .+),$/mg) {
        my ($name, $type) = split /: /, $field;
        my $null = $type =~ s/^Option<(.+)>$/$1/ ? ' or null' : '';
        if    ($type =~ /^Vec</)                   { $fields{$name} = 'array' }
        elsif ($type =~ /^Box</)                   { $fields{$name} = "object$null" }
        elsif ($json{$type})                       { $fields{$name} = $json{$type} . $null }
        else {
            my %inner = fields_of_code($rust, $type);
            $fields{"$name.$_"} = $inner{$_} for keys %inner;
            $fields{$name} = "object$null" if $null || !%inner;
        }
    }
    return %fields;
}

sub field_problems ($rust, $text) {
    my @problems;
    for my $struct (qw(Node Child)) {
        my %code  = fields_of_code($rust, $struct) or return "no fields of $struct in model.rs";
        my %table = table($text, 'A ' . lc $struct);
        push @problems, "$struct: $_ is described, and is none" for grep !exists $code{$_}, sort keys %table;
        for my $field (sort keys %code) {
            push @problems, "$struct: $field is not described" and next if !exists $table{$field};
            my $type = $table{$field}[0] =~ s/^ | $//gr;
            push @problems, "$struct: $field is $code{$field}, not $type" if $type ne $code{$field};
        }
    }
    return @problems;
}

subtest 'each field of the status is described' => sub {
    right('model.rs and formats.md agree', field_problems($model, $formats));
    my $find = sub ($name, $expected, $rust, $text) { wrong($name, $expected, field_problems($rust, $text)) };
    $find->('a new field', qr/^Node: colour is not described/m,
        with($model, qr/^    pub\(crate\) nginx: String,\n\K/m, "    pub(crate) colour: String,\n"), $formats);
    $find->('a new one of a part', qr/^Child: missing\.depth is not described/m,
        with($model, qr/^pub\(crate\) struct Missing \{\n\K/m, "    pub(crate) depth: u64,\n"), $formats);
    $find->('a field that is not described', qr/^Child: since is not described/m,
        $model, with($formats, qr/^### A child\n.*?\K^\| `since`.*?\n/ms, ''));
    $find->('one that is gone', qr/^Node: nginx is described, and is none/m,
        with($model, qr/^    pub\(crate\) nginx: String,\n/m, ''), $formats);
    $find->('another type', qr/^Child: up is boolean or null, not boolean$/m,
        $model, with($formats, 'boolean or null', 'boolean'));
};

# Metric => type. Counters and gauges are made by functions of that name.
sub metrics_of_code ($rust) {
    return reverse $rust =~ /\.(gauge|counter)\(\s*"(\w+)"/g;
}

sub metric_problems ($rust, $text) {
    my %code  = metrics_of_code($rust) or return 'no metrics in prometheus.rs';
    my %table = table($text, 'Metrics');
    my @problems = map "$_ is described, and is none", grep !exists $code{$_}, sort keys %table;
    for my $metric (sort keys %code) {
        push @problems, "$metric is not described" and next if !exists $table{$metric};
        my $type = $table{$metric}[0] =~ s/^ | $//gr;
        push @problems, "$metric is a $code{$metric}, not a $type" if $type ne $code{$metric};
    }
    return @problems;
}

subtest 'each metric is described' => sub {
    right('prometheus.rs and formats.md agree', metric_problems($prometheus, $formats));
    my $find = sub ($name, $expected, $rust, $text) { wrong($name, $expected, metric_problems($rust, $text)) };
    $find->('a new one', qr/^filedist_x is not described/m, with($prometheus, '"filedist_child_up"', '"filedist_x"'), $formats);
    $find->('one that is gone', qr/^filedist_y is described, and is none/m,
        $prometheus, with($formats, '`filedist_child_up`', '`filedist_y`'));
    $find->('another type', qr/^filedist_changes_total is a counter, not a gauge/m,
        $prometheus, with($formats, qr/`filedist_changes_total` \| \Kcounter/, 'gauge'));
};

sub variable_problems ($rust, $text) {
    my ($names) = $rust =~ /^const NAMES: .*?=\s*\[(.*?)\];/ms;
    my %code  = map { ("\$$_" => 1) } ($names // '') =~ /"(\w+)"/g or return 'no variables in variables.rs';
    my %table = table($text, 'The access log');
    return (map "$_ is not described", grep !$table{$_}, sort keys %code),
        map "$_ is described, and is none", grep !$code{$_}, sort keys %table;
}

subtest 'each variable is described' => sub {
    right('variables.rs and README agree', variable_problems($variables, $readme));
    my $other = with($variables, qr/"filedist_version"/, '"filedist_x"');
    wrong('a new one',        qr/^\$filedist_x is not described/m,               variable_problems($other, $readme));
    wrong('one that is gone', qr/^\$filedist_version is described, and is none/m, variable_problems($other, $readme));
};

#------------------------------------------------------------------ Prometheus

my ($promtool) = `$repo/tools/promtool 2>/dev/null` =~ /(.+)/;

# promtool accepts the configurations, and their rules are about metrics that there are.
sub prometheus_problems ($text, $rust) {
    my %metrics = metrics_of_code($rust);
    my @problems;
    for my $block (blocks($text, 'yaml')) {
        my $what = $block =~ /^groups:/ ? 'rules' : 'config';
        spew("$dir/prometheus.yml", $block);
        my $out = `$promtool check $what $dir/prometheus.yml 2>&1`;
        push @problems, "check $what: $out" if $?;
        push @problems, map "there is no metric $_", grep !$metrics{$_}, $block =~ /\b(filedist_\w+)/g;
    }
    return @problems;
}

subtest 'Prometheus takes its configuration' => sub {
    plan skip_all => 'no promtool' if !$promtool;
    is(scalar(() = blocks($readme, 'yaml')), 2, 'there are one to scrape, and one with rules');
    right('both', prometheus_problems($readme, $prometheus));
    wrong('a misspelt field', qr/^check config: /m, prometheus_problems(with($readme, 'metrics_path', 'metric_path'), $prometheus));
    wrong('a rule that is none', qr/^check rules: /m, prometheus_problems(with($readme, 'time\(\) - ', 'time( - '), $prometheus));
    wrong('a metric that is none', qr/^there is no metric filedist_child_down/m,
        prometheus_problems(with($readme, 'expr: filedist_child_up', 'expr: filedist_child_down'), $prometheus));
};

#----------------------------------------------------------------------- links

# As GitHub makes the names of headings.
sub anchors ($text) { return map { lc s/[^\w\s-]//gr =~ s/\s/-/gr } $text =~ /^#+ (.+)$/mg }

sub link_problems ($file, $text) {
    my @problems;
    my ($folder) = $file =~ m{(.*)/};
    for my $link ($text =~ /\]\(([^)\s]+)\)/g, $text =~ /^\[[^\]]+\]: (\S+)$/mg) {
        next if $link =~ m{^https?://};
        my ($path, $anchor) = split /#/, $link;
        my $target = $path eq '' ? $file : "$folder/$path";
        push @problems, "$file: $link leads nowhere" and next if !-e $target;
        next if !defined $anchor;
        my @anchors = anchors($target eq $file ? $text : slurp($target));
        push @problems, "$file: $link leads to no heading" if !grep $_ eq $anchor, @anchors;
    }
    return @problems;
}

subtest 'each link leads somewhere' => sub {
    right($_ =~ s{\Q$repo/}{}r, link_problems($_, slurp($_))) for @pages;
    wrong('a file that is not there', qr/leads nowhere/, link_problems("$repo/README.md", '[x](docs/nothing.md)'));
    wrong('a reference to one', qr/leads nowhere/, link_problems("$repo/docs/formats.md", "[x]: README.md\n"));
    wrong('a heading that is not there', qr/no heading/, link_problems("$repo/README.md", "[x](#nothing)\n"));
};

sub target_problems ($makefile, $text) {
    my %targets = map { $_ => 1 } map { split ' ' } $makefile =~ /^([a-z-]+(?: [a-z-]+)*):/mg;
    my $code = join "\n", blocks($text, 'sh'), $text =~ /(?<!`)`([^`\n]+)`(?!`)/g;
    return map "there is no make $_", grep !$targets{$_}, $code =~ /\bmake(?: -\w+)* ([a-z][a-z-]*)/g;
}

subtest 'each target of make exists' => sub {
    my $makefile = slurp("$repo/Makefile");
    right($_ =~ s{\Q$repo/}{}r, target_problems($makefile, slurp($_))) for @pages;
    wrong('one in a block', qr/no make nothing/, target_problems($makefile, "```sh\nmake nothing\n```\n"));
    wrong('one in a line',  qr/no make nothing/, target_problems($makefile, "say `make nothing`\n"));
};

#-------------------------------------------------------------- configurations

my @held;

sub free_port () {
    my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "no free port: $!\n";
    push @held, $socket;
    return $socket->sockport;
}

my $temp_paths = join '', map "    ${_}_temp_path $dir/conf/$_;\n", qw(client_body proxy fastcgi uwsgi scgi);

# A block as a whole configuration with paths of this machine. What is in conf.d is the text's first block.
sub whole ($block, $confd) {
    my $server = "listen 127.0.0.1:8080; root /srv/files;";
    my ($first) = $block =~ /(\w+)/;
    if ($block !~ /^http \{/m) {
        $block = "server { $server filedist_state /var/lib/nginx/filedist;\n$block}\n" if $first eq 'location';
        $block = "upstream children { server 127.0.0.1:1; filedist_fanout; }\n$block" if $block !~ /^upstream children /m;
        $block = "load_module modules/ngx_http_filedist_module.so;\nevents {}\nhttp {\n$block}\n";
    }
    $block =~ s{^ *include /etc/nginx/conf\.d/filedist\.conf;\n}{$confd}m;
    $block =~ s{modules/ngx_http_filedist_module\.so}{$module};
    $block =~ s{/var/lib/nginx/filedist}{$dir/conf/state}g;
    $block =~ s{/srv/files}{$dir/conf/files}g;
    $block =~ s{/var/log/nginx/}{$dir/conf/}g;
    $block =~ s{listen 8080}{listen 127.0.0.1:8080}g;
    $block =~ s{eu\.example\.com}{127.0.0.3}g;
    $block =~ s{^http \{\n\K}{    access_log off;\n$temp_paths}m;
    return "pid $dir/conf/nginx.pid;\n$block";
}

sub configuration_problems ($text) {
    my @blocks = blocks($text, 'nginx');
    return 'no configurations' if !@blocks;
    make_path("$dir/conf/files");
    # nginx warns of a root that its workers may not write to.
    chmod 0777, "$dir/conf/files";
    my @problems;
    for my $block (@blocks) {
        spew("$dir/conf/nginx.conf", whole($block, $blocks[0]));
        my $out = `$nginx -t -p $dir/conf -c nginx.conf -e error.log 2>&1`;
        my ($name) = $block =~ /^\s*(.*?)\s*$/m;
        push @problems, "the block that starts with \"$name\": $out" if $? || $out =~ /\[(?:emerg|warn)\]/;
    }
    return @problems;
}

subtest 'nginx accepts each configuration' => sub {
    my @first = blocks($readme, 'nginx');
    like($first[$_], qr/^server \{/m, 'a parent and a leaf are whole servers') for 0, 1;
    like($first[2], qr/^user .*^http \{\n    include/ms, 'and there is one around them');
    for my $page (@pages) {
        my $text = slurp($page);
        right($page =~ s{\Q$repo/}{}r, configuration_problems($text)) if blocks($text, 'nginx');
    }
    wrong('a parent without filedist_fanout', qr/no "filedist_fanout"/,
        configuration_problems(with($readme, qr/^ +filedist_fanout;.*\n/m, '')));
    wrong('a node without state', qr/without "filedist_state"/,
        configuration_problems(with($readme, qr/^ +filedist_state .*\n/m, '')));
    wrong('a misspelt directive', qr/unknown directive/,
        configuration_problems(with($readme, qr/filedist_zone 1m;/, 'filedist_zones 1m;')));
};

#-------------------------------------------------------------------- commands

# The README's tree is that of `make demo`: the same configurations, on ports that are free.
my %port = map { $_ => free_port() } 8080, 8081, 8082;

sub make_node ($name, $template, $port) {
    my $home = "$dir/target/demo/$name";
    make_path("$home/files", "$home/state");
    my %value = (
        MODULE => $module,
        USER   => $> == 0 ? "user $user;" : '',
        PORT   => $port{$port},
        CHILD1_PORT => $port{8081},
        CHILD2_PORT => $port{8082},
    );
    my $conf = slurp("$repo/demo/$template") or die "there is no demo/$template\n";
    $conf =~ s/\@(\w+)\@/$value{$1} \/\/ die "demo\/$template: \@$1\@ is new\n"/ge;
    spew("$home/nginx.conf", $conf);
    my $out = `$nginx -p $home -c nginx.conf -e error.log 2>&1`;
    is($?, 0, "$name starts") or BAIL_OUT($out);
}

# Pairs of command and expected output.
sub transcript ($text) {
    my @steps;
    for my $line (map { split /\n/ } blocks($text, 'console')) {
        if ($line =~ /^\$ (.+)/) { push @steps, [ $1, '' ] }
        elsif (@steps)           { $steps[-1][1] .= "$line\n" }
    }
    return @steps;
}

# Times, versions, and digests of them, differ from run to run.
sub constant ($text) {
    $text =~ s/\b1\d{18}\b/VERSION/g;
    $text =~ s/\b[0-9a-f]{32}\b/DIGEST/g;
    return $text =~ s/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/TIME/gr;
}

# Runs the commands in one shell, and returns [output, status] for each.
sub run (@steps) {
    my $script = "cd $dir\n";
    for my $step (@steps) {
        my $command = $step->[0] =~ s{localhost:(808\d)}{127.0.0.1:$port{$1}}gr;
        $command =~ s{127\.0\.0\.1:(808\d)}{127.0.0.1:$port{$1}}g;
        $command =~ s{/usr/sbin/nginx}{$nginx}g;
        $script .= "$command\nprintf '\\001%d\\002' \$?\n";
    }
    spew("$dir/script", $script);
    my $out = `timeout 300 bash $dir/script 2>$dir/stderr </dev/null`;
    $out =~ s/127\.0\.0\.1:$port{$_}/127.0.0.1:$_/g for keys %port;
    return map { [ /(.*)\x01(\d+)\z/s ] } split /\x02/, $out;
}

sub command_problems ($steps, $results) {
    my @problems;
    for my $i (0 .. $#$steps) {
        my ($command, $expected) = $steps->[$i]->@*;
        my ($got, $status) = ($results->[$i] // [ '', 'none' ])->@*;
        push @problems, "$command\n    ended with status $status" if $status ne '0';
        push @problems, "$command\n    prints: $got    not: $expected" if constant($got) ne constant($expected);
    }
    return @problems;
}

subtest 'the commands print what the README shows' => sub {
    @held = ();
    chmod 0755, $dir;
    make_node(child1 => 'child.conf', 8081);
    make_node(child2 => 'child.conf', 8082);
    make_node(root   => 'root.conf',  8080);
    my ($use, $operate) = split /^## Operate$/m, $readme;
    my @steps = transcript($use);
    cmp_ok(scalar @steps, '>', 15, 'there are commands');
    my @results = run(@steps);
    right('those to use it', command_problems(\@steps, \@results)) or diag slurp("$dir/stderr");

    my @files = sort split /\n/, `cd $dir/target/demo/child2/files && find . -type f`;
    is_deeply(\@files, ['./b/hello.txt'], 'wget has left what was missing, and nothing else');
    my ($here, $there) = map +(stat "$dir/target/demo/$_/files/b/hello.txt")[9], qw(root child2);
    is($there, $here, 'with its time');

    my @more = transcript($operate);
    cmp_ok(scalar @more, '>', 15, 'there are more');
    right('those to operate it', command_problems(\@more, [ run(@more) ])) or diag slurp("$dir/stderr");

    my @other = transcript(with($use, qr/stored: 7 bytes/, 'stored: 8 bytes'));
    wrong('another output', qr/^curl -T .*\n\s+prints: /m, command_problems(\@other, \@results));
    my @one = run([ 'false', '' ], [ 'curl http://localhost:8081/nowhere.txt', "Hello.\n" ]);
    wrong('a command that fails', qr/^false\n\s+ended with status 1/m, command_problems([ [ 'false', '' ] ], \@one));
    wrong('an answer that is not the one shown', qr/prints: .*404 Not Found/s,
        command_problems([ [ 'curl', "Hello.\n" ] ], [ $one[1] ]));
    for my $node (@nodes) {
        unlike(slurp("$dir/target/demo/$node/error.log"), qr/\[(?:alert|crit|emerg)\]/, "no alert of $node");
    }
};

done_testing();
