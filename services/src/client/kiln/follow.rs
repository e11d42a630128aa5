//! A job's states as they come, over one connection after another.

use events::JobId;
use events::wire::client::Poll;
use reqwest::{Method, Response, StatusCode, header};

use super::{Client, Error};

/// No state of a job is longer: its metadata has 2 KiB, a message 2 KiB.
const LONGEST_EVENT: usize = 1024 * 1024;

/// Somebody who follows a job. After an error that is transient, [`Following::next`] may be asked again: it goes on from
/// the last state that came.
pub struct Following<'a> {
    client: &'a Client,
    job: JobId,
    last: Option<String>,
    stream: Option<(Response, Reader)>,
}

impl Client {
    /// Follows a job from where it stands now.
    pub fn follow(&self, job: JobId) -> Following<'_> {
        Following { client: self, job, last: None, stream: None }
    }
}

impl Following<'_> {
    /// The next state; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<Poll>, Error> {
        let read = self.read().await;
        if read.is_err() {
            self.stream = None;
        }
        read
    }

    async fn read(&mut self) -> Result<Option<Poll>, Error> {
        if self.stream.is_none() {
            let response = self.open().await?;
            if response.status() == StatusCode::NO_CONTENT {
                return Ok(None);
            }
            self.stream = Some((response, Reader::default()));
        }
        let client = self.client;
        let broken = |reason: &str| Error::Unreachable { base: client.base.clone(), reason: reason.into() };
        loop {
            let (response, reader) = self.stream.as_mut().expect("it was opened");
            if let Some(event) = reader.next() {
                if event.is_end {
                    return Ok(None);
                }
                let poll = serde_json::from_slice(&event.data).map_err(|_| Error::Answer(200))?;
                self.last = event.id.or(self.last.take());
                return Ok(Some(poll));
            }
            let chunk = response.chunk().await.map_err(|error| client.unreachable(&error))?;
            reader.add(&chunk.ok_or_else(|| broken("the connection was closed"))?).map_err(|()| Error::Answer(200))?;
        }
    }

    async fn open(&self) -> Result<Response, Error> {
        let request = self.client.request(Method::GET, &format!("/api/render/{}", self.job));
        let mut request = request.header(header::ACCEPT, "text/event-stream");
        if let Some(last) = &self.last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.map_err(|error| self.client.unreachable(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.client.read::<()>(response).await.map_or_else(|error| error, |()| Error::Answer(500)))
        }
    }
}

/// Splits what comes into events, as the standard of server-sent events says.
#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
    event: Event,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    data: Vec<u8>,
    is_end: bool,
}

impl Reader {
    fn add(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() + self.event.data.len() > LONGEST_EVENT { Err(()) } else { Ok(()) }
    }

    fn next(&mut self) -> Option<Event> {
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = line.trim_ascii_end();
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if event.is_end || !event.data.is_empty() {
                    return Some(event);
                }
                continue;
            }
            let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
            let value = value.strip_prefix(b":").unwrap_or(value);
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match name {
                b"id" => self.event.id = String::from_utf8(value.to_vec()).ok(),
                b"data" => self.event.data.extend_from_slice(value),
                b"event" => self.event.is_end = value == b"end",
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Reader};

    #[test]
    fn events_are_read_whole_however_they_are_cut() {
        let text = b"retry: 1000\n\n:\n\nid: 7.1\ndata: {\"a\":1}\n\nid:8\r\ndata:{}\r\n\r\nevent: end\ndata: {}\n\n";
        let event = |id: &str, data: &[u8]| Event { id: Some(id.into()), data: data.to_vec(), is_end: false };
        let expected =
            [event("7.1", b"{\"a\":1}"), event("8", b"{}"), Event { id: None, data: b"{}".to_vec(), is_end: true }];
        for size in [1, 2, 3, 7, 1000] {
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for piece in text.chunks(size) {
                reader.add(piece).expect("it is short");
                read.extend(std::iter::from_fn(|| reader.next()));
            }
            assert_eq!(read, expected, "in pieces of {size}");
        }
        assert!(Reader::default().add(&vec![b'x'; 2 << 20]).is_err());
    }
}
