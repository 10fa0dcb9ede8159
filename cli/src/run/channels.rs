//! `shardpack channels`.

mod detach;
mod emit;
mod show;

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shardpack_agent::{
    Agent, Choices, Down, Ended, Error, Faults, Job, Options, Progress, Signals, Stop, Survey,
    Tell, down, launch, run as run_in, watch,
};
use shardpack_channel::ResourceConfig;
use shardpack_store::{S3, S3Uri};

use self::detach::Detached;
use super::s3;
use crate::args::{ChannelJobArgs, ChannelsArgs, ChannelsCommand, OutputArgs, ServeArgs};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;

/// Exit codes that a shell has for a command that is not there, or cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

pub(super) fn run(args: &ChannelsArgs, log: Log, output: &mut Output) -> Result<Exit> {
    match &args.command {
        ChannelsCommand::Check { job, output: how } => {
            signal::end_at_once(log, "interrupted; nothing was created")?;
            check(job, how.json, log, output)
        }
        // The other's own code, as it has told what it is about.
        ChannelsCommand::Up { detach: true, .. } => std::process::exit(detach::start()?),
        ChannelsCommand::Up { job, serve, detached, env_file, output: how, .. } => {
            up(job, serve, env_file.as_deref(), *detached, *how, log, output)
        }
        ChannelsCommand::Down { root, timeout, .. } => {
            signal::end_at_once(log, "interrupted: the agent was told to end, and does")?;
            take_down(root, Duration::from_secs((*timeout).into()), log, output)
        }
        ChannelsCommand::Run { job, serve, grace, output: how, command } => {
            let code = train(job, serve, Duration::from_secs(*grace), command, *how, log)?;
            // The command's own code, of which there are more than ours.
            std::process::exit(code)
        }
        ChannelsCommand::Emit(args) => emit::emit(args, log, output),
        ChannelsCommand::Watch { root } => {
            watch(root);
            Ok(Exit::Done)
        }
        ChannelsCommand::Launch { parent, command, .. } => {
            let Err(error) = launch(*parent, command);
            std::process::exit(not_run(error, log)?)
        }
    }
}

/// A job, its hosts, and what its channels hold.
struct Looked {
    job: Job,
    hosts: ResourceConfig,
    survey: Survey,
}

fn look(args: &ChannelJobArgs, io_depth: usize, memory: u64, log: Log) -> Result<Looked> {
    let file = args.job.as_ref().map(|path| {
        let name = format!("--job {}", path.display());
        std::fs::read(path).map_err(|error| shardpack_store::Error::io(error, name))
    });
    let parameters = args.hyperparameters.iter().cloned().collect();
    let job = Job::with_flags(file.transpose()?.as_deref(), &args.channels, &parameters)
        .map_err(|error| in_file(error, args))?;
    let hosts = job.hosts(&args.hosts, args.current_host.as_deref())?;
    let choices = Choices {
        assign: args.assign,
        suffix_names: args.suffix_names,
        file_systems: args.file_systems.iter().map(|(id, p)| (id.clone(), p.into())).collect(),
    };
    let limits = s3::Limits { io_depth, memory };
    let connect = |uri: &S3Uri| S3::connect(uri, s3::options(&args.s3, limits, log));
    let survey = Survey::new(&job, &hosts, &choices, &connect)?;
    if job.request.channels.is_empty() {
        log.note("note: the job has no channels; --channel and --job name some");
    }
    Ok(Looked { job, hosts, survey })
}

/// An error of the job's description with the name of the file, unless it is about a flag.
fn in_file(error: Error, args: &ChannelJobArgs) -> Error {
    match (error, &args.job) {
        (Error::Job { reason }, Some(path)) if !reason.starts_with("--") => {
            Error::Job { reason: format!("{}: {reason}", path.display()) }
        }
        (error, _) => error,
    }
}

fn check(args: &ChannelJobArgs, json: bool, log: Log, output: &mut Output) -> Result<Exit> {
    let limits = s3::Limits::default();
    let Looked { survey, .. } = look(args, limits.io_depth, limits.memory, log)?;
    show::findings(&survey, json, output)?;
    let is_broken = survey.findings.iter().any(|finding| finding.is_broken);
    Ok(if is_broken { Exit::Failed } else { Exit::Done })
}

