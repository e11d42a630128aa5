//! What the server says of a user's rights, compared with what its role needs: without trying any of them.

use nats::inspect::User;

use crate::World;

#[tokio::test]
async fn every_role_has_the_rights_that_it_needs_and_nobody_may_destroy() {
    let world = World::secured().await;
    for user in ["api", "worker", "webhook", "projector", "serve", "operator"] {
        let told = User::ask(&world.bus_of(user).await).await.expect("it may ask");
        assert_eq!((told.name.as_str(), told.may_everything()), (user, false));
        assert_eq!((told.lacks(user), told.may_destroy()), (vec![], vec![]), "{user}");
    }
    let worker = User::ask(&world.bus_of("worker").await).await.expect("it may ask");
    let lacks = [
        "render.x.requested",
        "render.x.cancelled",
        "$JS.API.DIRECT.GET.KV_JOBS.x",
        "$JS.API.STREAM.MSG.GET.RENDER_DEAD",
        "$JS.API.CONSUMER.RESET.RENDER.projector",
        "_INBOX.{role}.>",
    ];
    assert_eq!(worker.lacks("api"), lacks);
    let open = World::new().await;
    let anybody = User::ask(&open.bus("api").await).await.expect("it may ask");
    assert_eq!((anybody.may_everything(), anybody.may_destroy().len()), (true, 3));
}
