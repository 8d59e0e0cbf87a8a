//! The binary: sets up errors and TLS, runs the command line, ends with its exit status.

use std::process::ExitCode;

use quarterdeck::cli;

#[tokio::main]
async fn main() -> ExitCode {
    if let Err(report) = color_eyre::install() {
        return cli::complain(&report);
    }
    // reqwest and kube share this one provider; a second installation cannot happen before the first line of main.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::main().await {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(report) => cli::complain(&report),
    }
}
