//! Every route of the api, with all that is said of it. The router and the document are both made of this table.

mod following;
mod operating;
mod submitting;

use serde_json::json;

use super::Api;
use crate::http::route::{Link, Parameter, Route};

const JOB: Parameter = Parameter {
    place: "path",
    name: "job",
    meaning: "The job's id.",
    schema: || json!({"type": "string", "format": "uuid"}),
};

const LIMIT: Parameter = Parameter {
    place: "query",
    name: "limit",
    meaning: "How many on a page: 1 to 100, else 20.",
    schema: || json!({"type": "integer", "minimum": 1, "maximum": 100}),
};

const CURSOR: Parameter = Parameter {
    place: "query",
    name: "cursor",
    meaning: "The `nextCursor` of the answer before.",
    schema: || json!({"type": "string"}),
};

/// What may be asked of the job that an answer names.
const TO_JOB: [Link; 4] = [to_job("poll"), to_job("history"), to_job("cancel"), to_job("retry")];

const fn to_job(operation: &'static str) -> Link {
    Link { operation, parameter: "job", value: "$response.body#/jobId" }
}

/// The header of every answer while the log is fenced off.
const STALE: (&str, &str) =
    ("Kiln-Stale", "`true` while the log is not the one that was written before: newer facts are missing.");

/// The table.
pub(super) fn routes() -> Vec<Route<Api>> {
    let mut all = submitting::routes();
    all.extend(following::routes());
    all.extend(following::as_original());
    all.extend(operating::routes());
    all.extend(operating::reading());
    all
}
