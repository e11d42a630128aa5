//! The little of an entry that the index needs.

use events::{Status, Timestamp, WaitingFor};
use serde::Deserialize;

use super::Row;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Glance {
    #[serde(default)]
    status: Status,
    #[serde(default)]
    waiting_for: Option<WaitingFor>,
    #[serde(default)]
    until: Option<Timestamp>,
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
    time: Timestamp,
}

impl Glance {
    /// The row, if anybody asked for the job.
    pub(super) fn row(self, revision: u64) -> Option<Row> {
        let GlanceAtRequest { seq, time } = self.job.requested?;
        let requested_s = u32::try_from(time.unix_ms() / 1000).unwrap_or(0);
        // A provider that is being asked at this moment keeps nobody waiting yet.
        let is_asked = self.waiting_for == Some(WaitingFor::Modal) && self.until.is_none();
        let (status, waiting_for) = (self.status, self.waiting_for.filter(|_| !is_asked));
        Some(Row { requested: seq, version: self.job.seq, revision, requested_s, status, waiting_for })
    }
}
