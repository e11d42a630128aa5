//! A clock on bodies: `RequestBodyTimeout` layers watch single pieces, and one byte at a time passes them for ever.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// In this time …
const WINDOW: Duration = Duration::from_secs(15);
/// … so much of a body must come, or its end.
const LEAST: usize = 16 * 1024;

/// A request's body that must come at a pace. Only the time counts in which we wait for it.
pub(super) struct Paced {
    inner: Body,
    window: Pin<Box<Sleep>>,
    /// Bytes in this window.
    came: usize,
    /// Since when nobody waits for the body.
    away_since: Option<Instant>,
    is_late: Arc<AtomicBool>,
}

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
struct TooSlow;

impl Paced {
    /// Tells through `is_late` that it was given up.
    pub(super) fn new(inner: Body, is_late: Arc<AtomicBool>) -> Self {
        Self { inner, window: Box::pin(sleep(WINDOW)), came: 0, away_since: Some(Instant::now()), is_late }
    }

    fn come_back(&mut self) {
        if let Some(since) = self.away_since.take() {
            let deadline = self.window.deadline() + since.elapsed();
            self.window.as_mut().reset(deadline);
        }
    }

    fn turn_away(&mut self, length: usize) {
        let now = Instant::now();
        self.away_since = Some(now);
        self.came += length;
        if self.came >= LEAST {
            self.came = 0;
            self.window.as_mut().reset(now + WINDOW);
        }
    }
}

impl http_body::Body for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.come_back();
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
            let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref().map(Bytes::len));
            self.turn_away(length.unwrap_or_default());
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        ready!(self.window.as_mut().poll(context));
        self.is_late.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
