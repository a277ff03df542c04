# The status page in a browser: it shows how the tree is while that changes, and needs nothing from elsewhere.

use v5.36;
use Filedist;
use Filedist::Browser;
use Filedist::Tree;

use Digest::SHA qw(sha256_base64);
use File::Temp qw(tempdir);
use Time::HiRes qw(sleep time);

plan skip_all => 'chromium is not installed'     if !Filedist::Browser->program;
plan skip_all => 'too slow under valgrind'       if $ENV{TEST_NGINX_USE_VALGRIND};
plan skip_all => 'the module has no status page' if !has_directive('filedist_status');
plan 'no_plan';
no_root_location();
prepare_dirs(qw(root c1 c2));
worker_connections(512);

sub has_directive ($name) {
    my $module = $ENV{TEST_NGINX_LOAD_MODULES} // die 'TEST_NGINX_LOAD_MODULES is not set';
    my $nginx  = $ENV{TEST_NGINX_BINARY} // 'nginx';
    my $dir    = tempdir(CLEANUP => 1);
    open my $conf, '>', "$dir/nginx.conf" or die "$dir/nginx.conf: $!";
    print $conf "load_module $module; events {} http { server { location / { $name; } } }";
    close $conf or die "$dir/nginx.conf: $!";
    return `$nginx -t -p $dir -c nginx.conf -e error.log 2>&1` !~ /unknown directive "\Q$name\E"/;
}

# C1 is asked directly, C2 through the relay at L, which can be ended.
our $root = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist_catch_up on max_backoff=100ms;
    location = /alive { return 204; }
    location / {
        filedist on;
        root $TEST_NGINX_DATA/root;
        proxy_pass http://children;
        proxy_connect_timeout 5s;
    }
    location /__missing__/ { filedist_missing; }
    location /__status__/  { filedist_status; }
END

add_block_preprocessor(sub ($block) {
    $ENV{"TEST_NGINX_$_"} = free_port() for qw(C1 C2 L);
    my $status = 'location /__status__/ { filedist_status; }';
    my $nodes = join '', map leaf($_, "127.0.0.1:\$TEST_NGINX_\U$_", $status), qw(c1 c2);
    $block->set_value(http_config => upstream(map "127.0.0.1:\$TEST_NGINX_$_", qw(C1 L)) . $nodes);
    $block->set_value(config      => $root);
    $block->set_value(request     => 'GET /alive');
    $block->set_value(error_code  => 204);
});

add_test_cleanup_handler(\&end_processes);

our $browser = Filedist::Browser->start;

sub page ($query = '') { return '/__status__/' . $query }

sub look_at ($query = '') {
    $browser->forget;
    $browser->open('http://127.0.0.1:' . server_port() . page($query));
}

# What the tile of a child is: d(own), b(ehind), s(ilent), u(nknown) or w(ell).
sub is_shown ($child, $state, $name) {
    my $tile = qq([...document.querySelectorAll('.tree details')].find(e => e.querySelector('bdi').textContent === '$child'));
    ok($browser->becomes("$tile?.classList.contains('$state')"), $name)
        or diag($browser->value('document.querySelector("main").innerText'));
}

sub verdict () { return $browser->value('document.querySelector("#verdict span").textContent') }

sub becomes ($script, $name) {
    ok($browser->becomes($script), $name) or diag($browser->value('document.body.innerText'));
}

sub has_no_problem ($name = 'no error in the console, no request to elsewhere') {
    my $own = 'http://127.0.0.1:' . server_port() . '/__status__/';
    my @elsewhere = grep { !/^\Q$own\E/ && !/^data:/ } $browser->requested;
    is_deeply([$browser->problems, @elsewhere], [], $name);
}

sub address ($port) { return "127.0.0.1:$ENV{\"TEST_NGINX_$port\"}" }

run_tests();
$browser->end;

__DATA__

=== TEST 1: a child - is seen going down and coming back
--- after
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C2});
look_at();
is_shown(address('L'), 'u', 'nobody has asked it yet');
ask('PUT', '/a', 'first');
is_shown(address($_), 'w', "$_ is up") for qw(C1 L);
is(verdict(), 'All 3 nodes are up and have everything.', 'so are all');
$main::browser->value('document.documentElement.id = "same", 1');

end_processes();
ask('PUT', '/b', 'second');
is_shown(address('L'), 'd', 'it is down');
is_shown(address('C1'), 'w', 'the other one is up');
is(verdict(), '3 nodes: 2 up, 1 down. 1 entry (6 B) missing on 1 node.', 'the first line says so');
like($main::browser->value('document.title'), qr/^\x{2715} root: 3 nodes/, 'and the title');
my $link = '.sick a[href="/__missing__/' . address('L') . '/"]';
ok($main::browser->value("!!document.querySelector('$link')"), 'its missing log is linked');
is((http_get(server_port(), '/__missing__/' . address('L') . '/'))[0], 200, 'and is there');

relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C2});
is_shown(address('L'), 'w', 'it is up again');
is(verdict(), 'All 3 nodes are up and have everything.', 'and has everything');
is(read_data('c2/b'), 'second', 'it has');
is($main::browser->value('document.documentElement.id'), 'same', 'the page was never reloaded');
has_no_problem();



=== TEST 2: a refresh - leaves the page as the reader has it
--- after
ask('PUT', '/a', 'first');
look_at();
is_shown(address('L'), 'd', 'shown');
$main::browser->value(<<'END');
    document.querySelector('[data-k="0.1"]').open = true;
    document.querySelector('[data-k="0.0"] > summary').focus();
    document.body.style.minHeight = '500vh';
    scrollTo(0, 120);
    window.before = document.querySelector('main');
    1
END
becomes('document.querySelector("main") !== window.before', 'refreshed');
is($main::browser->value('[...document.querySelectorAll("details[open]")].map(e => e.dataset.k).join()'), '0.1', 'open details');
is($main::browser->value('document.activeElement.parentElement.dataset.k'), '0.0', 'where the keyboard is');
is($main::browser->value('scrollY'), 120, 'the place');
$main::browser->value('getSelection().selectAllChildren(document.querySelector("h1")), window.before = document.querySelector("main"), 1');
becomes('!document.getElementById("lost").hidden', 'says that it waits for who selects text');
ok($main::browser->value('document.querySelector("main") === window.before'), 'and waits');
has_no_problem();



=== TEST 3: a node that does not answer - is said, and for how long
--- after
look_at();
is($main::browser->value('document.getElementById("lost").hidden'), $JSON::PP::true, 'not yet');
my %offline = (latency => 0, downloadThroughput => -1, uploadThroughput => -1);
$main::browser->tell('Network.emulateNetworkConditions', %offline, offline => $JSON::PP::true);
becomes('document.getElementById("lost").textContent.startsWith("No answer from this node since ")', 'said');
$main::browser->tell('Network.emulateNetworkConditions', %offline, offline => $JSON::PP::false);
becomes('document.getElementById("lost").hidden', 'until it answers');



=== TEST 4: the whole tree - children say how they are
--- after
relay($ENV{TEST_NGINX_L}, $ENV{TEST_NGINX_C2});
ask('PUT', '/a', 'first');
look_at('?tree');
is_shown(address($_), 'w', "$_ is up") for qw(C1 L);
becomes('document.querySelector("h2").textContent === "The tree"', 'drawn');
has_no_problem();



=== TEST 5: a narrow screen, light and dark - all can be read
--- after
ask('PUT', '/a', 'first');
my $contrast = <<'END';
(() => {
    const rgba = text => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const backOf = e => { const c = rgba(getComputedStyle(e).backgroundColor); return c[3] === 0 ? backOf(e.parentElement) : c };
    const faint = [];
    for (const e of document.querySelectorAll('body, main *')) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.getClientRects().length) continue;
        const [a, b] = [rgba(getComputedStyle(e).color), backOf(e)].map(light).sort((x, y) => y - x);
        if ((a + .05) / (b + .05) < 4.5) faint.push(`${e.tagName} ${e.className} ${e.textContent.slice(0, 30)}`);
    }
    return faint.join('\n');
})()
END
$main::browser->tell('Emulation.setDeviceMetricsOverride', width => 360, height => 740, deviceScaleFactor => 2, mobile => $JSON::PP::true);
my %back;
for my $mode (qw(light dark)) {
    $main::browser->tell('Emulation.setEmulatedMedia', features => [{ name => 'prefers-color-scheme', value => $mode }]);
    look_at();
    is_shown(address('L'), 'd', "$mode: the child is down");
    $back{$mode} = $main::browser->value('getComputedStyle(document.body).backgroundColor');
    is($main::browser->value($contrast), '', "$mode: all text has contrast");
    is($main::browser->value('document.scrollingElement.scrollWidth'), 360, "$mode: no wider than the screen");
}
isnt($back{light}, $back{dark}, 'dark is dark');
has_no_problem();
$main::browser->tell('Emulation.clearDeviceMetricsOverride');



=== TEST 6: without scripts - it shows all, and reloads itself
--- after
ask('PUT', '/a', 'first');
$main::browser->tell('Emulation.setScriptExecutionDisabled', value => $JSON::PP::true);
look_at();
is_shown(address('L'), 'd', 'shown');
ok(poll_until(sub { 1 < grep {m{/__status__/}} $main::browser->requested }, 15), 'asked for again');
has_no_problem();
$main::browser->tell('Emulation.setScriptExecutionDisabled', value => $JSON::PP::false);



=== TEST 7: the policy of the page - names its script and its style
--- after
my (undef, $head, $body) = http_get(server_port(), page());
like($head, qr{^Content-Type: text/html}m, 'HTML');
for my $element (qw(script style)) {
    my ($content) = $body =~ m{<$element>(.*?)</$element>}s;
    my $hash = sha256_base64($content);
    $hash .= '=' while length($hash) % 4;
    like($body, qr{$element-src 'sha256-\Q$hash\E'}, "\U$element\E_HASH in html.rs is $hash");
}