/// Brings a job's channels up.
///
/// Signals are caught from the moment on that something is created: until then they end the program
/// as they always do.
fn start(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    stop: Stop,
    how: OutputArgs,
    log: Log,
) -> Result<(Agent, Signals)> {
    let (io_depth, memory) = (usize::from(serve.io_depth), serve.memory.0);
    let Looked { job, hosts, survey } = look(args, io_depth, memory, log)?;
    for doubt in survey.findings.iter().filter(|finding| !finding.is_broken) {
        log.note(&format!("note: {doubt}"));
    }
    let signals = Signals::catch(stop.clone())?;
    let progress = Arc::new(Progress::default());
    let options = Options {
        root: serve.root.clone(),
        io_depth,
        memory,
        faults: Faults {
            latency: Duration::from_millis(serve.latency),
            bandwidth: serve.bandwidth.map(|size| size.0),
            drop_after: serve.drop_after.map(|size| size.0),
            stall: Duration::from_secs_f64(serve.stall),
            ..Faults::default()
        },
        watchdog: again(&["watch"])?,
        launcher: again(if how.json { &["launch", "--json"] } else { &["launch"] })?,
        stop,
        tell: Tell::new(move |message| log.note(message)),
        progress: Arc::clone(&progress),
    };
    let display = show::Display::start(how, progress, log);
    let agent = Agent::up(job, hosts, survey, &options)?;
    drop(display);
    Ok((agent, signals))
}

/// This program again, for another task.
fn again(task: &[&str]) -> Result<Vec<OsString>> {
    let program = std::env::current_exe().map_err(|error| Failure::of(&error))?;
    let words = ["channels"].iter().chain(task).map(OsString::from);
    Ok([program.into()].into_iter().chain(words).collect())
}

fn up(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    env_file: Option<&Path>,
    detached: bool,
    how: OutputArgs,
    log: Log,
    output: &mut Output,
) -> Result<Exit> {
    let failed = |error, path: &Path| {
        shardpack_store::Error::io(error, format!("--env-file {}", path.display()))
    };
    // Before anything is up: a folder that is not there would take it all down again.
    if let Some((path, folder)) = env_file.and_then(|path| Some((path, path.parent()?))) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        std::fs::read_dir(folder).map_err(|error| failed(error, path))?;
    }
    let stop = Stop::default();
    let detached = detached.then(|| Detached::begin(stop.clone())).transpose()?;
    let (agent, signals) = start(args, serve, stop, how, log)?;
    let environment = agent.environment(&[]);
    match env_file {
        Some(path) => {
            let lines: String =
                environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            std::fs::write(path, lines).map_err(|error| failed(error, path))?;
        }
        None if how.json => output.json(&environment)?,
        None => environment
            .iter()
            .try_for_each(|(name, value)| output.line(&format!("{name}={value}")))?,
    }
    output.flush().map_err(|error| Failure::of(&error))?;
    let root = serve.root.display();
    match detached {
        Some(detached) => {
            let down = format!("shardpack channels down --root {root}");
            log.note(&format!("channels are up in {root}; to take them down: {down}"));
            detached.up(&serve.root)?;
        }
        None => log.note(&format!("channels are up in {root}; Ctrl-C takes them down")),
    }
    if signals.wait(&agent) == Ended::Removed {
        log.note(&format!("{root} was removed: its channels go down"));
    }
    drop(agent);
    Ok(Exit::Done)
}

fn take_down(root: &Path, patience: Duration, log: Log, output: &mut Output) -> Result<Exit> {
    let found = down(root, patience)?;
    if log.json {
        output.json(&json!({ "root": root, "was_up": found == Down::Ended }))?;
    }
    let root = root.display();
    log.note(&match found {
        Down::Ended => format!("{root}: channels are down"),
        Down::Nothing => format!("{root}: nothing was up"),
    });
    Ok(Exit::Done)
}

fn train(
    args: &ChannelJobArgs,
    serve: &ServeArgs,
    grace: Duration,
    command: &[String],
    how: OutputArgs,
    log: Log,
) -> Result<i32> {
    let (agent, signals) = start(args, serve, Stop::default(), how, log)?;
    run_in(agent, command, grace, &signals).or_else(|error| not_run(error, log))
}

/// The exit code for a command that cannot be run, as shells have it.
fn not_run(error: Error, log: Log) -> Result<i32> {
    let Error::Command { name, source } = error else { return Err(error.into()) };
    let code = match source.kind() {
        std::io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_RUN,
    };
    Failure::new(format!("{name}: cannot be run: {source}")).report(log);
    Ok(code)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let hint: String = match &error {
            Error::Store(_) => {
                return match error {
                    Error::Store(source) => source.into(),
                    other => Failure::of(&other),
                };
            }
            Error::Stopped => {
                return Failure { exit: Exit::Interrupted, ..Failure::new("interrupted") };
            }
            Error::Busy { .. } => {
                "`shardpack channels down` takes it down; or name another folder with --root".into()
            }
            Error::Root { .. } => "name a folder with --root that you may write to".into(),
            Error::NotServed { .. } => {
                "name the folder that `channels up` or `channels run` was given as --root".into()
            }
            Error::Deaf { process, .. } => {
                format!("kill -9 {process}: its watchdog takes mounts and FIFOs away")
            }
            Error::Space { .. } => "free space, or take FastFile or Pipe: they need none".into(),
            _ => return Failure::of(&error),
        };
        Failure::of(&error).hint(hint)
    }
}
