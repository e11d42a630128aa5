//! A private nats-server for tests, `dev` and `demo`.
//!
//! It runs in a process group of its own and ends with the process that started it, even if that one is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use events::Secret;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

/// How long a server may take until it listens: a large store has to be read first.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long it may take to end when asked to, before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks at whether it has started or ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The variable that names the store's folder, for the configuration. In quotes, since it is read as a value of it.
const STORE: &str = "KILN_NATS_STORE";
/// Waits for the end of standard input, a pipe that its parent holds, and then ends the whole process group.
const GUARD: &str = r#"exec 3<&0; { cat <&3; kill -s TERM -- -$$; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;

/// What to start, and where. [`Options::new`] fills in the rest.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program, as [`crate::tool::NATS_SERVER`] finds it.
    pub program: PathBuf,
    /// The folder that keeps everything: configuration, log, streams. Made if it is not there.
    pub folder: PathBuf,
    /// The port on the loopback address; 0 for a free one, which a restart then keeps.
    pub port: u16,
    /// Whether each message is on disk before it is acknowledged, as in production.
    pub sync_always: bool,
    /// A configuration file in the place of the one that is made here; ports and folder are
    /// the same even so; it names the store `$KILN_NATS_STORE`.
    pub file: Option<PathBuf>,
    /// More configuration, in the server's own format, for the one that is made here.
    pub extra: String,
    /// Variables that the configuration asks for.
    pub variables: Vec<(String, Secret)>,
    /// More of the server's own flags.
    pub arguments: Vec<OsString>,
    /// A command before the command. It must `exec` the server, and end the process group when its standard input ends.
    /// By default it is a line of shell that does so.
    pub wrapper: Vec<OsString>,
}

impl Options {
    /// On a free port, synced as in production.
    pub fn new(program: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            folder: folder.into(),
            port: 0,
            sync_always: true,
            file: None,
            extra: String::new(),
            variables: Vec::new(),
            arguments: Vec::new(),
            wrapper: ["sh", "-c", GUARD, "guard"].map(OsString::from).to_vec(),
        }
    }

    fn configuration(&self) -> String {
        let sync = if self.sync_always { "sync_interval: always" } else { "" };
        format!("jetstream {{ store_dir: ${STORE}, {sync} }}\n{}\n", self.extra)
    }

    /// The server's own command. Its flags win over what the file says, but it has none for the store's folder.
    fn command(&self, file: &Path) -> Vec<OsString> {
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let [program, file] = [self.program.as_path(), file].map(|path| path.as_os_str().to_owned());
        let mut words = vec![program, "-c".into(), file];
        words.extend(["-a", "127.0.0.1", "-p", &port, "-m", "-1"].map(OsString::from));
        words.extend(["--ports_file_dir".into(), self.folder.join("ports").into()]);
        words.extend(self.arguments.iter().cloned());
        words
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its folder or its process could not be made.
    #[error("cannot start nats-server in {}", folder.display())]
    Spawn {
        /// The server's folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It ended at once, or did not listen in time.
    #[error("nats-server did not start; the end of {}:\n{tail}", log.display())]
    Start {
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
}

impl Error {
    /// Whether somebody else listens where this server was told to.
    pub fn is_port_taken(&self) -> bool {
        matches!(self, Self::Start { tail, .. } if tail.contains("address already in use"))
    }
}

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct Server {
    options: Options,
    process: Process,
    ports: Ports,
}

/// The file that the server writes when it listens.
#[derive(Debug, Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

impl Server {
    /// Returns when the server listens and has read its streams.
    pub async fn start(mut options: Options) -> Result<Self, Error> {
        let folder = options.folder.clone();
        let mut process = Process::spawn(&options).map_err(|source| Error::Spawn { folder, source })?;
        let ports = wait_for_ports(&options.folder, &mut process).await?;
        let port = ports.nats[0].rsplit(':').next().and_then(|port| port.parse().ok());
        options.port = port.expect("the server writes its own address");
        Ok(Self { options, process, ports })
    }

    /// `nats://127.0.0.1:port`.
    pub fn url(&self) -> &str {
        &self.ports.nats[0]
    }

    /// `http://127.0.0.1:port`, for `/varz` and `/healthz`.
    pub fn monitor_url(&self) -> &str {
        &self.ports.monitoring[0]
    }

    /// The process that is the server, whatever wrapped it.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// Ends the process as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.signal(Signal::KILL);
        self.process.reap(STOP_LIMIT);
    }

    /// Asks the process to end, and waits for it.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts it again, on the same port and folder, after [`Server::kill`] or [`Server::stop`]. Somebody's connection
    /// may have been given that port meanwhile: it is waited for.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop();
        let started = Instant::now();
        loop {
            match Self::start(self.options.clone()).await {
                Err(error) if error.is_port_taken() && started.elapsed() < START_LIMIT => {}
                other => {
                    *self = other?;
                    return Ok(());
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Freezes the process, which then answers nothing but keeps its connections, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        self.process.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }
}

/// The leader of a process group.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn spawn(options: &Options) -> io::Result<Self> {
        let folder = &options.folder;
        let ports = folder.join("ports");
        fs::create_dir_all(&ports)?;
        fs::read_dir(&ports)?.try_for_each(|file| fs::remove_file(file?.path()))?;
        let made = folder.join("nats.conf");
        fs::write(&made, options.configuration())?;
        let log = File::options().create(true).append(true).open(log_of(folder))?;
        let mut words =
            options.wrapper.iter().cloned().chain(options.command(options.file.as_deref().unwrap_or(&made)));
        let mut command = Command::new(words.next().expect("at least the program"));
        command.args(words).env(STORE, format!("{:?}", folder.join("jetstream").to_string_lossy()));
        command.envs(options.variables.iter().map(|(name, value)| (name, value.expose()))).process_group(0);
        // The pipe stays open as long as this process lives: the wrapper waits for its end.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn().map(Self)
    }

    /// Goes to the group, so that a wrapper ends as well. An error means that it has ended already.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.0), signal);
    }

    fn stop(&mut self) {
        if self.has_ended() {
            return;
        }
        self.signal(Signal::TERM);
        self.signal(Signal::CONT);
        if !self.reap(STOP_LIMIT) {
            self.signal(Signal::KILL);
            self.reap(STOP_LIMIT);
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }

    /// Whether it ended within the limit.
    fn reap(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        while !self.has_ended() {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("nats-server.log")
}

async fn wait_for_ports(folder: &Path, process: &mut Process) -> Result<Ports, Error> {
    let started = Instant::now();
    loop {
        if let Some(ports) = read_ports(folder) {
            return Ok(ports);
        }
        if process.has_ended() || started.elapsed() > START_LIMIT {
            let log = log_of(folder);
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            return Err(Error::Start { tail: lines[lines.len().saturating_sub(5)..].join("\n"), log });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// `None` until the file is there and whole.
fn read_ports(folder: &Path) -> Option<Ports> {
    let file = fs::read_dir(folder.join("ports")).ok()?.next()?.ok()?;
    serde_json::from_slice(&fs::read(file.path()).ok()?).ok()
}
