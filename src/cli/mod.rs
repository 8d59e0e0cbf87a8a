//! The command line: what the words after `quarterdeck` mean, and how it ends.
//!
//! Every command is a client of the same engine as the screens. Data goes to standard output (`--json` makes it JSON),
//! everything else to standard error, so that pipes carry data only. This is the one room that prints.

mod answers;
mod approvals;
mod audit;
mod background;
mod bootstrap;
mod cache;
mod cancel;
mod copy;
mod drift;
mod engine;
mod exec;
mod exit;
mod export;
mod facts;
mod findings;
mod follow;
mod guide;
mod lab;
mod locks;
mod look;
mod marks;
mod merged;
mod notify;
mod output;
mod prune;
mod reach;
mod resume;
mod run;
mod schedules;
mod screens;
mod session;
mod shares;
mod shell;
mod snapshots;
mod started;
mod store;
mod tail;
mod trace;
mod undo;
mod unseal;
mod vault;
mod workspace;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use exit::Exit;

/// A terminal cockpit that builds, watches and repairs a self-hosted cluster.
///
/// Without a command it opens the Bridge on the workspace found upwards from here.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version, disable_help_subcommand = true, after_help = exit::HELP, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(flatten)]
    look: Look,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags that every command understands.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Directory with quarterdeck.yaml; default: found upwards from here, else the user's configuration directory
    #[arg(
        long,
        short = 'w',
        global = true,
        env = "QUARTERDECK_WORKSPACE",
        value_name = "DIR"
    )]
    workspace: Option<PathBuf>,
    /// Where runs, logs and downloads are kept; default: the user's state directory
    #[arg(long, global = true, env = "QUARTERDECK_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Refuse everything that changes anything
    #[arg(long, global = true, env = "QUARTERDECK_READ_ONLY")]
    read_only: bool,
    /// Pin unknown SSH host keys on first contact instead of refusing them
    #[arg(long, global = true)]
    accept_new_host_keys: bool,
    /// Run the engine within this program where none runs yet, instead of in the background; runs then end with it
    #[arg(long, global = true, env = "QUARTERDECK_OWN_ENGINE")]
    own_engine: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a practice cluster of simulated nodes and services, and open the Bridge on it
    Lab(lab::LabArgs),
    /// Begin: practise, adopt what runs, or build on hosts; guided on a terminal, or by a file of answers
    Bootstrap(bootstrap::BootstrapArgs),
    /// Run a recipe and follow its log
    Run(run::RunArgs),
    /// Stop a run that is under way
    Cancel(cancel::CancelArgs),
    /// Take up a run that failed, was cancelled or cut off, at its first unfinished task
    Resume(resume::ResumeArgs),
    /// Take back what a run changed, in reverse order, as a run of its own
    Undo(undo::UndoArgs),
    /// List what waits for an operator's decision
    Approvals(approvals::ApprovalsArgs),
    /// Show what a run will do, and approve of it
    Approve(approvals::ApproveArgs),
    /// Refuse a run that waits for an approval
    Refuse(approvals::RefuseArgs),
    /// List which environments are locked, by whom and since when
    Locks(locks::LocksArgs),
    /// Take an environment from the run that is changing it
    Unlock(locks::UnlockArgs),
    /// List past and present runs, or export one
    Runs(look::RunsArgs),
    /// Print the log of a run
    Logs(tail::LogsArgs),
    /// Remove old runs, by the workspace's `retention` or a rule given here
    Prune(prune::PruneArgs),
    /// Check the file that holds history, or save what can be read of a damaged one
    Store(store::StoreArgs),
    /// Show who did what, or check that the record of it is whole
    Audit(audit::AuditArgs),
    /// Run a command on nodes, and group the answers
    Exec(exec::ExecArgs),
    /// Follow the journals, or a file, of several nodes, merged by time
    Follow(merged::FollowArgs),
    /// Copy files to nodes or from them, going on where an earlier attempt was cut off
    Copy(copy::CopyArgs),
    /// Have recipes leave nodes alone
    Cordon(marks::CordonArgs),
    /// Have recipes use nodes again
    Uncordon(marks::UncordonArgs),
    /// Set labels of nodes beside those of the environment's file
    Label(marks::LabelArgs),
    /// List the saved states of services, or check that they are still whole
    Snapshots(snapshots::SnapshotsArgs),
    /// List what differs from what is declared; look anew, ignore with a reason, reconcile one row
    Drift(drift::DriftArgs),
    /// Unseal a Vault share by share, on all its nodes; or take part where somebody else does
    Unseal(unseal::UnsealArgs),
    /// The seal of a Vault: status, init, unseal, seal, step-down, rekey
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    /// Open a terminal on a node
    Shell(shell::ShellArgs),
    /// Probe the nodes of an environment and list them
    Nodes(look::LookArgs),
    /// Explain the way to nodes hop by hop, and try it: which hop fails, and why
    Reach(reach::ReachArgs),
    /// Show what nodes are: system, processor, disks, network, clock and more
    Facts(facts::FactsArgs),
    /// List what is wrong in an environment, worst first, and what repairs it
    Findings(findings::FindingsArgs),
    /// Plan and run what repairs a finding
    Repair(findings::RepairArgs),
    /// Ask the services of an environment how they are, or list what is in one
    Services(look::ServicesArgs),
    /// List what runs by itself and when; run, pause or resume one
    Schedules(schedules::SchedulesArgs),
    /// The background process that owns runs: status, start, stop, restart, logs
    #[command(subcommand)]
    Engine(engine::EngineCommand),
    /// Try out where notifications go
    Notify(notify::NotifyArgs),
    /// List what runs bring to nodes, whether it is here and who needs it; or fetch it beforehand
    Cache(cache::CacheArgs),
    /// Check the workspace and point at every mistake
    Check(workspace::CheckArgs),
    /// Print the JSON Schema of a file, for editors that complete and validate
    Schema(workspace::SchemaArgs),
    /// Print a guide, such as `unseal`, or the help of a command
    Help(guide::HelpArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How the screens look.
#[derive(Debug, Clone, Args)]
struct Look {
    /// Colours: default, high-contrast, colour-blind-safe, terminal, light or mono; `NO_COLOR` means mono
    #[arg(long, global = true, env = "QUARTERDECK_THEME", value_name = "NAME")]
    theme: Option<String>,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    ascii: bool,
    /// Take part in mouse events; the terminal's own selection then needs Shift
    #[arg(long, global = true)]
    mouse: bool,
}

/// Tells the operator about an error that ended the program, on standard error: what happened, then why.
pub fn complain(report: &color_eyre::Report) -> std::process::ExitCode {
    output::remark(&format!(
        "error: {}",
        told(report, output::colour_of_remarks())
    ));
    for cause in report.chain().skip(1) {
        output::remark(&format!(
            "  because: {}",
            output::plain_lines(&cause.to_string())
        ));
    }
    let exit = report
        .downcast_ref::<exit::Ended>()
        .map_or(Exit::Failed, |ended| ended.exit);
    std::process::ExitCode::from(exit.code())
}

/// What happened, without control characters but those of colours that this program chose itself.
fn told(report: &color_eyre::Report, colour: bool) -> String {
    let ended = report.chain().next().and_then(|first| first.downcast_ref());
    let coloured = ended.and_then(|ended: &exit::Ended| ended.coloured.clone());
    coloured
        .filter(|_| colour)
        .unwrap_or_else(|| output::plain_lines(&report.to_string()))
}

/// Says of a panic what is fit to be read by anybody, on standard error: an engine's log, or a person's terminal.
fn tell_mistakes() {
    std::panic::set_hook(Box::new(|panic| {
        output::remark(&output::plain_lines(&crate::store::mistake(panic)));
    }));
}

/// Runs the program with the process's arguments.
///
/// # Errors
/// A report for the operator; [`Exit`] inside it (or [`Exit::Failed`]) is the process's exit status.
pub async fn main() -> color_eyre::Result<Exit> {
    tell_mistakes();
    let cli = Cli::parse();
    let global = &cli.global;
    if std::env::var_os(trace::VARIABLE).is_some()
        && !matches!(cli.command, Some(Command::Engine(_)))
    {
        trace::begin(&session::state_dir(global)?)?;
    }
    match cli.command {
        None => screens::open_workspace(global, &cli.look).await,
        Some(Command::Lab(args)) => lab::lab(global, &cli.look, args).await,
        Some(Command::Bootstrap(args)) => bootstrap::bootstrap(global, &cli.look, args).await,
        Some(Command::Run(args)) => run::run(global, args).await,
        Some(Command::Resume(args)) => resume::resume(global, args).await,
        Some(Command::Undo(args)) => undo::undo(global, args).await,
        Some(Command::Approvals(args)) => approvals::list(global, &args).await,
        Some(Command::Approve(args)) => approvals::approve(global, args).await,
        Some(Command::Findings(args)) => findings::list(global, &args).await,
        Some(Command::Repair(args)) => findings::repair(global, args).await,
        Some(Command::Cancel(args)) => cancel::cancel(global, args).await,
        Some(Command::Refuse(args)) => approvals::refuse(global, args).await,
        Some(Command::Locks(args)) => locks::list(global, &args).await,
        Some(Command::Unlock(args)) => locks::unlock(global, args).await,
        Some(Command::Runs(args)) => look::runs(global, args).await,
        Some(Command::Logs(args)) => tail::logs(global, args).await,
        Some(Command::Prune(args)) => prune::prune(global, &args).await,
        Some(Command::Store(args)) => store::store(global, args).await,
        Some(Command::Audit(args)) => audit::audit(global, args).await,
        Some(Command::Exec(args)) => exec::exec(global, args).await,
        Some(Command::Follow(args)) => merged::follow(global, args).await,
        Some(Command::Copy(args)) => copy::copy(global, args).await,
        Some(Command::Cordon(args)) => marks::cordon(global, args).await,
        Some(Command::Uncordon(args)) => marks::uncordon(global, args).await,
        Some(Command::Label(args)) => marks::label(global, args).await,
        Some(Command::Snapshots(args)) => snapshots::snapshots(global, args).await,
        Some(Command::Drift(args)) => drift::drift(global, args).await,
        Some(Command::Unseal(args)) => unseal::unseal(global, args).await,
        Some(Command::Vault(command)) => vault::vault(global, command).await,
        Some(Command::Help(args)) => guide::help(&args),
        Some(Command::Shell(args)) => shell::shell(global, args).await,
        Some(Command::Nodes(args)) => look::nodes(global, &args).await,
        Some(Command::Reach(args)) => reach::reach(global, &args).await,
        Some(Command::Facts(args)) => facts::facts(global, &args).await,
        Some(Command::Services(args)) => look::services(global, &args).await,
        Some(Command::Schedules(args)) => schedules::schedules(global, args).await,
        Some(Command::Engine(command)) => engine::engine(global, command).await,
        Some(Command::Notify(args)) => notify::notify(global, args).await,
        Some(Command::Cache(args)) => cache::cache(global, args).await,
        Some(Command::Check(args)) => workspace::check(global, &args),
        Some(Command::Schema(args)) => workspace::schema(&args),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "quarterdeck", &mut script);
            output::bytes(&script)?;
            Ok(Exit::Success)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_error_has_colours_on_a_terminal_and_never_their_remains_elsewhere() {
        let ended = exit::Ended::unusable("two mistakes\n\nhere\n");
        let report = color_eyre::Report::new(ended.in_colours("\u{1b}[31mtwo\u{1b}[0m".into()));
        assert_eq!(told(&report, true), "\u{1b}[31mtwo\u{1b}[0m");
        assert_eq!(told(&report, false), "two mistakes\n\nhere");
        let hostile = color_eyre::Report::new(exit::Ended::unusable("\u{1b}[31m"));
        assert_eq!(told(&hostile, true), "\u{fffd}[31m");
    }
}
