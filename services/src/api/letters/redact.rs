//! What a letter must not give away: a publisher may have put anything into it.

/// In the place of what is not shown.
const REDACTED: &str = "[redacted]";
/// What the names of headers that hold secrets have in them.
const SECRET_NAMES: [&str; 9] =
    ["auth", "cookie", "token", "secret", "password", "credential", "signature", "api-key", "apikey"];
/// What stands in front of a secret: callback secrets, API keys, signed addresses, and what is sent with a request.
const BEFORE_SECRETS: [&str; 7] =
    ["kiln1.", "kiln_", "Bearer ", "Basic ", "Signature=", "X-Amz-Credential=", "X-Amz-Security-Token="];

/// A header's value, unless its name says that it is a secret.
pub(super) fn header(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    if SECRET_NAMES.iter().any(|word| name.contains(word)) { REDACTED.to_owned() } else { text(value) }
}

/// Text without what follows the beginnings of secrets.
pub(super) fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = BEFORE_SECRETS.iter().filter_map(|word| Some(rest.find(word)? + word.len())).min() {
        let (before, behind) = rest.split_at(end);
        let secret = behind.find(|letter: char| !is_of_a_secret(letter)).unwrap_or(behind.len());
        shown.push_str(before);
        if secret > 0 {
            shown.push_str(REDACTED);
        }
        rest = &behind[secret..];
    }
    shown + rest
}

fn is_of_a_secret(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~+/=%".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::{header, text};

    #[test]
    fn secrets_are_not_shown_and_what_stands_around_them_is() {
        let rows = [
            ("nothing to hide", "nothing to hide"),
            (r#"{"s":"kiln1.1.job.1.99.abc","n":1}"#, r#"{"s":"kiln1.[redacted]","n":1}"#),
            ("Bearer abc/def== and more", "Bearer [redacted] and more"),
            ("https://a/b?X-Amz-Signature=0af&x=1", "https://a/b?X-Amz-Signature=[redacted]&x=1"),
            ("kiln_abc kiln_def", "kiln_[redacted] kiln_[redacted]"),
            ("ends with Bearer ", "ends with Bearer "),
        ];
        for (given, shown) in rows {
            assert_eq!(text(given), shown);
        }
        assert_eq!(header("X-Api-Key", "abc"), "[redacted]");
        assert_eq!(header("authorization", "Basic abc"), "[redacted]");
        assert_eq!(header("content-type", "application/json"), "application/json");
    }
}
