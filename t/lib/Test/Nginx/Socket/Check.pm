# The checks of responses and logs.

package Test::Nginx::Socket::Check;

use v5.36;

use Exporter qw(import);
use Test::More;
use Test::Nginx::Socket::Base;

our @EXPORT = qw(check_error_log check_log check_response log_position);

my $log_pos = 0;    # error.log has been checked up to here

sub log_position (@value) { $log_pos = $value[0] if @value; $log_pos }

# The value of a section for one of several requests.
sub expected ($block, $section, $index, $count) {
    my $value = $block->$section;
    return $value if !defined $value;
    if (ref $value eq 'ARRAY') {
        return $value->[$index] if @$value == $count;
        bail_out($block->name . " - $count requests, but " . @$value . " values in --- $section");
    }
    bail_out($block->name . " - many requests need an array in --- $section") if $count > 1;
    return $value;
}

sub pattern ($value) {
    return ref $value eq 'Regexp' ? $value : qr/$value/s;
}

sub field_lines ($text) {
    return map { [/^(!?)\s*([^:\s]+)\s*:?[ \t]*(.*?)\s*$/] } grep {/\S/} split /\n/, $text;
}

sub check_response ($block, $response, $index, $count, $repeat) {
    my $name = $block->name;
    my $want = sub ($section) { expected($block, $section, $index, $count) };
    my $header = sub ($field) { join ', ', @{ $response->{header}{ lc $field } // [] } };

    my $code_like = $want->('error_code_like');
    like($response->{code}, pattern($code_like), "$name - status code like") if defined $code_like;
    Test::More::is($response->{code}, $want->('error_code') // 200, "$name - status code ok")
        if defined $block->error_code || !defined $code_like;

    for (field_lines($want->('response_headers') // '')) {
        my ($absent, $field, $value) = @$_;
        if ($absent) {
            unlike($response->{head}, qr/^\s*\Q$field\E\s*:/mi,
                "$name - header $field not present in the raw headers");
        }
        else {
            is_str($header->($field), expand($value), "$name - header $field ok");
        }
    }
    for (field_lines($want->('response_headers_like') // '')) {
        my (undef, $field, $value) = @$_;
        like($header->($field), qr/^$value$/, "$name - header $field like ok");
    }

    my $body = $response->{body};
    my $where = "(repeated req $repeat, req $index)";
    if (defined(my $value = $want->('response_body'))) {
        is_str($body, expand($value), "$name - response_body - response is expected $where");
    }
    if (defined(my $value = $want->('response_body_like'))) {
        like($body, pattern($value), "$name - response_body_like - response is expected $where");
    }
    if (defined(my $value = $want->('response_body_unlike'))) {
        unlike($body, pattern($value), "$name - response_body_unlike - response is expected $where");
    }
}

sub line_with ($pattern, $lines) {
    my $re = ref $pattern ? $pattern : qr/\Q$pattern\E/;
    return grep { $_ =~ $re } @$lines;
}

# Checks a log. What must appear may appear a moment after the response.
sub check_log ($name, $file, $from, $must, $must_not) {
    my ($text, @lines);
    my $log = $file =~ s{.*/}{}r;
    poll(@$must ? 0.3 : 0, sub {
        $text = slurp($file, $$from);
        @lines = split /\n/, $text;
        return !grep { !line_with($_, \@lines) } @$must;
    });
    $$from += length $text;
    for my $pattern (@$must) {
        my $label = qq{"$pattern"};
        my $found = line_with($pattern, \@lines);
        ok($found, "$name - pattern $label " . ($found ? 'matches' : 'should match') . " a line in $log");
        diag(excerpt($log, @lines)) if !$found;
    }
    for my $pattern (@$must_not) {
        my $label = qq{"$pattern"};
        my @found = line_with($pattern, \@lines);
        ok(!@found, "$name - pattern $label " . (@found ? 'should' : 'does') . " not match a line in $log");
        diag(excerpt("matching lines of $log", @found)) if @found;
    }
}

# The last lines of a log, without the debug messages if there are others.
sub excerpt ($title, @lines) {
    my @telling = grep { !/ \[debug\] / } @lines;
    @lines = @telling if @telling;
    splice @lines, 0, -20 if @lines > 20;
    return join "\n", "$title:", @lines ? @lines : 'no lines';
}

sub check_error_log ($block, $repeat) {
    my $name = $block->name;
    check_log($name, error_log_path(), \$log_pos,
        [patterns($block->error_log)], [patterns($block->no_error_log)]);
}

1;
