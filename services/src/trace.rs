//! `traceparent`, W3C Trace Context: which trace a request belongs to, passed on through the log to Modal.

use axum::http::HeaderMap;

/// The header's name, in HTTP and in the log.
pub const HEADER: &str = "traceparent";

/// What goes out: the trace that came in with a span of our own, or a new trace.
pub fn continued(given: Option<&str>) -> String {
    let span = &crate::clock::random_hex()[..16];
    match given.and_then(parse) {
        Some((trace, flags)) => format!("00-{trace}-{span}-{flags}"),
        None => format!("00-{}-{span}-01", crate::clock::random_hex()),
    }
}

/// What stands in a request's headers, valid or not.
pub fn given(headers: &HeaderMap) -> Option<&str> {
    headers.get(HEADER).and_then(|value| value.to_str().ok())
}

/// Trace and flags of a valid header. One of a later version may have more fields behind those that we know.
fn parse(text: &str) -> Option<(&str, &str)> {
    let mut fields = text.split('-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_known = version != "ff" && (version != "00" || fields.next().is_none());
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_right = is_known && is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    (is_right && is_set(trace) && is_set(span)).then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::{continued, parse};

    #[test]
    fn only_the_form_that_the_standard_has_is_passed_on() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let good = format!("00-{trace}-{span}-01");
        let rows = [
            (good.clone(), true),
            (format!("01-{trace}-{span}-00-more"), true),
            (format!("00-{trace}-{span}-01-more"), false),
            (format!("ff-{trace}-{span}-01"), false),
            (format!("00-{}-{span}-01", "0".repeat(32)), false),
            (format!("00-{trace}-{}-01", "0".repeat(16)), false),
            (format!("00-{}-{span}-01", trace.to_uppercase()), false),
            (format!("00-{trace}-{span}"), false),
            (String::new(), false),
            ("\r\nx: y".into(), false),
        ];
        for (text, is_good) in rows {
            assert_eq!(parse(&text).is_some(), is_good, "{text}");
        }
        let next = continued(Some(&good));
        assert!(next.starts_with(&format!("00-{trace}-")) && next.ends_with("-01") && !next.contains(span), "{next}");
        assert!(parse(&continued(None)).is_some() && parse(&continued(Some("nonsense"))).is_some());
    }
}
