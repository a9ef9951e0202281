//! Numbers and names as text for people: rounded, with units, and escaped. Not what JSON holds.

use std::fmt::{self, Write as _};

/// A text that came from outside, as HTML and SVG show it: no part of it is markup, in text or in an attribute between quotes.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(c)?,
                // Characters that a page must not hold, and those that turn the direction of the text after them.
                c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                    f.write_char('\u{fffd}')?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// The text, or its beginning and `…` if it has more than `most` characters.
pub(super) fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Three digits that count: `0.286`, `4.50`, `28.6`, `286`, `2 860`.
pub(super) fn digits(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "–".to_owned(),
        _ if size >= 999.5 => grouped(value.round()),
        _ if size >= 99.95 => format!("{value:.0}"),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.9995 => format!("{value:.2}"),
        _ if size >= 0.0995 => format!("{value:.3}"),
        _ if size == 0.0 => "0".to_owned(),
        _ if size >= 1e-3 => format!("{value:.4}"),
        _ => format!("{value:.1e}"),
    }
}

/// GB/s and their like, of which thousandths say nothing.
pub(super) fn rate(value: f64) -> String {
    if value.abs() < 0.0995 { format!("{value:.2}") } else { digits(value) }
}

/// A whole number, with a narrow space (which no line breaks at) before every three digits.
fn grouped(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value.abs() >= 1e15 {
        return format!("{value:.1e}");
    }
    let text = format!("{:.0}", value.abs());
    let mut out = String::from(if value < 0.0 { "−" } else { "" });
    for (i, c) in text.chars().enumerate() {
        if i > 0 && (text.len() - i) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Elements, exactly.
pub(super) fn count(n: usize) -> String {
    grouped(n as f64)
}

/// A size that is named in a sentence: `10⁶` where it is a large power of ten, two digits that count where `n` was only estimated.
pub(super) fn about(n: f64) -> String {
    const POWERS: &str = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    let exponent = n.log10().round();
    if (5.0..=15.0).contains(&exponent) && (n / 10_f64.powf(exponent) - 1.0).abs() < 1e-9 {
        let digits = format!("{exponent:.0}");
        let raised = digits.chars().filter_map(|c| POWERS.chars().nth(c.to_digit(10)? as usize));
        return "10".chars().chain(raised).collect();
    }
    let step = if n >= 100.0 { 10_f64.powf(n.log10().floor() - 1.0) } else { 1.0 };
    grouped((n / step).round() * step)
}

/// A size at an axis: `10`, `20k`, `1M`.
pub(super) fn tick(n: f64) -> String {
    let (scaled, unit) = match n {
        _ if n >= 1e9 => (n / 1e9, "G"),
        _ if n >= 1e6 => (n / 1e6, "M"),
        _ if n >= 1e3 => (n / 1e3, "k"),
        _ => (n, ""),
    };
    format!("{}{unit}", plain(scaled))
}

/// A round number without zeros at its end: `0.05`, `2.5`, `1000`.
pub(super) fn plain(value: f64) -> String {
    // Twelve digits hide that 0.1 × 3 is not 0.3.
    let text = format!("{value:.12}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "0" && value != 0.0 { format!("{value:e}") } else { text.replace('-', "−") }
}

/// The largest unit of which there is at least one.
fn unit(ns: f64) -> (f64, &'static str) {
    match ns.abs() {
        t if t >= 0.9995e9 => (1e9, "s"),
        t if t >= 0.9995e6 => (1e6, "ms"),
        t if t >= 0.9995e3 => (1e3, "µs"),
        _ => (1.0, "ns"),
    }
}

/// A time, given in nanoseconds.
pub(super) fn time(ns: f64) -> String {
    if !ns.is_finite() {
        return "–".to_owned();
    }
    let (scale, unit) = unit(ns);
    format!("{}\u{a0}{unit}", digits(ns / scale))
}

/// A round time at an axis.
pub(super) fn time_tick(ns: f64) -> String {
    let (scale, unit) = unit(ns);
    format!("{}\u{a0}{unit}", plain(ns / scale))
}

/// The time of day as people write it: `2026-11-22 17:02:09 UTC`.
pub(super) fn date(text: &str) -> String {
    text.replacen('T', " ", 1).replacen('Z', " UTC", 1)
}

/// How many times: `1.04×`, `1.7×`, `16×`.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        _ if !ratio.is_finite() => "–".to_owned(),
        _ if ratio >= 9.95 => format!("{}×", about(ratio)),
        _ if ratio >= 1.095 => format!("{ratio:.1}×"),
        _ => format!("{ratio:.2}×"),
    }
}

/// A fraction in percent, two digits that count: `0.35 %`, `9.7 %`, `140 %`.
pub(super) fn percent(fraction: f64) -> String {
    let value = fraction * 100.0;
    let text = match value.abs() {
        _ if !value.is_finite() => return "–".to_owned(),
        size if size >= 999.5 => grouped(value.round()),
        size if size >= 9.95 => format!("{value:.0}"),
        size if size >= 0.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    format!("{}\u{a0}%", if text == "-0.00" { "0.00".to_owned() } else { text.replace('-', "−") })
}

/// The same with its sign.
pub(super) fn signed(fraction: f64) -> String {
    let text = percent(fraction);
    if fraction > 0.0 && fraction.is_finite() { format!("+{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let hostile = "</script><img src=x onerror=\"alert('1')\">&lt;";
        assert_eq!(
            Text(hostile).to_string(),
            "&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;&amp;lt;"
        );
        assert_eq!(Text("a\0b\u{202e}c\u{1b}[0m\nd").to_string(), "a\u{fffd}b\u{fffd}c\u{fffd}[0m\nd");
        assert_eq!(Text("Größe ≤ 3 µs").to_string(), "Größe ≤ 3 µs");
    }

    #[test]
    fn numbers_are_rounded_to_what_counts() {
        let values = [0.0, 0.000_123, 0.012_34, 0.2864, 4.5, 9.999, 28.64, 286.4, 999.7, 28_640.0, f64::NAN];
        assert_eq!(
            values.map(digits),
            ["0", "1.2e-4", "0.0123", "0.286", "4.50", "10.0", "28.6", "286", "1 000", "28 640", "–"]
                .map(|text| text.replace(' ', "\u{202f}"))
        );
        assert_eq!([0.0, 8e-5, 0.0157, 0.25].map(rate), ["0.00", "0.00", "0.02", "0.250"]);
        assert_eq!(count(usize::MAX), "1.8e19");
        assert_eq!(
            [1.0, 1.04, 1.7, 16.2, 1234.0].map(times),
            ["1.00×", "1.04×", "1.7×", "16×", "1\u{202f}200×"]
        );
        assert_eq!(
            [0.003_532, 0.0972, 1.4, -0.02, -0.000_001].map(|v| percent(v).replace('\u{a0}', " ")),
            ["0.35 %", "9.7 %", "140 %", "−2.0 %", "0.00 %"]
        );
        assert_eq!(signed(0.02), "+2.0\u{a0}%");
    }

    #[test]
    fn times_have_the_unit_that_people_read() {
        let values = [0.28, 1.0, 999.9, 1234.0, 2.5e6, 3e9, f64::INFINITY];
        assert_eq!(
            values.map(|ns| time(ns).replace('\u{a0}', " ")),
            ["0.280 ns", "1.00 ns", "1.00 µs", "1.23 µs", "2.50 ms", "3.00 s", "–"]
        );
        let ticks = [0.001, 0.5, 1.0, 200.0, 1000.0, 5e7];
        assert_eq!(
            ticks.map(|ns| time_tick(ns).replace('\u{a0}', " ")),
            ["0.001 ns", "0.5 ns", "1 ns", "200 ns", "1 µs", "50 ms"]
        );
    }

    #[test]
    fn sizes_are_told_as_people_do() {
        let values = [7.4, 99.0, 1778.0, 56_234.0, 99_999.0, 1e5, 1e7, 12_345_678.0];
        assert_eq!(
            values.map(|n| about(n).replace('\u{202f}', " ")),
            ["7", "99", "1 800", "56 000", "100 000", "10⁵", "10⁷", "12 000 000"]
        );
        assert_eq!([10.0, 1000.0, 2e4, 2.5e6, 1e9].map(tick), ["10", "1k", "20k", "2.5M", "1G"]);
        assert_eq!([0.1 * 3.0, 1000.0, -0.05, 1e-20].map(plain), ["0.3", "1000", "−0.05", "1e-20"]);
        assert_eq!(date("2026-11-22T17:02:09Z"), "2026-11-22 17:02:09 UTC");
        assert_eq!(short("abcdef", 4), "abc…");
        assert_eq!(short("äöüß", 4), "äöüß");
    }
}
