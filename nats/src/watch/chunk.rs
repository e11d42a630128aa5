//! Rows that are neighbours by age.

use events::{JobId, Status};

use super::Row;

/// Rows by the sequence of their request, and how many there are of each status.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rows: Vec<(JobId, Row)>,
    counts: [u32; Status::ALL.len()],
}

impl Chunk {
    /// Returns the row that it replaces.
    pub(super) fn insert(&mut self, id: JobId, row: Row) -> Option<Row> {
        let replaced = match self.place(id, row.requested) {
            Ok(place) => Some(std::mem::replace(&mut self.rows[place].1, row)),
            Err(place) => {
                self.rows.insert(place, (id, row));
                None
            }
        };
        self.counts[row.status as usize] += 1;
        if let Some(replaced) = replaced {
            self.counts[replaced.status as usize] -= 1;
        }
        replaced
    }

    pub(super) fn remove(&mut self, id: JobId, requested: u64) -> Option<Row> {
        let (_, row) = self.rows.remove(self.place(id, requested).ok()?);
        self.counts[row.status as usize] -= 1;
        Some(row)
    }

    pub(super) fn get(&self, id: JobId, requested: u64) -> Option<Row> {
        self.place(id, requested).ok().map(|place| self.rows[place].1)
    }

    pub(super) fn count(&self, status: Status) -> usize {
        self.counts[status as usize] as usize
    }

    pub(super) fn before(&self, status: Status, requested: u64) -> usize {
        let end = self.rows.partition_point(|(_, row)| row.requested < requested);
        self.rows[..end].iter().filter(|(_, row)| row.status == status).count()
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &(JobId, Row)> {
        self.rows.iter().rev()
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &(JobId, Row)> {
        self.rows.iter()
    }

    pub(super) fn oldest(&self) -> (JobId, Row) {
        self.rows[0]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn place(&self, id: JobId, requested: u64) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&(requested, id), |(id, row)| (row.requested, *id))
    }
}
