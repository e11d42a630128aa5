//! What a stream is asked, seen from outside.

use futures_util::StreamExt;
use nats::Bus;

use crate::World;

/// The direct gets of one stream, whoever sends them.
pub(crate) struct Requests {
    bus: Bus,
    heard: async_nats::Subscriber,
    prefix: String,
}

impl Requests {
    /// Those to this stream from now on.
    pub(crate) async fn to(world: &World, stream: &str) -> Self {
        let bus = world.bus("operator").await;
        let heard = bus.client().subscribe("$JS.API.DIRECT.GET.>").await.expect("subscribed");
        let mut requests = Self { bus, heard, prefix: format!("$JS.API.DIRECT.GET.{stream}") };
        // The server has the subscription when this comes back.
        requests.count().await;
        requests
    }

    /// How many were sent since this was asked last.
    pub(crate) async fn count(&mut self) -> usize {
        let end = format!("{}.the.end", self.prefix);
        self.bus.client().publish(end.clone(), "".into()).await.expect("sent");
        let mut count = 0;
        while let Some(request) = self.heard.next().await
            && *request.subject != *end
        {
            count += usize::from(request.subject.starts_with(&self.prefix));
        }
        count
    }
}
