//! The little of an entry that the index needs.

use events::Status;
use serde::Deserialize;

use super::Row;

#[derive(Debug, Deserialize)]
pub(super) struct Glance {
    #[serde(default)]
    status: Status,
    job: GlanceAtJob,
}

#[derive(Debug, Deserialize)]
struct GlanceAtJob {
    seq: u64,
    requested: Option<GlanceAtRequest>,
}

#[derive(Debug, Deserialize)]
struct GlanceAtRequest {
    seq: u64,
}

impl Glance {
    /// The row, if anybody asked for the job.
    pub(super) fn row(self, revision: u64) -> Option<Row> {
        let requested = self.job.requested?.seq;
        Some(Row { requested, version: self.job.seq, revision, status: self.status })
    }
}
