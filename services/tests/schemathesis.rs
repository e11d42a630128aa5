//! The served document, tried by schemathesis: no 5xx, and every answer as documented.

use events::Status;

use crate::keys::Api;
use crate::python::{check, schemathesis};

/// Each operation is tried with what fits its schema and with what does not, and then in chains.
#[tokio::test]
async fn no_request_that_schemathesis_thinks_of_gets_an_undocumented_answer() {
    let (api, secret) = Api::start(&[]).await;
    let audio = api.world.music(1);
    let [ended, cancelled] = [api.world.submit(&audio).await.job_id, api.world.submit(&audio).await.job_id];
    api.world.http.delete(api.world.url(&format!("/api/render/{cancelled}"))).send().await.expect("an answer");
    api.world.wait_for_status(ended, Status::Complete).await;
    let folder = api.world.folder.path();
    let settings = folder.join("schemathesis.toml");
    let text = format!("[parameters]\n\"path.job\" = [\"{ended}\", \"{cancelled}\"]\n");
    std::fs::write(&settings, text).expect("the folder can be written to");
    let mut command = schemathesis();
    command.current_dir(folder).arg("--config-file").arg(&settings);
    command.arg("run").arg(format!("{}/openapi.json", api.base));
    command.args(["--header", &format!("Authorization: Bearer {secret}")]);
    command.args(["--max-examples", "10", "--generation-deterministic", "--no-color", "--request-timeout", "30"]);
    // That a file is audio cannot be said in a schema.
    command.args(["--exclude-checks", "positive_data_acceptance"]);
    tokio::task::spawn_blocking(move || check(&mut command)).await.expect("it passes");
    api.world.stop().await;
}
