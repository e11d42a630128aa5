//! Jobs that are neighbours by age.

use events::{JobId, Status};

/// Sequences of the log whose requests stand in one chunk, as a power of two: about a thousand jobs.
const BITS: u32 = 12;

/// Jobs by the sequence of their request, and how many there are of each status.
#[derive(Debug)]
pub(super) struct Chunk {
    /// The first sequence that belongs here.
    first: u64,
    places: Vec<Place>,
    counts: [u32; Status::ALL.len()],
}

/// Twenty bytes, since there may be millions.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: JobId,
    /// The sequence of the request, from the chunk's first on.
    offset: u16,
    status: Status,
}

impl Chunk {
    /// The number of the chunk to which a request at this sequence belongs; they grow with the sequences.
    pub(super) fn number(requested: u64) -> u64 {
        requested >> BITS
    }

    /// The one with this number, without jobs.
    pub(super) fn new(number: u64) -> Self {
        Self { first: number << BITS, places: Vec::new(), counts: [0; Status::ALL.len()] }
    }

    /// Adds a job, or gives it another status.
    pub(super) fn set(&mut self, id: JobId, requested: u64, status: Status) {
        match self.find(id, requested) {
            Ok(at) => {
                let replaced = std::mem::replace(&mut self.places[at].status, status);
                self.counts[replaced as usize] -= 1;
            }
            Err(at) => self.places.insert(at, Place { id, offset: self.offset(requested), status }),
        }
        self.counts[status as usize] += 1;
    }

    pub(super) fn remove(&mut self, id: JobId, requested: u64) {
        if let Ok(at) = self.find(id, requested) {
            self.counts[self.places.remove(at).status as usize] -= 1;
        }
    }

    pub(super) fn count(&self, status: Status) -> usize {
        self.counts[status as usize] as usize
    }

    /// How many jobs of this status were requested before this sequence.
    pub(super) fn before(&self, status: Status, requested: u64) -> usize {
        let end = self.places.partition_point(|place| self.requested(place) < requested);
        self.places[..end].iter().filter(|place| place.status == status).count()
    }

    /// The sequence of its request, the job and its status, of each, the oldest first.
    pub(super) fn jobs(&self) -> impl DoubleEndedIterator<Item = (u64, JobId, Status)> {
        self.places.iter().map(|place| (self.requested(place), place.id, place.status))
    }

    fn find(&self, id: JobId, requested: u64) -> Result<usize, usize> {
        let offset = self.offset(requested);
        self.places.binary_search_by_key(&(offset, id), |place| (place.offset, place.id))
    }

    fn requested(&self, place: &Place) -> u64 {
        self.first + u64::from(place.offset)
    }

    fn offset(&self, requested: u64) -> u16 {
        u16::try_from(requested - self.first).expect("fewer than 2^16 sequences belong to a chunk")
    }
}
