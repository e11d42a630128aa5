//! What is published about jobs, heard as it passes. There is no truth in it: whoever hears something looks into the log.

use std::time::Duration;

use events::{Event, JobId, subject};
use futures_util::StreamExt;
use nats::Bus;
use tokio_util::sync::CancellationToken;

/// Before the subscription is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Passes on what is published about any job, until the stop. Without it everything works, only later.
pub async fn listen(bus: &Bus, stop: &CancellationToken, mut tell: impl FnMut(JobId, &Event)) {
    while !stop.is_cancelled() {
        match bus.client().subscribe(subject::ALL).await {
            Ok(mut news) => {
                while let Some(Some(message)) = stop.run_until_cancelled(news.next()).await {
                    if let Some((job, event)) = Event::read(&message.subject, &message.payload) {
                        tell(job, &event);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "news of jobs are not heard; everything is looked up in its own time");
                let _ = stop.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
}
