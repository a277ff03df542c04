# A node with many children: what is right with one is right with 300 (benches/many_children has those).

use v5.36;
use Filedist;
use Filedist::Tree;

use File::Path qw(make_path);

plan 'no_plan';
no_root_location();
prepare_dirs(qw(root));
worker_connections(4096);
master_off();

# The children are servers of the same nginx, each at an address of its own.
sub address ($n) { return '127.0.' . (1 + int($n / 250)) . '.' . (1 + $n % 250) . ':$TEST_NGINX_C' }

sub many ($count) {
    return upstream(map address($_), 0 .. $count - 1) . join '', map leaf("c$_", address($_)), 0 .. $count - 1;
}

our $node = <<'END';
    filedist_state $TEST_NGINX_DATA/state;
    filedist_name root;
    filedist_catch_up on max_backoff=100ms;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location = /alive { return 204; }
    location / { filedist on; root $TEST_NGINX_DATA/root; proxy_pass http://children; }
END

add_block_preprocessor(sub ($block) {
    $ENV{TEST_NGINX_C} = free_port();
    my ($count) = $block->name =~ /(\d+) children/;
    $block->set_value(http_config => many($count));
    $block->set_value(config      => $node);
    $block->set_value(request     => 'GET /alive');
    $block->set_value(error_code  => 204);
    $block->set_value(post_setup_server_root => "main::evicted($count)");
    $block->set_value(after       => "main::all_have($count)");
});

# The node has the file no more, and of the children only the last one has it.
sub evicted ($count) {
    make_path(map data_dir() . "/c$_", 0 .. $count - 1);
    my $last = 'c' . ($count - 1);
    write_data("$last/a", 'evicted');
    my $version = set_version("$last/a", '1763810645123456789');
    seed_log(address($_) =~ s/:.*/:$ENV{TEST_NGINX_C}/r, entry('PUT', '/a', $version)) for 0 .. $count - 2;
}

sub all_have ($count) {
    ok(is_drained(), 'nothing is missing');
    is(scalar(grep { (read_data("c$_/a") // '') ne 'evicted' } 0 .. $count - 1), 0, 'all have it');
}

run_tests();

__DATA__

=== TEST 1: 2 children - what is evicted here, and only one has, all get from there


=== TEST 2: 21 children - what is evicted here, and only one has, all get from there


=== TEST 3: 22 children - what is evicted here, and only one has, all get from there


=== TEST 4: 23 children - what is evicted here, and only one has, all get from there


=== TEST 5: 100 children - what is evicted here, and only one has, all get from there
