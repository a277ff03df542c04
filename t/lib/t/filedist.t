# What Filedist.pm adds fails when it should.

use v5.36;
use FindBin;
use lib $FindBin::Bin;
use Child;
use Test::More;

my $put = <<'END';
=== TEST 1: put
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- request
PUT /a.txt
hello
--- error_code: 201
--- poll: 0.2
END
my @how = (use => 'Filedist', head => q{no_root_location(); prepare_dirs('root');});

sub right ($name, $sections, @more) { passes($name, $put . $sections, @how, @more) }
sub wrong ($message, $name, $sections, @more) { fails_with($message, $name, $put . $sections, @how, @more) }

right('files_like, literal',  "--- files_like\nroot/a.txt hello\n");
right('files_like, regex',    "--- files_like\nroot/a.txt /^hel+o\$/\n");
right('files_like, a hash',   qq{--- files_like eval\n{ 'root/a.txt' => qr/\\Ahello\\z/ }\n});
right('no_files',             "--- no_files: root/b* root/.*\n");
right('wait_for_file',        "--- wait_for_file: root/a.txt\n");
right('wait_for_log',         qq{--- wait_for_log\nhttp uri: "/a.txt"\n});
right('after',                "--- after\nis(read_data('root/a.txt'), 'hello', 'content');\n");
right('every block has an empty directory', "--- no_files: root/b.txt\n" . <<'END');
=== TEST 2: the other file
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- request
PUT /b.txt
hello
--- error_code: 201
--- no_files: root/a.txt
--- files_like
root/b.txt hello
END

wrong(qr/files_like: root\/a.txt'.*got: 'hello'.*expected: 'hell'/s, 'files_like, other content',
    "--- files_like\nroot/a.txt hell\n");
wrong(qr/files_like: root\/a.txt'.*doesn't match/s, 'files_like, a regex that does not match',
    "--- files_like\nroot/a.txt /^hell\$/\n");
wrong(qr/files_like: root\/b.txt exists'.*\/root\/a.txt/s, 'files_like, no file',
    "--- files_like\nroot/b.txt hello\n");
wrong(qr/no_files: root\/\*'.*exists: \S*\/root\/a.txt/s, 'no_files', "--- no_files: root/*\n");
wrong(qr/wait_for_file: root\/b.txt exists'/, 'wait_for_file', "--- wait_for_file: root/b.txt\n");
wrong(qr/wait_for_log: no such line'/, 'wait_for_log', "--- wait_for_log: no such line\n");
wrong(qr/content'.*got: 'hello'/s, 'after', "--- after\nis(read_data('root/a.txt'), 'x', 'content');\n");
wrong(qr/- after'.*no luck/s, 'after, code that dies', "--- after\ndie 'no luck';\n");
wrong(qr/- after'.*syntax error/s, 'after, code that is no Perl', "--- after\n1 +;\n");
wrong(qr/nothing in --- no_files/, 'a check without a value', "--- no_files\n");
wrong(qr/unknown section --- eror_log/, 'a misspelt section', "--- eror_log: a\n");
wrong(qr/not checked together with --- ignore_response/, 'a check that would not be made',
    "--- files_like\nroot/a.txt hello\n--- ignore_response\n");
wrong(qr/wait_for_log: "PUT \/z.txt/, 'wait_for_log sees only its own block', <<'END', env => { TEST_NGINX_USE_HUP => 1 });
=== TEST 2: the log of TEST 3
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- request
PUT /z.txt
hello
--- error_code: 201
=== TEST 3: after TEST 2
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- request
PUT /b.txt
hello
--- error_code: 201
--- poll: 0.2
--- wait_for_log
"PUT /z.txt
END

my $crit = <<'END';
=== TEST 1: a file below a file
--- config
    location / { root $TEST_NGINX_DATA/root; dav_methods PUT; }
--- data_files
>>> root/a
kept
--- request
PUT /a/b
hello
--- error_code: 500
END
fails_with(qr/pattern "\[crit\]" should not match/, 'a [crit] that no one expects', $crit, @how);
fails_with(qr/pattern "\[crit\]" should not match/, 'the same, expecting another line of the log',
    $crit . "--- error_log: http uri\n--- no_error_log: zzz\n", @how);
passes('a [crit] that is expected', $crit . "--- error_log\n[crit]\n", @how);
passes('a [crit] that is expected, a regex', $crit . "--- error_log eval\nqr/\\[crit\\] .* rename/\n", @how);
passes('a [crit] that is allowed', $crit . "--- allow_log: crit\n", @how);
fails_with(qr/pattern "\[crit\]" should not match/, 'an [alert] that is allowed is no [crit]',
    $crit . "--- allow_log: alert\n", @how);

my $panic = $crit =~ s{PUT /a/b}{PUT /a/panicked}r;
fails_with(qr/pattern "panicked" should not match/, 'a panic, though its level is expected',
    $panic . "--- error_log\n[crit]\n", @how);
fails_with(qr/pattern "panicked" should not match/, 'a panic, though its level is allowed',
    $panic . "--- allow_log: crit\n", @how);

fails_with(qr/pattern "\[alert\]" should not match/, 'an [alert] while nginx stops',
    <<'END', use => 'Filedist', head => 'master_on();');
=== TEST 1: the worker is killed after the response was checked
--- config
    location = /t { return 200; }
--- request
GET /t
--- init
my $pid = `cat @{[ server_root() ]}/logs/nginx.pid`;
my ($worker) = split ' ', `pgrep -P $pid`;
main::add_test_cleanup_handler(sub { kill KILL => $worker; select undef, undef, undef, 0.1 });
END

is(leftover(), 0, 'no process is left');

done_testing();
