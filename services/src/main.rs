//! The command line of kiln.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a program that ends with its parent
    Guard(kiln::guard::Args),
    /// Renders one attempt in a container, or offline
    Render(Box<kiln::render::Args>),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match cli.command {
        Command::Guard(args) => Ok(kiln::guard::run(&args).await?),
        Command::Render(args) => {
            let stop = CancellationToken::new();
            let mut terminated = signal(SignalKind::terminate())?;
            let wait = async {
                terminated.recv().await;
                stop.cancel();
                std::future::pending().await
            };
            Ok(tokio::select! {
                code = kiln::render::main(&args, &stop) => code,
                code = wait => code,
            })
        }
    }
}
