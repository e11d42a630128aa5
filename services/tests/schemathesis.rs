//! The served document, tried by schemathesis: no 5xx, every answer as documented, and its links lead on.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use events::{JobId, Status};
use serde_json::{Value, json};

use crate::keys::Api;
use crate::python::schemathesis;
use crate::stage::silence;
use crate::support::wait_for;

/// What is left out: that a file is audio cannot be said in a schema, and a job that was cancelled can still be polled.
const EXCLUDED: &str = "positive_data_acceptance,use_after_free";

/// Something real for each parameter, since nobody guesses an id: jobs that ended and that wait, a letter, audio.
async fn settings(api: &mut Api, secret: &str) -> PathBuf {
    let audio = api.world.music(1);
    let ended = api.world.submit(&audio).await.job_id;
    api.world.wait_for_status(ended, Status::Complete).await;
    // From here on jobs wait: what is tried is the api, and not how fast this machine renders.
    api.world.faults(json!({"refuse-429": 1})).await;
    let [cancelled, waiting] = [api.world.submit(&audio).await.job_id, api.world.submit(&audio).await.job_id];
    api.world.http.delete(api.world.url(&format!("/api/render/{cancelled}"))).send().await.expect("an answer");
    api.world.poison(JobId::new(1, [0; 10]), &[], b"garbage".to_vec()).await;
    wait_for("the letter", async || (api.world.letters("").await["total"] == 1).then_some(())).await;
    let sound = silence(200);
    let asked = json!({"filename": "song.wav", "sizeBytes": sound.len()});
    let request = api.world.http.post(format!("{}/api/uploads", api.base)).bearer_auth(secret).json(&asked);
    let place: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    let sent = api.world.http.put(place["url"].as_str().expect("an address")).body(sound.clone()).send().await;
    assert!(sent.is_ok_and(|answer| answer.status().is_success()));
    let (key, sound) = (&place["key"], STANDARD.encode(sound));
    let text = format!(
        "[dictionaries]\njobs = {{ values = [\"{ended}\", \"{cancelled}\", \"{waiting}\"] }}\n\
         letters = {{ values = [\"1\"] }}\nkeys = {{ values = [{key}] }}\nsounds = {{ values = [\"{sound}\"] }}\n\
         [parameters]\n\"path.job\" = {{ dictionary = \"jobs\", probability = 0.8 }}\n\
         \"path.letter\" = {{ dictionary = \"letters\", probability = 0.8 }}\n\
         \"body.audio.key\" = {{ dictionary = \"keys\", probability = 0.8 }}\n\
         \"body.audio.data\" = {{ dictionary = \"sounds\", probability = 0.8 }}\n"
    );
    let file = api.world.folder.path().join("schemathesis.toml");
    std::fs::write(&file, text).expect("the folder can be written to");
    file
}

fn command(api: &Api, secret: &str, settings: &Path) -> Command {
    let mut command = schemathesis();
    command.current_dir(api.world.folder.path()).arg("--config-file").arg(settings);
    command.arg("run").arg(format!("{}/openapi.json", api.base));
    command.args(["--header", &format!("Authorization: Bearer {secret}"), "--exclude-checks", EXCLUDED]);
    command.args(["--no-color", "--request-timeout", "30"]);
    // A long run is one of this test with more examples.
    match std::env::var("KILN_SCHEMATHESIS_EXAMPLES") {
        Ok(examples) => command.args(["--max-examples", &examples]),
        Err(_) => command.args(["--max-examples", "10", "--generation-deterministic"]),
    };
    command
}

#[expect(clippy::print_stdout, reason = "the summary is what people run the long one for")]
/// Each operation is tried with what fits its schema and with what does not, and then in chains.
#[tokio::test]
async fn no_request_that_schemathesis_thinks_of_gets_an_undocumented_answer() {
    let (mut api, secret) = Api::start(&[]).await;
    let settings = settings(&mut api, &secret).await;
    let mut command = command(&api, &secret, &settings);
    let output = tokio::task::spawn_blocking(move || command.output().expect("python3")).await.expect("it runs");
    let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{errors}");
    println!("{told}");
    let links = told.lines().find_map(|line| line.trim().strip_prefix("API Links:")?.trim().split(' ').next());
    let followed: u32 = links.and_then(|links| links.parse().ok()).unwrap_or_else(|| panic!("no links: {told}"));
    assert!(followed >= 8, "{followed} kinds of links were followed: {told}");
    api.world.stop().await;
}
