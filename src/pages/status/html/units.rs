//! Numbers, times and names as a person reads them.

use std::fmt::Write;

use crate::escape;

/// Text of others, for HTML.
pub(super) fn text(name: &str) -> String {
    String::from_utf8_lossy(&escape::html(name.as_bytes())).into_owned()
}

/// A name that is set off from the text around it, whatever is in it.
pub(super) fn name(name: &str) -> String {
    format!("<bdi>{}</bdi>", text(name))
}

/// 12345: "12,345".
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// 1 and "node": "1 node"; else with an s, or -ies for -y.
pub(super) fn counted(number: u64, what: &str) -> String {
    let count = count(number);
    match (number, what.strip_suffix('y')) {
        (1, _) => format!("{count} {what}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {what}s"),
    }
}

/// 25000000: "25.0 MB".
pub(super) fn bytes(number: u64) -> String {
    if number < 1000 {
        return format!("{number} B");
    }
    scaled(number as f64)
}

/// The same a second.
pub(super) fn byte_rate(number: f64) -> String {
    if number < 999.5 {
        return format!("{number:.0} B/s");
    }
    format!("{}/s", scaled(number))
}

fn scaled(number: f64) -> String {
    let mut value = number / 1000.0;
    for unit in ["kB", "MB", "GB", "TB"] {
        if value < 999.95 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    // Of what a child made up, too.
    format!("{:.1} PB", value.min(999_999.9))
}

/// How often a second.
pub(super) fn rate(number: f64) -> String {
    if number > 0.0 && number < 9.95 {
        return format!("{number:.1}/s");
    }
    format!("{:.0}/s", number.min(1e9))
}

/// Milliseconds: "12 s", "3 min", "2 h 5 min", "4 d 3 h".
pub(super) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let with = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86400 => with(hours, "h", minutes % 60, "min"),
        86400..8_640_000 => with(days, "d", hours % 24, "h"),
        _ => format!("{} d", count(days)),
    }
}

/// A time in milliseconds since 1970: "2026-11-22T11:24:05Z".
pub(super) fn exact(time: u64) -> String {
    let seconds = time / 1000;
    let (year, month, day) = date(seconds / 86400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    let mut out = String::with_capacity(20);
    _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
    out
}

/// Year, month and day, of days since 1970. Years begin with March here, so that the leap day is
/// the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (era * 400 + year + u64::from(is_next_year), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!(
            [0, 999, 1000, 12345, 1_234_567].map(count).join(" "),
            "0 999 1,000 12,345 1,234,567"
        );
        assert_eq!(counted(1, "entry"), "1 entry");
        assert_eq!(counted(2, "entry"), "2 entries");
        assert_eq!(counted(0, "node"), "0 nodes");
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1000), "1.0 kB");
        assert_eq!(bytes(25_000_000), "25.0 MB");
        assert_eq!(bytes(999_999_999), "1.0 GB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
        assert_eq!(byte_rate(0.4), "0 B/s");
        assert_eq!(byte_rate(12_300_000.0), "12.3 MB/s");
        assert_eq!(byte_rate(f64::MAX), "999999.9 PB/s");
    }

    #[test]
    fn rates_are_short() {
        assert_eq!(
            [0.0, 0.13, 9.96, 1234.5, f64::MAX].map(rate).join(" "),
            "0/s 0.1/s 10/s 1234/s 1000000000/s"
        );
    }

    #[test]
    fn spans_have_two_units_at_most() {
        let of = |seconds: u64| span(seconds * 1000 + 999);
        assert_eq!(of(0), "0 s");
        assert_eq!(of(59), "59 s");
        assert_eq!(of(60), "1 min");
        assert_eq!(of(3600), "1 h");
        assert_eq!(of(7500), "2 h 5 min");
        assert_eq!(of(90_000), "1 d 1 h");
        assert_eq!(span(u64::MAX), "213,503,982,334 d");
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(exact(0), "1970-01-01T00:00:00Z");
        assert_eq!(exact(951_782_399_999), "2000-02-28T23:59:59Z");
        assert_eq!(exact(951_782_400_000), "2000-02-29T00:00:00Z");
        assert_eq!(exact(1_709_251_200_000), "2024-03-01T00:00:00Z");
        assert_eq!(exact(1_763_810_645_123), "2025-11-22T11:24:05Z");
        assert_eq!(exact(4_107_542_400_000), "2100-03-01T00:00:00Z");
        assert!(exact(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn names_stay_text() {
        assert_eq!(name("<b>\"&\u{202e}"), "<bdi>&lt;b&gt;&quot;&amp;\u{202e}</bdi>");
    }
}
