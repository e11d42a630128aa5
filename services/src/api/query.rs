//! What stands behind the `?` of a list.

use nats::Jobs;

use crate::http::problem::Problem;

/// Things on a page, where the client does not say how many.
const PAGE: usize = 20;

/// The value of each of these parameters; one that is empty counts as absent.
pub(super) fn values<const N: usize>(text: &str, names: [&str; N]) -> Result<[Option<String>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(text.as_bytes()).filter(|(_, value)| !value.is_empty()) {
        let Some(place) = names.iter().position(|known| *known == name) else {
            let names = names.join("`, `");
            return Err(Problem::bad_request(format!("there are the parameters `{names}`, and no other")));
        };
        if values[place].replace(value.into_owned()).is_some() {
            return Err(Problem::bad_request(format!("`{name}` is given twice")));
        }
    }
    Ok(values)
}

/// How many things are wanted.
pub(super) fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(PAGE) };
    let limit = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    limit
        .filter(|limit| (1..=Jobs::MANY).contains(limit))
        .ok_or_else(|| Problem::bad_request(format!("`limit` must be a whole number from 1 to {}", Jobs::MANY)))
}

/// 400: a cursor that was not given out.
pub(super) fn no_cursor() -> Problem {
    Problem::bad_request("`cursor` must be the `nextCursor` of an earlier answer")
}
